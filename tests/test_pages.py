"""The Python of every page in notebooks/docs runs, from top to bottom."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.relaxed
FOLDER = Path(__file__).parent.parent / "notebooks" / "docs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    """The blocks in ```python, each with as many empty lines before it as tell its place."""
    text = text_of(name)
    found = re.finditer(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return ["\n" * text[: match.start(1)].count("\n") + match[1] for match in found]


def is_file(block: str) -> bool:
    """Whether it says of itself that it is the content of a file."""
    return re.match(r"\s*# [\w/]+\.py(, at the end)?\n", block) is not None


def run(name: str) -> dict:
    """Runs what is no file's content, and returns the names that it leaves."""
    namespace = {}
    for block in blocks(name):
        if not is_file(block):
            exec(compile(block, f"{name}.md", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("name", NAMES)
def test_page_runs(name):
    run(name)
