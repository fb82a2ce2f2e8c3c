import numpy as np
import pytest
import tensorflow as tf

from tfrobust.adam import Adam

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(2)
GRADIENTS = RNG.normal(size=(6, 4, 3))


def stepped(gradients, **options):
    """All steps, of a list of two tensors, one twice as large."""
    adam, found = Adam.begin([tf.zeros([4, 3])] * 2), []
    for gradient in tf.unstack(tf.constant(gradients, tf.float32)):
        steps, adam = adam.step([gradient, 2 * gradient], **options)
        found.append(np.array(steps))
    return np.stack(found)


@pytest.mark.parametrize("decay", [(0.9, 0.999), (0.5, 0.99)])
def test_steps_are_those_of_the_paper(decay):
    mean, square, expected = 0.0, 0.0, []
    for count, gradient in enumerate(GRADIENTS, start=1):
        mean = decay[0] * mean + (1 - decay[0]) * gradient
        square = decay[1] * square + (1 - decay[1]) * gradient**2
        corrected = square / (1 - decay[1] ** count)
        step = mean / (1 - decay[0] ** count) / np.sqrt(corrected)
        expected.append([step, step])  # No scale matters.
    found = stepped(GRADIENTS, decay=decay)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_the_first_step_has_length_one_and_none_is_made_without_a_slope():
    gradient = np.array(GRADIENTS[:1])
    gradient[0, 1] = 0.0
    expected = np.sign(gradient[0])
    np.testing.assert_allclose(stepped(gradient)[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
def test_what_is_no_number_once_does_not_stay(wrong):
    gradients = np.array(GRADIENTS)
    gradients[1, 0, 0] = wrong
    found = stepped(gradients)
    assert np.all(np.isfinite(found))
    clean = stepped(GRADIENTS)
    np.testing.assert_array_equal(found[..., 1:, :], clean[..., 1:, :])
    assert np.max(np.abs(found[2:, 0, 0, 0])) > 1e-3


def test_it_is_carried_by_a_loop():
    def body(number, adam):
        return number + 1, adam.step([GRADIENTS[0].astype(np.float32)])[1]

    @tf.function(autograph=False)
    def run():
        start = Adam.begin([tf.zeros([4, 3])])
        return tf.while_loop(lambda number, _: number < 3, body, (0, start))[1]

    adam = run()
    assert adam.count == 3
    expected = (1 - 0.9**3) * GRADIENTS[0]
    np.testing.assert_allclose(adam.mean[0], expected, rtol=1e-5)
