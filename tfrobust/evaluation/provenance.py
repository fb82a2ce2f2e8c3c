"""Where the numbers of a report come from."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import shlex
import sys

import numpy as np
import tensorflow as tf

from tfrobust import backend
from tfrobust.evaluation.identity import weights_of


class Provenance:
    """Versions, settings, and hashes of the weights and the data.

    Args:
        network: The model that is evaluated.
        name: Its name in the report, or None for its own.
        dataset: Name of the dataset, or None.
    """

    def __init__(self, network, name, dataset):
        self._architecture = getattr(network, "name", type(network).__name__)
        self.name, self._dataset = name or self._architecture, dataset
        self._network = network
        self._data, self._shape = hashlib.sha256(), None
        self._start = datetime.datetime.now(datetime.timezone.utc)

    def add(self, x, y):
        """Takes one batch into the hash of the data, example by example."""
        self._shape = list(np.shape(x)[1:])
        whole = np.asarray(y).dtype.kind in "iub"
        kept = np.int64 if whole else np.float64
        for one, label in zip(x, y, strict=True):
            self._data.update(np.float32(one).tobytes())
            self._data.update(kept(label).tobytes())

    def weights(self):
        """The hash of all weights, or None if a bare function hides them."""
        return weights_sha256(self._network)

    def info(self, examples):
        """Returns everything as a dictionary for JSON."""
        return {
            "name": self.name,
            "architecture": self._architecture,
            "dataset": self._dataset,
            "examples": examples,
            "weights_sha256": self.weights(),
            "data_sha256": self._data.hexdigest(),
            "input_shape": self._shape,
            "started": self._start.isoformat(timespec="seconds"),
            "versions": {
                "tfrobust": _version("tfrobust"),
                "tensorflow": tf.__version__,
                backend.NAME: backend.keras.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "machine": f"{platform.machine()} {platform.system()}",
            "devices": [d.name for d in tf.config.list_logical_devices()],
            "hardware": _hardware(),
            "command": shlex.join(sys.argv),
        }


def weights_sha256(network):
    """The hash of a network's weights, or None if there are none to see."""
    held = weights_of(network)
    if not held:
        return None
    digest = hashlib.sha256()
    for weight in held:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _hardware():
    """What the devices are: the processor, and each GPU by its name."""
    found = [f"{platform.processor() or 'CPU'}, {os.cpu_count()} cores"]
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        found.append(str(details.get("device_name", device.name)))
    return found


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "from source"
