"""Objectives of certified training, on a linear network by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import RobustModel, initializers, schedules
from tfrobust.attacks import FGSM, PGD
from tfrobust.backend import keras
from tfrobust.objectives import (
    AWP,
    SABR,
    Clean,
    Expressive,
    ReLUStability,
    WarmUpRegularized,
    WorstCase,
)
from tfrobust.threats import L2, Linf
from tfrobust.verifiers import IBP

LINF = Linf(0.1)
LINEAR, PROVEN = FGSM(LINF), IBP(Linf(0.2))


def bounded(hand, x, radius):
    """The largest leads of other logits over the label's, in a box."""
    rows = (
        np.transpose(hand.kernel)[np.newaxis] - hand.kernel.T[hand.y][:, None]
    )
    leads = (
        np.einsum("bkj,bj->bk", rows, x)
        + hand.bias
        - hand.bias[hand.y][:, None]
    )
    return leads + np.einsum("bkj,bj->bk", np.abs(rows), radius + 0 * x)


def losses(hand, form):
    """Attacked and bounded losses, and the margins of both."""
    attacked = hand.logits(hand.worst())
    a = attacked - attacked[np.arange(3), hand.y][:, None]
    b = bounded(hand, hand.x, 0.2)
    return hand.cross_entropy(a), hand.cross_entropy(b), a, b


@pytest.mark.parametrize(
    "weight", [0.0, 0.3, 1.0, schedules.Ramp(0, 0.6, end=10)]
)
@pytest.mark.parametrize("form", ["mtl", "cc", "exp"])
def test_an_expressive_loss_mixes_attack_and_bound(hand, form, weight):
    objective = Expressive(LINEAR, PROVEN, weight, form)
    values = objective(hand.network, hand.x, hand.y, step=5)
    w = weight if isinstance(weight, float) else 0.3
    loss_a, loss_b, a, b = losses(hand, form)
    expected = {
        "mtl": w * loss_b + (1 - w) * loss_a,
        "cc": hand.cross_entropy(w * b + (1 - w) * a),
        "exp": np.full(3, loss_b.mean() ** w * loss_a.mean() ** (1 - w)),
    }[form]
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_the_product_of_means_counts_examples_by_their_weights(hand):
    weights = np.array([1.0, 0.0, 3.0])
    now = Expressive(LINEAR, PROVEN, 0.4, "exp").at(0).weigh(weights)
    found = now.search(hand.network, hand.x, hand.y)
    values = now.outcome(hand.network, hand.x, hand.y, found).losses
    a, b = (
        np.average(part, weights=weights) for part in losses(hand, "exp")[:2]
    )
    np.testing.assert_allclose(values, b**0.4 * a**0.6, rtol=1e-4)


def test_an_expressive_loss_rises_with_its_weight(hand):
    for form in ("mtl", "cc", "exp"):
        means = [
            np.mean(
                Expressive(LINEAR, PROVEN, w, form)(
                    hand.network, hand.x, hand.y
                )
            )
            for w in (0.0, 0.2, 0.7, 1.0)
        ]
        assert np.all(np.diff(means) > 0.001)


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_sabr_bounds_a_small_box_next_to_the_attacked_point(hand, share):
    x = np.array([[0.2, 0.7, 0.5], [0.02, 0.4, 0.3], [0.5, 0.5, 0.97]])
    gradient = hand.error(hand.logits(x)) @ hand.kernel.T
    low, high = np.maximum(x - 0.1, 0), np.minimum(x + 0.1, 1)
    point = np.clip(x + 0.1 * np.sign(gradient), low, high)
    radius = share * (high - low) / 2
    centre = np.clip(point, low + radius, high - radius)
    expected = hand.cross_entropy(bounded(hand, centre, radius))
    values = SABR(LINEAR, share)(hand.network, x, hand.y)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    clean = hand.cross_entropy(hand.logits(x))
    mixed = SABR(LINEAR, share, mix=0.7)(hand.network, x, hand.y)
    np.testing.assert_allclose(mixed, 0.7 * expected + 0.3 * clean, rtol=1e-4)


