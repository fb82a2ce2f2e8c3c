import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks.square import Square
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

EPSILON = {Linf: 0.1, L2: 0.4, L1: 1.0}

every_norm = pytest.mark.parametrize("norm", list(EPSILON))


def images(shape, count=6, low=0.0, high=1.0):
    x = np.random.default_rng(1).uniform(low, high, (count, *shape))
    return x.astype(np.float32)


def linear(shape, classes=2, bias=0.0):
    """Classes that differ by a linear function; class 0 has a head start."""
    w = np.random.default_rng(2).normal(size=(classes, *shape))
    w = w.astype(np.float32)

    def model(x, training=False):
        # Element by element, so that rows give the same in every batch.
        axes = list(range(2, w.ndim + 1))
        logits = tf.reduce_sum(x[:, tf.newaxis] * w, axes)
        return logits + tf.one_hot(0, classes, on_value=bias)

    return model, w


def wavy(shape, classes=3):
    """A model that errs on some examples, and soon on some others."""
    linear_model, _ = linear(shape, classes)

    def model(x, training=False):
        return tf.sin(3 * linear_model(x) / np.sqrt(np.prod(shape)))

    return model


def constant(x, training=False):
    """Always right about class 0, and indifferent to its input."""
    return tf.tile([[1.0, 0.0]], [tf.shape(x)[0], 1])


def spy(model, seen):
    def watched(x, training=None):
        assert training is False
        seen.append(np.array(x))
        return model(x)

    return watched


def graph(attack, model, shape):
    """A function of (x, y), compiled once for all batch sizes."""
    signature = [tf.TensorSpec([None, *shape]), tf.TensorSpec([None], tf.int64)]
    return tf.function(
        lambda x, y: attack.perturb(model, x, y), signature, autograph=False
    )


def perturb(attack, model, x, y):
    return graph(attack, model, x.shape[1:])(x, y).numpy()


def labels(model, x):
    return np.argmax(model(x), axis=1)


def margin(model, x, y):
    return losses.margin(y, model(x)).numpy()


def test_on_a_linear_model_it_attains_the_worst_case_of_linf():
    model, w = linear((4, 5, 2), bias=100.0)
    x, y = images((4, 5, 2)), np.zeros(6, int)
    threat = Linf(0.3)
    found = perturb(Square(threat, queries=700), model, x, y)
    support = threat.support(x, np.broadcast_to(w[1] - w[0], x.shape))
    expected = margin(model, x, y) + support
    np.testing.assert_allclose(margin(model, found, y), expected, atol=2e-4)


@pytest.mark.parametrize(
    ("norm", "shape", "share"),
    [(L2, (5, 8, 1), 0.6), (L1, (5, 8, 1), 0.7)]
    + [(L2, (7,), 0.9), (L1, (7,), 0.9)],
    ids=str,
)
def test_on_a_linear_model_it_spends_all_and_comes_near_the_worst_case(
    norm, shape, share
):
    model, w = linear(shape, bias=100.0)
    x, y = images(shape), np.zeros(6, int)
    threat = norm(EPSILON[norm])
    found = perturb(Square(threat, queries=400), model, x, y)
    assert np.all(threat.distance(x, found) > 0.95 * threat.epsilon)
    support = threat.support(x, np.broadcast_to(w[1] - w[0], x.shape))
    gain = margin(model, found, y) - margin(model, x, y)
    assert np.mean(gain / support) > share


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"low": -0.4, "high": 2.8},
        {"epsilon": tf.constant([0.0, 0.1, 0.2, 0.3, 0.5, 0.9])},
        {"mask": np.indices((5, 8, 3)).sum(axis=0) % 2},
        {"mask": [0, 1, 0]},
    ],
    ids=["plain", "range", "example", "mask", "channel"],
)
@every_norm
def test_every_point_asked_about_is_in_the_threat(norm, options):
    threat = norm(**{"epsilon": EPSILON[norm], **options})
    x, seen = images((5, 8, 3), low=threat.low, high=threat.high), []
    found = Square(threat, queries=15).perturb(
        spy(linear((5, 8, 3), bias=100.0)[0], seen), x, np.zeros(6, int)
    )
    assert len(seen) == 16
    for points in seen:
        assert np.all(threat.contains(x, points))
    if threat.mask is not None:
        still = np.broadcast_to(threat.mask, x.shape) == 0
        np.testing.assert_array_equal(found[still], x[still])
    moved = np.any(found != x, axis=(1, 2, 3))
    radius = np.broadcast_to(threat.epsilon, 6)
    np.testing.assert_array_equal(moved, radius > 0)


