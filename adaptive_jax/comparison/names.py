"""What optimizers are called in sentences, tables and figures."""

from collections import Counter
from collections.abc import Iterable


def names(labels: Iterable[str]) -> dict[str, str]:
    """Labels as they are shown: without the learning rate, unless two differ in that alone.

    >>> list(names(["adam", "sgd:momentum=0.9", "adam:learning_rate=0.1"]).values())
    ['adam', 'sgd momentum=0.9', 'adam learning_rate=0.1']
    """
    short = {label: _without_rate(label) for label in labels}
    count = Counter(short.values())
    return {
        label: name if count[name] == 1 else label.replace(":", " ").replace(",", " ")
        for label, name in short.items()
    }


def _without_rate(label):
    name, _, settings = label.partition(":")
    others = [pair for pair in settings.split(",") if not pair.startswith("learning_rate=")]
    return " ".join([name, *filter(None, others)])
