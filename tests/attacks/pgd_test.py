import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import PGD
from tfrobust.backend import keras
from tfrobust.gradients import input_gradient
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
X = RNG.uniform(0.1, 0.9, (8, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 8)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 3
W2 = RNG.normal(size=(6, 3)).astype(np.float32)
SIGN = np.where(Y == 1, 1.0, -1.0).astype(np.float32)


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


def binary(x, training=False):
    return x @ np.stack([0 * W1[:, 0], W1[:, 0]], axis=1)


def loss_at(points, loss="cross_entropy", model=curved):
    return losses.get(loss)(Y, model(points)).numpy()


def perturb(model=curved, x=X, y=Y, threat=None, **options):
    return PGD(threat or Linf(0.2), **options).perturb(model, x, y)


def softmax(z):
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def test_it_is_the_iteration_done_by_hand():
    point = X.astype(np.float64)
    for _ in range(3):
        hidden = point @ W1
        error = softmax(np.sin(hidden) @ W2) - np.eye(3)[Y]
        gradient = (error @ W2.T * np.cos(hidden)) @ W1.T
        point = np.clip(point + 0.4 * 0.2 * np.sign(gradient), X - 0.2, X + 0.2)
        point = np.clip(point, 0, 1)
    found = perturb(steps=3, step_size=0.4, random_start=0, best=False)
    np.testing.assert_allclose(found, point, atol=1e-6)


@pytest.mark.parametrize(
    ("threat", "order"), [(Linf, 1), (L2, 2), (L1, np.inf)]
)
@pytest.mark.parametrize("random_start", [0.0, 1.0])
def test_on_a_linear_model_it_attains_the_dual_norm(
    threat, order, random_start
):
    free, y = threat(0.7, low=-9.0, high=9.0), (SIGN > 0).astype(int)
    attack = PGD(free, 8, step_size=2.0, random_start=random_start)
    found = attack.perturb(binary, X, y)
    margin = SIGN * (X @ W1[:, 0]) - 0.7 * np.linalg.norm(W1[:, 0], order)
    expected = np.log1p(np.exp(-margin.astype(np.float64)))
    loss = losses.cross_entropy(y, binary(found))
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


@pytest.mark.parametrize("threat", [Linf, L2, L1])
def test_on_a_linear_model_it_attains_the_support_within_the_range(threat):
    bounded, y = threat(0.7), (SIGN > 0).astype(int)
    attack = PGD(bounded, steps=8, step_size=1.0)
    found = attack.perturb(binary, X, y)
    support = bounded.support(X, -SIGN[:, np.newaxis] * W1[:, 0])
    margin = SIGN * (X @ W1[:, 0]) - support
    loss = losses.cross_entropy(y, binary(found))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-margin)), rtol=1e-3)


def test_targeted_it_comes_nearer_to_the_target():
    target = (Y + 1) % 3
    found = perturb(y=target, targeted=True, random_start=0.0, steps=5)
    before = losses.cross_entropy(target, curved(X))
    after = losses.cross_entropy(target, curved(found))
    assert np.all(after <= before)
    assert np.mean(after) < np.mean(before) - 0.3


def test_more_restarts_are_never_weaker():
    single = loss_at(perturb(steps=2))
    several = loss_at(perturb(steps=2, restarts=4))
    assert np.all(several >= single - 1e-6)
    assert np.any(several > single + 1e-3)


def test_the_best_iterate_is_never_weaker_than_the_last():
    best = loss_at(perturb(steps=3, step_size=1.5))
    last = loss_at(perturb(steps=3, step_size=1.5, best=False))
    assert np.all(best >= last - 1e-6)
    assert np.any(best > last + 1e-3)


def test_no_iterate_on_the_way_is_worse_than_the_best():
    options = {"step_size": 2.0, "random_start": 0.0}
    best = loss_at(perturb(steps=5, **options))
    way = [
        loss_at(perturb(steps=k, best=False, **options)) for k in range(1, 6)
    ]
    np.testing.assert_allclose(best, np.max([loss_at(X), *way], 0), rtol=1e-5)
    # For some it is neither of the last two.
    assert np.any(best > np.max(way[-2:], axis=0) + 1e-3)


def test_the_best_iterate_counts_the_final_one():
    single = perturb(steps=1, random_start=0.0, step_size=0.1)
    assert np.all(loss_at(single) > loss_at(X))


