"""Both Kerases come to the same, and read what the other has written."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import tfrobust as tfr
from tests import golden
from tfrobust import backend

OTHER = "keras" if backend.LEGACY else "tf_keras"
# Both run the same float32 ops, but may fuse them differently: sums of up to 72
# terms are off by 72 * 2**-24 = 4e-6 of their terms, a little more after three
# layers, and twice that where two of them are subtracted. Attacks and steps of
# training follow gradients, which are off by as much.
TOLERANCE = 5e-5


@pytest.mark.parametrize("name", list(golden.LAYERS))
def test_both_kerases_come_to_the_numbers_of_one_file(name):
    expected = json.loads(golden.PATH.read_text())[name]
    found = golden.numbers(name)
    assert list(found) == list(expected)
    for key, value in found.items():
        size = max(1.0, np.max(np.abs(expected[key])))
        np.testing.assert_allclose(
            value, expected[key], atol=TOLERANCE * size, err_msg=key
        )


@pytest.mark.parametrize("name", list(golden.LAYERS))
def test_the_numbers_of_the_file_are_in_their_order(name):
    numbers = json.loads(golden.PATH.read_text())[name]
    _, y = golden.data()
    attacked = np.max([numbers[key] for key in golden.ATTACKS], axis=0)
    clean = np.asarray(tfr.losses.margin(y, np.array(numbers["logits"])))
    assert np.all(attacked >= clean) and np.any(attacked > clean)
    rivals = np.arange(golden.CLASSES) != y[:, np.newaxis]
    for key in golden.VERIFIERS:
        margins = np.where(rivals, numbers[key], np.inf)
        assert np.all(margins.min(axis=1) <= -attacked)
    for key in golden.OBJECTIVES:
        first, second = numbers[key]
        assert second < first


@pytest.mark.skipif(
    importlib.util.find_spec(OTHER) is None, reason=f"{OTHER} isn't installed."
)
def test_what_one_keras_writes_the_other_reads(tmp_path):
    model, (x, y) = golden.network("convolution"), golden.data()
    np.savez(tmp_path / "weights.npz", *model.get_weights())
    tfr.export(model, tmp_path / "served")
    attacks = {"pgd": golden.ATTACKS["pgd"]}
    options = {"diagnostic_examples": 0, "curve": (), "verbose": 0}
    report = tfr.evaluate(model, (x, y), attacks, **options)
    report.save(tmp_path / "report")
    root = pathlib.Path(golden.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, golden.__file__, str(tmp_path)],
        env={
            **os.environ,
            "TF_USE_LEGACY_KERAS": str(int(not backend.LEGACY)),
            "PYTHONPATH": str(root),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["keras"].split(".")[0] == OTHER
    logits = np.asarray(model(x, training=False))
    for key in ("weights", "served"):
        np.testing.assert_allclose(found[key], logits, atol=TOLERANCE)
    verdicts = report["pgd"].correct.tolist()
    assert found["verdicts"] == found["again"] == verdicts
    assert 0 < sum(verdicts) < len(verdicts)
