"""What every threat, attack, objective, schedule and loss must do.

One row in a table buys the whole battery.
"""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import (
    attacks,
    losses,
    objectives,
    schedules,
    threats,
    verifiers,
)
from tfrobust.adversary import reach
from tfrobust.attack import Attack
from tfrobust.backend import keras, register
from tfrobust.gathering import gathered

LOW, HIGH = -0.42, 2.83
ORDERS = {threats.Linf: np.inf, threats.L2: 2, threats.L1: 1}
RNG = np.random.default_rng(5)
X = np.clip(RNG.uniform(-1, 3.5, (5, 3, 2)), LOW, HIGH).astype(np.float32)
Y = np.array([0, 1, 2, 1, 0])
RAMP = schedules.Ramp(0.0, 0.8, end=10)
RADII = {
    "number": 0.4,
    "example": tf.constant([0.1, 0.5, 0.0, 0.9, 2.0]),
    "feature": tf.constant(RNG.uniform(0.1, 0.9, (3, 2)), tf.float32),
}
MASK = np.array([[1, 0], [1, 1], [0, 1]])

THREATS = {
    f"{norm.__name__}-{name}": norm(epsilon, LOW, HIGH)
    for norm in ORDERS
    for name, epsilon in RADII.items()
}
for norm in ORDERS:
    THREATS[f"{norm.__name__}-schedule"] = norm(RAMP, LOW, HIGH).at(5)
    THREATS[f"{norm.__name__}-mask"] = norm(0.4, LOW, HIGH, MASK)
    THREATS[f"{norm.__name__}-zero"] = norm(0.0, LOW, HIGH)
BOXES = {
    "feature": RADII["feature"],
    "both": RNG.uniform(0.1, 0.9, X.shape),
    "last": np.array([0.2, 0.7]),
    "wide": np.full((3, 2), 50.0),
}
for name, radius in BOXES.items():
    THREATS[f"Box-{name}"] = threats.Box(radius, LOW, HIGH)
THREATS["Box-mask"] = threats.Box(BOXES["both"], LOW, HIGH, MASK)


@register
def surrogate(x, training=False):
    """Logits of a model that is not under attack."""
    flat = tf.reshape(x, [-1, 6])
    return tf.stack(
        [tf.sin(3 * flat[:, k]) - flat[:, k + 3] for k in range(3)], 1
    )


ATTACKS = {
    "fgsm": attacks.FGSM,
    "fgsm-rs": functools.partial(
        attacks.FGSM, step_size=1.25, random_start=1.0
    ),
    "nfgsm": attacks.NFGSM,
    "fast-egl1": attacks.FastEGL1,
    "adat": attacks.AdAT,
    "pgd": functools.partial(attacks.PGD, steps=2),
    "pgd-last": functools.partial(attacks.PGD, steps=2, best=False),
    "pgd-from-x": functools.partial(attacks.PGD, steps=2, random_start=0.0),
    "pgd-momentum": functools.partial(
        attacks.PGD, steps=2, momentum=1.0, random_start=0.5
    ),
    "pgd-restarts": functools.partial(attacks.PGD, steps=1, restarts=2),
    "pgd-targeted": functools.partial(attacks.PGD, steps=1, targeted=True),
    "pgd-margin": functools.partial(attacks.PGD, steps=1, loss="margin"),
    "pgd-dlr": functools.partial(attacks.PGD, steps=1, loss=losses.dlr),
    "apgd": functools.partial(attacks.APGD, steps=3),
    "apgd-training": functools.partial(attacks.APGD, steps=3, early_stop=False),
    "apgd-stages": functools.partial(attacks.APGD, steps=4, multi_epsilon=True),
    "square": functools.partial(attacks.Square, queries=5),
    "fab": functools.partial(attacks.FAB, steps=2),
    "deepfool": lambda threat, seed=0: attacks.DeepFool(threat),
    "carlini-wagner": lambda threat, seed=0: attacks.CarliniWagner(
        threat, steps=20, searches=2, constant=1.0, learning_rate=0.1
    ),
    "ead": lambda threat, seed=0: attacks.EAD(
        threat, steps=20, searches=2, constant=1.0, learning_rate=0.1
    ),
    "hop-skip-jump": functools.partial(
        attacks.HopSkipJump, queries=180, samples=5
    ),
    "boundary": functools.partial(attacks.BoundaryAttack, queries=150),
    "universal": lambda threat, seed=0: attacks.Universal(
        threat, np.full((3, 2), 0.3)
    ),
    "ensemble": lambda threat, **options: attacks.Ensemble(
        [attacks.PGD(threat, 2, **options), attacks.FGSM(threat, **options)]
    ),
    "restart": lambda threat, **options: attacks.Restart(
        attacks.PGD(threat, 1, **options), restarts=2
    ),
    "transfer": lambda threat, **options: attacks.Transfer(
        attacks.PGD(threat, 2, **options), surrogate
    ),
    "minimum-norm": lambda threat, **options: attacks.MinimumNorm(
        attacks.PGD(threat, 2, **options), steps=3
    ),
}
# They take no other threat.
ONLY = {
    "fast-egl1": threats.L1,
    "ead": threats.L1,
    "carlini-wagner": threats.L2,
    "boundary": threats.L2,
}
# They return x where they found no success inside.
NEAREST = {
    "fab",
    "deepfool",
    "carlini-wagner",
    "ead",
    "hop-skip-jump",
    "boundary",
}


