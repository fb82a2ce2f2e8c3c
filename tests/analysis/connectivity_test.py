"""Curves whose ends are what was given, and how far directions scatter."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.analysis.chain import Chain, bezier, polygon, straight
from tfrobust.backend import keras

RNG = np.random.default_rng(0)
X = RNG.random((12, 4), np.float32)
Y = np.arange(12) % 3
FGSM = tfr.attacks.FGSM(tfr.threats.Linf(0.1))
GRID = [0.0, 0.25, 0.5, 1.0]


def network(seed=0, *layers):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            *layers,
            keras.layers.Dense(3),
        ]
    )


def trainable(model):
    return [np.array(w) for w in model.trainable_variables]


def test_shares_of_a_curve_sum_to_one_and_are_those_of_the_ends():
    for curve in (bezier, polygon):
        for t in (0.0, 0.3, 0.75, 1.0):
            assert curve(t, 5).sum() == pytest.approx(1)
        assert curve(0.0, 5).tolist() == [1, 0, 0, 0, 0]
        assert curve(1.0, 5).tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(bezier(0.5, 3), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(bezier(0.2, 2), [0.8, 0.2])
    np.testing.assert_allclose(polygon(0.6, 3), [0, 0.8, 0.2], atol=1e-15)


@pytest.mark.parametrize("curve", ["bezier", "polygon"])
def test_points_on_a_line_give_the_line(curve):
    ends = [[np.float32([0.1, 2.0])], [np.float32([1.7, -1.0])]]
    chain = Chain(straight(ends, 5), curve)
    for t in (0.0, 0.2, 0.5, 0.9, 1.0):
        expected = (1 - t) * ends[0][0] + t * ends[1][0]
        np.testing.assert_allclose(chain.at(t)[0], expected, atol=1e-6)


@pytest.mark.parametrize("curve, attack", [("bezier", FGSM), ("polygon", None)])
def test_ends_are_exactly_those_given_after_training(curve, attack):
    one, other = network(0), network(1)
    ends = one.get_weights(), other.get_weights()
    model = tfr.RobustModel(network(2))
    before = model.get_weights()
    found = tfr.analysis.mode_connectivity(
        model,
        ends,
        (X, Y),
        attack,
        curve=curve,
        epochs=2,
        batch_size=5,
        grid=[0, 0.5, 1],
    )
    for t, end in ((0, one), (1, other)):
        for value, expected in zip(found.at(t), trainable(end), strict=True):
            assert np.array_equal(value, expected)
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)
    line = straight([trainable(one), trainable(other)], 5)
    for k, (point, begin) in enumerate(
        zip(found.chain.points, line, strict=True)
    ):
        moved = any(np.any(a != b) for a, b in zip(point, begin, strict=True))
        assert moved == (0 < k < 4)
    assert found.history.shape == (2,)
    assert found.t.shape == found.loss.shape == (3,)
    if attack:
        assert np.all(found.attacked_loss > found.clean_loss)
        assert np.all(found.attacked_accuracy <= found.clean_accuracy)
    told = found.to_dict()
    assert json.loads(json.dumps(told)) == told


def test_the_barrier_is_what_the_loss_rises_above_the_ends():
    def connection(*losses):
        loss = np.array(losses)
        none = np.zeros(len(loss))
        return tfr.analysis.Connection(none, none, none, loss, none, none, None)

    assert connection(1.0, 5.0, 2.0).barrier == pytest.approx(3)
    assert connection(1.0, 0.5, 2.0).barrier == 0


def test_the_scan_measures_the_weights_with_statistics_of_their_own():
    one, other = network(0), network(1)
    ends = one.get_weights(), other.get_weights()
    model = network(2)
    found = tfr.analysis.mode_connectivity(
        model, ends, (X, Y), epochs=0, points=3, grid=GRID
    )
    assert found.attacked_loss is None and found.attacked_accuracy is None
    for t, loss, accuracy in zip(
        GRID, found.clean_loss, found.clean_accuracy, strict=True
    ):
        for w, value in zip(
            model.trainable_variables, found.at(t), strict=True
        ):
            w.assign(value)
        tfr.callbacks.ReestimateBatchNorm((X, Y)).reestimate(model)
        logits = model(X, training=False)
        expected = tf.reduce_mean(tfr.losses.cross_entropy(Y, logits))
        assert loss == pytest.approx(float(expected), rel=1e-4)
        right = np.mean(np.argmax(logits, axis=1) == Y)
        assert accuracy == pytest.approx(right)


def valley(y, outputs):
    """The outputs are the weights (a, b): zero on the unit circle."""
    return (tf.reduce_sum(outputs**2, axis=1) - 1) ** 2


@pytest.mark.parametrize("curve, count", [("bezier", 3), ("polygon", 3)])
def test_training_goes_around_a_barrier(curve, count):
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(2, use_bias=False)]
    )
    ends = [[np.float32([[1.0, 0.2]])], [np.float32([[-1.0, 0.2]])]]
    data = np.ones((4, 1), np.float32), np.zeros(4)

    def found(epochs):
        return tfr.analysis.mode_connectivity(
            model,
            ends,
            data,
            loss=valley,
            curve=curve,
            points=count,
            epochs=epochs,
            optimizer=keras.optimizers.SGD(0.05),
            grid=np.linspace(0, 1, 11),
            batch_size=1,
        )

    straight, trained = found(0), found(40)
    assert straight.barrier > 0.8
    assert trained.barrier < 0.3
    assert trained.clean_accuracy is None
    # Both are the same to the last bit if they are run again.
    assert np.array_equal(found(3).history, found(3).history)


def test_the_gradient_of_a_point_is_its_share_of_that_of_the_curve():
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
    )
    ends = [[np.float32([[0.0]])], [np.float32([[0.0]])]]
    data = np.ones((1, 1), np.float32), np.zeros(1)
    found = tfr.analysis.mode_connectivity(
        model,
        ends,
        data,
        loss=lambda y, outputs: outputs[:, 0],
        epochs=1,
        optimizer=keras.optimizers.SGD(1.0),
        grid=[0, 1],
        seed=3,
    )
    # Epochs of arrays draw an order, then a place for each batch.
    random = np.random.default_rng(3)
    random.permutation(1)
    expected = bezier(random.random(), 5)[1:-1]
    points = [float(point[0][0, 0]) for point in found.chain.points]
    np.testing.assert_allclose(points, [0, *-expected, 0], rtol=1e-6)


def test_training_is_in_training_mode():
    model = network()
    found = tfr.analysis.mode_connectivity(
        model,
        [model.get_weights()] * 2,
        (X, Y),
        points=2,
        epochs=1,
        grid=[0, 1],
    )
    # The statistics are those of the one batch.
    logits = model(X, training=True)
    loss = tf.reduce_mean(tfr.losses.cross_entropy(Y, logits))
    assert found.history[0] == pytest.approx(float(loss), rel=1e-5)


def test_an_optimizer_is_copied_and_may_be_named():
    model, one = linear(1.0, 2.0, -1.0, 0.0)
    _, other = linear(1.0, -2.0, -3.0, 0.0)
    adam = keras.optimizers.Adam(0.01)
    found = [
        tfr.analysis.mode_connectivity(
            model,
            [one, other],
            (X, Y % 2),
            epochs=1,
            optimizer=which,
            grid=[0, 1],
        ).at(0.5)
        for which in (adam, adam, "adam", None)
    ]
    assert int(adam.iterations) == 0
    same = [np.array_equal(found[0][0], other[0]) for other in found[1:]]
    assert same == [True, False, False]


def test_random_layers_in_front_and_datasets_are_taken():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.RandomFlip("horizontal", seed=1),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5, seed=2),
            keras.layers.Dense(3),
        ]
    )
    x = RNG.random((6, 6, 6, 1), np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, Y[:6])).batch(4)
    ends = model.get_weights(), [2 * w for w in model.get_weights()]
    found = tfr.analysis.mode_connectivity(
        model, ends, data, FGSM, epochs=1, points=3, grid=[0, 1]
    )
    assert np.all(np.isfinite(found.loss))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"curve": "arc"}, "`curve` must be one of 'bezier', 'polygon'"),
        ({"points": 1}, "`points` must be at least 2"),
        ({"epochs": -1}, "`epochs` must be at least 0"),
        ({"grid": [0.0, 0.5]}, "`grid` must ascend from 0 to 1"),
        ({"grid": [0.0, 0.5, 0.5, 1.0]}, "`grid` must ascend"),
        ({"ends": [[]]}, "`ends` must be two lists of weights"),
        ({"ends": [[], []]}, "`ends` must be of the shapes that model.get"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    model = network()
    options = {"ends": [model.get_weights()] * 2, **options}
    with pytest.raises(ValueError, match=message):
        tfr.analysis.mode_connectivity(model, data=(X, Y), **options)


def test_ends_with_different_masks_are_refused():
    fixed = keras.layers.Dense(5, trainable=False, name="fixed")
    model = network(0, fixed)
    one = model.get_weights()
    other = [w + 1 for w in one]
    with pytest.raises(ValueError, match="must agree in weights that aren't"):
        tfr.analysis.mode_connectivity(model, [one, other], (X, Y))


def test_a_picture_of_a_connection_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    t, chain = np.array([0.0, 1.0]), Chain([], "bezier")
    for attacked in (None, t):
        found = tfr.analysis.Connection(
            t, t, attacked, attacked, attacked, t, chain
        )
        found.plot(tmp_path / "found.svg")
        assert (tmp_path / "found.svg").stat().st_size


def linear(*rows):
    """A linear model of four inputs and two classes, and its weights."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, use_bias=False)]
    )
    weights = [np.stack([np.zeros(4), rows], axis=1).astype(np.float32)]
    return model, weights


