"""An evaluation that is killed goes on; one that changed is refused."""

import contextlib
import io
import json
import signal
import sys
import textwrap
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.evaluation.stage import Stage
from tfrobust.evaluation.state import State, _loaded

pytestmark = pytest.mark.keras_free

OPTIONS = {"diagnostic_examples": 12, "curve": (0.5, 1.0), "verbose": 0}


def adversaries(threat):
    return {
        "pgd": tfr.attacks.PGD(threat, steps=2),
        "both": tfr.attacks.Ensemble(
            {
                "one": tfr.attacks.FGSM(threat),
                "many": tfr.attacks.PGD(threat, steps=3, loss="margin"),
            }
        ),
    }


def comparable(report):
    record = report.to_dict()
    for row in record["rows"]:
        del row["seconds"]
    del record["info"]["started"]
    points = {k: part["point"].tolist() for k, part in report.images.items()}
    return json.dumps([record, points])


def test_a_run_interrupted_anywhere_ends_in_the_same_report(
    model, data, threat, tmp_path, monkeypatch
):
    def evaluate(state):
        return tfr.evaluate(
            model,
            data,
            adversaries(threat),
            batch_size=16,
            state=state,
            **OPTIONS,
        )

    for name in ("Subject", "diagnose"):
        module = sys.modules["tfrobust.evaluation.evaluate"]
        monkeypatch.setattr(module, name, lambda *_, **__: [])
    expected = comparable(evaluate(None))
    run, calls = Stage._run, []

    def interrupted(self, *arguments):
        calls.append(self)
        # Ever further, since what is known isn't run again.
        if len(calls) % 6 == 0:
            raise KeyboardInterrupt
        return run(self, *arguments)

    state, attempts = tmp_path / "runs" / "state.npz", 0
    monkeypatch.setattr(Stage, "_run", interrupted)
    report = None
    while report is None:
        attempts += 1
        with contextlib.suppress(KeyboardInterrupt):
            report = evaluate(state)
    # 14 runs: 3 batches of 4 stages, and a point of each of 2 curves.
    assert (len(calls), attempts) == (16, 3)
    assert comparable(report) == expected


def test_a_killed_process_leaves_a_state_to_go_on_from(nursery, tmp_path):
    program = textwrap.dedent("""
        import os, signal, sys
        import numpy as np
        import tensorflow as tf
        import tfrobust as tfr
        from tfrobust.evaluation.runner import Runner

        kill = sys.argv[2] == "kill"
        call, calls = Runner.__call__, []

        def counted(self, *arguments):
            calls.append(self)
            if kill and len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(self, *arguments)

        Runner.__call__ = counted

        def model(x, training=False):
            return tf.stack([tf.reduce_sum(x, 1), 1 - tf.reduce_sum(x, 1)], 1)

        x = np.linspace(0, 0.5, 12, dtype="float32").reshape(6, 2)
        attack = tfr.attacks.FGSM(tfr.threats.Linf(0.1))
        report = tfr.evaluate(
            model, (x, [1, 1, 1, 0, 0, 0]), {"fgsm": attack}, batch_size=2,
            diagnostic_examples=0, state=sys.argv[1], verbose=0,
        )
        print(len(calls), report["fgsm"].correct.tolist())
    """)

    script, log = tmp_path / "script.py", tmp_path / "log.txt"
    script.write_text(program)

    def run(mode):
        child = nursery.start(log, script, tmp_path / "state.npz", mode)
        return nursery.wait(child)

    assert run("kill") == -signal.SIGKILL, log.read_text()
    assert run("go on") == 0, log.read_text()
    # Six calls in all, of which three were answered before.
    answer = "3 [True, True, False, False, True, True]"
    assert answer in log.read_text().splitlines()


