import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.compression import packing
from tfrobust.exporting import decoding
from tfrobust.exporting.decoding import decode, fingerprint

pytestmark = pytest.mark.keras_free


def signs(shape, density):
    random = np.random.default_rng(0)
    kept = random.random(shape) < density
    return np.float32(kept * random.choice([-0.3, 0.3], shape))


@pytest.mark.parametrize(
    ("kernel", "scheme"),
    [
        (signs((3, 3, 8, 16), 0.05), "8-bit gaps + kept signs"),
        (signs((200, 999), 0.0005), "16-bit gaps + kept signs"),
        (signs((3, 3, 4, 5), 0.5), "mask plane + kept signs"),
        (signs((5, 7), 2.0), "sign plane"),
        (signs((30, 40), 0.1) * np.arange(1, 41), "8-bit gaps + kept signs"),
    ],
)
def test_tensorflow_decodes_bit_by_bit_what_was_packed(kernel, scheme):
    packed = packing.pack(kernel)
    assert packed.scheme == scheme
    found = tf.function(lambda: decode(packed))
    assert (
        found.get_concrete_function().structured_outputs.shape == kernel.shape
    )
    expected = packing.unpack(packed)
    assert found().numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("byte", range(8))
def test_a_hash_that_fits_but_for_one_byte_is_refused(monkeypatch, byte):
    packed = packing.pack(signs((30, 40), 0.1))
    other = fingerprint(packed)
    other[0, byte] ^= 1
    monkeypatch.setattr(decoding, "fingerprint", lambda packed: other)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is corrupted"):
        decode(packed)


def test_the_hash_covers_every_array():
    packed = packing.pack(signs((30, 40), 0.1))

    seen = {fingerprint(packed).tobytes()}
    for name, array in packed.arrays.items():
        changed = array.copy()
        changed.view(np.uint8)[0] ^= 1
        arrays = {**packed.arrays, name: changed}
        seen.add(
            fingerprint(dataclasses.replace(packed, arrays=arrays)).tobytes()
        )
    seen.add(fingerprint(dataclasses.replace(packed, shape=(40, 30))).tobytes())
    assert len(seen) == 5


@pytest.mark.parametrize("place", range(8))
def test_a_hash_that_differs_in_one_byte_is_noticed(monkeypatch, place):
    packed = packing.pack(signs((30, 40), 0.1))
    wrong = fingerprint(packed)
    wrong[0, place] ^= 1
    monkeypatch.setattr(decoding, "fingerprint", lambda packed: wrong)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is corrupted"):
        decode(packed)