@pytest.mark.parametrize(
    ("gray", "overdraw", "least", "most"),
    [(0, 1, 0.5, 0.9), (1, 1, 0.5, 0.9), (0.5, 1, 1, 1), (0, 2, 1, 1)],
)
def test_what_the_range_cuts_off_is_lost_unless_too_much_is_drawn(
    gray, overdraw, least, most
):
    x, seen = np.full((9, 9, 9, 1), gray, np.float32), []
    attack = Square(L2(1.0), queries=1, overdraw=overdraw)
    attack.perturb(spy(constant, seen), x, np.zeros(9, int))
    spent = L2(1.0).distance(x, seen[-1]).numpy()
    assert np.all((spent > least - 1e-5) & (spent < most + 1e-5))


def test_linf_stripes_and_squares_are_corners_of_the_ball():
    x, seen = images((20, 10, 2), low=0.3, high=0.7), []
    threat = Linf(0.1)
    Square(threat, queries=60).perturb(spy(constant, seen), x, np.zeros(6, int))
    _, stripes, *changes = (np.sign(points - x) for points in seen)
    np.testing.assert_allclose(np.abs(seen[1] - x), 0.1, atol=1e-6)
    np.testing.assert_array_equal(stripes, stripes[:, :1] + 0 * stripes)
    assert np.abs(np.mean(stripes)) < 0.4
    # Nothing is gained, so each query changes the stripes at one place.
    for query, change in enumerate(changes, start=1):
        height, width = [(16, 10), (9, 9), (6, 6)][(query > 10) + (query > 50)]
        for before, after in zip(stripes, change, strict=True):
            changed = np.argwhere(np.any(before != after, axis=-1))
            if len(changed):
                top, left = changed.min(axis=0)
                bottom, right = changed.max(axis=0) + 1
                assert bottom - top == height
                assert right - left <= width
                square = after[top:bottom, left:right].reshape(-1, 2)
                assert len(np.unique(square, axis=0)) == 1


def test_points_that_fool_are_final_and_queries_never_make_it_worse():
    model = wavy((6, 6, 1))
    x = images((6, 6, 1), count=40)
    y = labels(model, x)
    points = x
    for queries in (1, 5, 30, 200):
        found = perturb(Square(Linf(0.15), queries), model, x, y)
        before, after = margin(model, points, y), margin(model, found, y)
        assert np.all(after >= before)
        fooled = before > 0
        np.testing.assert_array_equal(found[fooled], points[fooled])
        points = found
    assert 0.2 < np.mean(after > 0) < 1


@pytest.mark.parametrize(("norm", "queries"), [(Linf, 40), (L2, 10)])
def test_points_depend_neither_on_batch_size_nor_on_order(norm, queries):
    model, x = wavy((6, 6, 1)), images((6, 6, 1), count=12)
    y = labels(model, x)
    y[3] = (y[3] + 1) % 3
    attack = Square(norm(EPSILON[norm]), queries, restarts=2)
    attack = graph(attack, model, x.shape[1:])
    together = attack(x, y).numpy()
    fooled = np.mean(margin(model, together, y) > 0)
    assert 0.1 < fooled < 0.9
    backward = attack(x[::-1], y[::-1])
    np.testing.assert_allclose(backward[::-1], together, atol=1e-6)
    for i in (3, 7):
        alone = attack(x[i : i + 1], y[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(Linf, (9, 4, 2)), (Linf, (4, 3)), (L2, (2, 7, 3)), (L1, (7,))],
    ids=str,
)
def test_inputs_may_have_any_shape_and_batches_any_size(norm, shape):
    model, traces = wavy(shape), []
    attack = Square(norm(EPSILON[norm]), queries=12)

    signature = [tf.TensorSpec([None, *shape]), tf.TensorSpec([None], tf.int64)]

    @tf.function(input_signature=signature, autograph=False)
    def compiled(x, y):
        traces.append(x)
        return attack.perturb(model, x, y)

    for count in (0, 1, 7):
        x = images(shape, count)
        y = labels(model, x)
        found = compiled(x, y).numpy()
        assert np.all(attack.threat.contains(x, found))
        assert np.all(margin(model, found, y) >= margin(model, x, y))
        assert np.any(found != x) == (count > 0)
    eager = attack.perturb(model, x[:1], y[:1])
    np.testing.assert_allclose(compiled(x[:1], y[:1]), eager, atol=1e-6)
    assert len(traces) == 1


