"""Public docstrings have a line, arguments, errors and an example; methods also their rule."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import sys

import optax

import adaptive_jax
from adaptive_jax.registry import OPTIMIZERS
from adaptive_jax.storage import Codec

MODULES = [
    importlib.import_module(name)
    for name in (
        "adaptive_jax",
        "adaptive_jax.schedules",
        "adaptive_jax.diagnostics",
        "adaptive_jax.storage",
        "adaptive_jax.distributed",
        "adaptive_jax.checkpoint",
        "adaptive_jax.lab.workloads",
        "adaptive_jax.lab.training",
        "adaptive_jax.lab.statistics",
        "adaptive_jax.lab.comparison",
        "adaptive_jax.lab.analysis",
        "adaptive_jax.lab.report",
        "adaptive_jax.lab.results",
        "adaptive_jax.lab.surfaces",
        "adaptive_jax.presets.torch",
        "adaptive_jax.presets.torch.lr_scheduler",
        "adaptive_jax.presets.keras",
        "adaptive_jax.presets.keras.schedules",
        "adaptive_jax.registry",
    )
]
# Without an example of its own -> in whose example it is shown, as what is returned or needed.
SHOWN_BY = {
    "storage.Split": "storage.split",
    "checkpoint.Manifest": "checkpoint.describe",
    "lab.workloads.Data": "lab.workloads.Workload",
    "lab.training.Epoch": "lab.training.Callback",
    "lab.training.History": "lab.training.Population",
    "lab.training.RunRecord": "lab.training.train",
    "lab.statistics.Interval": "lab.statistics.t_interval",
    "lab.statistics.CountTest": "lab.statistics.count_test",
    "lab.statistics.Profiles": "lab.statistics.performance_profiles",
    "lab.analysis.Analysis": "lab.analysis.analyze",
    "lab.analysis.Summary": "lab.results.run_comparison",  # which trains: so it is one for three
    "lab.analysis.summarize": "lab.results.run_comparison",
    "lab.report.write_report": "lab.results.run_comparison",
    "lab.surfaces.Trajectory": "lab.surfaces.tune_on_surface",
}
CHECK = re.compile(r"\braise\b|\b(number|number_or_schedule|steps|require_params|check_inexact)\(")
SOURCES = re.compile(
    r"\b(paper|authors|lecture|Adam|Jordan|PyTorch|Keras|Optax|pytorch_optimizer)\b"
)
MATHS = re.compile(r":math:|\.\. math::")


def public():
    """("room.name", value) of all that is exported, once each; a file exports what it defines."""
    seen = set()
    for module in MODULES:
        is_file = not hasattr(module, "__path__")
        for name, value in vars(module).items():
            home = getattr(value, "__module__", module.__name__)
            ours = home == module.__name__ if is_file else home.startswith("adaptive_jax")
            if name[0] != "_" and ours and not inspect.ismodule(value) and id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__.removeprefix('adaptive_jax.')}.{name}", value


PUBLIC = dict(public())
CALLABLES = {name: value for name, value in PUBLIC.items() if callable(value)}
BY_LAST_PART = {name.rpartition(".")[2]: name for name in reversed(CALLABLES)}


def doc(name):
    """A docstring of its own, not a base class's."""
    value = CALLABLES[name]
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    return inspect.cleandoc(own or "")


def is_of_a_state(name):
    """States and their parts, and the classes of what `chain` and `tunable` return."""
    value = CALLABLES[name]
    if not name.startswith("adaptive_jax.") or not inspect.isclass(value):
        return False
    if issubclass(value, optax.GradientTransformation):
        return value in (adaptive_jax.Chain, adaptive_jax.Tunable)
    return issubclass(value, tuple)


def parameters(name):
    value = CALLABLES[name]
    if is_of_a_state(name):
        return list(inspect.get_annotations(value))
    if inspect.isclass(value) and issubclass(value, Exception):
        return []
    return [p for p in inspect.signature(value).parameters if p not in ("args", "kwargs")]


def explains(name, parameter, seen=()):
    """Whether a docstring names a parameter, or refers to one that does and has it as well."""
    text = doc(name).partition(">>>")[0]
    if re.search(rf"\b{parameter}\b", text):
        return True
    others = {BY_LAST_PART.get(last) for last in re.findall(r"`[\w.]*?(\w+)`", text)}
    return any(
        parameter in parameters(other) and explains(other, parameter, (*seen, name))
        for other in others - {None, name, *seen}
    )


def entries(name):
    """Name -> text, as listed under `Args:` and `Attributes:`."""
    return {
        listed: text
        for section in re.findall(r"^(?:Args|Attributes):\n((?:  .+\n?)+)", doc(name), re.M)
        for names, text in re.findall(
            r"^  (\*{0,2}\w[\w*, ]*): (.+\n?(?:    .+\n?)*)", section, re.M
        )
        for listed in re.findall(r"\w+", names)
    }


def said_for_several(name):
    """By the docstring of a room of presets, and by those of the functions in a state's module."""
    if name.startswith("presets."):
        return sys.modules[f"adaptive_jax.{name.rpartition('.')[0]}"].__doc__
    if is_of_a_state(name):
        module = sys.modules[CALLABLES[name].__module__]
        return "\n".join(v.__doc__ or "" for v in vars(module).values() if inspect.isfunction(v))
    return ""