def test_cosines_of_linear_models_are_those_done_by_hand():
    model, one = linear(1.0, 2.0, -1.0, 0.0)
    _, other = linear(1.0, -2.0, -3.0, 0.0)
    x, y = np.full((5, 4), 0.5, np.float32), np.array([0, 1, 0, 1, 1])
    before = model.get_weights()
    l2 = tfr.attacks.FGSM(tfr.threats.L2(0.1))
    found = tfr.analysis.scattering(model, one, other, x, y, l2, batch_size=2)
    # Euclidean steps follow the rows of the weights, whatever the label.
    raw = (1 - 4 + 3) / math.sqrt(6 * 14)
    np.testing.assert_allclose(found.cosines, raw, atol=1e-4)
    np.testing.assert_allclose(found.sign_cosines, 1 / 3, atol=1e-4)
    assert found.mean_sign_cosine == pytest.approx(1 / 3, abs=1e-4)
    assert found.mean_cosine == pytest.approx(raw, abs=1e-4)
    assert found.kept.all() and len(found.kept) == 5
    assert found.distance == pytest.approx(math.sqrt(16 + 4))
    assert np.array_equal(model.get_weights()[0], before[0])
    same = tfr.analysis.scattering(model, one, one, x, y, l2)
    np.testing.assert_allclose(same.cosines, 1, atol=1e-6)
    assert same.distance == 0 and same.gradient_cosines.shape == (2, 0)
    told = found.to_dict()
    assert json.loads(json.dumps(told)) == told