def test_what_the_model_gets_wrong_is_no_longer_computed():
    model, seen = wavy((6, 6, 1)), []
    x = images((6, 6, 1), count=40)
    y = labels(model, x)
    y[:10] = (y[:10] + 1) % 3
    attack = Square(Linf(0.15), queries=50)
    found = attack.perturb(spy(model, seen), x, y)
    np.testing.assert_array_equal(found[:10], x[:10])
    sizes = [len(points) for points in seen]
    assert sizes[:2] == [40, 30]
    assert sizes == sorted(sizes, reverse=True)
    active = np.sum(margin(model, found, y) <= 0)
    assert active <= sizes[-1] <= 4 * active / 3 + 1 < 30


def test_it_ends_when_nothing_is_active():
    x, seen = images((6, 6, 1)), []
    attack = Square(Linf(0.15), restarts=3)
    found = attack.perturb(spy(constant, seen), x, np.ones(6, int))
    np.testing.assert_array_equal(found, x)
    assert len(seen) == 1


def test_a_model_without_gradient_is_attacked():
    model, _ = linear((6, 6, 1), bias=5.0)

    def rounded(x, training=False):
        return model(tf.round(4 * x) / 4)

    x, y = images((6, 6, 1)), np.zeros(6, int)
    found = Square(Linf(0.2), queries=100).perturb(rounded, x, y)
    gain = margin(rounded, found, y) - margin(rounded, x, y)
    assert np.all(gain > 1)


def test_restarts_are_never_weaker():
    model, _ = linear((6, 6, 1), bias=50.0)
    x, y = images((6, 6, 1)), np.zeros(6, int)
    single, several = (
        margin(model, Square(Linf(0.1), 20, restarts=n).perturb(model, x, y), y)
        for n in (1, 4)
    )
    assert np.all(several >= single)
    assert np.any(several > single + 0.05)


def test_the_schedule_can_be_rescaled():
    x, seen = images((20, 20, 1), low=0.3, high=0.7), []
    attack = Square(Linf(0.1), queries=30, rescale_schedule=True)
    attack.perturb(spy(constant, seen), x, np.zeros(6, int))
    last = np.sum(seen[-1] != seen[1], axis=(1, 2, 3))
    assert np.all(last <= 1)


@pytest.mark.parametrize("loss", ["cross_entropy", losses.Margin()])
def test_it_increases_the_loss_it_is_given(loss):
    model, _ = linear((6, 6, 1), classes=3, bias=10.0)
    x, y = images((6, 6, 1)), np.zeros(6, int)
    found = Square(Linf(0.05), queries=50, loss=loss).perturb(model, x, y)
    value = losses.get(loss)
    before = losses.per_example(value, y, model(x))
    after = losses.per_example(value, y, model(found))
    assert np.all(after > before)


@every_norm
def test_zero_epsilon_returns_the_inputs(norm):
    x, y = images((6, 6, 1)), np.zeros(6, int)
    found = Square(norm(0.0), queries=5).perturb(constant, x, y)
    np.testing.assert_array_equal(found, x)


def test_points_follow_seed_and_step():
    model, _ = linear((6, 6, 1), bias=50.0)
    x, y = images((6, 6, 1)), np.zeros(6, int)
    attack = Square(Linf(0.1), queries=5)
    points = attack.perturb(model, x, y).numpy()
    np.testing.assert_array_equal(points, attack.perturb(model, x, y))
    for other in (attack.at(1), attack.replace(seed=1)):
        assert np.any(points != other.perturb(model, x, y))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"queries": 0},
            "`queries` must be at least 1 and whole. Received: queries=0",
        ),
        ({"overdraw": 0.5}, "`overdraw` must be at least 1"),
        ({"restarts": 0}, "`restarts` must be at least 1"),
        ({"initial_fraction": 0.0}, r"`initial_fraction` must lie in \(0, 1\]"),
        ({"initial_fraction": 1.5}, "Received: initial_fraction=1.5"),
        ({"loss": "binary_crossentropy"}, "`loss` must read logits"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Square(Linf(0.1), **options)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (2 + images((6, 6, 1)), np.zeros(6, int), r"valid range \[0.0, 1.0\]"),
        (images((6, 6, 1)), np.eye(6), "integer class labels.*argmax"),
        (images((6, 6, 1)), np.zeros(5, int), "same length"),
        (images((6, 6, 1)), np.full(6, 2), "labels from 0 to 1"),
    ],
    ids=["range", "one-hot", "lengths", "label"],
)
def test_bad_data_is_refused_with_a_sentence(x, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        Square(Linf(0.1), queries=1).perturb(constant, x, y)
