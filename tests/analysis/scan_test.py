"""Landscapes: the loss itself in the middle, and weights that come back."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.analysis.directions import direction
from tfrobust.analysis.risk import Risk
from tfrobust.backend import keras

RNG = np.random.default_rng(0)
X = RNG.random((9, 4), np.float32)
Y = np.arange(9) % 3
FGSM = tfr.attacks.FGSM(tfr.threats.Linf(0.2))


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )


def measured(model, x):
    logits = model(x, training=False)
    loss = tf.reduce_mean(tfr.losses.cross_entropy(Y, logits))
    return float(loss), np.mean(np.argmax(logits, axis=1) == Y)


@pytest.mark.parametrize("attack", [None, FGSM])
def test_the_middle_is_the_loss_itself_and_weights_come_back(attack):
    model = network()
    before = model.get_weights()
    x = X if attack is None else attack.perturb(model, X, Y)
    loss, accuracy = measured(model, x)
    found = tfr.analysis.scan(
        model, (X, Y), grid=[-1, 0, 1], attack=attack, batch_size=4
    )
    assert found.loss.shape == (3,)
    assert found.loss[1] == pytest.approx(loss, rel=1e-6)
    assert found.accuracy[1] == pytest.approx(accuracy)
    assert len({*found.loss}) == 3
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)


@pytest.mark.parametrize("attack", [None, FGSM])
def test_every_place_is_the_loss_of_its_weights_attacked_there(attack):
    model = network()
    size = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    lines = RNG.normal(size=(2, size)).astype(np.float32)
    axes = [-1.0, 0.5], [0.0, 0.3, 2.0]
    found = tfr.analysis.scan(
        model, (X, Y), directions=lines, grid=axes, attack=attack
    )
    assert found.loss.shape == found.accuracy.shape == (2, 3)
    start = [np.array(w) for w in model.trainable_variables]
    for i, a in enumerate(axes[0]):
        for j, b in enumerate(axes[1]):
            move, begin = a * lines[0] + b * lines[1], 0
            for w, old in zip(model.trainable_variables, start, strict=True):
                part = move[begin : begin + old.size]
                w.assign(old + part.reshape(old.shape))
                begin += old.size
            x = X if attack is None else attack.perturb(model, X, Y)
            loss, accuracy = measured(model, x)
            assert found.loss[i, j] == pytest.approx(loss, rel=1e-3)
            assert found.accuracy[i, j] == pytest.approx(accuracy)


@pytest.mark.parametrize("attack", [None, FGSM])
def test_statistics_may_be_those_of_each_place(attack):
    model = network()
    before = model.get_weights()
    line = np.ones(Risk(model, (X, Y)).size)
    kept, alone, own = (
        tfr.analysis.scan(
            model,
            (X, Y),
            directions=line,
            grid=grid,
            attack=attack,
            reestimate=anew,
        ).loss[-1]
        for grid, anew in (([0.5], 0), ([0.5], 1), ([-2.0, 0.5], 1))
    )
    assert own == pytest.approx(alone, rel=1e-6)
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)
    for w in model.trainable_variables:
        w.assign_add(np.full(w.shape, 0.5, np.float32))
    for search in (None, attack):
        tfr.callbacks.ReestimateBatchNorm((X, Y), search).reestimate(model)
    x = X if attack is None else attack.perturb(model, X, Y)
    assert own == pytest.approx(measured(model, x)[0], rel=1e-3)
    assert abs(own - kept) > 1e-2


def counted(model, every, grid):
    """How often the attack ran in a scan, and its losses."""
    calls = []

    class Counted(tfr.Attack):
        def __init__(self):
            self.threat = FGSM.threat

        def _perturb(self, model, x, y, start, step):
            def count(value):
                calls.append(len(calls))
                return value

            x = tf.ensure_shape(tf.numpy_function(count, [x], x.dtype), x.shape)
            return FGSM.perturb(model, x, y)

    found = tfr.analysis.scan(
        model,
        (X, Y),
        directions=["random"] * len(grid),
        grid=grid if len(grid) > 1 else grid[0],
        attack=Counted(),
        every=every,
    )
    return len(calls), found.loss


def test_the_attack_runs_at_every_kth_place():
    model, grid = network(), [[0.0, 3.0, 6.0, 9.0]]
    always, exact = counted(model, 1, grid)
    seldom, kept = counted(model, 2, grid)
    assert (always, seldom) == (4, 2)
    np.testing.assert_allclose(kept[[0, 2]], exact[[0, 2]], rtol=1e-6)
    assert np.all(kept[[1, 3]] != exact[[1, 3]])


def test_a_plane_is_scanned_to_and_fro():
    grid = [0.0, 1.0], [0.0, 1.0, 2.0]
    _, exact = counted(network(), 1, grid)
    _, kept = counted(network(), 3, grid)
    # The second line begins at its far end.
    same = np.isclose(kept, exact, rtol=1e-6)
    assert same[0, 0] and same[1, 2] and not same[1, 0]


def test_weights_come_back_also_on_an_error():
    model = network()
    before = model.get_weights()

    class Failing(tfr.Attack):
        calls = 0

        def __init__(self):
            self.threat = FGSM.threat

        def _perturb(self, model, x, y, start, step):
            def fail(value):
                Failing.calls += 1
                if Failing.calls > 1:
                    raise RuntimeError("no more")
                return value

            return tf.ensure_shape(
                tf.numpy_function(fail, [x], x.dtype), x.shape
            )

    with pytest.raises(tf.errors.UnknownError, match="no more"):
        tfr.analysis.scan(model, (X, Y), attack=Failing())
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)


def test_an_eigenvector_shows_its_curvature():
    model = network()
    spectrum = tfr.analysis.hessian(model, (X, Y)).eigenvalues(1)
    h = 0.05
    low, middle, high = tfr.analysis.scan(
        model, (X, Y), directions=spectrum.vectors[0], grid=[-h, 0, h]
    ).loss
    curvature = (low - 2 * middle + high) / h**2
    assert curvature == pytest.approx(spectrum.values[0], rel=0.05)


def drawn(kind, *layers):
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers])
    risk = Risk(model, (np.zeros((1, 6, 6, 2)), np.zeros(1)))
    found = direction(kind, risk, np.random.default_rng(0))
    return found, [*zip(risk.split(found), risk.variables, strict=True)]


def norms(array, *axes):
    return np.sqrt(np.sum(np.square(np.array(array)), axis=axes))


def test_filters_have_the_norms_of_their_weights_and_the_rest_is_zero():
    layers = keras.layers
    _, parts = drawn(
        "filter",
        layers.Conv2D(3, 3),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(2, depth_multiplier=2),
        layers.Conv2DTranspose(4, 2),
        layers.Flatten(),
        layers.Dense(3),
    )
    axes = [(0, 1, 2), None, None, None, (0, 1), None, (0, 1, 3), None]
    for (part, weight), over in zip(parts, [*axes, (0,), None], strict=True):
        if over is None:
            assert not np.any(part)
            continue
        expected = norms(weight, *over)
        np.testing.assert_allclose(norms(part, *over), expected, rtol=1e-4)
        assert expected.size > 1 and len({*expected.ravel()}) > 1


def test_random_directions_are_unit_vectors_keyed_by_seed():
    vector, _ = drawn("random", keras.layers.Flatten(), keras.layers.Dense(3))
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert np.all(vector != 0)
    one, again, other = (
        tfr.analysis.scan(network(), (X, Y), grid=[0.5], seed=seed).loss
        for seed in (0, 0, 1)
    )
    assert one == again != other


def test_filters_need_weights_of_units():
    scale = keras.layers.BatchNormalization()
    head = keras.layers.GlobalAveragePooling2D()
    with pytest.raises(ValueError, match='can\'t be "filter" of a model'):
        drawn("filter", scale, head)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"every": 0}, "`every` must be at least 1"),
        ({"directions": "top"}, "`directions` must be 'random' or 'filter'"),
        ({"directions": np.ones(3)}, "be flat vectors of 60 numbers"),
        ({"directions": ["random"] * 3}, "`directions` must be one or a pair"),
        ({"grid": [[0.0], [1.0]]}, "`grid` must be finite numbers, or such"),
        ({"grid": [np.inf]}, "`grid` must be finite"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    model = network()
    size = Risk(model, (X, Y)).size
    message = message.replace("60", str(size))
    with pytest.raises(ValueError, match=message):
        tfr.analysis.scan(model, (X, Y), **options)


def test_a_loss_of_no_classes_has_no_accuracy():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    mean = keras.losses.MeanSquaredError()
    found = tfr.analysis.scan(model, (X, Y), mean, grid=[0.0])
    assert found.accuracy is None and found.to_dict()["accuracy"] is None
    expected = np.mean((np.array(model(X))[:, 0] - Y) ** 2)
    assert found.loss[0] == pytest.approx(expected, rel=1e-5)


def test_pictures_of_lines_and_planes_are_written(tmp_path):
    pytest.importorskip("matplotlib")
    model = network()
    line = tfr.analysis.scan(model, (X, Y), grid=[-1, 0, 1])
    plane = tfr.analysis.scan(
        model, (X, Y), directions=("filter", "random"), grid=[-1, 0, 1]
    )
    assert plane.loss.shape == (3, 3)
    for found in (line, plane):
        found.plot(tmp_path / "found.svg")
        assert (tmp_path / "found.svg").stat().st_size
        assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
