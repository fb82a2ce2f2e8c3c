import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses, schedules
from tfrobust.attack import Attack
from tfrobust.attacks import FGSM, PGD, Ensemble, Square
from tfrobust.backend import keras
from tfrobust.threats import L2, Linf

pytestmark = pytest.mark.keras_free

LINF = Linf(0.2)
RNG = np.random.default_rng(3)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 3
W2 = RNG.normal(size=(6, 4)).astype(np.float32)


class Push(Attack):
    """Pushes every feature by the same, and notes how many examples."""

    def __init__(self, threat, push):
        self.threat, self.push, self.sizes = threat, push, []

    def _perturb(self, model, x, y, start, step):
        self.sizes.append(len(x))
        return self.threat.project(x, x + self.push)


def line(x, training=False):
    """Class 0 up to a sum of 1, class 1 beyond."""
    assert x.shape[0] != 0
    return tf.stack([1 - tf.reduce_sum(x, 1), 0 * x[:, 0]], axis=1)


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


def margin(points, y, model=curved):
    return losses.margin(y, model(points)).numpy()


def test_each_attack_runs_on_what_none_before_has_fooled():
    x = np.array([[0.6, 0.6], [0.45, 0.45], [0.35, 0.35], [0.1, 0.1]])
    first, second, third = Push(LINF, 0.1), Push(LINF, 0.2), Push(LINF, 0.2)
    ensemble = Ensemble({"a": first, "b": second, "c": third})
    found = ensemble.perturb(line, x.astype(np.float32), np.zeros(4, int))
    # Wrong from the start; the first success; the second; never, but nearest.
    expected = x + [[0.0], [0.1], [0.2], [0.2]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [first.sizes, second.sizes, third.sizes] == [[3], [2], [1]]


def test_it_answers_the_largest_loss_seen_even_if_that_is_at_x():
    x, y = np.full((2, 2), 0.2, np.float32), np.zeros(2, int)
    pushes = [Push(LINF, 0.1), Push(LINF, -0.1)]
    found = Ensemble(pushes).perturb(line, x, y)
    np.testing.assert_allclose(found, x + 0.1, atol=1e-6)
    found = Ensemble(pushes[1:]).perturb(line, x, y)
    np.testing.assert_array_equal(found, x)


class Shift(Attack):
    """Moves along the line, so that no loss changes."""

    def __init__(self, threat):
        self.threat = threat

    def _perturb(self, model, x, y, start, step):
        return x + [0.125, -0.125]


def test_a_tie_is_still_active_and_of_equal_losses_the_first_is_kept():
    tied = np.full((1, 2), 0.5, np.float32)  # On the line: both logits are 0.
    push, first = Push(LINF, 0.1), np.zeros(1, int)
    found = Ensemble([Shift(LINF), push]).perturb(line, tied, first)
    assert push.sizes == [1]
    np.testing.assert_allclose(found, tied + 0.1, atol=1e-6)
    for x in (tied, tied - 0.25):
        found = Ensemble([Shift(LINF)]).perturb(line, x, first)
        np.testing.assert_array_equal(found, x)


def test_when_all_are_finished_nothing_runs():
    push = Push(LINF, 0.2)
    x = np.full((2, 2), 0.45, np.float32)
    Ensemble([Push(LINF, 0.2), push]).perturb(line, x, np.zeros(2, int))
    assert push.sizes == []


def test_it_is_never_worse_than_any_part_and_independent_of_the_batch():
    x = RNG.uniform(0, 1, (30, 4)).astype(np.float32)
    y = np.argmax(curved(x), axis=1)
    y[:3] = (y[:3] + 1) % 4
    ensemble = Ensemble(
        {
            "pgd": PGD(LINF, steps=3),
            "square": Square(LINF, queries=20),
        }
    )
    traces = []

    def compiled(attack):
        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, 4]),
                tf.TensorSpec([None], tf.int64),
                tf.TensorSpec([]),
            ],
        )
        def perturb(x, y, epsilon):
            traces.append(attack)
            threat = LINF.replace(epsilon=epsilon)
            return attack.against(threat).perturb(curved, x, y)

        return perturb

    run = compiled(ensemble)
    for epsilon in (0.0, 0.02, 0.05):
        found = run(x, y, epsilon)
        assert np.all(Linf(epsilon).contains(x, found))
    traces.clear()
    assert ensemble.notes(4) == []
    fooled = margin(found, y) > 0
    np.testing.assert_array_equal(found[:3], x[:3])
    for part in ensemble.components(4).values():
        alone = margin(compiled(part)(x, y, 0.05), y)
        assert np.all(fooled | (margin(found, y) >= alone - 1e-6))
        assert np.all(fooled[alone > 0])
    assert 3 < np.sum(fooled) < 30
    pieces = [run(x[k : k + 7], y[k : k + 7], 0.05) for k in range(0, 30, 7)]
    np.testing.assert_allclose(np.concatenate(pieces), found, atol=1e-5)
    assert ensemble not in traces  # Traced once, before.


