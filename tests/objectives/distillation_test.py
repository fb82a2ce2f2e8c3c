import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.objectives import Distillation

KERNELS = [np.eye(3), np.array([[2.0, 0, 1], [0, -1, 0], [1, 0, 0.5]])]


def teacher(kernel):
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(len(kernel[0]), use_bias=False)]
    )
    network.set_weights([kernel])
    return network


def teachers():
    return [teacher(KERNELS[0]), tfr.RobustModel(teacher(KERNELS[1]))]


def test_the_loss_is_that_of_labels_and_teachers_at_the_worst_points(hand):
    objective = Distillation(hand.attack, teachers())
    outcome = objective.outcome(
        hand.network, hand.x, hand.y, objective.search(*problem(hand))
    )
    logits = hand.logits(hand.worst())
    plain, robust = (hand.worst() @ kernel for kernel in KERNELS)
    expected = (
        0.3 * hand.cross_entropy(logits)
        + 0.1 * 2**2 * hand.kl(plain / 2, logits / 2)
        + 0.6 * 2**2 * hand.kl(robust / 2, logits / 2)
    )
    np.testing.assert_allclose(outcome.losses, expected, rtol=1e-4)
    np.testing.assert_allclose(outcome.worst["fgsm"], logits, rtol=1e-4)


def problem(hand):
    return hand.network, hand.x, hand.y


def test_from_itself_alone_nothing_is_to_be_learned(hand):
    objective = Distillation(hand.attack, [hand.network], [0, 1], 3.0)
    np.testing.assert_allclose(
        objective(*problem(hand)), np.zeros(3), atol=1e-6
    )


def test_no_gradient_reaches_a_teacher(hand):
    held = teachers()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(Distillation(hand.attack, held)(*problem(hand)))
    weights = [v for model in held for v in model.trainable_variables]
    found = tape.gradient(loss, weights)
    assert len(found) == 2 and found == [None, None]


def test_in_fit_the_student_comes_to_the_teacher_and_the_teacher_stays(hand):
    held = teacher(3 * KERNELS[1])
    before = np.array(held.get_weights())
    student = tfr.RobustModel(teacher(np.zeros((3, 3))))
    attack = tfr.attacks.FGSM(tfr.threats.Linf(0.05))
    student.compile(
        keras.optimizers.Adam(0.1),
        objective=Distillation(attack, [held], [0, 1]),
    )
    x = np.random.default_rng(0).random((64, 3), np.float32)
    student.fit(x, np.zeros(64, int), 16, epochs=60, verbose=0)
    np.testing.assert_array_equal(held.get_weights(), before)
    gap = student.predict(x, verbose=0) - held.predict(x, verbose=0)
    gap -= gap.mean(axis=1, keepdims=True)  # Which no softmax sees.
    assert np.max(np.abs(gap)) < 0.2


def test_a_model_is_not_written_into_a_configuration(hand):
    objective = Distillation(hand.attack, teachers())
    with pytest.raises(ValueError, match="can't hold a model"):
        objective.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teachers": []}, "`teachers` must be a list of models, at least one"),
        ({"teachers": ["robust.keras", "b"]}, "Received: 'robust.keras'"),
        ({"weights": [0.5, 0.5]}, "the labels and 2 of the teachers"),
        ({"weights": [0.5, -0.5, 1]}, "`weights` must be at least 0"),
        ({"weights": [0.5, np.nan, 1]}, "`weights` must be at least 0"),
        ({"temperature": 0}, "`temperature` must be positive"),
        ({"temperature": "2"}, "`temperature` must be positive and finite"),
        ({"attack": None}, "`attack` must be an Attack"),
    ],
)
def test_what_cannot_be_meant_is_refused(hand, arguments, message):
    given = {"attack": hand.attack, "teachers": teachers()} | arguments
    with pytest.raises((TypeError, ValueError), match=message):
        Distillation(**given)


def test_a_teacher_of_probabilities_or_of_other_classes_is_refused(hand):
    soft = keras.Sequential([teacher(KERNELS[0]), keras.layers.Softmax()])
    with pytest.raises(ValueError, match="applies a softmax"):
        Distillation(hand.attack, [soft], [0.5, 0.5])
    wide = Distillation(hand.attack, [teacher(np.ones((3, 4)))], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"classes of the network.*\(3, 4\)"):
        wide(*problem(hand))
