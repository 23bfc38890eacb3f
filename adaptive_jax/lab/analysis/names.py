"""What optimizers are called in sentences, tables and figures."""

from collections import Counter
from collections.abc import Iterable

from adaptive_jax.lab.files import one_line
from adaptive_jax.lab.training.config import split_settings


def short(label: str) -> str:
    """An optimizer's label in one line and without its learning rate, which is shown elsewhere.

    >>> short("sgd:learning_rate=0.1,momentum=0.9")
    'sgd momentum=0.9'
    """
    name, _, settings = one_line(label).partition(":")
    pairs = split_settings(settings)
    others = [pair for pair in pairs if not pair.startswith("learning_rate=")]
    return " ".join([name, *filter(None, others)])


def names(labels: Iterable[str]) -> dict[str, str]:
    """Labels as they are shown: `short`, with the learning rate where two differ in that alone.

    >>> list(names(["adam", "sgd:momentum=0.9", "adam:learning_rate=0.1"]).values())
    ['adam', 'sgd momentum=0.9', 'adam learning_rate=0.1']
    """
    shorts = {label: short(label) for label in labels}
    count = Counter(shorts.values())
    return {label: name if count[name] == 1 else _whole(label) for label, name in shorts.items()}


def _whole(label):
    name, _, settings = one_line(label).partition(":")
    return " ".join([name, *filter(None, split_settings(settings))])