def usual(name):
    """A threat that an attack of this name takes."""
    return ONLY.get(name, threats.Linf)(0.4, LOW, HIGH)


VERIFIERS = {
    "ibp": verifiers.IBP,
    "crown-ibp": verifiers.CROWNIBP,
    "crown": verifiers.CROWN,
    "fast-lin": verifiers.FastLin,
    "alpha-crown": functools.partial(
        verifiers.AlphaCROWN, steps=2, intermediate=False
    ),
    "polyhedral": verifiers.PolyhedralEnvelope,
}
LINF, L1 = threats.Linf(0.4, LOW, HIGH), threats.L1(0.4, LOW, HIGH)
PGD = attacks.PGD(LINF, steps=1)
OBJECTIVES = {
    "clean": objectives.Clean(),
    "worst-case": objectives.WorstCase(PGD),
    "expressive": objectives.Expressive(PGD, verifiers.IBP(LINF), 0.5, "cc"),
    "sabr": objectives.SABR(PGD, schedules.Ramp(0.1, 1, end=9), shrink=0.9),
    "taps": objectives.TAPS(PGD, 1, 0.5, steps=2, begin=3),
    "mixture": objectives.WorstCase(PGD, mix=schedules.Ramp(0, 1, end=9)),
    "relu-stability": objectives.ReLUStability(
        objectives.WorstCase(PGD), verifiers.IBP(LINF)
    ),
    "warm-up": objectives.WarmUpRegularized(
        objectives.WorstCase(PGD),
        verifiers.IBP(threats.Linf(RAMP, LOW, HIGH)),
        0.8,
    ),
    "trades": objectives.TRADES(PGD, beta=schedules.Ramp(0, 1, end=9)),
    "mart": objectives.MART(PGD),
    "batch-statistics": objectives.BatchStatistics(objectives.WorstCase(PGD)),
    "awp": objectives.AWP(objectives.WorstCase(PGD), gamma=0.1),
    "atta": objectives.ATTA(PGD),
    "atas": objectives.ATAS(LINF),
    "free": objectives.Free(LINF),
    "fgsm-pgi": objectives.FGSMPGI(LINF),
    "single-step": objectives.SingleStep(LINF),
    "grad-align": objectives.GradAlign(LINF),
    "nuat": objectives.NuAT(LINF),
    "recorded": objectives.Recorded(objectives.WorstCase(PGD)),
    "self-adaptive": objectives.SelfAdaptive(objectives.WorstCase(PGD)),
    "reweighted": objectives.Reweighted(objectives.WorstCase(PGD)),
    "iat": objectives.IAT(PGD, high=0.8),
    "qub": objectives.QUB(PGD, mix=schedules.Ramp(0, 1, end=9)),
    "loss-fusion": objectives.LossFusion(
        verifiers.CROWNIBP(LINF), mix=schedules.Ramp(0, 1, end=9)
    ),
    "noisy": objectives.Noisy(0.25, draws=2),
    "consistency": objectives.Consistency(0.25, schedules.Ramp(0, 1, end=9)),
    "smooth-adv": objectives.SmoothAdv(LINF, 0.25, draws=2, steps=2),
    "distillation": objectives.Distillation(PGD, [surrogate], [0.4, 0.6]),
}


