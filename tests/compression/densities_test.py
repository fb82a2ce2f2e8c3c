"""The densities of the authors' CIFAR networks, to the last weight."""

import pytest

from tfrobust.compression import layer_densities
from tfrobust.layers.top_k import kept_count

pytestmark = pytest.mark.keras_free


def basic(depths):
    """Kernel sizes of a ResNet of basic blocks, in order."""
    sizes, channels = [9 * 3 * 64], 64
    for filters, depth in zip((64, 128, 256, 512), depths, strict=True):
        for _ in range(depth):
            sizes += [9 * channels * filters, 9 * filters * filters]
            if channels != filters:
                sizes.append(channels * filters)
            channels = filters
    return [*sizes, 512 * 10]


def bottleneck(depths):
    """Kernel sizes of a ResNet of bottlenecks, which widen four times."""
    sizes, channels = [9 * 3 * 64], 64
    for filters, depth in zip((64, 128, 256, 512), depths, strict=True):
        for block in range(depth):
            sizes += [channels * filters, 9 * filters**2, 4 * filters**2]
            if block == 0:
                sizes.append(channels * 4 * filters)
            channels = 4 * filters
    return [*sizes, 2048 * 10]


RESNET18, RESNET34 = basic((2, 2, 2, 2)), basic((3, 4, 6, 3))
RESNET50 = bottleneck((3, 4, 6, 3))


def kept(sizes, density, p):
    densities = layer_densities(sizes, density, p)
    return [kept_count(n, d) for n, d in zip(sizes, densities, strict=True)]


@pytest.mark.parametrize(
    ("sizes", "weights", "totals"),
    [
        (RESNET18, 11_164_352, (111_661, 111_662, 111_663, 111_663)),
        (RESNET34, 21_265_088, (212_683, 212_685, 212_686, 212_685)),
        (RESNET50, 23_467_712, (234_728, 234_729, 234_729, 234_730)),
    ],
)
def test_totals_are_those_of_the_authors(sizes, weights, totals):
    assert sum(sizes) == weights
    found = [sum(kept(sizes, 0.01, p)) for p in (0, 0.1, 0.5, 1)]
    assert tuple(found) == totals


def test_every_layer_of_resnet34_is_the_authors():
    stages = [
        [4832] * 6,
        [5179, 5551, 4157, *[5551] * 6],
        [5949, 6376, 4775, *[6376] * 10],
        # The last of its size gets the weight that rounding left over.
        [6834, 7325, 5486, *[7325] * 3, 7326],
    ]
    by_hand = [1728, *sum(stages, []), 3966]
    assert len(by_hand) == 37
    assert kept(RESNET34, 0.01, 0.1) == by_hand
    densities = layer_densities(RESNET34, 0.01, 0.1)
    rounded = {n: round(d, 4) for n, d in zip(RESNET34, densities, strict=True)}
    assert rounded == {
        1728: 1.0,
        36864: 0.1311,
        73728: 0.0702,
        147456: 0.0376,
        8192: 0.5074,
        294912: 0.0202,
        589824: 0.0108,
        32768: 0.1457,
        1179648: 0.0058,
        2359296: 0.0031,
        131072: 0.0418,
        5120: 0.7746,
    }


def test_p_goes_from_equal_numbers_to_equal_densities():
    sizes = [1000, 100, 400]
    assert layer_densities(sizes, 0.1, 1) == pytest.approx([0.1] * 3)
    assert layer_densities(sizes, 0.1, 0) == pytest.approx([0.05, 0.5, 0.125])
    assert layer_densities(sizes, 1, 0) == [1, 1, 1]


def test_a_layer_that_is_full_leaves_its_share_to_the_others():
    # 30 of 310 each would fill the first: the other two share 80.
    assert layer_densities([10, 100, 200], 90 / 310, 0) == pytest.approx(
        [1, 0.4, 0.2]
    )


@pytest.mark.parametrize(
    ("density", "p", "sentence"),
    [
        (0, 0.1, r"`density` must lie in \(0, 1\]. Received: density=0"),
        (1.1, 0.1, r"`density` must lie in \(0, 1\]. Received: density=1.1"),
        (
            float("nan"),
            0.1,
            r"`density` must lie in \(0, 1\]. Received: density=nan",
        ),
        (
            "0.1",
            0.1,
            r"`density` must lie in \(0, 1\]. Received: density='0.1'",
        ),
        (0.1, -0.1, r"`p` must lie in \[0, 1\]. Received: p=-0.1"),
        (0.1, 1.1, r"`p` must lie in \[0, 1\]. Received: p=1.1"),
        (0.01, 0.1, "at least one weight in each layer.*none of 50"),
    ],
)
def test_an_impossible_argument_is_refused(density, p, sentence):
    with pytest.raises(ValueError, match=sentence):
        layer_densities([50, 100], density, p)
