"""The examples in docstrings run, on a network and images that take no time."""

import ast
import pathlib
import re
import shutil
import textwrap

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.bounds.record import RULES

pytestmark = pytest.mark.one_keras

ROOT = pathlib.Path(tfr.__file__).parent
SECTION = re.compile(r"^Example:\n((?: {4}.*(?:\n|\Z)|\n)+)", re.MULTILINE)
NOT_RUN = {
    "scope": "loads a file of tf_keras",
    **dict.fromkeys(
        ["prune", "cluster", "quantize", "calibrate", "strip"],
        "takes networks of tf_keras; tests/compression runs it",
    ),
    **dict.fromkeys(
        ["to_keras", "to_tf_keras"],
        "needs both Kerases; tests/compression/conversion_test.py runs it",
    ),
    "sharded": "needs Apache Beam; tests/evaluation/beam_test.py runs it",
}


def examples():
    """Yields name and code of each example, in the order of the files."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                for found in SECTION.findall(ast.get_docstring(node) or ""):
                    name = f"{path.parent.name}/{path.stem}:{node.name}"
                    yield name, textwrap.dedent(found)


EXAMPLES = dict(examples())


def code_of(text):
    """The code of an example: what is fenced, quoted, or all of it."""
    if text.startswith("```"):
        text = text.split("```")[1]
    elif text.startswith("`"):
        text = "\n".join(re.findall(r"`([^`]+)`", text))
    short = dict.fromkeys(("epochs", "searches", "stages"), 1)
    short["skip"] = 0
    for name, value in short.items():
        text = re.sub(rf"\b{name}=\d+", f"{name}={value}", text)
    return text


def network(normalized=False):
    between = [keras.layers.BatchNormalization()] if normalized else []
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            *between,
            keras.layers.Dense(6, activation="relu", name="features"),
            keras.layers.Dense(10),
        ]
    )


def world(name):
    """What examples take for granted."""
    count = 130 if name.endswith(":mixture") else 12
    normalized = name.endswith(":ReestimateBatchNorm")
    random = np.random.default_rng(0)
    x = random.uniform(0.2, 0.8, (count, 4, 4, 1)).astype(np.float32)
    y = np.arange(count) % 10
    linf = tfr.threats.Linf(0.03)
    pgd = tfr.attacks.PGD(linf, steps=2)
    objective = tfr.objectives.WorstCase(pgd)
    robust, plain, model = (
        tfr.RobustModel(network(normalized)) for _ in range(3)
    )
    model.compile("sgd", objective=objective)
    names = {"tfr": tfr, "tf": tf, "np": np, "keras": keras}
    for room in (tfr.threats, tfr.attacks, tfr.verifiers, tfr.objectives):
        names |= {name: getattr(room, name) for name in room.__all__}
    names |= {"x": x, "y": y, "generated": x, "labels": y}
    names |= {f"x_{part}": x for part in ("train", "val", "test")}
    names |= {f"y_{part}": y for part in ("train", "val", "test")}
    names |= {"val": (x, y), "lower": x - 0.01, "upper": x + 0.01}
    names |= {"threat": linf, "linf": linf, "pgd": pgd, "attack": pgd}
    names |= {"objective": objective, "model": model, "network": network()}
    names |= {"robust": robust, "plain": plain, "standard": plain}
    names |= {"one": robust, "other": plain, "float_network": network()}
    names["index"] = np.arange(len(x))
    names["path"], names["box"] = "net.onnx", linf
    names["verifier"] = tfr.verifiers.CROWN(linf)
    names["data"] = tf.data.Dataset.from_tensor_slices((x, y))
    return names


@pytest.fixture(autouse=True)
def same_rules():
    """What an example registers is gone after it."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def written(folder):
    """Puts into a folder the files that examples of problems read."""
    x, y = np.full((1, 4, 4, 1), 0.5, np.float32), np.array([0])
    linf = tfr.threats.Linf(0.03)
    tfr.problems.write(network(), x, y, linf, folder / "problems")
    for path in [*(folder / "problems").rglob("*")]:
        for end, new in (
            ("1.0/0.vnnlib", "query.vnnlib"),
            (".onnx", "net.onnx"),
        ):
            if path.as_posix().endswith(end):
                shutil.copy(path, folder / new)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name, tmp_path, monkeypatch):
    if reason := NOT_RUN.get(name.split(":")[1]):
        pytest.skip(reason)
    monkeypatch.chdir(tmp_path)
    if name.startswith("problems/"):
        pytest.importorskip("onnx", reason="needs the extra onnx")
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    if name.startswith("problems/") and not name.endswith(":write"):
        written(tmp_path)
    exec(compile(code_of(EXAMPLES[name]), name, "exec"), world(name))


def test_the_examples_are_found():
    assert len(EXAMPLES) > 90
    assert {"evaluate", "RobustModel", "PGD"} <= {
        name.split(":")[1] for name in EXAMPLES
    }


def made_by_users(node):
    """Whether a definition is a function, or a class that users make."""
    if isinstance(node, ast.FunctionDef):
        return True
    abstract = "abstractmethod" in ast.unparse(node)
    decorators = [ast.unparse(d) for d in node.decorator_list]
    returned = any("dataclass" in d for d in decorators)
    bases = {ast.unparse(base) for base in node.bases}
    return not (abstract or returned or bases & {"NamedTuple", "ValueError"})


def test_every_public_name_that_users_call_has_an_example():
    pages = (ROOT.parent / "docs" / "reference").glob("*.md")
    public = {
        name.split(".")[-1]
        for page in pages
        for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    }
    shown = {name.split(":")[1] for name in EXAMPLES}
    missing = [
        node.name
        for path in ROOT.rglob("*.py")
        if path.parent.name != "graph"  # Which has a `Trace` of its own.
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
        if node.name in public - shown and made_by_users(node)
    ]
    assert len(public) > 200 and missing == []


@pytest.mark.parametrize(
    "text, code",
    [
        ("`a = 1`, and\n`b = 2`", "a = 1\nb = 2"),
        ("```\na = 1\n```", "\na = 1\n"),
        ("fit(epochs=30)", "fit(epochs=1)"),
    ],
)
def test_code_is_what_is_fenced_or_quoted(text, code):
    assert code_of(text) == code
