import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses, schedules
from tfrobust.attacks.apgd import APGD
from tfrobust.evaluation.counter import Counter
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(3)
X = RNG.uniform(0.1, 0.9, (8, 4)).astype(np.float32)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 3
W2 = RNG.normal(size=(6, 5)).astype(np.float32)
NORMS = {Linf: 0.2, L2: 0.3, L1: 0.5}

every_norm = pytest.mark.parametrize("norm", list(NORMS))


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


def binary(x, training=False):
    return x @ np.stack([0 * W1[:, 0], W1[:, 0]], axis=1)


Y = np.argmax(curved(X), axis=1)


def perturb(model=curved, x=X, y=Y, threat=None, **options):
    return APGD(threat or Linf(0.05), **options).perturb(model, x, y)


def margins(points, model=curved, y=Y):
    return losses.margin(y, model(points)).numpy()


@every_norm
def test_points_depend_neither_on_the_batch_nor_on_who_fell(norm):
    attack = APGD(norm(NORMS[norm] / 5), steps=9, restarts=2)
    together = attack.perturb(curved, X, Y).numpy()
    fell = margins(together) > 0
    assert 0 < np.sum(fell) < 8
    backward = attack.perturb(curved, X[::-1], Y[::-1])
    np.testing.assert_allclose(backward[::-1], together, atol=1e-4)
    for i in (np.argmax(fell), np.argmin(fell)):
        alone = attack.perturb(curved, X[i : i + 1], Y[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-4)


@every_norm
def test_a_compiled_attack_is_traced_once_and_finds_the_same(norm):
    ramp = schedules.Ramp(0.0, NORMS[norm], end=10)
    attack, traces = APGD(norm(ramp), steps=5, targets=2), []

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 4]),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def compiled(x, y, step):
        traces.append(step)
        return attack.at(step).perturb(curved, x, y)

    for step in (0, 5, 10):
        found = compiled(X, Y, step)
        assert np.all(norm(NORMS[norm] * step / 10).contains(X, found))
    expected = attack.at(10).perturb(curved, X, Y)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert compiled(X[:0], Y[:0], 10).shape == (0, 4)
    assert len(traces) == 1


@every_norm
@pytest.mark.parametrize("early_stop", [True, False])
def test_epsilon_zero_gives_x_back(norm, early_stop):
    found = perturb(threat=norm(0.0), steps=3, early_stop=early_stop)
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize("norm", [L2, L1])
def test_larger_balls_on_the_way_end_in_the_threat(norm):
    threat, asked = norm(NORMS[norm]), []

    def spy(x, training=False):
        asked.append(threat.distance(X, x).numpy().max() / threat.epsilon)
        return curved(x)

    options = {"early_stop": False, "steps": 10}
    found = perturb(spy, threat=threat, multi_epsilon=True, **options)
    assert np.all(threat.contains(X, found))
    assert 2 < max(asked[:3]) <= 3.001
    assert 1 < max(asked[3:6]) <= 2.001
    assert max(asked[6:]) <= 1.001 and len(asked) == 11
    asked.clear()
    perturb(spy, threat=threat, **options)
    assert max(asked) <= 1.001


def test_what_errs_in_a_larger_ball_alone_is_not_finished():
    # A step to 0.8 errs, but the last ball ends at 0.7.
    def cliff(x, training=False):
        return tf.concat([0 * x, 10 * (x - 0.75)], axis=1)

    x, threat = np.array([[0.5]], np.float32), L1(0.2)
    found = perturb(cliff, x, [0], threat, steps=10, multi_epsilon=True)
    np.testing.assert_allclose(found, [[0.7]], atol=1e-6)


def test_an_example_stops_at_the_first_error():
    points = []

    def spy(x, training=False):
        points.append(x.numpy())
        return curved(x)

    wrong = (Y + 1) % 5
    np.testing.assert_array_equal(perturb(spy, y=wrong), X)
    assert len(points) == 1
    points.clear()
    found = perturb(spy, X[:1], Y[:1], Linf(0.3), steps=50).numpy()
    *before, last = points
    np.testing.assert_array_equal(found, last)
    assert margins(last, y=Y[:1]) > 0
    for point in before:
        assert margins(point, y=Y[:1]) <= 0


def test_a_tie_does_not_stop_the_search():
    def line(x, training=False):
        return tf.concat([0 * x, x - 0.5], axis=1)

    tied = np.array([[0.5]], np.float32)
    found = perturb(line, tied, [0], Linf(0.2), steps=10)
    assert margins(found, line, np.array([0])) > 0


def test_what_is_finished_costs_no_passes():
    counter = Counter(curved)
    fell = margins(perturb(counter, steps=40, targets=4)) > 0
    assert 0 < np.sum(fell) < 8
    forward, backward = counter.passes()
    # Each that is active is asked in every run, and others hardly.
    runs = 4 * np.sum(~fell)
    assert runs * 40 <= backward < (runs + 8) * 40
    assert forward - backward <= runs + 8 * 4


