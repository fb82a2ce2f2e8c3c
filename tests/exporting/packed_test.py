"""What is packed, what the card tells, and which arguments are refused."""

import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

X = np.random.default_rng(0).random((7, 4, 4, 1), np.float32)


def network():
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def served(path, x):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    answer = signature(image=tf.constant(x))
    return {key: value.numpy() for key, value in answer.items()}


def logits(model, x):
    return np.asarray(model(x, training=False))


def card(folder):
    return json.loads((folder / "robustness_card.json").read_text())


def test_a_sparse_kernel_is_packed_and_a_small_one_is_not(shipped):
    network, folder = shipped
    (kernel,) = card(folder)["kernels"]
    assert kernel["scheme"] == "8-bit gaps + kept signs"
    assert kernel["shape"] == [128, 48] and kernel["bytes"] < 300
    expected = logits(network, np.zeros([1, 6, 6, 1], np.float32))
    answer = served(folder, np.zeros([1, 6, 6, 1], np.float32))["logits"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


def test_two_packed_models_in_one_process_keep_their_own_kernels(
    tmp_path, shipped, data, sparse_network
):
    first, other = shipped[0], sparse_network(seed=1)
    path = tfr.export(other, tmp_path)
    models = [tf.saved_model.load(str(p)) for p in (shipped[1], path)]
    for model, network in zip(models, (first, other), strict=True):
        answer = model.signatures["serving_default"](image=data[0])
        np.testing.assert_allclose(
            answer["logits"], logits(network, data[0]), rtol=1e-4, atol=1e-4
        )


def test_the_card_tells_what_it_is_and_how_it_stood_the_attack(shipped, data):
    network, folder = shipped
    found = card(folder)
    pb = (folder / "saved_model.pb").read_bytes()
    assert found["sha256"]["saved_model.pb"] == hashlib.sha256(pb).hexdigest()
    assert found["epsilon"] == 0.004 and "IBP" in found["verifier"]
    x, y = data
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.004), steps=20)
    points = attack.perturb(network, x, y)
    worst = logits(network, points).argmax(axis=1) == y
    margins = np.array(tfr.verifiers.IBP(attack.threat).margins(network, x, y))
    np.put_along_axis(margins, y[:, np.newaxis], np.inf, axis=1)
    assert found["artefact"] == {
        "examples": 20,
        "clean_accuracy": 1.0,
        "attack": repr(attack),
        "attack_accuracy": worst.mean(),
        "certified_accuracy": (margins.min(axis=1) > 0).mean(),
    }


def test_the_artefact_on_disk_can_be_certified_and_attacked(shipped, data):
    network, folder = shipped
    x, y = data
    verifier = tfr.verifiers.IBP(tfr.threats.Linf(0.004))
    report = tfr.certify(folder, data, verifier, verbose=0)
    found = card(folder)["artefact"]["certified_accuracy"]
    assert report["worst case"].accuracy == found > 0


