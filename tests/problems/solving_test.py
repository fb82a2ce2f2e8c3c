"""Answers to queries are right, and a wrong one is never given."""

import gzip
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.vnncomp import peer
from tests.verifiers.clauses_test import RADIUS, Net, smallest
from tfrobust import problems
from tfrobust.problems import solving, vnnlib_writer
from tfrobust.problems.onnx_writer import to_onnx
from tfrobust.problems.query import Case
from tfrobust.threats import Linf
from tfrobust.verifiers import Specification

pytestmark = pytest.mark.keras_free


def save(model, shape, path):
    path.write_bytes(to_onnx(model, shape).SerializeToString())
    return path


def zipped(path):
    """A copy that is gzipped."""
    made = path.with_suffix(".gz")
    made.write_bytes(gzip.compress(path.read_bytes()))
    return made


def linear(x, training=False):
    return x @ tf.constant([[1.0, 2.0], [3.0, -1.0]])


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save(linear, (2,), tmp_path_factory.mktemp("net") / "net.onnx")


HEAD = "\n".join(f"(declare-const {n} Real)" for n in "X_0 X_1 Y_0 Y_1".split())
SQUARE = """
(assert (>= X_0 0.1)) (assert (<= X_0 0.7))
(assert (>= X_1 -0.3)) (assert (<= X_1 0.3))
"""


def query(path, asserted, head=HEAD, box=SQUARE):
    path.write_text(head + box + asserted)
    return path


def test_answers_are_those_of_all_activation_patterns(tmp_path):
    net = Net()
    net.draw(3)
    model = save(net, (2,), tmp_path / "net.onnx")
    x, clause = np.float32([0.25, -0.5]), [0, 1]
    rows = np.float32([[1, -1, 0.5], [-1, 1, 0.25]])
    least = smallest(net, clause, rows, x)
    ends = [np.float32(x + sign * RADIUS) for sign in (-1, 1)]
    solver, searches = problems.Solver(model), []
    for shift, result in ((-0.02, "sat"), (0.02, "unsat")):
        spec = Specification(rows, [shift - least] * 2, [clause])
        text = vnnlib_writer.text(*ends, spec, "2.0", "a disjunction")
        path = tmp_path / "query.vnnlib"
        path.write_text(text)
        verdict = solver.verify(path, timeout=600)
        assert verdict.result == result
        searches.append(solver._search._compiled._functions)
        if result == "sat":
            found = np.array([float(v) for v in verdict.x])
            assert np.all((found >= ends[0]) & (found <= ends[1]))
            assert np.max(rows @ net.exact(found)) + shift - least < 1e-5
    assert searches[0] is searches[1]  # Compiled once.


@pytest.mark.parametrize(
    ("asserted", "result"),
    [
        # Y_0 = X_0 + 3 X_1 lies in [-0.8, 1.6].
        ("(assert (>= Y_0 1.7))", "unsat"),
        ("(assert (>= X_0 0.8)) (assert (>= Y_0 -9))", "unsat"),
        ("(assert (or (>= Y_0 1.7) (<= Y_0 -0.9)))", "unsat"),
        ("(assert (or (and (<= X_0 0.3) (>= Y_0 1.3)) (>= Y_0 1.7)))", "unsat"),
        ("(assert (<= X_0 0.2))", "sat"),
    ],
)
def test_what_bounds_alone_decide(asserted, result, net, tmp_path):
    path = query(tmp_path / "query.vnnlib", asserted)
    verdict = problems.verify(zipped(path), zipped(net))
    assert verdict.result == result
    assert ("No input meets" in verdict.reason) == ("X_0 0.8" in asserted)


def test_cases_are_searched_with_their_own_boxes(net, tmp_path):
    # Y_0 is at most 1.2 in the first.
    asserted = """(assert (or
        (and (<= X_0 0.3) (>= Y_0 1.1999))
        (and (>= X_0 0.6) (>= Y_0 1.5))))"""
    path = query(tmp_path / "query.vnnlib", asserted)
    verdict = problems.verify(path, net, timeout=20)
    assert verdict.result == "sat"
    x = [float(v) for v in verdict.x]
    assert x[0] + 3 * x[1] >= 1.1999 - 1e-6
    assert problems.read(path).violated(verdict.x, verdict.y)