def test_gradients_of_batches_are_compared_at_both_weights():
    model, one = linear(1.0, 2.0, -1.0, 0.0)
    _, other = linear(1.0, -2.0, -3.0, 0.0)
    y = np.arange(6) % 2
    found = tfr.analysis.scattering(
        model, one, other, X[:6], y, FGSM, batch_size=2
    )
    for which, weights in enumerate((one, other)):
        model.set_weights(weights)
        rows = []
        for i in (0, 2, 4):
            labels = y[i : i + 2]
            x = FGSM.perturb(model, X[i : i + 2], labels)
            with tf.GradientTape() as tape:
                values = tfr.losses.cross_entropy(labels, model(x))
                loss = tf.reduce_mean(values)
            slope = tape.gradient(loss, model.trainable_variables)[0]
            rows.append(np.ravel(slope))
        norms = np.linalg.norm(rows, axis=1)
        np.testing.assert_allclose(
            found.gradient_norms[which], norms, rtol=1e-3
        )
        for k in (0, 1):
            cosine = rows[k] @ rows[k + 1] / (norms[k] * norms[k + 1])
            assert found.gradient_cosines[which, k] == pytest.approx(
                cosine, abs=1e-3
            )


def test_examples_that_did_not_move_are_dropped():
    model, one = linear(1.0, 2.0, -1.0, 0.0)
    x = np.full((3, 4), 0.5, np.float32)
    mask = np.array([[1.0], [0.0], [1.0]], np.float32) * np.ones((3, 4))
    moved = tfr.attacks.FGSM(tfr.threats.L2(0.1, mask=mask.astype("float32")))
    found = tfr.analysis.scattering(model, one, one, x, [0, 1, 0], moved)
    assert found.kept.tolist() == [True, False, True]
    assert found.cosines.shape == (2,)
    still = tfr.attacks.FGSM(tfr.threats.Linf(0.0))
    found = tfr.analysis.scattering(model, one, one, x, [0, 1, 0], still)
    assert not found.kept.any() and math.isnan(found.mean_cosine)


def test_rounding_is_no_move():
    class Nudge(tfr.Attack):
        def __init__(self):
            self.threat = FGSM.threat

        def _perturb(self, model, x, y, start, step):
            return tf.concat([x[:1] * (1 + 2**-23), x[1:] + 1e-3], axis=0)

    model, one = linear(1.0, 2.0, -1.0, 0.0)
    x = np.full((2, 4), 0.5, np.float32)
    found = tfr.analysis.scattering(model, one, one, x, [0, 1], Nudge())
    assert found.kept.tolist() == [False, True]


def test_wrong_arguments_of_scattering_are_refused():
    model, one = linear(1.0, 2.0, -1.0, 0.0)
    x, y = X[:2], Y[:2] % 2
    with pytest.raises(ValueError, match="`weights_b` must be of the shapes"):
        tfr.analysis.scattering(model, one, [one[0].T], x, y, FGSM)
    with pytest.raises(TypeError, match="`attack` must be an Attack"):
        tfr.analysis.scattering(model, one, one, x, y, None)