def remembered(objective):
    """What a model remembers of X before the first step."""
    slots = OBJECTIVES[objective].slots(X.shape[1:], 3)
    rows = {n: tf.fill((5, *s.shape), s.initial) for n, s in slots.items()}
    return {**rows, "visits": tf.zeros([5]), "index": tf.range(5)}


SCHEDULES = [
    schedules.Ramp(0.0, 0.1, 2, end=5),
    schedules.SmoothRamp(0.0, 0.1, 2, end=5, bend=0.3, exponent=2.0),
    schedules.PeriodicLinear(0.0, 0.1, [0, 5, 9]),
    schedules.PeriodicCosine(0.0, 0.1, [0, 5], low=0.01, high=0.09),
    schedules.PeriodicExponential(0.1, 0.5, [0, 5]),
    schedules.PeriodicDrops(0.1, 0.5, [0.5], [0, 5]),
    schedules.PiecewiseLinear([0, 5, 9], [0.0, 0.1, 0.05]),
]
LOSSES = [
    losses.CrossEntropy(label_smoothing=0.1),
    losses.Margin(),
    losses.DLR(name="ratio"),
    losses.KL(),
]
REGIONS = [threats.Patch(2, corner=[1, 0]), threats.Spatial(10.0, angles=3)]
ROWS = [
    *THREATS.values(),
    *(
        attack(ONLY.get(name, threats.L2)(RAMP))
        for name, attack in ATTACKS.items()
    ),
    *(attacks.PGD(LINF, loss=loss) for loss in LOSSES),
    attacks.AutoAttack(threats.L1(RAMP, features=3), "plus"),
    *REGIONS,
    attacks.PatchAttack(REGIONS[0], places=3),
    attacks.SpatialAttack(REGIONS[1], tries=4),
    *verifiers.ladder(threats.L2(RAMP)),
    verifiers.FastLin(LINF, intersect=False),
    verifiers.PolyhedralEnvelope(threats.L2(RAMP)),
    verifiers.BranchAndBound(LINF),
    verifiers.Lipschitz(threats.L2(RAMP)),
    verifiers.RandomizedSmoothing(0.25, n=1000),
    objectives.GloRo(threats.L2(RAMP), weight=1.5, iterations=3),
    objectives.PER(
        verifiers.PolyhedralEnvelope(LINF), alpha=0.1, examples=2, attack=PGD
    ),
    *OBJECTIVES.values(),
    *SCHEDULES,
    *LOSSES,
]

# It bounds nothing that verifiers know: the set without the cap is larger.
ATTACKED = {**THREATS, "L1-features": threats.L1(0.4, LOW, HIGH, features=2)}
KINDS = ["pgd", "apgd", "square", "fab", "ensemble"]

every_threat = pytest.mark.parametrize("threat", list(THREATS))


def fits(attack, threat):
    return isinstance(ATTACKED[threat], ONLY.get(attack, threats.Threat))


# Attacks and verifiers are the same ops under both Kerases (see
# `verifiers/ops_test.py`), so that there these threats stand for all.
FEW = [t for t in ATTACKED if t.endswith(("-number", "-mask", "s", "-both"))]


def case(threat, *more):
    """A case of a test, in one Keras unless the threat is one of those few."""
    marks = () if threat in FEW else pytest.mark.one_keras
    return pytest.param(threat, *more, marks=marks)


