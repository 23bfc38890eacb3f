"""Sphinx's settings; from the root: `python -m sphinx -W -c notebooks/docs notebooks build/docs`.

The sources are the folder `notebooks`, so that the notebooks are pages as they are.
"""

import importlib
import pkgutil
import re

import adaptive_jax

project = "adaptive_jax"
version = release = adaptive_jax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
root_doc = "docs/index"
exclude_patterns = ["*.py", "**/*.py", "pictures"]
default_role = "py:obj"  # `name` is a link where it is documented, and code where not
nb_execution_mode = "off"  # they are committed with their pictures; the tests execute them
myst_enable_extensions = ["dollarmath"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # the fields of dataclasses are in the docstring
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"adaptive_jax {version}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_theme_options = {"light_css_variables": {"code-font-size": "75%"}}  # 100 columns fit

_ARXIV = re.compile(r"\barXiv (\d{4}\.\d{4,5})")
_DOI = re.compile(r"\bdoi (10\.\S+[^\s.,;)])")


def _link_papers(app, what, name, obj, options, lines):
    """Papers are named by their numbers; on a page these are links."""
    for index, line in enumerate(lines):
        line = _ARXIV.sub(r"`arXiv \1 <https://arxiv.org/abs/\1>`__", line)
        lines[index] = _DOI.sub(r"`doi \1 <https://doi.org/\1>`__", line)


def _list_modules(app, docname, source):
    """Appends every module of a room to the page of that room."""
    room = docname.removeprefix("docs/api/")
    if room in ("methods", "stages", "wrappers"):
        for module in pkgutil.iter_modules(
            importlib.import_module(f"adaptive_jax.{room}").__path__
        ):
            name = f"adaptive_jax.{room}.{module.name}"
            source[0] += f"\n{module.name}\n{'-' * len(module.name)}\n\n"
            source[0] += f".. automodule:: {name}\n\n.. currentmodule:: adaptive_jax\n\n"
            for public in importlib.import_module(name).__all__:
                kind = "class" if isinstance(getattr(adaptive_jax, public), type) else "function"
                source[0] += f".. auto{kind}:: {public}\n"


def setup(app):
    app.connect("source-read", _list_modules)
    app.connect("autodoc-process-docstring", _link_papers)
