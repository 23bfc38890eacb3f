"""HTML from templates, in which every value is escaped."""

import math
import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: object) -> str:
    """Fills in a template of the folder `templates`."""
    return _ENVIRONMENT.get_template(template).render(values)


def _sort_key(value: float | str) -> str:
    """A value as `report.js` sorts it, "" if it is missing.

    >>> _sort_key(0.5), _sort_key(math.inf), _sort_key(math.nan), _sort_key("adam")
    ('0.5', 'Infinity', '', 'adam')
    """
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else repr(value).replace("inf", "Infinity")


def _breakable(text: str) -> Markup:
    """A label that may be broken after "=" and "_".

    >>> _breakable("b1=<0.9>")
    Markup('b1=<wbr>&lt;0.9&gt;')
    """
    return Markup("<wbr>").join(re.split("(?<=[=_])", text))


_ENVIRONMENT = Environment(
    loader=PackageLoader("adaptive_jax.lab.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"sort_key": _sort_key, "breakable": _breakable}
