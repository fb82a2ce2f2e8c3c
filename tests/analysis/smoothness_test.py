"""Gradients that are continuous and such that jump; smoothness of inputs."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.analysis.input_curvature import top_eigenvalues
from tfrobust.backend import keras

RNG = np.random.default_rng(0)
DIAGONAL = np.array([3.0, 1.0, 0.5, 0.0], np.float32)


def line(weight):
    """A model of one weight: the output is `weight * x`."""
    layer = keras.layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), layer])
    layer.set_weights([np.array([[weight]], np.float32)])
    return model


def logistic(y, outputs):
    """Of labels -1 and 1."""
    return tf.reduce_sum(tf.math.softplus(-tf.cast(y, "float32") * outputs), 1)


X, Y = np.array([[0.5], [0.7]], np.float32), np.array([-1.0, 1.0], np.float32)
LENGTHS = (0.1, 0.01, 0.001)


def test_the_quotients_of_a_smooth_loss_converge_to_the_curvature():
    model = line(0.3)
    found = tfr.analysis.gradient_continuity(
        model, (X, Y), logistic, directions=[[2.0]], lengths=LENGTHS
    )
    z = 1 / (1 + np.exp(-0.3 * X[:, 0]))
    curvature = np.mean(X[:, 0] ** 2 * z * (1 - z))
    np.testing.assert_allclose(found.quotients[1:, 0], curvature, rtol=2e-3)
    np.testing.assert_allclose(found.lengths[:, 0], LENGTHS, rtol=1e-4)
    assert np.all(found.rounding[:, 0] < 0.01 * found.quotients[:, 0])
    np.testing.assert_array_equal(found.mean, found.quotients[:, 0])


def test_the_quotients_diverge_where_the_worst_points_jump():
    # The worst point is at the other end once the weight changes its sign.
    model = line(-1e-4)
    epsilon = 0.1
    attack = tfr.attacks.FGSM(tfr.threats.Linf(epsilon), loss=logistic)
    found = tfr.analysis.gradient_continuity(
        model, (X, Y), logistic, attack, directions=[[1.0]], lengths=LENGTHS
    )
    # Each gradient is `-y x' / 2` near 0, and `y x'` jumps by -2 epsilon.
    expected = epsilon / found.lengths[:, 0]
    np.testing.assert_allclose(found.quotients[:, 0], expected, rtol=0.2)
    assert np.array(model.get_weights()[0]) == np.float32(-1e-4)


def test_directions_are_drawn_by_seed_or_given():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh")])
    data = RNG.random((6, 4), np.float32), np.arange(6) % 3

    def found(directions, **options):
        return tfr.analysis.gradient_continuity(
            model, data, directions=directions, lengths=[0.1, 0.2], **options
        ).to_dict()

    assert found(3) == found(3) != found(3, seed=1)
    spectrum = tfr.analysis.hessian(model, data).eigenvalues(2)
    given = found(spectrum.vectors)
    np.testing.assert_allclose(given["quotients"][0], spectrum.values, rtol=0.2)
    assert json.loads(json.dumps(given)) == given


def test_the_largest_of_the_directions_and_their_mean():
    found = tfr.analysis.GradientContinuity(
        np.ones((1, 2)), np.array([[1.0, 3.0]]), np.ones((1, 2))
    )
    assert found.max == [3.0] and found.mean == [2.0]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lengths": [0.1, 0.0]}, "`lengths` must be positive"),
        ({"directions": 0}, "`directions` must be at least 1"),
        ({"directions": [[0.0]]}, "`directions` must be a number, or vectors"),
        ({"directions": [1.0]}, r"of shape \[directions, 1\]"),
    ],
)
def test_wrong_lines_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tfr.analysis.gradient_continuity(line(1), (X, Y), logistic, **options)


def test_a_picture_of_the_quotients_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    found = tfr.analysis.gradient_continuity(
        line(1), (X, Y), logistic, lengths=LENGTHS
    )
    found.plot(tmp_path / "continuity.svg")
    assert (tmp_path / "continuity.svg").stat().st_size


def itself(x, training=False):
    return tf.convert_to_tensor(x)


def bowl(y, outputs):
    """`sum(a z ** 2) / 2 + y sum(z)` at z, the distance to the middle."""
    z = outputs - 0.5
    y = tf.reshape(tf.cast(y, tf.float32), [-1])
    return tf.reduce_sum(DIAGONAL * z**2, 1) / 2 + y * tf.reduce_sum(z, 1)


def middle(*slopes, **options):
    """The smoothness of the bowl in its middle, where its slope is y."""
    x = np.full((len(slopes), 4), 0.5, np.float32)
    attack = tfr.attacks.FGSM(tfr.threats.Linf(0.1), loss=bowl)
    return tfr.analysis.input_smoothness(
        itself, x, np.array(slopes), attack, bowl, **options
    )


def test_numbers_of_a_bowl_are_those_done_by_hand():
    found = middle(1.0, 2.0)
    np.testing.assert_allclose(found.eigenvalue, 3, rtol=1e-5)
    assert np.all(found.residual < 1e-4)
    # At a corner, where all features have moved by 0.1.
    error = 0.1**2 * DIAGONAL.sum() / 2
    np.testing.assert_allclose(found.linearity_error, error, rtol=1e-4)
    curvature = np.linalg.norm(DIAGONAL) / 2
    np.testing.assert_allclose(found.curvature, curvature, rtol=1e-4)
    for slope, cosine in zip((1, 2), found.pert_align, strict=True):
        worst = slope + 0.1 * DIAGONAL
        expected = worst.sum() / (2 * np.linalg.norm(worst))
        assert cosine == pytest.approx(expected, abs=1e-5)
    assert np.all((0.9 < found.grad_align) & (found.grad_align < 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_linearity_error_is_searched_away_from_the_slope(sign):
    matrix = tf.constant([[1.0, -1.0], [-1.0, 1.0]])

    def trough(y, outputs):
        z = outputs - 0.5
        curved = tf.reduce_sum(z * (z @ matrix), axis=1) / 2
        return sign * curved + 3 * tf.reduce_sum(z, axis=1)

    x, attack = np.full((4, 2), 0.5, np.float32), tfr.attacks.FGSM
    found = tfr.analysis.input_smoothness(
        itself,
        x,
        np.zeros(4),
        attack(tfr.threats.Linf(0.1), loss=trough),
        trough,
    )
    # The slope leads along the trough, where there is none.
    np.testing.assert_allclose(found.linearity_error, 0.02, rtol=1e-4)
    top = 2 if sign > 0 else 0
    np.testing.assert_allclose(found.eigenvalue, top, atol=1e-5)


def test_a_linear_loss_is_perfectly_smooth():
    def linear(y, outputs):
        return outputs[:, 0]

    x = RNG.random((5, 3), np.float32)
    linf = tfr.threats.Linf(0.1)
    with pytest.raises(ValueError, match="at least one example"):
        tfr.analysis.input_smoothness(itself, x[:0], [], linf, linear)
    attack = tfr.attacks.PGD(linf, loss=linear, steps=2)
    found = tfr.analysis.input_smoothness(
        itself, x, np.zeros(5), attack, linear
    )
    assert not np.any(found.eigenvalue) and not np.any(found.curvature)
    np.testing.assert_allclose(found.linearity_error, 0, atol=1e-6)
    np.testing.assert_allclose(found.grad_align, 1, atol=1e-6)


def test_what_does_not_move_has_no_curvature():
    x = np.full((2, 4), 0.5, np.float32)
    still = tfr.attacks.FGSM(tfr.threats.Linf(0.0), loss=bowl)
    found = tfr.analysis.input_smoothness(itself, x, np.ones(2), still, bowl)
    assert not np.any(found.curvature) and not np.any(found.linearity_error)
    np.testing.assert_allclose(found.pert_align, 1, atol=1e-6)


def test_the_batch_and_its_order_decide_nothing():
    network = keras.Sequential(
        [
            keras.Input((3, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    x, y = RNG.random((7, 3, 2), np.float32), np.arange(7) % 3
    attack = tfr.attacks.FGSM(tfr.threats.Linf(0.2))
    alone, batched = (
        tfr.analysis.input_smoothness(network, *data, attack, batch_size=size)
        for data, size in (((x, y), 7), ((x[::-1], y[::-1]), 3))
    )
    for name, values in vars(alone).items():
        other = getattr(batched, name)[::-1]
        np.testing.assert_allclose(values, other, atol=2e-4, err_msg=name)
    model = tfr.RobustModel(network)
    wrapped = tfr.analysis.input_smoothness(model, x, y, attack)
    np.testing.assert_allclose(wrapped.eigenvalue, alone.eigenvalue, atol=1e-4)
    # The exact ones, of the whole matrices.
    for i, value in enumerate(alone.eigenvalue[:2]):
        matrix = input_hessian(network, x[i : i + 1], y[i : i + 1])
        assert value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], abs=1e-3)


def input_hessian(network, x, y):
    with tf.GradientTape() as outer:
        point = tf.constant(x)
        outer.watch(point)
        with tf.GradientTape() as inner:
            inner.watch(point)
            loss = tfr.losses.cross_entropy(y, network(point))
        slope = inner.gradient(loss, point)
    return outer.jacobian(slope, point).numpy().reshape(6, 6)


def test_summaries_are_of_all_examples():
    smoothness = middle(1.0, 2.0, 5.0)
    found, each = smoothness.summary(), smoothness.pert_align
    assert set(found["pert_align"]) == {"mean", "median", "min", "max"}
    assert found["pert_align"]["median"] == pytest.approx(each[1])
    assert found["pert_align"]["min"] == pytest.approx(each[0])
    assert found["pert_align"]["max"] == pytest.approx(each[2])
    assert found["pert_align"]["mean"] == pytest.approx(each.mean())
    assert len(smoothness.to_dict()["curvature"]) == 3


def test_top_eigenvalues_are_exact_of_any_symmetric_matrices():
    matrices = RNG.normal(size=(6, 5, 5))
    matrices += np.swapaxes(matrices, 1, 2)
    matrices[1] = 0.0
    matrices[2] = -np.eye(5)
    matrices[3] = -np.outer(*RNG.normal(size=(1, 5)).repeat(2, axis=0))
    matrices[4] = np.diag([-3.0, -3, -2, -2, -1])
    values, residuals = top_eigenvalues(
        lambda rows: np.einsum("nij,nj->ni", matrices, rows),
        RNG.normal(size=(6, 5)),
        steps=9,
    )
    expected = np.linalg.eigvalsh(matrices)[:, -1]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    np.testing.assert_allclose(residuals, 0, atol=1e-5)


def test_wrong_arguments_of_input_smoothness_are_refused():
    for name in ("steps", "products", "batch_size"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1"):
            middle(1.0, **{name: 0})
    x = np.full((1, 4), 255.0, np.float32)
    linf = tfr.threats.Linf(0.1)
    with pytest.raises(ValueError, match="must lie in the threat's valid"):
        tfr.analysis.input_smoothness(itself, x, [0], linf)
    with pytest.raises(TypeError, match="`attack` must be an Attack"):
        tfr.analysis.input_smoothness(itself, x, [0], 0.1)


def test_other_precision_of_inputs_is_refused():
    half = keras.layers.Dense(3, dtype="mixed_bfloat16", name="half")
    model = keras.Sequential([keras.Input((4,)), half])
    x, linf = np.zeros((1, 4), np.float32), tfr.threats.Linf(0.1)
    with pytest.raises(ValueError, match="'half' in bfloat16"):
        tfr.analysis.input_smoothness(model, x, [0], linf)