def test_a_random_model_is_judged_by_the_mean_of_several_passes():
    calls = tf.Variable(0.0)

    def swinging(x, training=False):
        calls.assign_add(1.0)
        swing = tf.where(calls % 2 == 0, 3.0, -3.0)
        return tf.stack([0 * x[:, 0] + 1 + swing, 0 * x[:, 0]], axis=1)

    x, y = np.full((2, 2), 0.5, np.float32), np.zeros(2, int)
    pushes = [Push(LINF, 0.1)]
    found = Ensemble(pushes).perturb(swinging, x, y)
    np.testing.assert_array_equal(found, x)  # The first pass is wrong.
    assert pushes[0].sizes == []
    calls.assign(0.0)
    Ensemble(pushes, averages=2).perturb(swinging, x, y)
    assert pushes[0].sizes == [2]


def test_schedules_steps_and_threats_go_into_the_parts():
    ramp = schedules.Ramp(0.0, 0.4, end=4)
    moving = Ensemble([PGD(Linf(ramp)), PGD(Linf(ramp)), FGSM(Linf(ramp))])
    assert list(moving.attacks) == ["pgd", "pgd-2", "fgsm"]
    assert moving.schedules() == [
        f"attacks.{name}.threat.epsilon" for name in moving.attacks
    ]
    now = moving.at(2)
    assert now.schedules() == [] and now.step == 2
    other = moving.against(L2(0.7))
    for part in now.attacks.values():
        assert part.step == 2
        np.testing.assert_allclose(part.threat.epsilon, 0.2)
    for part in other.attacks.values():
        assert repr(part.threat) == repr(L2(0.7))
    assert repr(other.threat) == repr(L2(0.7))
    assert moving.threat.epsilon is ramp


def test_points_follow_the_step():
    x = RNG.uniform(0, 1, (4, 4)).astype(np.float32)
    y = np.argmax(curved(x), axis=1)
    attack = Ensemble([PGD(Linf(1e-3), steps=1, step_size=0.1)])
    points = attack.perturb(curved, x, y)
    np.testing.assert_array_equal(points, attack.at(0).perturb(curved, x, y))
    assert np.any(points != attack.at(1).perturb(curved, x, y))


@pytest.mark.builds_keras
def test_it_comes_back_from_its_configuration_with_its_parts():
    ensemble = Ensemble({"long": PGD(LINF, 50), "square": Square(LINF, 9)})
    config = keras.saving.serialize_keras_object(ensemble)
    again = keras.saving.deserialize_keras_object(config)
    assert repr(again) == repr(ensemble)
    assert "'long': PGD(threat=Linf(epsilon=0.2" in repr(again)


def test_of_equal_margins_the_first_point_is_kept():
    def blind(x, training=False):
        return x[:, :1] * [0.0, 0.0] + [[1.0, 0.0]]

    x, y = np.full((4, 3), 0.5, np.float32), np.zeros(4, int)
    found = Ensemble([PGD(LINF), PGD(LINF, seed=1)]).perturb(blind, x, y)
    np.testing.assert_array_equal(found, x)


def test_equal_logits_are_no_error_yet():
    x, y = np.full((4, 3), 0.5, np.float32), np.zeros(4, int)

    def tied(x, training=False):
        return tf.stack([0 * x[:, 0], tf.abs(x[:, 0] - 0.5)], axis=1)

    found = Ensemble([PGD(LINF)]).perturb(tied, x, y)
    assert np.all(tied(found)[:, 1] > 0)


@pytest.mark.parametrize(
    ("attacks", "sentence"),
    [
        ([], "at least one attack"),
        ({"pgd": LINF}, "must hold attacks, .* Received: 'pgd': Linf"),
        ([PGD(LINF), PGD(Linf(0.3))], "one threat. .* for 'pgd-2' Linf"),
        ([PGD(LINF), PGD(L2(0.2))], "must all search one threat"),
    ],
)
def test_what_is_no_ensemble_is_refused(attacks, sentence):
    with pytest.raises(ValueError, match=sentence):
        Ensemble(attacks)


def test_averages_must_be_positive():
    with pytest.raises(ValueError, match="`averages` must be at least 1"):
        Ensemble([PGD(LINF)], averages=0)
