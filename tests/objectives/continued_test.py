"""Perturbations that go on where the last epoch left them, by hand."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.objectives.conftest import Hand, Passes
from tfrobust.backend import keras
from tfrobust.instances import CropFlip, Indexed, Memory
from tfrobust.objectives import ATAS, ATTA, AWP, FGSMPGI, Clean, Free
from tfrobust.threats import L2, Linf

THREAT = Linf(0.1)


def rows(perturbation, visits=1.0, **more):
    """What is remembered of three instances, in units of epsilon."""
    more = {k: tf.constant(v, tf.float32) for k, v in more.items()}
    return {
        "perturbation": tf.constant(perturbation, tf.float32),
        "visits": tf.fill([3], visits),
        "index": tf.range(3),
        **more,
    }


def outcome(hand, objective, rows):
    now = objective.at(0, rows)
    found = now.search(hand.network, hand.x, hand.y)
    return now.outcome(hand.network, hand.x, hand.y, found), found, now


@pytest.fixture
def old():
    return np.random.default_rng(3).uniform(-1, 1, (3, 3))


def direction(hand, x):
    return np.sign(hand.error(hand.logits(x)) @ hand.kernel.T)


def test_atta_steps_on_from_what_it_remembers(hand, old):
    found, search, _ = outcome(hand, ATTA(THREAT), rows(old))
    start = hand.x + 0.1 * old
    moved = np.clip(old + 0.5 * direction(hand, start), -1, 1)
    np.testing.assert_allclose(found.rows["perturbation"], moved, atol=1e-5)
    worst = hand.x + 0.1 * moved
    np.testing.assert_allclose(search.point, worst, atol=1e-6)
    expected = hand.cross_entropy(hand.logits(worst))
    np.testing.assert_allclose(found.losses, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("visits", "anew"), [(0.0, True), (4.0, True), (5.0, False)]
)
def test_the_search_starts_anew_after_some_visits(hand, old, visits, anew):
    objective = ATTA(tfr.attacks.FGSM(THREAT, step_size=1e-9), reset=4)
    found, *_ = outcome(hand, objective, rows(old, visits))
    same = np.allclose(found.rows["perturbation"], old, atol=1e-5)
    assert same != anew
    assert np.all(np.abs(found.rows["perturbation"]) <= 1 + 1e-6)
    assert np.all(np.std(found.rows["perturbation"], axis=0) > 0)


def test_what_is_remembered_follows_epsilon(hand, old):
    still = tfr.attacks.FGSM(Linf(0.05), step_size=1e-9)
    _, search, _ = outcome(hand, ATTA(still), rows(old))
    np.testing.assert_allclose(search.point, hand.x + 0.05 * old, atol=1e-6)


def test_what_is_remembered_is_projected(hand, old):
    still = tfr.attacks.FGSM(L2(0.1), step_size=1e-9)
    _, search, _ = outcome(hand, ATTA(still), rows(np.ones((3, 3))))
    moved = np.linalg.norm(search.point - hand.x, axis=1)
    np.testing.assert_allclose(moved, 0.1, rtol=1e-5)


@pytest.mark.parametrize("visits", [2.0, 7.0])
def test_the_step_of_atas_shrinks_with_the_gradient(hand, old, visits):
    norms = np.array([0.5, 30.0, 2.0])
    found, _, now = outcome(
        hand, ATAS(THREAT), rows(old, visits, gradient_norm=norms)
    )
    start = hand.x + 0.1 * old
    gradient = hand.error(hand.logits(start)) @ hand.kernel.T
    norms = 0.5 * norms + 0.5 * np.sum(gradient**2, axis=1)
    sizes = np.clip(2 / (1 + np.sqrt(norms) / 1.28), 0.5, 1.75)
    sizes = np.ones(3) if visits < 5 else sizes
    np.testing.assert_allclose(found.rows["gradient_norm"], norms, rtol=1e-4)
    np.testing.assert_allclose(found.reported["step_size"], sizes, rtol=1e-4)
    moved = np.clip(old + sizes[:, None] * np.sign(gradient), -1, 1)
    np.testing.assert_allclose(found.rows["perturbation"], moved, atol=1e-5)


def test_free_moves_by_the_gradient_that_trains(hand, old):
    objective = Free(tfr.attacks.FGSM(THREAT, step_size=0.25))
    found, search, now = outcome(hand, objective, rows(old))
    start = hand.x + 0.1 * old
    np.testing.assert_allclose(search.point, start, atol=1e-6)
    gradient = tf.constant(hand.error(hand.logits(start)) @ hand.kernel.T)
    after = now.after(found, search, tf.cast(gradient, tf.float32))
    moved = np.clip(old + 0.25 * np.sign(gradient), -1, 1)
    np.testing.assert_allclose(after.rows["perturbation"], moved, atol=1e-5)


def test_fgsm_pgi_trains_at_one_point_and_goes_on_from_another(hand, old):
    memory = np.random.default_rng(4).normal(size=(3, 3))
    found, search, _ = outcome(
        hand, FGSMPGI(THREAT), rows(old, momentum=memory)
    )
    start = hand.x + 0.1 * old
    smooth = np.full((3, 3), 0.2)
    smooth[np.arange(3), hand.y] = 0.6
    error = hand.softmax(hand.logits(start)) - smooth
    gradient = error @ hand.kernel.T
    unit = gradient / np.abs(gradient).sum(axis=1, keepdims=True)
    momentum = unit + 0.3 * memory
    np.testing.assert_allclose(found.rows["momentum"], momentum, rtol=1e-4)
    after = np.clip(old + np.sign(momentum), -1, 1)
    np.testing.assert_allclose(found.rows["perturbation"], after, atol=1e-5)
    worst = np.clip(start + 0.1 * np.sign(gradient), hand.x - 0.1, hand.x + 0.1)
    np.testing.assert_allclose(search.point, worst, atol=1e-6)
    logits, begin = hand.logits(worst), hand.logits(start)
    entropy = -(smooth * np.log(hand.softmax(logits))).sum(axis=1)
    expected = entropy + 10 * ((logits - begin) ** 2).mean(axis=1)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)


METHODS = {
    "atta": (ATTA(THREAT), 2, 2),
    "atas": (ATAS(THREAT), 2, 2),
    "free": (Free(THREAT), 1, 1),
    "fgsm-pgi": (FGSMPGI(THREAT), 3, 3),
    "awp": (AWP(ATTA(THREAT)), 3, 3),
}


def fitted(objective, epochs=1, layers=(), callbacks=None, **compiled):
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((3,)), *layers, keras.layers.Dense(3)]
    )
    model = tfr.RobustModel(network)
    model.compile("sgd", objective=objective, **compiled)
    indexed = Indexed(np.float32(Hand.x), np.arange(3))
    model.fit(indexed, Hand.y, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


@pytest.mark.parametrize("name", METHODS)
def test_passes_are_as_many_as_it_says(name):
    objective, forward, backward = METHODS[name]
    counted = Passes()
    # A kernel in front, or no gradient of a weight passes by.
    layers = keras.layers.Dense(3), counted
    fitted(objective, layers=layers, metrics=[], run_eagerly=True)
    counted.forward -= 1  # Building the network.
    assert (counted.forward, counted.backward) == (forward, backward)


@pytest.mark.parametrize("name", METHODS)
def test_fit_goes_on_from_epoch_to_epoch(name):
    objective, *_ = METHODS[name]
    model = fitted(objective, epochs=2)
    moved = model.memory.values("perturbation")
    assert np.all(np.abs(moved) <= 1 + 1e-6)
    assert np.all(np.max(np.abs(moved), axis=1) > 0.01)
    again = fitted(objective, epochs=2).memory.values("perturbation")
    np.testing.assert_array_equal(again, moved)


def test_another_epsilon_is_said(tmp_path):
    def begun(threat, epochs):
        backup = keras.callbacks.BackupAndRestore(
            str(tmp_path), delete_checkpoint=False
        )
        return fitted(AWP(ATTA(threat)), epochs, callbacks=[backup])

    begun(THREAT, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        begun(THREAT, 2)  # It is the same epsilon.
    with pytest.warns(UserWarning, match="was 0.1 and is 0.25 now"):
        begun(Linf(0.25), 3)


def test_images_are_moved_with_what_is_remembered_of_them():
    x = np.random.default_rng(0).uniform(size=(6, 4, 4, 1)).astype("float32")
    network = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model = tfr.RobustModel(network, memory=Memory(storage="float16"))
    objective = ATTA(THREAT, CropFlip(1, fill=0.5))
    model.compile("sgd", objective=objective)
    model.fit(Indexed(x, np.arange(6)), np.arange(6) % 3, verbose=0)
    canvas = model.memory.values("perturbation")
    assert canvas.shape == (6, 6, 6, 1)
    assert {np.count_nonzero(one) for one in canvas} == {16}


def test_random_layers_in_front_are_refused():
    front = keras.layers.RandomFlip()
    network = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            front,
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model = tfr.RobustModel(network)
    with pytest.raises(ValueError, match=r"can't move along.*CropFlip\(\)"):
        model.compile("sgd", objective=AWP(ATTA(THREAT)))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ATTA(3), TypeError, "`attack` must be an Attack"),
        (lambda: ATTA(tfr.attacks.Square(THREAT)), ValueError, "take a start"),
        (lambda: ATTA(THREAT, reset=0), ValueError, "`reset` must be"),
        (lambda: ATTA(THREAT, "flip"), TypeError, "must be an Augmentation"),
        (lambda: ATAS(tfr.attacks.PGD(THREAT)), TypeError, "must be a FGSM"),
        (lambda: ATAS(THREAT, beta=2), ValueError, "`beta` must lie"),
        (lambda: ATAS(THREAT, c=0), ValueError, "`c` must be positive"),
        (lambda: ATAS(THREAT, low=2), ValueError, "`high` must be at least"),
        (lambda: Free(tfr.attacks.PGD(THREAT)), TypeError, "must be a FGSM"),
        (lambda: FGSMPGI(THREAT, decay=-1), ValueError, "`decay` must lie"),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_rows_are_asked_for(hand):
    with pytest.raises(ValueError, match="AWP remembers .*Indexed"):
        AWP(ATTA(THREAT))(hand.network, hand.x, hand.y)
    assert not Clean().remembers()