def checks_arguments(value):
    if inspect.isclass(value):
        value = vars(value).get("__post_init__" if dataclasses.is_dataclass(value) else "__init__")
    ours = value is not None and value.__module__.startswith("adaptive_jax")
    return ours and CHECK.search(inspect.getsource(value))


def test_each_begins_with_one_sentence_on_one_line():
    assert all(module.__doc__ for module in MODULES)
    bad = {name: doc(name)[:99] for name in CALLABLES if not re.match(r".+\.(\n\n|$)", doc(name))}
    assert not bad


def test_each_parameter_and_field_is_named():
    bad = [
        f"{name}: {parameter}"
        for name in CALLABLES
        for parameter in parameters(name)
        if not explains(name, parameter)
        and not re.search(rf"\b{parameter}\b", said_for_several(name))
    ]
    assert not bad


def test_what_is_listed_is_a_parameter_or_an_attribute():
    bad = {}
    for name in CALLABLES:
        value = CALLABLES[name]
        known = {*parameters(name), *dir(value), *inspect.get_annotations(value)}
        if unknown := entries(name).keys() - known:
            bad[name] = unknown
    assert not bad


def test_each_has_an_example_or_is_in_one():
    lacking = {name for name in CALLABLES if ">>>" not in doc(name) and not is_of_a_state(name)}
    assert lacking == set(SHOWN_BY)
    for name, other in SHOWN_BY.items():
        shown = f"{doc(other)} {inspect.signature(CALLABLES[other]).return_annotation}".lower()
        assert ">>>" in shown and name.rpartition(".")[2].lower() in shown, name


def test_what_checks_its_arguments_says_what_it_raises():
    bad = [
        name
        for name, value in CALLABLES.items()
        if checks_arguments(value)
        and not re.search(r"[Rr]aises\b|and errors|errors are", doc(name) + said_for_several(name))
    ]
    assert not bad


def test_methods_and_properties_have_one():
    bad = [
        f"{name}.{attribute}"
        for name, value in CALLABLES.items()
        for attribute, function in (vars(value) if inspect.isclass(value) else {}).items()
        if inspect.isfunction(function) or isinstance(function, property)
        if attribute[0] != "_" and not inspect.getdoc(getattr(value, attribute))
        if not hasattr(Codec, attribute)  # which says it for all codecs
    ]
    assert not bad


def test_constants_have_one_after_them():
    assert not [name for name in PUBLIC.keys() - CALLABLES.keys() if not _is_explained(name)]


def _is_explained(name):
    last = name.rpartition(".")[2]
    for key, module in list(sys.modules.items()):
        if key.startswith("adaptive_jax.") and vars(module).get(last) is PUBLIC[name]:
            body = ast.parse(inspect.getsource(module)).body
            for statement, after in itertools.pairwise(body):
                if isinstance(statement, ast.Assign | ast.AnnAssign) and last in _assigned(
                    statement
                ):
                    return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return False


def _assigned(statement):
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return [name.id for name in names if isinstance(name.ctx, ast.Store)]


def test_recipes_have_rule_errors_defaults_and_reference():
    for name, entry in OPTIMIZERS.items():
        text = " ".join(doc(f"adaptive_jax.{name}").split())
        for pattern in (MATHS, "p_t &?= ", "Raises:|errors", "[Dd]efault", "Reference: "):
            assert re.search(pattern, text), (name, pattern)
        is_number = entry.reference.startswith("arXiv")
        words = [entry.reference] if is_number else re.findall(r"[A-Z]\w+|\d{4}", entry.reference)
        assert all(word in text for word in words), (name, entry.reference)


def test_recipes_list_each_parameter():
    listed = {name: entries(f"adaptive_jax.{name}").keys() for name in OPTIMIZERS}
    bad = {name: set(OPTIMIZERS[name].hyperparameters) - names for name, names in listed.items()}
    assert not {name: lacking for name, lacking in bad.items() if lacking}


def test_recipes_state_each_default_and_its_source():
    bad = {}
    for name, entry in OPTIMIZERS.items():
        texts = entries(f"adaptive_jax.{name}")
        for parameter, default in entry.defaults.items():
            text = texts.get(parameter, "")
            stated = re.findall(r"\bDefault\s+[`\"]*([-\w./]*\w)", text)
            is_number = type(default) in (int, float)
            if [_literal(word) for word in stated] != [default] or (
                is_number and not SOURCES.search(text)
            ):
                bad[f"{name}: {parameter}"] = text
    assert not bad


def _literal(word):
    """The value of a number, a fraction, None, True or False; a string stands for itself."""
    numerator, _, denominator = word.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(word, word)


def test_scalings_have_rule_and_reference():
    names = [name for name in CALLABLES if ".scale_by_" in name]
    assert len(names) > 25
    for name in names:
        assert MATHS.search(doc(name)), name
        assert "Reference: " in doc(name) or name.endswith("learning_rate"), name  # it has none
