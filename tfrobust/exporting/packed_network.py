"""A network whose kernels are packed when it is saved."""

import tensorflow as tf

from tfrobust.compression import packing
from tfrobust.exporting.decoded_kernel import DecodedKernel
from tfrobust.tracing import compiled

# Saving fewer bytes than this isn't worth the graph that unpacks them.
LEAST = 4096


class PackedNetwork:
    """The logits of a network, from packed kernels where that is smaller.

    The network is traced once. In the graph each variable that packs well is
    replaced by a `DecodedKernel`; the others stay variables. So any model can
    be packed, whatever its layers.

    Args:
        network: Any callable `network(x, training=False) -> logits`.
        spec: `tf.TensorSpec` of a batch of inputs.
        pack: Whether to pack at all.

    Attributes:
        kernels: The `DecodedKernel` of each variable that is packed.
        variables: These and the other variables, to be tracked.

    Call arguments:
        x: Inputs, shape `[batch, ...]`.
    """

    def __init__(self, network, spec, pack=True):
        def logits(x):
            return tf.cast(network(x, training=False), tf.float32)

        self._concrete = compiled(logits, spec).get_concrete_function()
        self.kernels, self.variables = [], list(self._concrete.variables)
        reads = _reads(self._concrete) if pack else None
        if reads is None:
            return
        captured, self._removed = reads
        self._sources = [(_packed(value), names) for value, names in captured]
        sources = [source for source, _ in self._sources]
        self.kernels = [s for s in sources if isinstance(s, DecodedKernel)]
        self.variables = [s for s in sources if not isinstance(s, tf.Tensor)]

    def __call__(self, x, training=False):
        if not self.kernels:
            return self._concrete(x)
        graph = self._concrete.graph
        definition = _without(graph.as_graph_def(), self._removed)
        given = {self._concrete.inputs[0].name: x}
        for source, names in self._sources:
            decoded = isinstance(source, DecodedKernel)
            value = source.read() if decoded else tf.convert_to_tensor(source)
            given |= dict.fromkeys(names, value)
        (logits,) = tf.graph_util.import_graph_def(
            definition, given, [graph.outputs[0].name], name="network"
        )
        return tf.ensure_shape(logits, graph.outputs[0].shape)


def _reads(concrete):
    """Where a traced function reads what it captures.

    Returns:
        Pairs of a variable or constant and the names of tensors that hold its
        value, and the names of ops to leave out when these are given; or None
        if a captured resource isn't simply read.
    """
    handles = {id(variable.handle): variable for variable in concrete.variables}
    captured = concrete.captured_inputs
    inside = concrete.inputs[len(concrete.inputs) - len(captured) :]
    found, removed = [], {concrete.inputs[0].op.name}
    for outer, placeholder in zip(captured, inside, strict=True):
        readers = placeholder.consumers()
        if outer.dtype != tf.resource:
            found.append((outer, [placeholder.name]))
            removed.add(placeholder.op.name)
            continue
        if id(outer) not in handles or any(
            reader.type != "ReadVariableOp" for reader in readers
        ):
            return None
        values = [reader.outputs[0] for reader in readers]
        names = [value.name for value in values if value.consumers()]
        found.append((handles[id(outer)], names))
        removed |= {placeholder.op.name, *(reader.name for reader in readers)}
    return found, removed


def _without(definition, removed):
    """A graph without some ops; their outputs are given from outside."""
    kept = [node for node in definition.node if node.name not in removed]
    edges = {f"^{name}" for name in removed}
    del definition.node[:]
    definition.node.extend(kept)
    for node in definition.node:
        node.input[:] = [name for name in node.input if name not in edges]
    return definition


def _packed(value):
    """A variable as a `DecodedKernel`, or as it is if that doesn't pay."""
    if not isinstance(value, tf.Variable) or value.dtype != tf.float32:
        return value
    packed = packing.pack(value.numpy())
    if 4 * value.shape.num_elements() - packed.nbytes < LEAST:
        return value
    return DecodedKernel(packed, value.name)
