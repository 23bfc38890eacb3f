"""Memory stays flat: a small version of scripts/soak.py."""

import gc

from scripts import soak


def test_a_long_loop_keeps_no_arrays_and_compiles_nothing_again():
    gc.collect()  # what other tests have left
    points = list(soak.loop(2000))
    assert [point.step for point in points] == list(range(200, 2001, 200))
    assert points[0].compilations > 0 and points[0].arrays > 0
    first, *others = [point._replace(step=0, resident=0) for point in points]
    assert all(point == first for point in others)


def test_what_grows_is_not_flat():
    flat = [soak.Point(step, 15, 12456, 68, 400_000_000 + step) for step in range(10)]
    assert soak.is_flat(flat)
    for grown in ({"arrays": 16}, {"array_bytes": 12460}, {"compilations": 69}, {"resident": 5e8}):
        assert not soak.is_flat([*flat, flat[-1]._replace(**grown)])
