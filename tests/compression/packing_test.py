import dataclasses

import numpy as np
import pytest

from tfrobust.compression import layer_densities, packing

pytestmark = pytest.mark.keras_free

GAPS8, GAPS16 = "8-bit gaps + kept signs", "16-bit gaps + kept signs"
BITMAP = "mask plane + kept signs"


def sparse(shape, density, magnitude=1.0, seed=0):
    """Random signs times a magnitude at random positions."""
    random = np.random.default_rng(seed)
    size = int(np.prod(shape))
    flat = np.zeros(size, np.float32)
    kept = random.permutation(size)[: round(density * size)]
    flat[kept] = random.choice([-1.0, 1.0], len(kept))
    return flat.reshape(shape) * np.float32(magnitude)


def at(size, *places):
    kernel = np.zeros(size, np.float32)
    kernel[list(places)] = -0.5
    return kernel


def test_a_kernel_by_hand_takes_the_bytes_that_it_should():
    kernel = at(1000, 3, 4, 300, 999)
    kernel[4] = 0.5
    packed = packing.pack(kernel)
    assert packed.scheme == GAPS8
    # 295 zeros before 300 are an escape and 40; 698 before 999 are two and
    # 188.
    codes = packed.arrays["positions"].tolist()
    assert codes == [3, 0, 255, 40, 255, 255, 188]
    assert packed.arrays["signs"].tolist() == [0b10110000]
    assert packed.arrays["magnitudes"].tolist() == [0.5]
    assert packed.nbytes == 7 + 1 + 4
    assert packing.storage(kernel) == {
        "float32": 4000,
        "sign plane": 125,
        "sign + mask planes": 250,
        BITMAP: 126,
        GAPS8: 8,
        GAPS16: 9,
        "best": 12,
        "entropy bound": 6,
    }


@pytest.mark.parametrize(
    ("kernel", "scheme"),
    [
        (sparse((3, 3, 8, 16), 0.05, 0.3), GAPS8),
        (sparse((200, 999), 0.0005), GAPS16),
        (sparse((3, 3, 4, 5), 0.5, 1 / 3), BITMAP),
        (sparse((5, 7), 1.0, 0.1), "sign plane"),
        (np.random.default_rng(0).normal(size=(4, 5)), "float32"),
        (sparse((30, 40), 0.1) * np.arange(1, 41), GAPS8),
        (sparse((30, 40), 0.1) * np.arange(1, 31)[:, None], "float32"),
        (np.zeros((3, 4)), GAPS8),
        (np.zeros((0, 4)), "float32"),
        (at(256, 255), GAPS8),
        (at(257, 255, 256), GAPS8),
        (at(510, 254, 509), GAPS8),
        (at(65536, 65535), GAPS16),
        (at(2**20, 65535, 2**20 - 1), GAPS16),
        (np.float32([[np.nan, 1.0]]), "float32"),
        (
            sparse((30, 40), 0.1) * (1 + 1e-7 * np.arange(30)[:, None]),
            "float32",
        ),
    ],
)
def test_the_smallest_scheme_gives_the_kernel_back_bit_by_bit(kernel, scheme):
    kernel = kernel.astype(np.float32)
    packed = packing.pack(kernel)
    assert packed.scheme == scheme
    found = packing.unpack(packed)
    assert found.tobytes() == (kernel + np.float32(0)).tobytes()
    assert found.shape == kernel.shape and found.dtype == np.float32


@pytest.mark.parametrize("factor", [1 + 2.0**-23, 1.0005, 1.5])
def test_magnitudes_that_nearly_agree_are_no_signs(factor):
    kernel = sparse((30, 40), 0.3)
    first = np.flatnonzero(kernel)[0]
    kernel.reshape(-1)[first] *= np.float32(factor)
    packed = packing.pack(kernel)
    assert packed.scheme == "float32"
    np.testing.assert_array_equal(packing.unpack(packed), kernel)


def test_a_zero_loses_its_sign():
    kernel = np.float32([[0.0, -0.0, -1.0, 1.0]])
    found = packing.unpack(packing.pack(kernel))
    np.testing.assert_array_equal(found, kernel)
    assert np.signbit(found).tolist() == [[False, False, True, False]]


@pytest.mark.parametrize("density", [0.0005, 0.05, 0.5, 1.0])
def test_one_changed_bit_anywhere_is_noticed(density):
    packed = packing.pack(sparse((200, 999), density))
    for name, array in packed.arrays.items():
        changed = array.copy()
        changed.view(np.uint8)[-1] ^= 1
        broken = dataclasses.replace(
            packed, arrays={**packed.arrays, name: changed}
        )
        with pytest.raises(ValueError, match="corrupted, so export again"):
            packing.unpack(broken)
    broken = dataclasses.replace(packed, shape=(999, 200))
    with pytest.raises(ValueError, match="must have the checksum"):
        packing.unpack(broken)


def test_what_is_packed_does_not_change_with_the_kernel():
    kernel = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    before, packed = kernel.copy(), packing.pack(kernel)
    kernel[:] = 0
    np.testing.assert_array_equal(packing.unpack(packed), before)


def resnet34():
    """Shapes of the kernels, for 10 classes, with 3x3 convolutions first."""
    shapes, channels = [(3, 3, 3, 64)], 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for _ in range(blocks):
            shapes += [(3, 3, channels, width), (3, 3, width, width)]
            if channels != width:
                shapes.append((1, 1, channels, width))
            channels = width
    return [*shapes, (512, 10)]


# In millions of bytes, for ResNet-34 at density 0.01 and random positions.
@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (
            0.1,
            {
                "float32": 85.06,
                "sign plane": 2.658,
                "sign + mask planes": 5.316,
                BITMAP: 2.685,
                GAPS8: 0.276,
                "best": 0.266,
                "entropy bound": 0.211,
            },
        ),
        (
            1.0,
            {
                "float32": 85.06,
                "sign plane": 2.658,
                "sign + mask planes": 5.316,
                BITMAP: 2.685,
                GAPS8: 0.257,
                "best": 0.257,
                "entropy bound": 0.241,
            },
        ),
    ],
)
def test_the_sizes_of_resnet34_are_those_of_the_table(p, expected):
    shapes = resnet34()
    sizes = [int(np.prod(shape)) for shape in shapes]
    densities = layer_densities(sizes, 0.01, p)
    total = dict.fromkeys(expected, 0)
    for shape, density in zip(shapes, densities, strict=True):
        found = packing.storage(sparse(shape, density))
        for scheme in expected:
            total[scheme] += found[scheme]
    for scheme, megabytes in expected.items():
        assert total[scheme] / 1e6 == pytest.approx(megabytes, rel=0.004)
