"""Shards on Beam's local runner; the merging itself is in merging_test."""

import functools
import glob
import importlib.util
import os
import pathlib
import pickle
import signal
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.evaluation import beam

LINF = tfr.threats.Linf(0.1)
WEIGHTS = np.array([[-1.0, 1.0], [0.5, -0.5]], np.float32)
LOCAL = ["--runner=DirectRunner"]
OPTIONS = {"diagnostic_examples": 0, "batch_size": 8}

beamed = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None,
    reason="Apache Beam is missing: pip install 'tfrobust[beam]'.",
)
# Beam's own imports warn.
pytestmark = [
    pytest.mark.keras_free,
    pytest.mark.filterwarnings("ignore"),
]


def linear(x, training=False):
    return tf.matmul(x, WEIGHTS)


def problem(adversaries, failing=(), calls=None, killed=()):
    """24 points around a line; each call notes itself in a folder."""
    if calls is not None:
        number = len(list(calls.iterdir()))
        (calls / str(number)).touch()
        if number in failing:
            raise OSError("The disk is gone.")
        if number in killed:
            os.kill(os.getpid(), signal.SIGKILL)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(24, 2)).astype(np.float32)
    y = np.argmax(x @ WEIGHTS, axis=1)
    y[::5] = 1 - y[::5]
    return linear, (x, y), adversaries


def timeless(report):
    record = report.to_dict()
    for row in record["rows"]:
        del row["seconds"]
    times = ("started",)
    info = {k: v for k, v in record["info"].items() if k not in times}
    return {**record, "info": info}


FGSM = {"fgsm": tfr.attacks.FGSM(LINF)}


@beamed
def test_shards_give_what_one_process_does_though_a_worker_fails(tmp_path):
    calls, state = tmp_path / "calls", tmp_path / "state"
    calls.mkdir()
    # The first call is that of the driver; the second one's shard is lost.
    failing = functools.partial(problem, FGSM, [1], calls)
    found = beam.sharded(
        tfr.evaluate,
        failing,
        folder=str(tmp_path / "results"),
        state=str(state),
        shard_size=5,
        flags=LOCAL,
        **OPTIONS,
    )
    whole = tfr.evaluate(*problem(FGSM), verbose=0, **OPTIONS)
    assert timeless(found) == timeless(whole)
    assert 0 < found["fgsm"].accuracy < found["clean"].accuracy < 1
    names = [f"shard-{number}.npz" for number in range(3)]
    assert sorted(path.name for path in state.iterdir()) == names
    results = list((tmp_path / "results").iterdir())
    assert len(results) == 3
    assert len(list(calls.iterdir())) > 2


@beamed
def test_shards_whose_processes_are_killed_run_again(tmp_path):
    # The first call is that of the driver.
    deadly = functools.partial(problem, FGSM, (), tmp_path, [1, 2])
    found = beam.sharded(
        tfr.evaluate, deadly, shard_size=8, flags=LOCAL, **OPTIONS
    )
    whole = tfr.evaluate(*problem(FGSM), verbose=0, **OPTIONS)
    assert timeless(found) == timeless(whole)
    assert len(list(tmp_path.iterdir())) > 3


@beamed
def test_certificates_come_in_shards_too():
    verifiers = [tfr.verifiers.IBP(LINF)]
    attack = tfr.attacks.FGSM(LINF)
    given = functools.partial(problem, verifiers)
    found = beam.sharded(
        tfr.certify, given, shard_size=9, flags=LOCAL, attack=attack
    )
    whole = tfr.certify(*given(), attack=attack, verbose=0)
    assert timeless(found) == timeless(whole)
    assert set(found.certificates["verdict"]) >= {"certified", "falsified"}


@beamed
def test_a_shard_that_never_comes_back_is_named_with_its_cause(tmp_path):
    failing = functools.partial(problem, FGSM, range(1, 99), tmp_path)
    with pytest.raises(RuntimeError, match=r"Missing: \[0\]") as raised:
        beam.sharded(tfr.evaluate, failing, flags=LOCAL, **OPTIONS)
    assert "The disk is gone." in str(raised.value.__cause__)
    assert len(list(tmp_path.iterdir())) == 1 + beam.ATTEMPTS


def test_a_missing_beam_is_named_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"pip install 'tfrobust\[beam\]'"):
        beam.sharded(tfr.evaluate, pytest.fail)


class FileSystems:
    """Beam's, for paths of this machine."""

    create = staticmethod(lambda path: open(path, "wb"))
    open = staticmethod(lambda path: open(path, "rb"))

    @staticmethod
    def rename(sources, targets):
        for source, target in zip(sources, targets, strict=True):
            pathlib.Path(source).rename(target)

    @staticmethod
    def match(patterns):
        paths = [glob.glob(pattern) for pattern in patterns]
        found = [
            [types.SimpleNamespace(path=p) for p in part] for part in paths
        ]
        return [types.SimpleNamespace(metadata_list=part) for part in found]

    @staticmethod
    def delete(paths):
        for path in paths:
            pathlib.Path(path).unlink()


class Pipeline:
    """Beam's, of one worker that runs one shard after the other."""

    def __init__(self, argv=(), done=None):
        self.done = done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __or__(self, step):
        return Pipeline(done=step(self.done))


class Failing(beam.Work):
    """Computes here; the second of three shards never, the first at last."""

    def __init__(self, prefix):
        super().__init__(None, None, str(prefix), None, {})
        self.calls = []

    def _computed(self, shard):
        number, (begin, end) = shard
        self.calls.append(number)
        if number == 1 or (number == 0 and len(self.calls) == 1):
            raise OSError(f"Disk {number} is gone.")
        linear, data, attacks = problem(FGSM)
        part = tuple(array[begin:end] for array in data)
        report = tfr.evaluate(linear, part, attacks, verbose=0, **OPTIONS)
        return report.to_dict()


def test_a_shard_that_fails_is_named_and_those_behind_it_run(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(beam, "_filesystems", lambda: FileSystems)
    work = Failing(tmp_path / "run")
    fake = types.SimpleNamespace(
        Pipeline=Pipeline,
        Create=lambda todo: lambda _: todo,
        Reshuffle=lambda: lambda todo: todo,
        Map=lambda function: lambda todo: [function(part) for part in todo],
    )
    parts = [(0, 8), (8, 16), (16, 24)]
    with pytest.raises(RuntimeError, match=r"Missing: \[1\]") as raised:
        beam._reports(fake, work, parts, [])
    cause = str(raised.value.__cause__)
    assert cause == "shard 1 failed with OSError: Disk 1 is gone."
    # The first round runs all; the next ones those that failed.
    assert work.calls == [0, 1, 2, 0, 1, 1]
    names = ["run-0.json", "run-2.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_shard_is_written_whole_under_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(beam, "_filesystems", lambda: FileSystems)
    monkeypatch.setattr(beam, "_pickler", lambda: pickle)
    work = beam.Work(
        tfr.evaluate,
        functools.partial(problem, FGSM),
        str(tmp_path / "run"),
        None,
        OPTIONS,
    )
    work((2, (16, 24)))
    work((2, (16, 24)))
    assert [path.name for path in tmp_path.iterdir()] == ["run-2.json"]
