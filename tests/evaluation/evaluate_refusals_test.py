import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr

pytestmark = pytest.mark.keras_free


def evaluate(model, data, adversaries, **options):
    """Without the diagnostics, unless asked for."""
    options = {"diagnostic_examples": 0, "verbose": 0, **options}
    return tfr.evaluate(model, data, adversaries, **options)


RAMP = tfr.schedules.Ramp(0.0, 0.1, end=10)


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        (lambda x, y: (x * 255, y), ValueError, "valid range .*x / 255.0"),
        (lambda x, y: (x * np.nan, y), ValueError, "hold no NaN"),
        (lambda x, y: (x > 0, y), ValueError, "must be floating point"),
        (lambda x, y: (x, np.eye(2)[y]), ValueError, "one-hot.*argmax"),
        (lambda x, y: (x, y + 1), ValueError, "class labels from 0 to 1.*2"),
        (lambda x, y: (x, y - 1), ValueError, "class labels from 0 to 1.*-1"),
        (lambda x, y: (x, y + 0.5), ValueError, "whole class labels"),
        (lambda x, y: (x, y[:-1]), ValueError, "40 inputs and 39 labels"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "at least one example"),
        (lambda x, y: (x, y.astype(str)), ValueError, "dtype str.*np.unique"),
        (lambda x, y: (x, None), TypeError, "`y` must be an array.*None"),
        (lambda x, y: (x, 3), TypeError, "`y` must be an array.*3"),
        (lambda x, y: (x, y, y), TypeError, "must be a pair"),
    ],
)
def test_data_that_cannot_be_meant_is_refused(
    model, data, pgd, change, error, sentence
):
    exact = tfr.verifiers.IBP(pgd.threat)
    for run in (
        lambda given: evaluate(model, given, {"pgd": pgd}),
        lambda given: tfr.certify(model, given, exact, pgd, verbose=0),
    ):
        with pytest.raises(error, match=sentence) as raised:
            run(change(*data))
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda x, y: (x, y, y), "weights, map lambda x, y, weight"),
        (lambda x, y: x, r"dataset of pairs \(x, y\)"),
        (lambda x, y: {"x": x, "y": y}, r"dataset of pairs \(x, y\)"),
        (lambda x, y: ({"x": x}, y), "pairs of tensors"),
        (lambda x, y: (x * 255, y), "valid range .*x / 255.0"),
        (lambda x, y: (x, y + 1), "class labels from 0 to 1"),
        (lambda x, y: (x, y.astype(str)), "dtype object.*np.unique"),
    ],
)
def test_datasets_that_cannot_be_meant_are_refused_in_a_sentence(
    model, data, pgd, change, sentence
):
    dataset = tf.data.Dataset.from_tensor_slices(change(*data)).batch(8)
    exact = tfr.verifiers.IBP(pgd.threat)
    for run in (
        lambda: evaluate(model, dataset, {"pgd": pgd}),
        lambda: tfr.certify(model, dataset, exact, pgd, verbose=0),
    ):
        with pytest.raises(ValueError, match=sentence) as raised:
            run()
        assert len(str(raised.value).splitlines()) == 1


def test_batches_without_examples_are_left_out(model, data, threat):
    x, y = data

    dataset = tf.data.Dataset.from_generator(
        lambda: ((x[a:b], y[a:b]) for a, b in [(0, 16), (16, 16), (16, 40)]),
        output_signature=(
            tf.TensorSpec([None, 2, 3], tf.float32),
            tf.TensorSpec([None], tf.int64),
        ),
    )
    fgsm = {"fgsm": tfr.attacks.FGSM(threat)}
    one, other = (evaluate(model, d, fgsm) for d in (dataset, data))
    assert one["fgsm"].correct.tolist() == other["fgsm"].correct.tolist()


def test_a_dataset_without_batches_or_examples_is_refused(model, data, pgd):
    dataset = tf.data.Dataset.from_tensor_slices(data)
    with pytest.raises(ValueError, match=r"dataset\.batch"):
        evaluate(model, dataset, {"pgd": pgd})
    with pytest.raises(ValueError, match="at least one example"):
        evaluate(model, dataset.take(0).batch(8), {"pgd": pgd})