every_search = pytest.mark.parametrize(
    ("threat", "attack"),
    [case(t, a) for t in ATTACKED for a in ATTACKS if fits(a, t)],
)
every_norm = pytest.mark.parametrize("norm", list(ORDERS))
every_attack = pytest.mark.parametrize("attack", list(ATTACKS))
every_objective = pytest.mark.parametrize("objective", list(OBJECTIVES))


@pytest.fixture(scope="module")
def network():
    """A smooth network with batch normalisation that has seen some data."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(3),
        ]
    )
    for _ in range(20):
        model(X, training=True)
    return model


def rows(value):
    return np.reshape(np.asarray(value, np.float64), (len(X), -1))


def scales(threat):
    """Epsilon for each feature, as rows."""
    epsilon = np.asarray(threat.epsilon, np.float64)
    if epsilon.ndim == 1:
        epsilon = epsilon[:, np.newaxis, np.newaxis]
    mask = 1 if threat.mask is None else threat.mask
    return rows(np.broadcast_to(epsilon * mask, X.shape))


def check_inside(threat, points):
    delta, scale = np.abs(rows(points) - rows(X)), scales(threat)
    np.testing.assert_array_equal(delta[scale == 0], 0)
    size = delta / np.where(scale == 0, 1, scale)
    order = next(ORDERS[norm] for norm in ORDERS if isinstance(threat, norm))
    lengths = np.linalg.norm(size, order, axis=1)
    assert np.all(lengths <= 1 + 1e-5)
    assert np.min(points) >= np.float32(LOW)
    assert np.max(points) <= np.float32(HIGH)
    assert np.all(threat.contains(X, points))


def values(loss, model, points):
    return np.asarray(losses.get(loss)(Y, model(points, training=False)))


def piecewise():
    """Networks by name, which other relaxations bound than that of tanh."""
    layers = keras.layers
    keras.utils.set_random_seed(2)
    dense = keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
            layers.Dense(5, activation="relu"),
            layers.Dense(3),
        ]
    )
    convolved = keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.Reshape((3, 2, 1)),
            layers.Conv2D(3, 2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    return {"dense": dense, "convolved": convolved}


@pytest.fixture(scope="module")
def networks(network):
    return {"tanh": network, **piecewise()}


@pytest.fixture(scope="module")
def found(networks):
    """Points of attacks in threats on networks, all by name, as NumPy."""

    @functools.cache
    def found(attack, threat, network="tanh"):
        made = ATTACKS[attack](ATTACKED[threat], seed=2)
        return made.perturb(networks[network], X, Y).numpy()

    return found


def reached(attack):
    """How many epsilons its points may be away."""
    return reach(ATTACKS[attack](usual(attack)))


@every_search
def test_every_point_of_an_attack_is_in_its_threat(found, threat, attack):
    if attack == "minimum-norm" and np.ndim(ATTACKED[threat].epsilon) > 1:
        with pytest.raises(ValueError, match="one epsilon, or one for each"):
            found(attack, threat)
        return
    points, threat = found(attack, threat), ATTACKED[threat]
    assert points.dtype == np.float32
    check_inside(threat.scaled(reached(attack)), points)
    if attack not in NEAREST:
        assert np.array_equal(points, X) == (np.max(scales(threat)) == 0)


# The others differ from the first by what follows on their first layer alone.
@pytest.mark.parametrize(
    ("threat", "name"),
    [case(threat, "tanh") for threat in ATTACKED]
    + [
        pytest.param(threat, name, marks=pytest.mark.one_keras)
        for threat in FEW
        for name in ("dense", "convolved")
    ],
)
def test_no_attack_loses_more_than_any_verifier_allows(
    networks, found, threat, name
):
    model, over = networks[name], ATTACKED[threat]
    kinds = dict(VERIFIERS)
    if np.ndim(over.epsilon) > 1:
        del kinds["polyhedral"]  # Its distances need one unit.
    lost = [
        leads(model(found(attack, threat, name), training=False))
        for attack in (ATTACKS if name == "tanh" else KINDS)
        if fits(attack, threat) and reached(attack) == 1
        if attack != "minimum-norm" or np.ndim(over.epsilon) < 2
    ]
    size = 1 + np.max(np.abs(lost))
    for verifier in kinds.values():
        bounds = -verifier(over).margins(model, X, Y).numpy()
        assert np.all(np.isfinite(bounds))
        for lead in lost:
            assert np.all(lead <= bounds + 2e-6 * size)
            for loss in (losses.cross_entropy, losses.margin):
                attacked, bounded = loss(Y, lead), loss(Y, bounds)
                assert np.all(attacked <= bounded + 2e-6 * size)


def leads(logits):
    """By how much each logit exceeds that of the label."""
    logits = np.asarray(logits, np.float64)
    return logits - logits[np.arange(len(Y)), Y][:, np.newaxis]


@every_threat
def test_random_points_are_in_the_threat_and_follow_the_seed(threat):
    threat = THREATS[threat]
    points = threat.sample(X, seed=3)
    check_inside(threat, points.numpy())
    np.testing.assert_array_equal(points, threat.sample(X, seed=3))
    other = np.array_equal(points, threat.sample(X, seed=4))
    assert other == (np.max(scales(threat)) == 0)


@every_threat
def test_projection_lands_inside_and_moves_no_point_of_the_threat(threat):
    threat = THREATS[threat]
    moved = X + RNG.normal(size=X.shape).astype(np.float32)
    once = threat.project(X, moved)
    check_inside(threat, once.numpy())
    np.testing.assert_allclose(threat.project(X, once), once, atol=5e-7)
    inside = threat.sample(X, seed=1)
    np.testing.assert_allclose(threat.project(X, inside), inside, atol=5e-7)


@every_threat
def test_projection_of_a_row_ignores_its_batch_mates(threat):
    threat = THREATS[threat]
    moved = X + RNG.normal(size=X.shape).astype(np.float32)
    mates = np.where(np.arange(5)[:, np.newaxis, np.newaxis] == 3, moved, X)
    together = threat.project(X, moved)[3]
    np.testing.assert_array_equal(threat.project(X, mates)[3], together)


@every_threat
def test_support_is_never_below_the_value_at_a_point(threat):
    threat = THREATS[threat]
    functions = RNG.normal(size=(5, 2, 3, 2)).astype(np.float32)
    support = threat.support(X, functions).numpy()
    assert support.shape == (5, 2)
    for j in range(2):
        alone = threat.support(X, functions[:, j])
        np.testing.assert_allclose(alone, support[:, j], rtol=1e-6)
        points = [threat.sample(X, seed) for seed in range(2)]
        ascended = threat.ascend(X, X, functions[:, j], 1.0)
        points.append(threat.project(X, ascended))
        for point in points:
            value = rows(functions[:, j]) * (rows(point) - rows(X))
            assert np.all(value.sum(axis=1) <= support[:, j] + 1e-6)
        # The steepest step of full length attains it.
        np.testing.assert_allclose(value.sum(axis=1), support[:, j], atol=2e-6)


@pytest.mark.parametrize(
    ("threat", "attack"),
    [(f"{type(usual(n)).__name__}-number", n) for n in ATTACKS]
    + [case(t, a) for t in ATTACKED for a in KINDS if t != "Linf-number"]
    # It takes no epsilon for each feature.
    + [(f"{norm.__name__}-example", "minimum-norm") for norm in ORDERS],
)
def test_points_depend_neither_on_batch_size_nor_on_order(
    network, found, threat, attack
):
    together = found(attack, threat)
    for index in [[3, 1]] + [[4, 3, 2, 1, 0], [1]] * threat.endswith("number"):
        some, x, y = gathered(index, X, (ATTACKED[threat], X, Y))
        points = ATTACKS[attack](some, seed=2).perturb(network, x, y)
        np.testing.assert_allclose(points, together[index], atol=1e-6)


class Made(Attack):
    """A user's composite, which makes its part when it is asked."""

    def __init__(self, threat):
        self.threat = threat

    def _perturb(self, model, x, y, start, step):
        part = attacks.PGD(self.threat, steps=1)
        return part._perturb(model, x, y, start, step)


