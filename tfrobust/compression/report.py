"""What a model keeps, and what it takes to store it."""

import gzip
import io
import math
import tarfile

import numpy as np

from tfrobust.adversary import distinct
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.compression import packing
from tfrobust.compression.cloning import check, leaves
from tfrobust.compression.plain import made_plain
from tfrobust.compression.size_report import SizeReport

# Layers that use each weight once for each position of their output.
_ONCE = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
# Weights of some axes that are added, or multiply value by value.
_NO_KERNELS = "alpha", "beta", "bias", "gamma"


@on_network
def report(model: keras.Model) -> SizeReport:
    """Counts kept weights, dead channels, operations and bytes of a model.

    Args:
        model: A built functional or Sequential model, sparse, binary or not,
            or a `RobustModel` of one (its averaged weights, if it has any).

    Returns:
        A `SizeReport`: print it, `to_dict()` or `save_figure(path)`.

    Raises:
        ValueError: If the model isn't as described, or has wrappers of TF-MOT.

    Example:
        print(tfr.compression.report(model))
    """
    check(model)
    layers = leaves(made_plain(model))
    wrapped = [layer.name for layer in layers if _wraps(layer)]
    if wrapped:
        raise ValueError(
            "`model` must have plain layers. Received also the wrappers: "
            f"{', '.join(wrapped)}. Pass pruned or clustered models through "
            "tfr.compression.strip; the size of a quantised one is that of "
            "its LiteRT file."
        )
    pairs = [(layer, k) for layer in layers for k in _kernels(layer)]
    if not pairs:
        raise ValueError(
            "`model` must have kernels. Received: "
            f"{model.name!r}, whose layers have none."
        )
    return SizeReport(
        layers=[_row(layer, kernel) for layer, kernel in pairs],
        storage=_storage(layers, [kernel for _, kernel in pairs]),
        patterns=distinct(
            (layer.name, _pattern(_forward(layer, kernel)))
            for layer, kernel in pairs
        ),
    )


def _kernels(layer):
    """The weights of a layer that multiply what it reads."""
    pairs = zip(layer.weights, layer.get_weights(), strict=True)
    for weight, values in pairs:
        name = weight.name.split("/")[-1].split(":")[0]
        if values.ndim > 1 and name not in _NO_KERNELS:
            yield values


def _forward(layer, kernel):
    """A kernel whose last axes are what it reads and what it returns."""
    transposed = isinstance(getattr(layer, "layer", layer), _TRANSPOSED)
    return kernel.swapaxes(-1, -2) if transposed else kernel


def _wraps(layer):
    """Whether it is a wrapper that changes what it wraps."""
    steps = type(layer) is keras.layers.TimeDistributed
    return isinstance(layer, keras.layers.Wrapper) and not steps


def _row(layer, kernel):
    """The figures of one kernel."""
    applied = getattr(layer, "layer", layer)
    depthwise = isinstance(applied, keras.layers.DepthwiseConv2D)
    kept = _forward(layer, kernel) != 0
    count, (inputs, outputs) = int(kept.sum()), kept.shape[-2:]
    by_input = kept.reshape(-1, inputs, outputs).any((0, 2))
    outputs *= inputs if depthwise else 1
    by_output = kept.reshape(-1, outputs).any(0)
    return {
        "layer": layer.name,
        "shape": kernel.shape,
        "weights": kernel.size,
        "kept": count,
        "density": count / kernel.size,
        "bits": 8 * packing.pack(kernel).nbytes / kernel.size,
        "inputs": inputs,
        "dead_inputs": int(np.sum(~by_input)),
        "dead_inputs_if_random": _dead_if_random(kernel.size, count, inputs),
        "outputs": outputs,
        "dead_outputs": int(np.sum(~by_output)),
        "dead_outputs_if_random": _dead_if_random(kernel.size, count, outputs),
        "operations": _operations(layer, count),
    }


def _dead_if_random(size, kept, channels):
    """How many channels a random mask of that many weights leaves empty."""
    without = size - size // channels
    if kept > without:
        return 0.0
    # The share of the choices of `kept` that leave out one channel.
    logarithm = _log_choices(without, kept) - _log_choices(size, kept)
    return channels * math.exp(logarithm)


def _log_choices(n, k):
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _operations(layer, kept):
    """Products of kept weights that one example takes; None if unknown."""
    if not isinstance(layer, _ONCE):
        return None
    if len(layer._inbound_nodes) != 1:  # It is called more than once.
        return None
    shape = layer.output.shape[1:-1]
    return None if None in shape else kept * math.prod(shape)


def _storage(layers, kernels):
    """Bytes on disk and in memory in every scheme."""
    weights = [w for layer in layers for w in layer.get_weights()]
    others = sum(w.nbytes for w in weights) - sum(k.nbytes for k in kernels)
    each = [_schemes(kernel) for kernel in kernels]
    decoded = others + sum(4 * kernel.size for kernel in kernels)
    found = {}
    for scheme in each[0]:
        sizes = [schemes[scheme] for schemes in each]
        if None in sizes:
            found[scheme] = {"disk": None, "memory": None}
            continue
        disk = others + sum(sizes)
        # What is unpacked at load stays next to what it was unpacked from.
        memory = decoded + (0 if scheme == packing.DENSE else sum(sizes))
        found[scheme] = {"disk": disk, "memory": memory}
    # Nothing that exists takes that few.
    found["entropy bound"]["memory"] = None
    found["float32 as tar.gz"] = {"disk": _archive(weights), "memory": decoded}
    return found


def _schemes(kernel):
    """Bytes of a kernel by scheme; None if the scheme cannot hold it."""
    found = packing.storage(kernel)
    sizes = np.abs(kernel).reshape(-1, kernel.shape[-1])
    if not np.all((sizes == 0) | (sizes == sizes.max(0))):
        kept = np.count_nonzero(kernel)
        # A mask, and 32 bits instead of a sign for each kept weight.
        bound = found["entropy bound"] + math.ceil(31 * kept / 8)
        own = {"entropy bound": bound}
        own |= {name: found[name] for name in (packing.DENSE, "best")}
        return {name: own.get(name) for name in found}
    if np.any(kernel == 0):
        found[packing.SIGNS] = None
    return found


def _archive(weights):
    """Bytes of a tar.gz of all weights as they are."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number, weight in enumerate(weights):
            entry = tarfile.TarInfo(str(number))
            entry.size = weight.nbytes
            archive.addfile(entry, io.BytesIO(weight.tobytes()))
    return len(gzip.compress(file.getvalue(), mtime=0))


def _pattern(kernel):
    """How many weights are kept between each input and output channel."""
    kept = np.count_nonzero(kernel.reshape(-1, *kernel.shape[-2:]), axis=0)
    return kept
