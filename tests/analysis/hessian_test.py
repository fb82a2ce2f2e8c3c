"""Hessians whose spectra are known, and what each of three functions has."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.analysis.trace import student_quantile
from tfrobust.backend import keras

RNG = np.random.default_rng(0)
X = RNG.random((10, 4), np.float32)
Y = np.arange(10) % 3
LINF = tfr.threats.Linf(0.1)
PGD = tfr.attacks.PGD(LINF, steps=2)


def quadratic(eigenvalues, seed=0):
    """A model of no inputs to speak of, and a loss with this spectrum.

    Its outputs are its weights w, and the loss is `w . A w / 2`.
    """
    values = np.asarray(eigenvalues, np.float32)
    basis, _ = np.linalg.qr(
        np.random.default_rng(seed).normal(size=[len(values)] * 2)
    )
    matrix = ((basis * values) @ basis.T).astype(np.float32)
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(len(values), use_bias=False)]
    )

    def loss(y, outputs):
        return tf.reduce_sum(outputs * (outputs @ matrix), axis=1) / 2

    data = np.ones((3, 1), np.float32), np.zeros(3)
    return tfr.analysis.hessian(model, data, loss, batch_size=2), basis


def smooth_network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


SPECTRUM = [5.0, 5.0, 3.0, 1.0, 1.0, 0.5, 0.0, 0.0, -2.0, -7.0]


@pytest.mark.parametrize(
    "which, expected",
    [
        ("largest", [5, 5, 3, 1, 1]),
        ("smallest", [-7, -2, 0, 0, 0.5]),
        ("magnitude", [-7, 5, 5, 3, -2]),
    ],
)
def test_eigenvalues_come_in_order_as_often_as_they_occur(which, expected):
    curvature, _ = quadratic(SPECTRUM)
    found = curvature.eigenvalues(5, which)
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    assert np.all(found.residuals < 1e-4)
    gram = found.vectors @ found.vectors.T
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-4)


def test_all_eigenvalues_can_be_asked_for():
    curvature, _ = quadratic(SPECTRUM)
    found = curvature.eigenvalues(len(SPECTRUM))
    np.testing.assert_allclose(found.values, SPECTRUM, atol=1e-4)


def test_few_products_suffice_in_many_dimensions():
    values = np.concatenate([np.linspace(-1, 1, 195), [9, 8, 8, 7, -6]])
    curvature, _ = quadratic(values)
    found = curvature.eigenvalues(3)
    np.testing.assert_allclose(found.values, [9, 8, 8], rtol=1e-3)
    assert found.products < 100


def test_residuals_show_that_the_limit_was_too_low():
    curvature, _ = quadratic(np.linspace(0, 1, 50))
    found = curvature.eigenvalues(1, limit=3)
    assert found.products == 3 + 1
    assert found.residuals[0] > 0.01
    # There is an eigenvalue within the residual.
    gaps = np.abs(np.linspace(0, 1, 50) - found.values[0])
    assert gaps.min() <= found.residuals[0] + 1e-6


def test_residuals_are_those_of_the_product():
    curvature, _ = quadratic(np.linspace(0, 1, 20))
    for found in (
        curvature.eigenvalues(2, limit=5),
        curvature.power_iteration(2, limit=5),
        curvature.power_iteration(2),
    ):
        for value, vector, residual in zip(
            found.values, found.vectors, found.residuals, strict=True
        ):
            rest = curvature.product(vector) - value * vector
            assert np.linalg.norm(rest) == pytest.approx(residual, abs=1e-5)
            assert np.linalg.norm(vector) == pytest.approx(1)


def test_vectors_are_eigenvectors_up_to_their_sign():
    curvature, basis = quadratic([4.0, 2.0, 1.0, -3.0])
    found = curvature.eigenvalues(2)
    np.testing.assert_allclose(
        np.abs(found.vectors @ basis), np.eye(4)[:2], atol=1e-3
    )


def test_power_iteration_agrees_with_lanczos():
    curvature, _ = quadratic([5.0, 5.0, -3.0, 1.0, 0.0])
    found = curvature.power_iteration(4, tolerance=1e-6)
    np.testing.assert_allclose(found.values, [5, 5, -3, 1], atol=1e-2)
    other = curvature.eigenvalues(4, "magnitude")
    np.testing.assert_allclose(found.values, other.values, atol=1e-2)


def test_two_of_one_magnitude_show_in_the_residual_of_power_iteration():
    curvature, _ = quadratic([2.0, -2.0, 1.0])
    found = curvature.power_iteration(1, tolerance=0.0, limit=30)
    assert found.residuals[0] > 0.1 and found.products == 30
    found = curvature.eigenvalues(1)
    assert found.values[0] == pytest.approx(2, abs=1e-4)


def test_a_hessian_of_zero_has_zeros():
    curvature, _ = quadratic([0.0, 0.0, 0.0])
    assert not np.any(curvature.eigenvalues(3).values)
    assert not np.any(curvature.power_iteration(2).values)
    assert np.all(np.isfinite(curvature.density().density))


def test_the_trace_of_a_diagonal_needs_one_vector():
    kernel = np.array([1.0, 2.0, -4.0], np.float32)
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(3, use_bias=False)]
    )

    def loss(y, outputs):
        return tf.reduce_sum(kernel * outputs**2, axis=1)

    data = np.ones((2, 1), np.float32), np.zeros(2)
    found = tfr.analysis.hessian(model, data, loss).trace(3)
    np.testing.assert_allclose(found.samples, [-2, -2, -2], atol=1e-5)
    assert found.low == pytest.approx(found.high) == pytest.approx(-2)


def test_the_interval_of_the_trace_covers_as_often_as_it_says():
    curvature, _ = quadratic(SPECTRUM)
    true, draws = sum(SPECTRUM), range(40)
    covered = sum(
        found.low <= true <= found.high
        for found in (curvature.trace(8, 0.8, seed) for seed in draws)
    )
    assert 24 <= covered <= 39
    wide, narrow = curvature.trace(8, 0.99), curvature.trace(8, 0.5)
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    assert wide.products == 8


@pytest.mark.parametrize(
    "probability, freedom, value",
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 9, 2.2622)]
    + [(0.995, 30, 2.7500), (0.9, 4, 1.5332), (0.975, 120, 1.9799)],
)
def test_quantiles_are_those_of_the_tables(probability, freedom, value):
    found = student_quantile(probability, freedom)
    assert found == pytest.approx(value, abs=1e-4)


def test_the_density_integrates_to_one_and_has_the_moments():
    curvature, _ = quadratic(SPECTRUM)
    found = curvature.density(runs=40, steps=10)
    mass = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    assert mass(found.density, found.grid) == pytest.approx(1, abs=1e-3)
    assert found.weights.sum() == pytest.approx(1)
    first, second = (found.weights @ found.nodes**p for p in (1, 2))
    assert first == pytest.approx(np.mean(SPECTRUM), abs=0.6)
    assert second == pytest.approx(np.mean(np.square(SPECTRUM)), rel=0.2)
    assert found.products <= 40 * 10


def test_the_density_peaks_at_the_eigenvalues():
    curvature, _ = quadratic([1.0, 1.0, 4.0])
    found = curvature.density(np.array([1.0, 2.5, 4.0]), sigma=0.1)
    assert found.density[1] < 1e-9
    # Two eigenvalues that differ exhaust the space of any start.
    assert found.products == 2
    assert found.density[[0, 2]].sum() == pytest.approx(
        1 / (0.1 * math.sqrt(2 * math.pi)), rel=1e-3
    )
    assert json.loads(json.dumps(found.to_dict()))["sigma"] == 0.1


def test_seeds_say_all():
    curvature, _ = quadratic(np.linspace(-1, 1, 30))
    for method in ("eigenvalues", "power_iteration", "trace", "density"):
        first, again, other = (
            getattr(curvature, method)(seed=seed).to_dict()
            for seed in (1, 1, 2)
        )
        assert first == again != other


def gradient(model, x):
    """That of the mean loss, by hand."""
    with tf.GradientTape() as tape:
        logits = model(x, training=False)
        loss = tf.reduce_mean(tfr.losses.cross_entropy(Y, logits))
    parts = tape.gradient(loss, model.trainable_variables)
    parts = map(tf.convert_to_tensor, parts)
    return np.concatenate([np.ravel(part) for part in parts])


def moved(model, vector):
    shapes = [tuple(w.shape) for w in model.trainable_variables]
    parts = np.split(vector, np.cumsum([math.prod(s) for s in shapes])[:-1])
    for variable, part in zip(model.trainable_variables, parts, strict=True):
        variable.assign_add(part.reshape(variable.shape))


def convolutional():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Reshape((2, 2, 1)),
            keras.layers.Conv2D(3, 2, padding="same", activation="tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def embedding():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            keras.layers.Embedding(6, 5),
            keras.layers.Dense(3, "tanh"),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(3),
        ]
    )


WORDS = np.arange(40).reshape(10, 4) % 6


@pytest.mark.parametrize(
    "build, x, attack",
    [
        (smooth_network, X, None),
        (smooth_network, X, PGD),
        (convolutional, X, PGD),
        (embedding, WORDS, None),
    ],
)
def test_products_are_differences_of_gradients(build, x, attack):
    model = build()
    curvature = tfr.analysis.hessian(model, (x, Y), attack=attack, batch_size=4)
    vector = RNG.normal(size=curvature.size).astype(np.float32)
    found = curvature.product(vector)
    points = x if attack is None else attack.perturb(model, x, Y)
    gradients = []
    for sign in (1, -2):
        moved(model, sign * 1e-2 * vector)
        gradients.append(gradient(model, points))
    difference = (gradients[0] - gradients[1]) / 2e-2
    np.testing.assert_allclose(found, difference, atol=2e-3)
    assert np.abs(difference).max() > 0.1


def test_the_hessian_is_symmetric_and_that_of_the_weights_of_now():
    model = smooth_network()
    curvature = tfr.analysis.hessian(model, (X, Y))
    one, other = RNG.normal(size=(2, curvature.size))
    image = curvature.product(one)
    assert other @ image == pytest.approx(
        one @ curvature.product(other), abs=1e-4
    )
    moved(model, np.full(curvature.size, 0.3, np.float32))
    assert np.abs(curvature.product(one) - image).max() > 1e-2


def test_data_may_come_in_any_batches():
    model = smooth_network()
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(3)
    found = [
        tfr.analysis.hessian(model, data, batch_size=size).eigenvalues(2).values
        for data, size in (((X, Y), 10), ((X, Y), 3), (dataset, 128))
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)


def test_what_is_attacked_anew_is_another_function():
    model = smooth_network()
    before = model.get_weights()
    products, vector = {}, None
    for at in ("frozen", "attacked"):
        fgsm = tfr.attacks.FGSM(tfr.threats.Linf(0.3), random_start=0)
        curvature = tfr.analysis.hessian(
            model, (X, Y), attack=fgsm, at=at, length=1.0
        )
        if vector is None:
            vector = RNG.normal(size=curvature.size)
            vector /= np.linalg.norm(vector)
        products[at] = curvature.product(vector)
        assert not np.any(curvature.product(0 * vector))
        twice = curvature.product(2 * vector)
        np.testing.assert_allclose(twice, 2 * products[at], atol=1e-5)
    expected = []
    for sign in (1.0, -2.0):
        moved(model, (sign * vector).astype(np.float32))
        expected.append(gradient(model, fgsm.perturb(model, X, Y)))
    model.set_weights(before)
    expected = (expected[0] - expected[1]) / 2
    np.testing.assert_allclose(products["attacked"], expected, atol=1e-4)
    assert np.abs(products["attacked"] - products["frozen"]).max() > 1e-2


def test_weights_come_back_also_on_an_error():
    model = smooth_network()
    before = model.get_weights()
    curvature = tfr.analysis.hessian(
        model, (X, Y), attack=PGD, at="attacked", length=0.5
    )
    curvature.product(np.ones(curvature.size))
    curvature._risk.gradient = None  # It can't be called.
    with pytest.raises(TypeError):
        curvature.product(np.ones(curvature.size))
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)


def test_a_robust_model_may_be_given_and_nothing_of_it_moves():
    network = smooth_network()
    model = tfr.RobustModel(network)
    before = model.get_weights()
    for attack in (None, PGD):
        found = tfr.analysis.hessian(model, (X, Y), attack=attack)
        plain = tfr.analysis.hessian(network, (X, Y), attack=attack)
        vector = np.ones(found.size)
        assert np.array_equal(found.product(vector), plain.product(vector))
    for now, then in zip(model.get_weights(), before, strict=True):
        assert np.array_equal(now, then)


def test_other_precision_is_refused():
    layer = keras.layers.Dense(3, dtype="mixed_float16", name="half")
    model = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(ValueError, match="float32.*'half' in float16"):
        tfr.analysis.hessian(model, (X, Y))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"at": "now"}, "`at` must be one of 'clean', 'frozen', 'attacked'"),
        ({"at": "frozen"}, '`at` must be "clean" without an attack'),
        ({"at": "clean", "attack": PGD}, '`at` must be "clean" without'),
        ({"length": 0}, "`length` must be positive"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"loss": "sparse_categorical_crossentropy"}, "must read logits"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tfr.analysis.hessian(smooth_network(), (X, Y), **options)


@pytest.mark.parametrize(
    "method, options, message",
    [
        ("eigenvalues", {"k": 0}, "`k` must be at least 1"),
        ("eigenvalues", {"k": 5}, "`k` must be at most 4, the number of"),
        ("eigenvalues", {"which": "top"}, "`which` must be one of 'largest'"),
        ("eigenvalues", {"k": 2, "limit": 1}, "`limit` must be at least 2"),
        ("power_iteration", {"k": 5}, "`k` must be at most 4"),
        ("trace", {"samples": 1}, "`samples` must be at least 2"),
        ("trace", {"confidence": 1.0}, r"`confidence` must lie in \(0, 1\)"),
        ("density", {"sigma": 0.0}, "`sigma` must be positive"),
        ("density", {"steps": 0}, "`steps` must be at least 1"),
        ("product", {"vector": np.ones(3)}, r"`vector` must have shape \(4,\)"),
    ],
)
def test_wrong_arguments_of_methods_are_refused(method, options, message):
    curvature, _ = quadratic([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match=message):
        getattr(curvature, method)(**options)


def test_what_has_nothing_to_train_or_no_examples_is_refused():
    model = smooth_network()
    with pytest.raises(ValueError, match="at least one example"):
        tfr.analysis.hessian(model, (X[:0], Y[:0]))
    model.trainable = False
    with pytest.raises(ValueError, match="must have trainable weights"):
        tfr.analysis.hessian(model, (X, Y))


def test_a_picture_of_the_density_is_written(tmp_path):
    curvature, _ = quadratic([1.0, 2.0])
    pytest.importorskip("matplotlib")
    curvature.density().plot(tmp_path / "density.svg")
    assert (tmp_path / "density.svg").stat().st_size