def test_without_early_stop_the_point_of_largest_loss_is_returned():
    threat = Linf(0.2)
    stopped = perturb(threat=threat, steps=20)
    searched = perturb(threat=threat, steps=20, early_stop=False)
    assert np.all(margins(stopped) > 0)
    gain = losses.cross_entropy(Y, curved(searched)).numpy()
    gain -= losses.cross_entropy(Y, curved(stopped))
    assert np.min(gain) > -1e-5 and np.max(gain) > 0.5


def test_more_restarts_are_never_weaker():
    options = {"threat": Linf(0.2), "steps": 2, "early_stop": False}
    single = losses.cross_entropy(Y, curved(perturb(**options)))
    several = losses.cross_entropy(Y, curved(perturb(restarts=5, **options)))
    assert np.all(several >= single - 1e-6)
    assert np.any(several > single + 1e-2)


def ridge(x, training=False):
    """Class 2 is likelier than class 3, but only class 3 can be reached."""
    a, b = x[:, 0], x[:, 1]
    return tf.stack([0 * a + 1, a, 0.1 * a + 0.9, 3 * b - 1, 0 * b - 1], axis=1)


@pytest.mark.parametrize(("targets", "reached"), [(1, 0), (2, 3), (9, 3)])
def test_targets_are_tried_from_the_likeliest_on(targets, reached):
    x = np.array([[0.5, 0.5]], np.float32)
    found = perturb(ridge, x, [0], Linf(0.2), steps=10, targets=targets)
    assert np.argmax(ridge(found)) == reached


def saturated(x, training=False):
    """So sure that the cross entropy has no gradient at all."""
    return 1e4 * curved(x)


def test_a_saturated_softmax_hides_nothing():
    # The mean of several passes is that of the cross entropy itself.
    threat = Linf(0.1)
    masked = perturb(saturated, threat=threat, steps=10, averages=2)
    assert np.mean(margins(masked)) < 0.4
    for options in (
        {"loss": "cross_entropy"},
        {"loss": "dlr"},
        {"targets": 4},
        {"loss": "margin"},
    ):
        found = perturb(
            saturated, threat=threat, steps=10, early_stop=False, **options
        )
        plain = perturb(
            curved, threat=threat, steps=10, early_stop=False, **options
        )
        assert np.all(margins(found) > margins(plain) - 0.05)


def test_averages_cancel_the_noise_of_a_random_model():
    sign = tf.Variable(1.0)

    def noisy(x, training=False):
        sign.assign(-sign)
        return curved(x) + sign * (20 + 9 * x[:, :1]) * np.eye(5)[0]

    def rise(y, z):
        return z[:, 0] - z[:, 1]

    options = {"loss": rise, "steps": 5, "early_stop": False}
    still = perturb(**options)
    averaged = perturb(noisy, averages=2, **options)
    np.testing.assert_allclose(averaged, still, atol=1e-5)
    assert np.any(np.abs(perturb(noisy, **options) - still) > 0.01)
    # Nor does one unlucky pass count as an error: on average, all are active.
    points = []

    def spy(x, training=False):
        points.append(x)
        return noisy(x)

    perturb(spy, averages=2, threat=Linf(1e-4), loss=rise, steps=1)
    assert [len(point) for point in points] == [8] * 6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"steps": 0},
            "`steps` must be at least 1 and whole. Received: steps=0",
        ),
        ({"restarts": 0}, "`restarts` must be at least 1"),
        ({"averages": 0}, "`averages` must be at least 1"),
        ({"targets": -1}, "`targets` must be at least 0"),
        ({"rho": 1.5}, r"`rho` must lie in \[0, 1\]"),
        ({"targets": 3, "loss": "dlr"}, "`loss` must keep its default"),
        ({"loss": "binary_crossentropy"}, "`loss` must read logits"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        APGD(Linf(0.1), **options)


def test_too_few_classes_are_refused():
    y = np.argmax(binary(X), axis=1)
    with pytest.raises(ValueError, match="DLR.*at least 3 classes.*`margin`"):
        perturb(binary, y=y, loss="dlr")
    with pytest.raises(ValueError, match="targeted DLR.*at least 4.*`margin`"):
        perturb(binary, y=y, targets=1)


def test_bad_data_is_refused():
    with pytest.raises(ValueError, match="incompatible"):
        perturb(y=Y[:5])
    with pytest.raises(ValueError, match="whole class labels from 0 to 4"):
        perturb(y=Y + 5)
    with pytest.raises(ValueError, match="is a schedule"):
        perturb(threat=L1(schedules.Ramp(0.0, 1.0, end=9)))
