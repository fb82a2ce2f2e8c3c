import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.backend import keras

Y = np.array([0, 2])
Z = np.array([[2.0, 1.0, -1.0, 0.0], [0.5, 3.0, 2.5, -4.0]])


def log_softmax(z):
    z = np.asarray(z, np.float64)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def test_cross_entropy_is_minus_the_log_probability_of_the_label():
    expected = -log_softmax(Z)[[0, 1], Y]
    np.testing.assert_allclose(losses.cross_entropy(Y, Z), expected, rtol=1e-6)


def test_label_smoothing_mixes_in_the_uniform_target():
    target = 0.7 * np.eye(4)[Y] + 0.3 / 4
    expected = -(target * log_softmax(Z)).sum(axis=1)
    smoothed = losses.cross_entropy(Y, Z, 0.3)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-6)
    mean = losses.CrossEntropy(0.3)(Y, Z)
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-6)


def test_margin_is_the_best_wrong_logit_minus_the_true_one():
    np.testing.assert_allclose(losses.margin(Y, Z), [-1.0, 0.5])


def test_dlr_divides_the_margin_by_first_minus_third():
    expected = [-1.0 / 2.0, 0.5 / 2.5]
    np.testing.assert_allclose(losses.dlr(Y, Z), expected, rtol=1e-6)
    # It does not move with the scale or the offset of the logits.
    np.testing.assert_allclose(losses.dlr(Y, 7 * Z + 3), expected, rtol=1e-5)


def test_the_ratios_of_numbers_by_hand():
    logits = np.array([[3.0, 1.0, 0.5, -1.0]] * 3, np.float32)
    # The margin by 3 - 0.5, be the label the largest or not.
    found = losses.dlr([0, 1, 3], logits)
    np.testing.assert_allclose(found, [-2 / 2.5, 2 / 2.5, 4 / 2.5], rtol=1e-6)
    # The lead of the target by 3 - (0.5 - 1) / 2.
    found = losses.targeted_dlr([0, 1, 0], [2, 0, 0], logits)
    np.testing.assert_allclose(found, [-2.5 / 3.25, 2 / 3.25, 0], rtol=1e-6)


def test_the_ratios_of_equal_logits_are_zero():
    equal = np.full((1, 4), 0.5, np.float32)
    np.testing.assert_array_equal(losses.dlr([0], equal), [0.0])
    np.testing.assert_array_equal(losses.targeted_dlr([0], [1], equal), [0.0])


def test_targeted_dlr_divides_the_lead_of_the_target():
    # Of the gap from the first to the mean of the third and the fourth.
    expected = [(0.0 - 2.0) / 2.5, (3.0 - 2.5) / (3.0 + 1.75)]
    target = np.array([3, 1])
    values = losses.targeted_dlr(Y, target, Z)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    scaled = losses.targeted_dlr(Y, target, 7 * Z + 3)
    np.testing.assert_allclose(scaled, expected, rtol=1e-5)


def test_kl_is_the_divergence_from_the_first_argument():
    p, q = log_softmax(Z), log_softmax(Z[::-1])
    expected = (np.exp(p) * (p - q)).sum(axis=1)
    np.testing.assert_allclose(losses.kl(Z, Z[::-1]), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.kl(Z, Z), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (losses.CrossEntropy(), losses.cross_entropy),
        (losses.Margin(), losses.margin),
        (losses.DLR(), losses.dlr),
    ],
)
def test_a_keras_loss_averages_its_function(loss, function):
    np.testing.assert_allclose(loss(Y, Z), np.mean(function(Y, Z)), rtol=1e-6)
    np.testing.assert_allclose(
        losses.per_example(loss, Y, Z), function(Y, Z), rtol=1e-6
    )


def test_a_keras_loss_of_logits_averages_its_function():
    mean = np.mean(losses.kl(Z, Z[::-1]))
    np.testing.assert_allclose(losses.KL()(Z, Z[::-1]), mean, rtol=1e-6)


def test_a_regression_loss_is_averaged_over_all_but_the_batch():
    truth, outputs = np.zeros((2, 3, 2)), np.ones((2, 3, 2)) * [[[1.0, 3.0]]]
    squared = keras.losses.MeanSquaredError()
    values = losses.per_example(squared, truth, outputs)
    np.testing.assert_allclose(values, [5.0, 5.0])


def test_half_precision_logits_are_read_in_single_precision():
    half = tf.cast(Z, tf.float16)
    for function in (losses.cross_entropy, losses.margin, losses.dlr):
        assert function(Y, half).dtype == tf.float32


def test_labels_in_a_column_are_accepted():
    column = losses.cross_entropy(Y[:, np.newaxis], Z)
    np.testing.assert_array_equal(column, losses.cross_entropy(Y, Z))


def test_one_hot_labels_are_refused():
    with pytest.raises(ValueError, match=r"integer class.*argmax\(y, axis=-1"):
        losses.cross_entropy(np.eye(4)[Y], Z)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 3, 4)])
def test_logits_that_are_no_classes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[batch, classes\].*logits_of"):
        losses.margin(Y, np.zeros(shape))


def test_dlr_of_two_classes_is_refused():
    with pytest.raises(ValueError, match="at least 3 classes.*`margin`"):
        losses.dlr(Y, Z[:, :2])


def test_targeted_dlr_of_three_classes_is_refused():
    with pytest.raises(ValueError, match="at least 4 classes.*`margin`"):
        losses.targeted_dlr(Y, Y, Z[:, :3])


def test_a_loss_that_is_reduced_already_is_refused():
    with pytest.raises(ValueError, match="one number for each.*scalar"):
        losses.per_example(lambda y, z: tf.reduce_sum(z), Y, Z)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, np.nan])
def test_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"`label_smoothing`.*\[0, 1\)"):
        losses.CrossEntropy(smoothing)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "binary_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.BinaryCrossentropy(),
    ],
)
def test_a_loss_that_reads_probabilities_is_refused(loss):
    with pytest.raises(ValueError, match="must read logits.*from_logits=True"):
        losses.get(loss)


def test_a_loss_is_found_by_name_object_or_default():
    def my_cross_entropy(y, logits):
        return losses.cross_entropy(y, logits)

    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert isinstance(losses.get(None), losses.CrossEntropy)
    assert losses.get("margin") is losses.margin
    assert losses.get("kl") is losses.kl
    assert losses.get(logits) is logits
    assert losses.get(my_cross_entropy) is my_cross_entropy
    squared = losses.per_example(losses.get("mse"), Z, Z + 2)
    np.testing.assert_allclose(squared, [4.0, 4.0])


def test_only_losses_of_integer_labels_read_classes():
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for loss in (losses.CrossEntropy(), losses.Margin(), losses.dlr, logits):
        assert losses.reads_classes(loss)
    for loss in (losses.kl, losses.KL(), keras.losses.MeanSquaredError()):
        assert not losses.reads_classes(loss)