def test_unpacked_kernels_can_be_asked_for(tmp_path, shipped, data):
    network, _ = shipped
    path = tfr.export(network, tmp_path, packed=False)
    assert card(path)["kernels"] == []
    stored = tf.train.list_variables(str(path / "variables" / "variables"))
    assert [128, 48] in [shape for _, shape in stored]
    np.testing.assert_allclose(
        served(path, data[0])["logits"],
        logits(network, data[0]),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_certificate_that_an_attack_refutes_is_not_kept(tmp_path, data):
    class Optimist(tfr.Verifier):
        def __init__(self, threat):
            self.threat = threat

        def margins(self, model, x, y):
            answers = tf.cast(model(x, training=False), tf.float32)
            own = tf.one_hot(y, 3)
            return (1 - own) * (1 + tf.abs(answers))

    model = network()
    x = X
    y = logits(model, x).argmax(axis=1)
    verifier = Optimist(tfr.threats.Linf(0.9))
    with pytest.raises(ValueError, match="certifies must stand every attack"):
        tfr.export(model, tmp_path, certify=verifier, data=(x, y))
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_put_on_the_card(tmp_path, shipped, data):
    verifier = tfr.verifiers.IBP(tfr.threats.Linf(0.004))
    report = tfr.certify(shipped[0], data, verifier, verbose=0)
    path = tfr.export(network(), tmp_path, report=report)
    found, record = card(path), json.loads(json.dumps(report.to_dict()))
    assert found["report"] == record
    assert [*found][:14] == [*record][:14]
    assert found["clean_acc"] == "100.00"
    assert found["reported"] == record["reported"]
    assert found["eps"] == 0.004
    assert "epsilon 0.004" in found["reported_threats"]["ibp"]


def test_without_a_report_the_card_follows_robustbench_too(shipped):
    found = card(shipped[1])
    attacked = found["artefact"]["attack_accuracy"]
    assert [*found][0] == "link" and [*found][13] == "footnote"
    assert found["clean_acc"] == "100.00"
    assert found["reported"] == f"{100 * attacked:.2f}"
    assert found["eps"] == found["epsilon"]
    assert found["unreliable"] is None and found["autoattack_acc"] is None
    assert found["report"] is None


def test_constants_and_mixed_precision_do_not_keep_kernels_from_packing(
    tmp_path, sparse_network
):
    core = sparse_network()
    normalize = keras.layers.Normalization(mean=0.5, variance=2.0)
    half = keras.layers.Dense(300, use_bias=False, dtype="mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            normalize,
            tfr.compression.plain(core),
            half,
        ]
    )
    half.set_weights([np.sign(half.get_weights()[0])])
    x = np.random.default_rng(0).random((5, 6, 6, 1), np.float32)
    path = tfr.export(model, tmp_path)
    assert len(card(path)["kernels"]) == 1
    np.testing.assert_allclose(
        served(path, x)["logits"], logits(model, x), rtol=1e-3, atol=1e-2
    )


def test_an_embedding_is_served_read_or_gathered_from(tmp_path):
    embedding = keras.layers.Embedding(300, 16)
    model = keras.Sequential(
        [keras.Input((4,)), embedding, keras.layers.Flatten()]
    )
    embedding.set_weights([np.sign(embedding.get_weights()[0])])
    x = np.float32([[0, 1, 2, 3], [0, 0, 0, 0]])
    path = tfr.export(model, tmp_path)
    np.testing.assert_array_equal(served(path, x)["logits"], logits(model, x))


def test_the_operators_own_configuration_is_kept(tmp_path):
    (tmp_path / "batching.config").write_text("mine")
    tfr.export(network(), tmp_path)
    assert (tmp_path / "batching.config").read_text() == "mine"


LINF = tfr.threats.Linf(0.1)
ATTACK = tfr.attacks.PGD(LINF)
RAMP = tfr.threats.Linf(tfr.schedules.Ramp(0.0, 0.1, begin=0, end=9))


@pytest.mark.parametrize(
    ("error", "words", "given"),
    [
        (ValueError, "must differ from the outputs", {"input_name": "margin"}),
        (TypeError, "must be a verifier", {"certify": LINF}),
        (TypeError, "must be a report", {"report": "good"}),
        (TypeError, "`data` needs an `attack`", {"data": (X, np.zeros(7))}),
        (ValueError, "`attack` needs `data`", {"attack": ATTACK}),
        (ValueError, "fixed epsilon", {"certify": tfr.verifiers.IBP(RAMP)}),
        (
            ValueError,
            "as many labels as inputs",
            {"data": (X, np.zeros(6)), "attack": ATTACK},
        ),
        (
            ValueError,
            "valid range",
            {"data": (9 * X, np.zeros(7)), "attack": ATTACK},
        ),
    ],
)
def test_arguments_that_do_not_fit_leave_nothing(tmp_path, error, words, given):
    with pytest.raises(error, match=words):
        tfr.export(network(), tmp_path, **given)
    assert list(tmp_path.iterdir()) == []
