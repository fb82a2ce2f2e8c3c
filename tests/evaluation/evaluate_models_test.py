import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras


def evaluate(model, data, adversaries, **options):
    """Without the diagnostics, unless asked for."""
    options = {"diagnostic_examples": 0, "verbose": 0, **options}
    return tfr.evaluate(model, data, adversaries, **options)


def network():
    layers = [keras.Input((2, 3)), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(2)])


def verdicts(report):
    return {row.name: row.correct.tolist() for row in report.rows}


def test_keras_models_functions_and_saved_models_are_evaluated_alike(
    data, pgd, tmp_path
):
    model = network()
    path = tfr.export(model, tmp_path)
    loaded = tf.saved_model.load(str(path))

    def served(x, training=False):
        return loaded.signatures["serving_default"](image=x)["logits"]

    reports = [
        evaluate(candidate, data, {"pgd": pgd})
        for candidate in (model, tfr.RobustModel(model), served)
    ]
    first = verdicts(reports[0])
    assert 0 < reports[0]["clean"].accuracy < 1
    assert all(verdicts(report) == first for report in reports)
    hashes = [report.info["weights_sha256"] for report in reports]
    assert hashes[0] == hashes[1]
    assert hashes[2] is None


def test_a_robust_model_is_evaluated_with_its_averaged_weights(data, pgd):
    model = tfr.RobustModel(network())
    model.compile(keras.optimizers.SGD(5.0, use_ema=True, ema_momentum=0.9))
    model.train_on_batch(*data)
    model.train_on_batch(*data)
    weights = model.get_weights()
    raw = evaluate(model.network, data, {"pgd": pgd})
    with model.averaged():
        expected = evaluate(model.network, data, {"pgd": pgd})
    report = evaluate(model, data, {"pgd": pgd})
    for one, other in ((report, expected), (report, raw)):
        same = one.info["weights_sha256"] == other.info["weights_sha256"]
        assert same == (other is expected)
    assert verdicts(report) == verdicts(expected)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_hashes_change_with_the_weights_and_with_the_data(data, pgd):
    model, (x, y) = network(), data

    def hashes(x, y):
        info = evaluate(model, (x, y), {"pgd": pgd}).info
        return info["weights_sha256"], info["data_sha256"]

    first = hashes(x, y)
    moved, relabelled = x.copy(), y.copy()
    moved[3, 1, 1] += 1e-3
    relabelled[3] = 1 - relabelled[3]
    others = [hashes(moved, y), hashes(x, relabelled), hashes(x[::-1], y)]
    assert {weights for weights, _ in others} == {first[0]}
    assert len({first[1], *(found for _, found in others)}) == 4
    model.set_weights([w + 1e-3 for w in model.get_weights()])
    weights, found = hashes(x, y)
    assert weights != first[0]
    assert found == first[1]


def test_a_function_that_branches_on_tensors_brings_its_own_tf_function(
    data, pgd
):
    model = network()

    def branching(x, training=False):
        if tf.size(x) > 0:
            return model(x, training=training)
        return tf.zeros([0, 2])

    with pytest.raises(TypeError, match="tf.function"):
        evaluate(branching, data, {"pgd": pgd})
    report = evaluate(tf.function(branching), data, {"pgd": pgd})
    assert verdicts(report) == verdicts(evaluate(model, data, {"pgd": pgd}))


def test_a_file_that_is_not_the_one_of_its_card_is_refused(data, pgd, tmp_path):
    path = tfr.export(network(), tmp_path)
    (tmp_path / "other.tflite").write_bytes(b"A flipped bit.")
    card = {"sha256": {"other.tflite": "0" * 64}}
    (tmp_path / "other.tflite.json").write_text(json.dumps(card))
    assert len(evaluate(path, data, {"pgd": pgd}).rows) == 3
    file = next((path / "variables").glob("*.data*"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for model in (path, tmp_path / "other.tflite"):
        with pytest.raises(ValueError, match="must have the hashes"):
            evaluate(model, data, {"pgd": pgd})
