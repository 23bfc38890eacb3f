"""SVG elements of Matplotlib figures, in the colors and fonts of the page around them."""

import io
import re

from markupsafe import Markup
from matplotlib.figure import Figure

from adaptive_jax.lab.report.figures.style import COLORS


def to_svg(figure: Figure, prefix: str, description: str) -> Markup:
    """Draws a figure as an `<svg>` element without external links.

    Black becomes `currentColor` and the optimizers' colors become `var(--c0)` to `var(--c7)`,
    which the page defines. Text remains text.

    Args:
      figure: drawn within `figures.theme()`.
      prefix: prefix of every id in the element, unique in the page.
      description: text for screen readers.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<style.*?</style>|<metadata>.*?</metadata>", "", text, flags=re.S)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r' (?:d|x|y)="[^"]*"', _coarser, text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = text.replace("#000000", "currentColor")
    for i, color in enumerate(COLORS):
        text = text.replace(color, f"var(--c{i})")
    opening = Markup('<svg role="img" aria-label="{}" ').format(description)  # which escapes it
    return opening + Markup(text.removeprefix("<svg ").strip())


def _coarser(attribute: re.Match) -> str:
    """Rounds coordinates to hundredths of a point, on one line."""
    return " " + " ".join(re.sub(r"(\.\d\d)\d+", r"\1", attribute[0]).split())
