"""What optimizers are called in tables and figures."""

from collections import Counter
from collections.abc import Iterable


def names(optimizers: Iterable[str]) -> dict[str, str]:
    """Labels as they are shown: without the learning rate where that tells them apart.

    >>> names(["sgd:learning_rate=0.1,momentum=0.9", "adam", "adam:learning_rate=0.1"])
    {'sgd:learning_rate=0.1,momentum=0.9': 'sgd momentum=0.9', 'adam': 'adam', \
'adam:learning_rate=0.1': 'adam learning_rate=0.1'}
    """
    whole = {}
    short = {}
    for label in optimizers:
        name, _, settings = label.partition(":")
        pairs = [pair for pair in settings.split(",") if pair]
        others = [pair for pair in pairs if not pair.startswith("learning_rate=")]
        whole[label] = " ".join([name, *pairs])
        short[label] = " ".join([name, *others])
    shared = [name for name, count in Counter(short.values()).items() if count > 1]
    return {label: whole[label] if short[label] in shared else short[label] for label in whole}
