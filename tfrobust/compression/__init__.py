"""Small networks: pruned, binary, and back to stock Keras layers."""

import importlib

from tfrobust.compression import packing
from tfrobust.compression.calibration import calibrate
from tfrobust.compression.clustering import cluster
from tfrobust.compression.compact import compact
from tfrobust.compression.conversion import to_keras, to_tf_keras
from tfrobust.compression.densities import layer_densities
from tfrobust.compression.fold import fold
from tfrobust.compression.loading import scope
from tfrobust.compression.plain import plain
from tfrobust.compression.pruning import prune
from tfrobust.compression.quantization import quantize
from tfrobust.compression.report import report
from tfrobust.compression.strip import strip
from tfrobust.compression.subnetwork import subnetwork

__all__ = [
    "calibrate",
    "cluster",
    "compact",
    "fold",
    "layer_densities",
    "packing",
    "plain",
    "prune",
    "quantize",
    "report",
    "scope",
    "strip",
    "subnetwork",
    "to_keras",
    "to_tf_keras",
]


def __dir__() -> list[str]:
    return __all__


# Subclasses of TF-MOT's classes, imported with it when they are first used.
_LAZY = {
    "OneBitConfig": "one_bit_config",
    "OneBitQuantizer": "one_bit_quantizer",
}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"{__name__} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_LAZY[name]}")
    return getattr(module, name)