def test_what_onnxruntime_does_not_confirm_is_not_sat(
    net, tmp_path, monkeypatch
):
    class Other:
        def get_inputs(self):
            return [type("Input", (), {"name": "input"})]

        def run(self, names, given):
            return [np.float32([[-100.0, 0.0]])]

    monkeypatch.setattr(solving, "session", lambda path: Other())
    asserted = """(assert (or
        (and (<= X_0 0.3) (>= Y_0 1.7))
        (and (>= X_0 0.6) (>= Y_0 1.0) (>= Y_0 1.1))))"""
    path = query(tmp_path / "query.vnnlib", asserted)
    # One of both is proven, and that isn't enough.
    verdict = problems.verify(path, net, timeout=0)
    assert verdict.result in ("unknown", "timed-out")


def test_a_point_is_clipped_to_the_exact_box():
    tenth, third = Fraction(1, 10), Fraction(float(np.float32(1 / 3)))
    case = Case([tenth, tenth, third], [Fraction(1), tenth, third], None)
    found = solving._clipped(np.float32([0.0, 0.5, 0.5]), case)
    assert tenth <= found[0] <= tenth + Fraction(1, 10**8)
    assert found[0] == Fraction(float(np.float32(float(found[0]))))
    assert found[1:] == [tenth, third]
    low, high = (solving._outward([tenth, third], upper) for upper in (0, 1))
    assert Fraction(low[0]) < tenth < Fraction(high[0])
    assert Fraction(low[1]) == third == Fraction(high[1])


@pytest.mark.parametrize("change", ["Y_1", "X_1"])
def test_a_query_of_another_network_is_refused(change, net, tmp_path):
    head = HEAD.replace(f"(declare-const {change} Real)", "")
    box = SQUARE.replace("(assert (>= X_1 -0.3)) (assert (<= X_1 0.3))", "")
    box = box if change == "X_1" else SQUARE
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_0 9))", head, box)
    with pytest.raises(ValueError, match="Is it another network's"):
        problems.verify(path, net)


def test_the_scripts_of_the_competition_run(net, tmp_path):
    path = query(tmp_path / "query.vnnlib", "(assert (>= Y_0 1.7))")
    result = tmp_path / "result.txt"
    folder = "benchmarks/vnncomp"
    asked = "v1", "category", str(net), str(path)
    prepared = subprocess.run([f"{folder}/prepare_instance.sh", *asked])
    assert prepared.returncode == 0
    missing = subprocess.run(
        [f"{folder}/prepare_instance.sh", *asked[:3], "no"]
    )
    assert missing.returncode != 0
    script = [f"{folder}/run_instance.sh", *asked, str(result), "60"]
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(script, env=environment, check=True)
    assert result.read_text() == "unsat\n"
    path.write_text("(")
    subprocess.run(script, env=environment, check=True, capture_output=True)
    assert result.read_text() == "error\n"


def test_another_tool_is_asked_by_its_scripts(tmp_path):
    script = tmp_path / "run_instance.sh"
    script.write_text(
        'test $1 = v1 && test -f "$3" && test $6 = 7 || exit 1\n'
        "case $4 in */0.vnnlib) echo sat > $5;; */1.vnnlib) echo unsat > $5;;\n"
        "*/2.vnnlib) : > $5;; *) exit 1;; esac\n"
    )
    asked = 4 * [[0.25, 0.75]], 4 * [1], Linf(0.1), 7
    found = peer.script_of(tmp_path)
    answers = peer.ask(found, lambda x, training=False: x + 0.0, *asked)
    assert list(answers) == ["sat", "unsat", "error", "error"]
    with pytest.raises(FileNotFoundError, match="must hold run_instance.sh"):
        peer.script_of(tmp_path / "none")
