"""Accuracy on corrupted images."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import corruptions
from tfrobust.corruptions.evaluate import CORRUPTIONS

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
MEANS = RNG.uniform(0.3, 0.7, 20)
X = np.clip(
    MEANS[:, None, None, None] + RNG.uniform(-0.2, 0.2, (20, 6, 6, 1)), 0, 1
).astype(np.float32)
Y = (X.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)


def model(x, training=False):
    """Class 1 of bright images."""
    lead = tf.reduce_mean(x, axis=[1, 2, 3]) - 0.5
    return tf.stack([-lead, lead], axis=1)


def run(**options):
    return corruptions.evaluate(model, (X, Y), verbose=0, **options)


def test_the_table_holds_the_accuracy_of_every_corruption_and_severity():
    report = run(corruptions=["brightness", "contrast"], severities=[1, 3])
    bright = [
        np.mean((np.minimum(X + c, 1).mean(axis=(1, 2, 3)) > 0.5) == Y)
        for c in (0.1, 0.3)
    ]
    assert report.clean_accuracy == 1
    assert report.corruption_accuracy == {
        "brightness": pytest.approx(bright),
        "contrast": [1, 1],
    }
    assert bright[1] < bright[0] < 1
    mean = (sum(bright) + 2) / 4
    assert report.mean_corruption_accuracy == pytest.approx(mean)
    assert report.severities == [1, 3] and report.examples == 20
    lines = str(report).splitlines()
    assert lines[0].split() == ["corruption", "1", "3", "mean"]
    assert lines[1].split()[:2] == ["brightness", f"{bright[0]:.1%}"]
    assert "of tfrobust's own" in lines[-1]
    assert repr(report) == str(report)


def test_nothing_depends_on_batches_and_a_dataset_is_taken():
    names = ["gaussian_noise", "fog"]
    whole = run(corruptions=names, severities=[5])
    parts = run(corruptions=names, severities=[5], batch_size=3)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(7)
    streamed = corruptions.evaluate(
        model, data, names, severities=[5], verbose=0
    )
    assert whole.to_json() == parts.to_json() == streamed.to_json()


def test_all_corruptions_run_but_saturation_of_grey_images():
    report = run(severities=[1])
    assert [*report.corruption_accuracy] == [
        name for name in CORRUPTIONS if name != "saturate"
    ]


def test_a_corruption_of_the_user_is_asked_with_severity_and_seed():
    asked = []

    def black(x, severity, seed):
        asked.append((severity, seed))
        return 0 * x

    report = run(corruptions={"black": black}, severities=[2], seed=7)
    assert asked == [(2, 7)]
    assert report.corruption_accuracy["black"] == [np.mean(Y == 0)]


def test_logits_that_are_no_numbers_are_never_right():
    def lost(x, training=False):
        return model(x) * float("nan")

    report = corruptions.evaluate(
        lost, (X, Y), ["contrast"], severities=[1], verbose=0
    )
    assert report.clean_accuracy == report.mean_corruption_accuracy == 0


def test_a_report_is_saved_as_json(tmp_path):
    report = run(corruptions=["contrast"], severities=[1])
    report.save(tmp_path / "found.json")
    told = json.loads((tmp_path / "found.json").read_text())
    assert told == report.to_json()
    assert told["corruptions"] == "tfrobust"


def test_a_progress_bar_is_shown(capsys):
    corruptions.evaluate(model, (X, Y), ["contrast"], severities=[1])
    assert "2/2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"corruptions": ["frost"]}, "`corruptions` must be some of gauss"),
        ({"severities": []}, "`severities` must name some"),
        ({"severities": [6]}, "`severities` must lie from 1 to 5"),
        ({"batch_size": 0}, "`batch_size` must"),
    ],
)
def test_bad_arguments_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(**options)


def test_data_without_examples_is_refused():
    with pytest.raises(ValueError, match="at least one example"):
        corruptions.evaluate(model, (X[:0], Y[:0]), verbose=0)
