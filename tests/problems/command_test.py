"""The command answers as competitions ask, in time, or says why not."""

import gzip
import time
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from tests.problems.solving_test import HEAD, SQUARE, linear, query, save
from tfrobust import problems
from tfrobust.problems import command
from tfrobust.problems.extra import session

pytestmark = pytest.mark.keras_free


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save(linear, (2,), tmp_path_factory.mktemp("net") / "net.onnx")


def run(capsys, *words):
    code = command.main([str(word) for word in words])
    return code, capsys.readouterr()


def test_the_command_prints_what_the_standard_says(net, tmp_path, capsys):
    declared = """(vnnlib-version <2.0>) (declare-network f
        (declare-input X float32 [1,2]) (declare-output Y float32 [1,2]))"""
    asked = {"1.0": (HEAD, SQUARE)}
    asked["2.0"] = (
        declared,
        SQUARE.replace("X_0", "X[0,0]").replace("X_1", "X[0,1]"),
    )
    for version, (head, box) in asked.items():
        path = query(tmp_path / "query.vnnlib", "", head, box)
        result = tmp_path / "result.txt"
        words = "--network", f"f={net}", "--timeout", 60, "--result", result
        code, out = run(capsys, "verify", path, *words)
        assert code == 0 and result.read_text() == out.out
        lines = out.out.splitlines()
        assert lines[0] == "sat"
        if version == "1.0":
            assert lines[1].startswith("((X_0 0.") and lines[4].endswith("))")
            values = [float(line.strip("()").split()[1]) for line in lines[1:]]
        else:
            assert (
                lines[1] == "X float32 [1,2]" and lines[4] == "Y float32 [1,2]"
            )
            values = [float(line) for line in lines[2:4] + lines[5:]]
        found = linear(tf.constant([values[:2]], tf.float32))
        np.testing.assert_allclose(found[0], values[2:], rtol=1e-6)


def test_the_command_says_why_nothing_is_decided(net, tmp_path, capsys):
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_7 9))")
    code, out = run(capsys, "verify", path, "--network", net)
    assert code == 1 and out.out == "" and "Line 7: A variable" in out.err
    code, out = run(capsys, "verify", tmp_path / "none", "--network", net)
    assert code == 1 and "No such file" in out.err
    assert run(capsys)[0] == 1
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_0 9))")
    code, out = run(capsys, "verify", path, "--network", path)
    assert code == 1 and "is no ONNX file" in out.err
    with pytest.raises(ValueError, match="onnxruntime doesn't take"):
        session(path)


@pytest.mark.parametrize("slow", ["verify", "answer"])
def test_the_command_stops_when_time_is_up(
    slow, net, tmp_path, capsys, monkeypatch
):
    left, made = [], {"verify": problems.Verdict("unknown"), "answer": "sat\n"}
    monkeypatch.setattr(command.os, "_exit", left.append)
    for name, result in made.items():
        seconds = 0.5 if name == slow else 0

        def waits(*_, seconds=seconds, result=result):
            time.sleep(seconds)
            return result

        monkeypatch.setattr(command, name, waits)
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_0 9))")
    result = tmp_path / "result.txt"
    result.write_text("unsat\n")
    words = "--network", net, "--timeout", 0.1, "--result", result
    # It is the only answer.
    assert run(capsys, "verify", path, *words)[1].out == "timed-out\n"
    assert result.read_text() == "timed-out\n"
    assert left == [0]


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "-inf"])
def test_seconds_that_are_no_number_are_refused(seconds, net, tmp_path, capsys):
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_0 9))")
    words = "verify", path, "--network", net, f"--timeout={seconds}"
    code, out = run(capsys, *words)
    assert code == 1 and out.out == ""
    assert "error: `timeout` must be at least 0 and finite" in out.err


def test_more_seconds_than_a_thread_can_wait_are_allowed(net, tmp_path, capsys):
    asserted = "(assert (> X_0 0.7)) (assert (<= Y_0 9))"
    path = query(tmp_path / "query.vnnlib", asserted)
    words = "verify", path, "--network", net, "--timeout", 1e12
    code, out = run(capsys, *words)
    assert code == 0 and out.out == "unsat\n"
    assert out.err == "No input meets the query's conditions.\n"


def test_the_file_of_the_answer_is_checked_before_all(
    net, tmp_path, capsys, monkeypatch
):
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_7 9))")
    words = "verify", path, "--network", net, "--result"
    result = tmp_path / "result.txt"
    result.write_text("unsat\n")
    assert run(capsys, *words, result)[0] == 1
    # No answer of another query stays.
    assert result.read_text() == ""
    monkeypatch.setattr(command, "read", lambda _: pytest.fail("It is late."))
    for wrong in (tmp_path / "none" / "result.txt", tmp_path):
        code, out = run(capsys, *words, wrong)
        assert code == 1 and out.out == ""
        assert "`--result` must name a file" in out.err


def test_a_point_whose_digits_never_end_is_printed(net, tmp_path, capsys):
    box = """(assert (== (* 3 X_0) 1)) (assert (<= (* 3 X_1) 1))
    (assert (>= (* 3 X_1) 0.99999999))"""
    path = query(tmp_path / "query.vnnlib", "", box=box)
    words = "verify", path, "--network", net, "--timeout", 60
    code, out = run(capsys, *words)
    assert code == 0 and out.out.startswith("sat\n")
    x = [line.strip("()").split()[1] for line in out.out.splitlines()[1:3]]
    # No decimal is equal to a third, but one is in the other interval.
    assert x[0] == "0.3333333333333333"
    assert Fraction("0.99999999") <= 3 * Fraction(x[1]) <= 1


@pytest.mark.parametrize("kind", ["short", "cut", "damaged"])
def test_gzip_files_that_are_not_whole_are_refused(kind, net, tmp_path, capsys):
    path = query(tmp_path / "query.vnnlib", "(assert (<= Y_0 9))")
    for whole in (path, net):
        data = gzip.compress(whole.read_bytes())
        made = {"short": data[:2], "cut": data[:-20]}
        made["damaged"] = data[:20] + b"\xff" * 9 + data[29:]
        wrong = tmp_path / "wrong.gz"
        wrong.write_bytes(made[kind])
        asked = (wrong, net) if whole == path else (path, wrong)
        code, out = run(capsys, "verify", asked[0], "--network", asked[1])
        assert code == 1 and out.out == ""
        assert "error: A whole gzip file is expected" in out.err


@pytest.mark.parametrize(
    "asserted",
    [
        f"(assert {'(and ' * 3000}(<= Y_0 9){')' * 3000})",
        "(assert (<= Y_0 1e20000000))",
        "(assert (<= Y_0 1/3))",
    ],
)
def test_what_cannot_be_read_is_an_error(asserted, net, tmp_path, capsys):
    path = query(tmp_path / "query.vnnlib", asserted)
    code, out = run(capsys, "verify", path, "--network", net)
    assert code == 1 and out.out == "" and "error: Line 7: " in out.err


def test_the_command_says_what_it_supports(capsys):
    types = run(capsys, "supports", "--onnx-element-types")[1].out
    assert types.split() == ["float32", "Real", "real"]
    opsets = run(capsys, "supports", "--onnx-opset-versions")[1].out
    assert "13" in opsets.split() and "6" not in opsets.split()
    assert run(capsys, "--name")[1].out == "tfrobust\n"
