import numpy as np
import pytest

from tfrobust.threats import Box
from tfrobust.verifiers.certified_boxes import CertifiedBoxes

pytestmark = pytest.mark.keras_free


@pytest.fixture
def boxes():
    """One box, one without a certificate, and one like the first."""
    radii = np.array([[0.1, 0.4, 0.0], [0, 0, 0], [0.2, 0.8, 0.0]], np.float32)
    return CertifiedBoxes(
        x=np.full((3, 3), 0.5, np.float32),
        threat=Box(radii, mask=[1, 1, 0]),
        uniform=np.array([0.1, 0.0, 0.4], np.float32),
        certified=np.array([True, False, True]),
        free=np.array([[1.0, 1.0, 0.0]] * 3, np.float32),
    )


def test_gains_compare_the_volume_with_the_cube(boxes):
    total = [np.log(4), 0, 0]
    np.testing.assert_allclose(boxes.total_gain, total, atol=1e-6)
    np.testing.assert_allclose(boxes.gain, np.array(total) / 2, atol=1e-6)


def test_means_count_the_features_that_may_move(boxes):
    np.testing.assert_allclose(boxes.geometric_mean, [0.2, 0, 0.4], rtol=1e-6)
    np.testing.assert_allclose(boxes.arithmetic_mean, [0.25, 0, 0.5], rtol=1e-6)


def test_similar_boxes_have_a_cosine_of_1_whatever_their_size(boxes):
    expected = [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    np.testing.assert_allclose(boxes.similarity, expected, atol=1e-6)
