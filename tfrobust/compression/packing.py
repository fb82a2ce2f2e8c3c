"""Kernels of signs and zeros in few bytes: positions and one bit a sign."""

import dataclasses
import math
import zlib

import numpy as np

from tfrobust import checks

# How a gap between kept weights is written, by scheme. The largest code is
# the escape: as many zeros follow, and no kept weight yet.
GAPS = {
    "8-bit gaps + kept signs": np.uint8,
    "16-bit gaps + kept signs": np.uint16,
}
BITMAP = "mask plane + kept signs"
SIGNS = "sign plane"
DENSE = "float32"


@dataclasses.dataclass(frozen=True)
class Packed:
    """A packed kernel.

    Attributes:
        scheme: How it is stored, a name that `storage` gives.
        shape: Shape of the kernel.
        arrays: "signs", bits that are 1 for negative weights; "magnitudes",
            one or one for each output channel; "positions", gaps or a bitmap,
            unless every weight is kept. For "float32" the "values" instead.
        checksum: CRC-32 of all of these.
    """

    scheme: str
    shape: tuple[int, ...]
    arrays: dict[str, np.ndarray]
    checksum: int

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def pack(kernel: np.ndarray) -> Packed:
    """Stores a kernel in as few bytes as the schemes allow.

    The kernel may hold zeros and, in each output channel (the last axis), one
    magnitude with either sign. Any other is stored as it is, in float32.

    Args:
        kernel: An array of at least one axis.

    Returns:
        The smallest `Packed`. `unpack` gives the kernel back bit by bit, but
        that a zero is positive.
    """
    kernel = _array(kernel)
    candidates = {DENSE: {"values": kernel.copy()}}
    magnitudes = _magnitudes(kernel)
    if magnitudes is not None:
        flat = np.ravel(kernel)
        kept = np.flatnonzero(flat)
        signs = {
            "signs": np.packbits(flat[kept] < 0),
            "magnitudes": magnitudes,
        }
        for scheme, dtype in GAPS.items():
            gaps = _gaps(kept, dtype)
            candidates[scheme] = {"positions": gaps, **signs}
        bitmap = np.packbits(flat != 0)
        candidates[BITMAP] = {"positions": bitmap, **signs}
        if len(kept) == flat.size:
            candidates[SIGNS] = signs
    made = [
        Packed(scheme, kernel.shape, arrays, _checksum(scheme, kernel, arrays))
        for scheme, arrays in candidates.items()
    ]
    return min(made, key=lambda packed: packed.nbytes)


def unpack(packed: Packed) -> np.ndarray:
    """Returns the kernel of a `Packed`, float32.

    Raises:
        TypeError: If it isn't one.
        ValueError: If the contents don't have their checksum.
    """
    checks.kind(packed, Packed, "packed", "packing.pack(kernel)")
    found = _checksum(packed.scheme, packed, packed.arrays)
    if found != packed.checksum:
        raise ValueError(
            "The packed kernel must have the checksum "
            f"{packed.checksum:#010x} that was stored with it. Received "
            f"contents with {found:#010x}: it is corrupted, so export again."
        )
    if packed.scheme == DENSE:
        return packed.arrays["values"].copy()
    size = math.prod(packed.shape)
    kept = _kept(packed, size)
    magnitudes = packed.arrays["magnitudes"]
    negative = np.unpackbits(packed.arrays["signs"], count=len(kept))
    values = magnitudes[kept % len(magnitudes)]
    kernel = np.zeros(size, np.float32)
    kernel[kept] = np.where(negative, -values, values)
    return kernel.reshape(packed.shape)


def storage(kernel: np.ndarray) -> dict:
    """Counts the bytes that a kernel takes in every scheme.

    Schemes of signs are counted from the positions of the zeros alone, as if
    all kept weights shared one magnitude, and without these four bytes.

    Args:
        kernel: An array of at least one axis.

    Returns:
        Dictionary of scheme to bytes. "best" is what `pack` chooses, with its
        magnitudes; "entropy bound" is the entropy of a random mask of this
        density and one bit for each kept weight.
    """
    kernel = _array(kernel)
    kept = np.flatnonzero(kernel)
    plane, signs = math.ceil(kernel.size / 8), math.ceil(len(kept) / 8)
    return {
        DENSE: 4 * kernel.size,
        SIGNS: plane,
        "sign + mask planes": 2 * plane,
        BITMAP: plane + signs,
        **{
            scheme: _gaps(kept, dtype).nbytes + signs
            for scheme, dtype in GAPS.items()
        },
        "best": pack(kernel).nbytes,
        "entropy bound": math.ceil(_entropy(kernel.size, len(kept)) / 8),
    }


def _array(kernel):
    """The kernel in float32."""
    array = np.asarray(kernel)
    fine = array.ndim > 0 and array.dtype.kind not in "OSUMmc"
    checks.argument(
        fine, "kernel", "be an array of numbers with an axis", repr(kernel)
    )
    return array.astype(np.float32)


def _magnitudes(kernel):
    """One for all, or one for each output channel; None if there are more."""
    if kernel.size == 0:
        return None
    sizes = np.abs(kernel)
    channels = sizes.reshape(-1, kernel.shape[-1] if kernel.ndim else 1)
    for magnitudes in (np.max(channels, keepdims=True)[0], channels.max(0)):
        if np.all((channels == 0) | (channels == magnitudes)):
            return magnitudes
    return None


def _gaps(kept, dtype):
    """Numbers of zeros before each kept weight, with escapes."""
    escape = np.iinfo(dtype).max
    zeros = np.diff(kept, prepend=-1) - 1
    escapes, rest = np.divmod(zeros, escape)
    codes = np.full(len(kept) + escapes.sum(), escape, dtype)
    codes[np.cumsum(escapes + 1) - 1] = rest
    return codes


def _kept(packed, size):
    """Indices of the kept weights."""
    if packed.scheme == SIGNS:
        return np.arange(size)
    positions = packed.arrays["positions"]
    if packed.scheme == BITMAP:
        return np.flatnonzero(np.unpackbits(positions, count=size))
    weight = positions < np.iinfo(positions.dtype).max
    return np.cumsum(positions.astype(np.int64) + weight)[weight] - 1


def _checksum(scheme, shaped, arrays):
    digest = zlib.crc32(f"{scheme} {tuple(shaped.shape)}".encode())
    for name in sorted(arrays):
        digest = zlib.crc32(arrays[name].tobytes(), digest)
    return digest


def _entropy(size, kept):
    """Bits of a random mask with that many kept weights, and their signs."""
    share = kept / size if size else 0.0
    bits = -sum(p * math.log2(p) for p in (share, 1 - share) if p)
    return size * bits + kept