@pytest.mark.parametrize(
    "attack",
    [
        Made(LINF),
        attacks.Ensemble([Made(LINF)]),
        attacks.Restart(Made(LINF), restarts=2),
        attacks.Transfer(attacks.Restart(Made(LINF), restarts=1), surrogate),
        attacks.MinimumNorm(Made(LINF), steps=1),
        attacks.Ensemble([attacks.FGSM(LINF, random_start=1.0)]),
    ],
    ids=["user", "ensemble", "restart", "transfer", "minimum-norm", "fgsm"],
)
def test_a_composite_attack_draws_anew_each_step(network, attack):
    y = np.argmax(network(X), axis=1)
    first, second, again = (
        attack.at(step).perturb(network, X, y).numpy() for step in (0, 1, 1)
    )
    assert np.any(first != second)
    np.testing.assert_array_equal(second, again)


@every_norm
def test_one_trace_serves_every_epsilon_and_batch_size(network, norm):
    attack = attacks.PGD(norm(RAMP, LOW, HIGH), steps=1)
    shapes = [tf.TensorSpec([None, 3, 2]), tf.TensorSpec([None], tf.int64)]
    traces = []

    @tf.function(
        input_signature=[*shapes, tf.TensorSpec([], tf.int32)], autograph=False
    )
    def perturb(x, y, step):
        traces.append(step)
        return attack.at(step).perturb(network, x, y)

    for step in (0, 5, 10):
        check_inside(norm(0.08 * step, LOW, HIGH), perturb(X, Y, step))
    expected = attack.at(10).perturb(network, X[:2], Y[:2])
    np.testing.assert_allclose(perturb(X[:2], Y[:2], 10), expected, atol=1e-6)
    assert np.max(np.abs(expected - X[:2])) > 0.1
    assert len(traces) == 1


