"""Small networks: pruned, binary, and back to stock Keras layers."""

from tfrobust.compression.densities import layer_densities
from tfrobust.compression.plain import plain
from tfrobust.compression.subnetwork import subnetwork

__all__ = ["layer_densities", "plain", "subnetwork"]
