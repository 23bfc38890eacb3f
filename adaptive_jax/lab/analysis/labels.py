"""Labels of optimizers in sentences, tables and figures."""

from collections import Counter
from collections.abc import Iterable

from adaptive_jax.lab.files import one_line
from adaptive_jax.lab.training.config import split_settings


def short_label(label: str) -> str:
    """Returns a label on one line, without the learning rate, which is shown elsewhere.

    >>> short_label("sgd:learning_rate=0.1,momentum=0.9")
    'sgd momentum=0.9'
    """
    name, pairs = _parts(label)
    return " ".join([name, *(pair for pair in pairs if not pair.startswith("learning_rate="))])


def display_labels(labels: Iterable[str]) -> dict[str, str]:
    """Returns label -> `short_label`, with the learning rate where two differ in that alone.

    >>> list(display_labels(["adam", "sgd:momentum=0.9", "adam:learning_rate=0.1"]).values())
    ['adam', 'sgd momentum=0.9', 'adam learning_rate=0.1']
    """
    shown = {label: short_label(label) for label in labels}
    count = Counter(shown.values())
    return {
        label: short if count[short] == 1 else _full_label(label) for label, short in shown.items()
    }


def _full_label(label):
    name, pairs = _parts(label)
    return " ".join([name, *pairs])


def _parts(label):
    """Returns the name in a label, which may be `module:name`, and the settings after it."""
    name, _, settings = one_line(label).partition(":")
    attribute, _, rest = settings.partition(":")
    if attribute and "=" not in attribute:
        name, settings = f"{name}:{attribute}", rest
    return name, list(filter(None, split_settings(settings)))
