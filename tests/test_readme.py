"""Every Python snippet of the README runs, and what it and the pages state is so."""

import re
import shlex
from pathlib import Path

import pytest

import adaptive_jax
from adaptive_jax import schedules, storage
from adaptive_jax.lab.training import OptimizerSpec
from adaptive_jax.lab.workloads import WORKLOADS
from tests.table_of_methods import bytes_per_parameter, table

pytestmark = pytest.mark.relaxed
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ROOT / "notebooks" / "docs"
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("index", range(len(SNIPPETS)))
def test_snippets_run(index):
    exec(compile(SNIPPETS[index], f"README.md, snippet {index}", "exec"), {})


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3


def test_the_feature_table_is_complete():
    for name in WORKLOADS:
        assert f"`{name}`" in README
    shown = README[README.index("| schedules |") :].splitlines()[0].lower().replace("-", " ")
    for name in dir(schedules):
        if not name.startswith("_") and callable(getattr(schedules, name)):
            words = name.replace("inverse_sqrt", "inverse square root").split("_")
            assert words[0] in shown, name


def test_the_table_of_methods_is_what_is_measured():
    assert table() in (PAGES / "methods.md").read_text(encoding="utf-8")


def test_the_table_of_codecs_is_what_is_measured():
    page = (PAGES / "lean_states.md").read_text(encoding="utf-8")
    for name in sorted({*storage.CODECS} - {"float32"}):
        field = {"nu": name} if name == "uint8" else {"mu": name}
        tx = adaptive_jax.with_storage(adaptive_jax.scale_by_adam(), **field)
        size = bytes_per_parameter(tx) - bytes_per_parameter(adaptive_jax.scale_by_rms())
        assert f"| `{name}` | {size:.3g} |" in page


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(PAGES.glob("*.md"))], ids=lambda p: p.stem
)
def test_commands_name_what_exists(path):
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["adaptive-jax"] and "--optimizers" in words:
                for word in words[words.index("--optimizers") + 1 :]:
                    if word.startswith("--"):
                        break
                    OptimizerSpec.parse(word)
            if words[:1] and words[0].startswith("scripts/"):
                assert (ROOT / words[0]).exists()
