"""A kernel that a SavedModel holds packed, and unpacks once at load."""

import hashlib

import tensorflow as tf

from tfrobust.exporting.decoding import decode


class DecodedKernel(tf.saved_model.experimental.TrackableResource):
    """A variable that isn't stored: loading assigns it what is decoded.

    The assignment is part of the SavedModel's initialisation, which every
    loader runs: Python's, TensorFlow Serving's, the one in C. What is on disk
    is packed; in memory the kernel is dense float32.

    Args:
        packed: The `Packed` kernel.
        name: Name of the variable that it was.
    """

    def __init__(self, packed, name):
        super().__init__()
        self.packed, self.name = packed, name
        digest = hashlib.sha256(f"{packed.scheme} {packed.shape}".encode())
        for name in sorted(packed.arrays):
            digest.update(packed.arrays[name].tobytes())
        # Two models in one process may share a name only if they share the
        # kernel: one would overwrite the other's.
        self._shared_name = f"kernel_{digest.hexdigest()}"

    def read(self):
        """Returns the kernel."""
        value = tf.raw_ops.ReadVariableOp(
            resource=self.resource_handle, dtype=tf.float32
        )
        return tf.ensure_shape(value, self.packed.shape)

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(
            dtype=tf.float32,
            shape=self.packed.shape,
            shared_name=self._shared_name,
        )

    def _initialize(self):
        tf.raw_ops.AssignVariableOp(
            resource=self.resource_handle, value=decode(self.packed)
        )