@every_attack
def test_an_attack_changes_no_variable_and_sends_it_no_gradient(
    network, attack
):
    before = [np.array(v) for v in network.variables]
    with tf.GradientTape() as tape:
        points = ATTACKS[attack](usual(attack)).perturb(network, X, Y)
    gradients = tape.gradient(points, network.trainable_variables)
    assert gradients == [None] * len(network.trainable_variables)
    for old, new in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, new)


@every_norm
@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr"])
def test_the_best_point_from_x_is_never_better_for_the_model(
    network, norm, loss
):
    attack = attacks.PGD(
        norm(3.0, LOW, HIGH), steps=2, step_size=1.0, random_start=0, loss=loss
    )
    clean = values(loss, network, X)
    found = values(loss, network, attack.perturb(network, X, Y))
    assert np.all(found >= clean - 1e-6)
    assert np.mean(found) > np.mean(clean) + 0.1


def trained(network, objective, step):
    rows = remembered(objective)
    return OBJECTIVES[objective](network, X, Y, step, rows)


@every_objective
def test_an_objective_reaches_every_trainable_weight(network, objective):
    with tf.GradientTape() as tape:
        loss = trained(network, objective, 5)
    assert loss.shape == (5,)
    gradients = tape.gradient(loss, network.trainable_variables)
    for gradient in gradients:
        assert np.max(np.abs(gradient)) > 1e-6