@pytest.mark.parametrize(
    "adversaries, error, sentence",
    [
        (lambda t: {}, ValueError, "at least one adversary"),
        (lambda t: {"pgd": t}, TypeError, "must map names to adversaries"),
        (lambda t: {"clean": tfr.attacks.FGSM(t)}, ValueError, "name 'clean'"),
        (
            lambda t: {"pgd": tfr.attacks.PGD(t.replace(epsilon=RAMP))},
            ValueError,
            "schedule for .*threat.epsilon.*Pass a number",
        ),
        (
            lambda t: {"pgd": tfr.attacks.PGD(t, targeted=True)},
            ValueError,
            "targeted attack needs target classes",
        ),
        (
            lambda t: {"pgd": tfr.attacks.PGD(tfr.threats.Linf([0.1, 0.2]))},
            ValueError,
            r"does not depend on the example.*2 examples.*\(1, features\)",
        ),
    ],
)
def test_adversaries_that_cannot_be_evaluated_are_refused(
    model, data, threat, adversaries, error, sentence
):
    with pytest.raises(error, match=sentence):
        evaluate(model, data, adversaries(threat))


def test_adversaries_are_named_by_their_kind_if_they_have_no_names(
    model, data, threat
):
    pgd, fgsm = tfr.attacks.PGD(threat), tfr.attacks.FGSM(threat)
    for given, names in (
        (pgd, ["pgd"]),
        ([pgd, fgsm, pgd], ["pgd", "fgsm", "pgd-2"]),
    ):
        report = evaluate(model, data, given)
        assert [row.name for row in report.rows[1:-1]] == names


def test_inputs_and_labels_that_come_apart_are_refused(model, data, pgd):
    x, y = data
    with pytest.raises(TypeError, match=r"evaluate\(model, \(x, y\), adv"):
        tfr.evaluate(model, x, y, pgd)
    with pytest.raises(TypeError, match="`data` must be a pair"):
        tfr.certify(model, x, y, tfr.verifiers.IBP(pgd.threat))


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"batch_size": -5}, "`batch_size` must be at least 1"),
        ({"diagnostic_examples": -3}, "`diagnostic_examples` must be at least"),
        ({"curve": [-1.0]}, "`curve` must be at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(model, data, pgd, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate(model, data, {"pgd": pgd}, **options)


def test_a_dataset_that_never_ends_is_refused(model, data, pgd):
    endless = tf.data.Dataset.from_tensor_slices(data).batch(8).repeat()
    for run in (
        lambda: evaluate(model, endless, {"pgd": pgd}),
        lambda: tfr.certify(
            model, endless, tfr.verifiers.IBP(pgd.threat), pgd, verbose=0
        ),
    ):
        with pytest.raises(ValueError, match="`data` must end"):
            run()


@pytest.mark.parametrize(
    "wrong, error, sentence",
    [
        (3, TypeError, "`model` must be a callable of logits.*3"),
        ("net.keras", ValueError, "Load it with keras.models.load_model"),
        (
            lambda x, training=False: {"logits": x},
            TypeError,
            "must return one tensor of logits. Received: dict",
        ),
        (
            lambda x, training=False: (x, x),
            TypeError,
            "must return one tensor of logits. Received: tuple",
        ),
    ],
)
def test_what_is_no_model_of_logits_is_refused(
    data, pgd, wrong, error, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.keras").write_bytes(b"")
    with pytest.raises(error, match=sentence):
        evaluate(wrong, data, {"pgd": pgd})


def test_labels_of_two_classes_may_be_true_or_false(model, data, pgd):
    x, y = data
    exact = tfr.verifiers.IBP(pgd.threat)
    for run in (
        lambda given: evaluate(model, given, {"pgd": pgd}),
        lambda given: tfr.certify(model, given, exact, pgd, verbose=0),
    ):
        found, wanted = run((x, y > 0)), run((x, y))
        assert [r.accuracy for r in found.rows] == [
            r.accuracy for r in wanted.rows
        ]