@pytest.mark.builds_keras
def test_another_model_other_data_or_attacks_are_refused(
    model, data, threat, tmp_path
):
    state, (x, y) = tmp_path / "state.npz", data

    def evaluate(model=model, data=data, attacks=None):
        tfr.evaluate(
            model,
            data,
            attacks or {"fgsm": tfr.attacks.FGSM(threat)},
            state=state,
            diagnostic_examples=0,
            verbose=0,
        )

    evaluate()
    before = state.read_bytes()
    evaluate()
    moved, relabelled = x.copy(), y.copy()
    moved[-1] += 1e-3
    relabelled[-1] = 1 - relabelled[-1]

    def other(x, training=False):
        return 1.01 * model(x)

    def surrogate(scale):
        network = keras.Sequential(
            [keras.Input((2, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
        )
        network.set_weights([scale * np.ones([6, 2]), np.zeros(2)])
        attack = tfr.attacks.FGSM(threat)
        return {"fgsm": tfr.attacks.Transfer(attack, network)}

    mask = np.ones(x.shape[1:])
    mask[-1, -1] = 0
    masked = tfr.attacks.FGSM(threat.replace(mask=mask))
    for options, sentence in [
        ({"model": other}, "belong to this model"),
        ({"data": (moved, y)}, "belong to this data"),
        ({"data": (x, relabelled)}, "belong to this data"),
        ({"data": (x[::-1], y[::-1])}, "belong to this"),
        ({"attacks": {"fgsm": masked}}, "which another run wrote"),
        ({"attacks": {"pgd": tfr.attacks.FGSM(threat)}}, "another run wrote"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            evaluate(**options)
    assert state.read_bytes() == before
    state.unlink()
    evaluate(attacks=surrogate(1))
    with pytest.raises(ValueError, match="which another run wrote"):
        evaluate(attacks=surrogate(2))
    state.unlink()
    evaluate()
    # More of the same data is no other data.
    evaluate(data=(np.concatenate([x, moved]), np.concatenate([y, y])))


def archive(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def array():
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "must be a file that an evaluation"),
        (b"Not a state.", "must be a file that an evaluation"),
        (array(), "must be a file that an evaluation"),
        (archive(a=np.array([{}])), "must be a file that an evaluation"),
        (archive(a=np.zeros(3)), "its seal is missing"),
    ],
)
def test_what_is_no_state_is_refused_and_kept(
    model, data, threat, tmp_path, content, sentence
):
    state = tmp_path / "notes.txt"
    state.write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as raised:
        tfr.evaluate(model, data, adversaries(threat), state=state, verbose=0)
    assert len(str(raised.value).splitlines()) == 1
    assert state.read_bytes() == content


def test_damage_of_a_state_is_seen_wherever_it_is(tmp_path):
    path, rng = tmp_path / "state.npz", np.random.default_rng(0)
    state = State(path, "run")
    state.put(("pgd",), np.arange(9), {"correct": rng.uniform(size=9) < 0.5})
    state.save()
    whole, expected = path.read_bytes(), _loaded(path)
    refused = 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        try:
            found = _loaded(path)
        except ValueError as error:
            refused += "Choose another file" in str(error)
        else:
            # What no number depends on may change: dates, say.
            assert found.keys() == expected.keys()
            for key, held in expected.items():
                np.testing.assert_array_equal(found[key], held)
    assert refused > len(whole) / 2
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="can't be read as one"):
            _loaded(path)


@pytest.mark.builds_keras
def test_surrogates_and_losses_belong_to_the_run_wherever_they_are(
    model, data, threat, tmp_path
):
    state = tmp_path / "state.npz"

    def network(scale):
        layers = [keras.Input((2, 3)), keras.layers.Flatten()]
        found = keras.Sequential([*layers, keras.layers.Dense(2)])
        found.set_weights([scale * np.ones([6, 2]), np.zeros(2)])
        return found

    def evaluate(scale=1.0, factor=1.0):
        pgd = tfr.attacks.PGD(
            threat,
            steps=1,
            loss=lambda y, logits: factor * tfr.losses.margin(y, logits),
        )
        moved = tfr.attacks.Transfer(pgd, network(scale))
        attacks = {"moved": tfr.attacks.Restart(moved, 2)}
        options = {"diagnostic_examples": 0, "verbose": 0}
        tfr.evaluate(model, data, attacks, state=state, **options)

    evaluate()
    evaluate()
    for changed in ({"scale": 2.0}, {"factor": -1.0}):
        with pytest.raises(ValueError, match="which another run wrote"):
            evaluate(**changed)


def test_surrogates_answer_as_those_of_the_run(model, data, threat, tmp_path):
    class Scaled(tf.Module):
        """Shows no weight of what it multiplies with."""

        def __init__(self, scale):
            self._scale = scale

        def __call__(self, x, training=False):
            return self._scale * model(x)

    def evaluate(scale):
        moved = tfr.attacks.Transfer(tfr.attacks.FGSM(threat), Scaled(scale))
        attacks = tfr.attacks.Ensemble([tfr.attacks.Restart(moved, 1)])
        options = {"diagnostic_examples": 0, "verbose": 0}
        state = tmp_path / "state.npz"
        tfr.evaluate(model, data, attacks, state=state, **options)

    evaluate(1.0)
    evaluate(1.0)
    with pytest.raises(ValueError, match="belong to this surrogate"):
        evaluate(2.0)


def test_no_state_is_kept_of_what_may_change_unseen(model, data, threat):
    held = threading.Lock()

    def loss(y, logits):
        with held:
            return tfr.losses.margin(y, logits)

    pgd = tfr.attacks.PGD(threat, steps=1, loss=loss)
    options = {"diagnostic_examples": 0, "verbose": 0}
    with pytest.raises(TypeError, match="`state` must be None"):
        tfr.evaluate(model, data, pgd, state="never.npz", **options)
    assert tfr.evaluate(model, data, pgd, **options)["pgd"].identity is None


def test_multiples_of_epsilon_that_print_alike_are_told_apart(
    model, data, threat, monkeypatch
):
    run, seen = Stage._run, []

    def noted(self, x, y, multiple):
        seen.append(multiple)
        return run(self, x, y, multiple)

    monkeypatch.setattr(Stage, "_run", noted)
    attack, near = tfr.attacks.FGSM(threat), 0.5 + 1e-9
    tfr.evaluate(model, data, attack, **{**OPTIONS, "curve": (0.5, near)})
    assert {0.5, near} < set(seen)


def test_a_model_without_numbers_is_told_from_others(data, threat, tmp_path):
    attack = tfr.attacks.FGSM(threat)
    options = {"diagnostic_examples": 0, "verbose": 0}

    def evaluate(scale):
        def model(x, training=False):
            total = tf.reduce_sum(x, [1, 2])
            return scale * tf.stack([total / 0.0, total], 1)

        state = tmp_path / "state.npz"
        tfr.evaluate(model, data, attack, state=state, **options)

    evaluate(1.0)
    evaluate(1.0)
    with pytest.raises(ValueError, match="belong to this model"):
        evaluate(2.0)