def test_a_random_start_is_a_share_of_the_way_to_a_random_point():
    def flat(x, training=False):
        return 0.0 * x[:, :3]

    whole = perturb(model=flat, steps=1) - X
    half = perturb(model=flat, steps=1, random_start=0.5) - X
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
    assert np.max(np.abs(whole)) > 0.15


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 0.5), (2.0, 0.7)])
def test_momentum_adds_gradients_of_mean_magnitude_one(momentum, expected):
    # The slope is 1 below 0.55 and -3 above: unless each is divided by its
    # magnitude, the second outweighs twice the first.
    def peak(y, z):
        return tf.where(z < 0.55, z - 0.55, 3 * (0.55 - z))[:, 0]

    x = np.array([[0.5]], np.float32)
    found = perturb(
        model=lambda x, training: tf.identity(x),
        x=x,
        y=[0],
        threat=Linf(0.4),
        steps=2,
        momentum=momentum,
        random_start=0.0,
        best=False,
        loss=peak,
    )
    assert float(found[0, 0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss", ["margin", "dlr", losses.Margin()])
def test_it_ascends_the_loss_it_is_given(loss):
    found = perturb(steps=5, loss=loss, random_start=0.0)
    values = losses.per_example(losses.get(loss), Y, curved(found))
    before = losses.per_example(losses.get(loss), Y, curved(X))
    assert np.all(values >= before)
    assert np.mean(values) > np.mean(before) + 0.1


def test_it_ascends_a_divergence_from_logits():
    clean = curved(X)
    found = perturb(y=clean, steps=5, loss="kl")
    assert np.all(losses.kl(clean, curved(found)) > 0.01)


@pytest.mark.builds_keras
def test_a_regression_is_attacked_through_its_keras_loss():
    w, y = np.array([[1.0], [-2.0], [0.5], [0.0]], np.float32), X[:, :1] + 3
    found = perturb(
        model=lambda x, training: x @ w,
        y=y,
        threat=Linf(0.1, low=-9.0, high=9.0),
        random_start=0.0,
        loss=keras.losses.MeanSquaredError(),
    )
    worst = np.abs(X @ w - y) + 0.1 * np.abs(w).sum()
    np.testing.assert_allclose(np.abs(found @ w - y), worst, rtol=1e-5)


def test_points_follow_seed_and_step():
    points = perturb(steps=1).numpy()
    np.testing.assert_array_equal(points, perturb(steps=1))
    assert np.any(points != perturb(steps=1, seed=1))
    moved = PGD(Linf(0.2), steps=1).at(1).perturb(curved, X, Y)
    assert np.any(points != moved)


def test_the_network_is_read_in_inference_mode():
    modes = []

    def spy(x, training=None):
        modes.append(training)
        return curved(x)

    perturb(model=spy, steps=1)
    assert set(modes) == {False}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"steps": 0},
            "`steps` must be at least 1 and whole. Received: steps=0",
        ),
        ({"step_size": 0.0}, "`step_size` must be positive"),
        ({"step_size": np.nan}, "`step_size` must be positive and finite"),
        ({"random_start": -0.1}, r"`random_start` must lie in \[0, 1\]"),
        ({"restarts": 0}, "`restarts` must be at least 1"),
        ({"momentum": -1.0}, "`momentum` must be at least 0"),
        ({"restarts": 2, "best": False}, "`restarts` must be 1 if best=False"),
        ({"loss": "binary_crossentropy"}, "`loss` must read logits"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        PGD(Linf(0.1), **options)


@pytest.mark.parametrize(
    "layer",
    [
        tf.stop_gradient,
        tf.round,
        lambda x: tf.one_hot(tf.argmax(x, axis=1), 4),
        lambda x: tf.numpy_function(np.sin, [x], tf.float32),
    ],
    ids=["stop_gradient", "round", "argmax", "numpy_function"],
)
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_a_network_without_gradient_is_refused(layer, wrap):
    def opaque(x, training=False):
        return tf.ensure_shape(layer(x), [8, 4]) @ W1[:, :3]

    with pytest.raises(ValueError, match="No gradient reaches.*stand-in"):
        wrap(lambda: perturb(model=opaque, steps=1))()


BAD = {
    "bytes": (255 * X, Y, r"valid range \[0.0, 1.0\].*or scale them to it"),
    "nan": (np.where(X > 0.5, X, np.nan), Y, "hold no NaN"),
    "integers": ((255 * X).astype(np.uint8), Y, "floating point.*uint8"),
    "one-hot": (X, np.eye(3)[Y], "integer class labels.*argmax"),
    "lengths": (X, Y[:5], "same length"),
}


@pytest.mark.parametrize("bad", list(BAD))
def test_bad_data_is_refused_with_a_sentence(bad):
    x, y, sentence = BAD[bad]
    with pytest.raises(ValueError, match=sentence):
        perturb(x=x, y=y, steps=1)


@pytest.mark.parametrize("bad", list(BAD))
def test_bad_data_is_refused_inside_a_graph(bad):
    x, y, sentence = BAD[bad]
    traced = tf.function(lambda x, y: perturb(x=x, y=y, steps=1))
    # Values aren't known before the graph runs.
    by_value = bad in ("bytes", "nan")
    error = tf.errors.InvalidArgumentError if by_value else ValueError
    with pytest.raises(error, match=sentence):
        traced(tf.constant(x), tf.constant(y))


def confident(count=512):
    """A half-precision network that is sure of its labels."""
    layer = keras.layers.Dense(3, use_bias=False, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((20,)), layer])
    weights = RNG.normal(size=(20, 3)).astype(np.float32)
    model.set_weights([weights])
    x = RNG.uniform(size=(count, 20)).astype(np.float32)
    y = np.argmax(x @ weights, axis=1)
    sure = np.partition(x @ weights, 1, axis=1)
    x, y = x[sure[:, 2] - sure[:, 1] > 3], y[sure[:, 2] - sure[:, 1] > 3]
    model.set_weights([2.5 * weights])
    return model, tf.constant(x), y