def test_shrinking_scales_upper_bounds_of_units_that_may_be_off():
    hidden, head = keras.layers.Dense(3, "relu"), keras.layers.Dense(2)
    network = keras.Sequential([keras.Input((1,)), hidden, head])
    # In [-0.2, 0.2], [1, 1.4] and [-1.4, -1] around x = 0.5.
    hidden.set_weights(
        [np.array([[1.0, 1.0, 1.0]]), np.array([-0.5, 0.7, -1.7])]
    )
    head.set_weights([np.array([[0.0, 1.0]] * 3), np.zeros(2)])
    x, y = np.array([[0.5]], np.float32), np.array([0])
    for shrink, lead in ((1.0, 0.2 + 1.4), (0.8, 0.16 + 1.4)):
        objective = SABR(FGSM(Linf(0.2)), 1.0, shrink=shrink)
        values = objective(network, x, y)
        np.testing.assert_allclose(values, np.log1p(np.exp([lead])), rtol=1e-4)


@pytest.fixture
def relus():
    """A network of two ReLU layers, and the ends of what each reads."""
    hidden = [keras.layers.Dense(4, "relu") for _ in range(2)]
    network = keras.Sequential(
        [keras.Input((3,)), *hidden, keras.layers.Dense(3)]
    )
    rng = np.random.default_rng(2)
    network.set_weights([rng.normal(size=np.shape(w)) for w in network.weights])

    def ends(x, radius):
        found, low, high = [], x - radius, x + radius
        for layer in hidden:
            kernel, bias = (np.array(w, float) for w in layer.weights)
            centre = (low + high) / 2 @ kernel + bias
            wide = (high - low) / 2 @ np.abs(kernel)
            found.append((centre - wide, centre + wide))
            low, high = (np.maximum(end, 0) for end in found[-1])
        return found

    return network, ends