@every_objective
def test_an_objective_leaves_the_trainable_weights_as_they_were(
    network, objective
):
    before = [np.array(v) for v in network.trainable_variables]
    trained(network, objective, 5)
    for old, new in zip(before, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


@every_objective
def test_an_objective_is_traced_once_however_its_schedules_move(
    network, objective
):
    traces = []

    @tf.function(autograph=False)
    def loss(step):
        traces.append(step)
        return trained(network, objective, step)

    assert np.all(np.isfinite(loss(tf.constant(0)) + loss(tf.constant(9))))
    assert len(traces) == 1


WRONG = {
    attacks.PGD: {
        "steps": (0, 2.5, "3", True, np.nan),
        "step_size": (0, -1, np.nan, np.inf, "0.1"),
        "random_start": (-0.1, 1.1, np.nan),
        "restarts": (0, 1.5),
        "momentum": (-1, np.nan),
        "threat": (0.1, PGD),
    },
    attacks.FGSM: {"step_size": (0, -1), "random_start": (2,)},
    attacks.APGD: {
        "steps": (0, 2.5),
        "restarts": (0,),
        "averages": (0, 0.5),
        "targets": (-1, 1.5),
        "rho": (-0.1, np.nan),
    },
    attacks.FAB: {
        "steps": (0, 2.5),
        "restarts": (0,),
        "targets": (-1,),
        "alpha_max": (1.1, np.nan),
        "overshoot": (0.5, np.inf),
        "backward": (0, 1),
    },
    attacks.Square: {
        "queries": (0, 2.5),
        "initial_fraction": (0, 1.5, np.nan),
        "restarts": (0,),
        "overdraw": (0.5, np.nan),
    },
    attacks.AutoAttack: {"averages": (0, 1.5), "version": ("best",)},
    attacks.HopSkipJump: {"queries": (149, 200.5), "samples": (1, np.nan)},
    attacks.Universal: {"perturbation": ([np.nan], [np.inf])},
}


# What they aren't made without.
NEEDED = {attacks.Universal: {"perturbation": np.zeros(6)}}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (kind, name, value)
        for kind, arguments in WRONG.items()
        for name, values in arguments.items()
        for value in values
    ],
)
def test_an_impossible_argument_is_refused_also_by_replace(kind, name, value):
    sentence = f"`{name}` must .*Received: {name}="
    with pytest.raises((ValueError, TypeError), match=sentence):
        kind(**{"threat": LINF, **NEEDED.get(kind, {}), name: value})
    made = kind(LINF, **NEEDED.get(kind, {}))
    with pytest.raises((ValueError, TypeError), match=sentence):
        made.replace(**{name: value})


@pytest.mark.parametrize(
    "make",
    [
        lambda: attacks.Restart(LINF, 2),
        lambda: attacks.Restart(PGD, 2).replace(attack=LINF),
        lambda: attacks.MinimumNorm(verifiers.IBP(LINF)),
        lambda: attacks.Transfer(LINF, surrogate),
    ],
)
def test_what_needs_an_attack_takes_nothing_else(make):
    sentence = "`attack` must be an Attack, such as .*PGD.*Received: attack="
    with pytest.raises(TypeError, match=sentence):
        make()


@pytest.mark.parametrize("parts", [LINF, None, 3])
def test_an_ensemble_is_made_of_attacks_by_name_or_in_a_list(parts):
    with pytest.raises(TypeError, match="must be a dictionary by name, a list"):
        attacks.Ensemble(parts)


@pytest.mark.parametrize("count", [0, 1.5, -1])
def test_how_often_composites_run_is_a_whole_number(count):
    for make in (
        lambda: attacks.Restart(PGD, count),
        lambda: attacks.MinimumNorm(PGD, count),
        lambda: attacks.Ensemble([PGD], count),
    ):
        with pytest.raises(ValueError, match="must be at least 1 and whole"):
            make()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_configuration_comes_back_also_through_json(row):
    config = keras.saving.serialize_keras_object(row)
    for written in (config, json.loads(json.dumps(config))):
        copy = keras.saving.deserialize_keras_object(written)
        assert type(copy) is type(row)
        again = keras.saving.serialize_keras_object(copy)
        assert json.dumps(again) == json.dumps(config)


@pytest.mark.parametrize(
    "row", ROWS[: -len(LOSSES)], ids=lambda row: type(row).__name__
)
def test_replace_knows_the_arguments_of_init_and_nothing_else(row):
    copy = row.replace(**vars(row))
    assert copy is not row and repr(copy) == repr(row)
    with pytest.raises(TypeError, match="Received: unknown"):
        row.replace(unknown=1)