@pytest.mark.builds_keras
def test_half_precision_layers_do_not_flush_the_gradient():
    model, x, y = confident()
    _, _, gradient = input_gradient(
        model, x, lambda logits: losses.cross_entropy(y, logits)
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = tf.cast(model(x), tf.float32)
        mean = tf.reduce_sum(losses.cross_entropy(y, logits)) / 512
    flushed = np.mean(tape.gradient(mean, x) == 0)
    assert flushed > 0.2
    assert np.mean(gradient == 0) < 0.01
    found = PGD(Linf(0.01), steps=1).perturb(model, x, y)
    assert found.dtype == tf.float32


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("targeted", [False, True])
def test_an_early_stop_keeps_who_is_fooled(restarts, targeted):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 0.9, (64, 4)).astype(np.float32)
    y = np.argmax(curved(x), axis=1)
    goal = (y + 1) % 3 if targeted else y
    options = {"threat": Linf(0.05), "restarts": restarts, "steps": 8}
    options |= {"targeted": targeted, "loss": "margin"}
    full = perturb(x=x, y=goal, **options)
    stopped = perturb(x=x, y=goal, early_stop=True, **options)

    def reached(points):
        return (np.argmax(curved(points), axis=1) == goal) == targeted

    np.testing.assert_array_equal(reached(stopped), reached(full))
    assert 0 < np.sum(reached(full)) < 64
    active = ~reached(full)
    np.testing.assert_allclose(stopped[active], full[active], atol=1e-6)
    assert np.any(stopped != full)
    assert np.all(Linf(0.05).contains(x, stopped))


@pytest.mark.parametrize("targeted", [False, True])
def test_a_tie_does_not_stop_the_search(targeted):
    def line(x, training=False):
        return tf.stack([1 - tf.reduce_sum(x, 1), 0 * x[:, 0]], axis=1)

    x, y = np.full((1, 2), 0.5, np.float32), np.full(1, int(targeted))
    options = {"random_start": 0, "early_stop": True, "steps": 2}
    attack = PGD(Linf(0.1), targeted=targeted, **options)
    assert np.argmax(line(attack.perturb(line, x, y)), axis=1) == 1


def test_what_is_fooled_is_not_computed_any_more():
    sizes = []

    def counted(x, training=False):
        tf.py_function(lambda n: sizes.append(int(n)), [tf.shape(x)[0]], [])
        return curved(x)

    x = tf.constant(np.tile(X, [4, 1]))
    y = tf.argmin(curved(x), axis=1)  # Wrong from the first.
    tf.function(
        lambda: PGD(Linf(0.1), early_stop=True).perturb(counted, x, y)
    )()
    assert sizes == [32]


def test_an_early_stop_needs_the_best_iterate():
    with pytest.raises(ValueError, match="be False if best=False"):
        PGD(Linf(0.1), best=False, early_stop=True)
