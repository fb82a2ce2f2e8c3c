"""Tables: radii and ranges for each feature, columns that stay as they are."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.threats import L1, L2, Box, Linf

pytestmark = pytest.mark.keras_free

RANDOM = np.random.default_rng(0)
SCALE = np.array([1.0, 100.0, 0.01, 10.0])
X = (RANDOM.uniform(0.2, 0.8, (20, 4)) * SCALE).astype("float32")
LOW, HIGH = np.zeros(4), SCALE
RADIUS = 0.3 * SCALE * [1, 1, 1, 0]  # The last column stays fixed.
W = (RANDOM.normal(size=(4, 3)) / SCALE[:, np.newaxis]).astype("float32")
Y = np.argmax(X @ W, axis=1)


def model(x, training=False):
    return tf.matmul(x, tf.constant(W))


def ends():
    return np.maximum(X - RADIUS, LOW), np.minimum(X + RADIUS, HIGH)


def margins():
    """The least of `logit_y - logit_j` over the box, by hand."""
    rows = W.T[Y][:, np.newaxis] - W.T
    lower, upper = (end[:, np.newaxis] for end in ends())
    return np.sum(np.where(rows > 0, rows * lower, rows * upper), axis=2)


BOX = Box(RADIUS, LOW, HIGH)


def test_points_stay_in_the_range_of_each_feature():
    attack = tfr.attacks.PGD(BOX, steps=8, loss="margin", random_start=0.0)
    found = attack.perturb(model, X, Y).numpy()
    lower, upper = ends()
    assert np.all((found >= lower - 1e-5) & (found <= upper + 1e-5))
    np.testing.assert_array_equal(found[:, 3], X[:, 3])
    assert np.any(np.isclose(found[:, 1], 100.0))
    gap = np.sort(margins(), axis=1)
    wrong = np.min(np.where(np.eye(3)[Y], np.inf, margins()), axis=1)
    z = found @ W
    lead = z[np.arange(20), Y] - np.max(np.where(np.eye(3)[Y], -np.inf, z), 1)
    assert np.all(lead >= wrong - 1e-5) and gap.shape == (20, 3)
    assert np.mean(np.isclose(lead, wrong, atol=1e-4)) > 0.8


def test_certificates_are_those_of_the_ranges():
    for verifier in (tfr.verifiers.IBP(BOX), tfr.verifiers.CROWN(BOX)):
        found = verifier.margins(model, X, Y)
        np.testing.assert_allclose(found, margins(), atol=1e-4)
    report = tfr.certify(model, (X, Y), tfr.verifiers.CROWN(BOX), verbose=0)
    least = np.min(np.where(np.eye(3)[Y], np.inf, margins()), axis=1)
    assert report["worst case"].accuracy == pytest.approx(np.mean(least > 0))


@pytest.mark.parametrize("norm", [L2, L1, Linf])
def test_every_norm_takes_ranges(norm):
    threat = norm(0.5, LOW, HIGH)
    for point in (threat.sample(X), threat.project(X, X + 1), threat.sphere(X)):
        assert np.all(threat.contains(X, point))
        assert np.all((point >= LOW - 1e-6) & (point <= HIGH + 1e-6))
    assert np.max(threat.project(X, X + 1)[:, 2]) == np.float32(0.01)


def test_a_mask_keeps_columns():
    threat = Linf(0.1, LOW, HIGH, mask=[1, 1, 0, 0])
    found = threat.sample(X).numpy()
    np.testing.assert_array_equal(found[:, 2:], X[:, 2:])


def test_reports_and_configurations_hold_ranges():
    attack = {"square": tfr.attacks.Square(BOX, queries=20)}
    report = tfr.evaluate(
        model, (X, Y), attack, diagnostic_examples=0, verbose=0
    )
    assert report["square"].inside
    words = report.info["adversaries"]["square"]["threat"]
    assert "inputs stay in a range of each feature, 0 to 100 in all" in words
    again = Box.from_config(BOX.get_config())
    np.testing.assert_array_equal(again.high, BOX.high)
    np.testing.assert_array_equal(BOX.replace(low=-1.0).high, BOX.high)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: Linf(0.1, LOW, HIGH - 100), ValueError, "`low` must be below"),
        (lambda: Linf(0.1, [0, 0], [1, 1, 1]), ValueError, "of one shape"),
        (
            lambda: BOX.checked(X - 1),
            ValueError,
            "range of each feature.*beyond the lower and the upper ends: ",
        ),
        (lambda: Linf(0.1).checked(X), ValueError, "range of your features"),
        (
            lambda: Linf(np.full(4, 0.1)).box(tf.constant(X)),
            ValueError,
            r"epsilon\[np.newaxis\], or tfr.threats.Box",
        ),
        (lambda: BOX.checked(X.astype(int)), ValueError, "measurements"),
        (lambda: BOX.checked([["a"] * 4]), ValueError, "Received strings"),
        (
            lambda: BOX.checked(tf.ragged.constant([[0.1], [0.2, 0.3]])),
            TypeError,
            r"one dense array. Received: RaggedTensor. Pad it",
        ),
        (
            lambda: BOX.checked(tf.sparse.from_dense(X)),
            TypeError,
            "SparseTensor. Fill it with zeros",
        ),
        (lambda: BOX.checked({"a": X}), TypeError, r"tfr\.Joined"),
        (lambda: BOX.checked([X, X[:, :2]]), TypeError, r"tfr\.Joined"),
    ],
)
def test_what_is_wrong_is_said_without_images(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "byte" not in str(caught.value) and "image" not in str(caught.value)