def test_relu_stability_sums_over_all_relus(hand, relus):
    network, ends = relus
    objective = ReLUStability(Clean(), IBP(LINF), 0.25)
    now = objective.at(0)
    found = now.search(network, hand.x, hand.y)
    outcome = now.outcome(network, hand.x, hand.y, found)
    pairs = ends(hand.x, 0.1)
    sums = [np.tanh(1 + low * high).sum(axis=1) for low, high in pairs]
    clean = Clean()(network, hand.x, hand.y)
    np.testing.assert_allclose(
        outcome.losses, clean - 0.25 * sum(sums), rtol=1e-4
    )
    np.testing.assert_allclose(
        outcome.reported["relu_stability"], -sum(sums), rtol=1e-4
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
def test_warm_up_regularizers_fade_as_epsilon_grows(hand, relus, epsilon):
    network, ends = relus
    verifier = IBP(Linf(epsilon, -9, 9))
    objective = WarmUpRegularized(Clean(), verifier, 0.2, 0.5)
    values = objective(network, hand.x, hand.y)
    radius, terms = max(epsilon, 0.2e-3), []
    for low, high in ends(hand.x, radius):
        tight = max(0, 0.5 - radius / np.mean((high - low) / 2)) / 0.5
        centre, on, off = (low + high) / 2, low > 0, high < 0
        assert on.any() and off.any()
        square = (centre - centre.mean()) ** 2
        shares = [
            centre[on].sum() / -centre[off].sum(),
            square[on].sum() / square[off].sum(),
        ]
        balance = sum(max(0, 0.5 - min(s, 1 / s)) / 0.5 for s in shares)
        terms.append(tight + balance)
    penalty = 0.5 * max(0, 1 - epsilon / 0.2) * np.mean(terms)
    clean = Clean()(network, hand.x, hand.y)
    np.testing.assert_allclose(values, clean + penalty, rtol=2e-3)
    assert (penalty > 0.05) == (epsilon < 0.2)


def test_regularizers_train_beside_any_objective(hand, relus):
    inside = WorstCase(IBP(Linf(schedules.Ramp(0.0, 0.1, end=4))))
    ramp = inside.adversary
    for objective in (
        ReLUStability(inside, ramp),
        WarmUpRegularized(inside, ramp, 0.1),
    ):
        model = RobustModel(keras.models.clone_model(relus[0]))
        model.compile("sgd", objective=objective)
        logs = model.fit(hand.x, hand.y, epochs=2, verbose=0).history
        assert len(logs[objective.reports[0]]) == 2
        assert "ibp_accuracy" in logs and "ibp-2_accuracy" not in logs


def test_intervals_neither_grow_nor_shrink_through_initial_layers():
    kernels = {}
    for residual in (False, True):
        start = initializers.IBPInit(residual, seed=1)
        kernels[residual] = np.array(start((300, 400)))
    assert np.std(kernels[False]) == pytest.approx(
        np.sqrt(2 * np.pi) / 300, rel=0.02
    )
    np.testing.assert_allclose(kernels[True], kernels[False] / 2, rtol=1e-5)
    # Half widths grow by `fan_in * E|w|`, that is 2, and a ReLU halves them.
    assert np.abs(kernels[False]).sum(axis=0).mean() == pytest.approx(
        2, rel=0.02
    )
    convolved = np.array(initializers.IBPInit(seed=2)((5, 5, 12, 400)))
    assert np.std(convolved) == pytest.approx(
        np.sqrt(2 * np.pi) / 300, rel=0.02
    )
    layer = keras.layers.Dense(3, kernel_initializer=initializers.IBPInit(True))
    again = type(layer).from_config(layer.get_config())
    assert again.kernel_initializer.residual


def test_they_train_and_log_under_names_of_their_own(hand):
    objectives = {
        "sabr": AWP(SABR(PGD(LINF, 2), schedules.Ramp(0.5, 1.0, end=9))),
        "ibp": Expressive(LINEAR, PROVEN, 0.5),
    }
    for name, objective in objectives.items():
        model = RobustModel(keras.models.clone_model(hand.network))
        model.compile("sgd", objective=objective)
        logs = model.fit(hand.x, hand.y, epochs=2, verbose=0).history
        assert f"{name}_accuracy" in logs and len(logs["loss"]) == 2
        assert "pgd2_accuracy" not in logs
        assert logs["loss"][1] != logs["loss"][0]


def test_gradients_of_sabr_flow_from_a_tiny_box(hand):
    with tf.GradientTape() as tape:
        values = SABR(LINEAR, 1e-3)(hand.network, hand.x, hand.y)
        loss = tf.reduce_mean(values)
    attacked = WorstCase(LINEAR)(hand.network, hand.x, hand.y)
    np.testing.assert_allclose(values, attacked, rtol=1e-2)
    for gradient in tape.gradient(loss, hand.network.trainable_variables):
        assert np.max(np.abs(gradient)) > 1e-3


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Expressive(LINF, PROVEN, 0.5), TypeError, "`attack` must"),
        (lambda: Expressive(LINEAR, LINEAR, 0.5), TypeError, "`verifier` must"),
        (lambda: Expressive(LINEAR, PROVEN, 2.0), ValueError, "`weight` must"),
        (
            lambda: Expressive(LINEAR, PROVEN, 0.5, "sum"),
            ValueError,
            "`form` must",
        ),
        (lambda: SABR(FGSM(L2(0.1))), ValueError, "search a Linf or a Box"),
        (lambda: SABR(LINEAR, 0), ValueError, "`share` must be positive"),
        (lambda: SABR(LINEAR, shrink=2), ValueError, "`shrink` must"),
        (lambda: ReLUStability(Clean(), LINEAR), TypeError, "`verifier` must"),
        (lambda: ReLUStability(LINEAR, PROVEN), TypeError, "must be an Obj"),
        (
            lambda: WarmUpRegularized(Clean(), PROVEN, 0),
            ValueError,
            "`target` must be positive",
        ),
        (lambda: SABR(LINEAR, mix=-1), ValueError, "`mix` must"),
    ],
)
def test_arguments_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()
