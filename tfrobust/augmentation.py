"""Random layers that move the image: applied once, before the attack.

Inside of the network they would move what the attack found away from where it
was found, since attacks search in inference mode.
"""

from tfrobust.backend import keras
from tfrobust.layers import CropShift

# What is the image itself in inference mode, and of its shape in both.
_STILL = (
    "AugMix RandAugment RandomBrightness RandomColorDegeneration "
    "RandomColorJitter RandomContrast RandomElasticTransform RandomErasing "
    "RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert "
    "RandomPerspective RandomPosterization RandomRotation RandomSaturation "
    "RandomSharpness RandomShear RandomTranslation RandomZoom"
)
# Of another shape, or it mixes the examples.
_OTHER = "CutMix MixUp RandomCrop RandomHeight RandomWidth"


def _classes(names):
    return tuple(
        getattr(keras.layers, name)
        for name in names.split()
        if hasattr(keras.layers, name)  # Each Keras has others.
    )


_FRONT = (*_classes(_STILL), CropShift)
_MOVING = _FRONT + _classes(_OTHER)


def moving(network: keras.Model) -> list[keras.layers.Layer]:
    """The random layers of a network that move its images."""
    layers = network._flatten_layers()
    return [layer for layer in layers if isinstance(layer, _MOVING)]


def split(
    network: keras.Model,
) -> tuple[list[keras.layers.Layer], keras.Model]:
    """Returns the random layers in front of a network, and what follows.

    What follows shares the layers of the network. If none moves the images it
    is the network.

    Raises:
        ValueError: If a layer that moves the images isn't in front.
    """
    front, rest = [], network
    if moving(network):
        for layer, tensor in _chain(network):
            front.append(layer)
            rest = keras.Model(tensor, network.outputs[0])
    if inside := moving(rest):
        raise ValueError(
            f"`network` must not move images inside, as {inside[0].name!r} "
            "does: it would move the perturbation away from where the attack "
            "found it. Put it into the dataset, dataset.map(lambda x, y: "
            "(layer(x, training=True), y)). Random layers that keep the shape "
            "may also be the first ones of a Sequential or functional network."
        )
    return front, rest


def _chain(network):
    """The leading random layers, each with its output in the network."""
    outputs = getattr(network, "outputs", None) or []
    nodes = _nodes(*outputs) if len(outputs) == 1 else []
    tensor = None  # What reads nothing is the input.
    while len(readers := _readers(nodes, tensor)) == 1:
        layer, _, tensor = readers[0]
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not _leads(layer) or sum(node[0] is layer for node in nodes) > 1:
            return
        yield layer, tensor


def _readers(nodes, tensor):
    """The nodes that read a tensor; for None those that read nothing."""
    if tensor is None:
        return [node for node in nodes if not node[1]]
    return [node for node in nodes if any(read is tensor for read in node[1])]


def _nodes(output):
    """Every node that an output comes from: layer, inputs and output."""
    found, pending = {}, [output]
    while pending:
        tensor = pending.pop()
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        named = hasattr(node, "keras_inputs")
        inputs = node.keras_inputs if named else node.input_tensors
        if id(node) not in found:
            found[id(node)] = layer, list(inputs), tensor
            pending += inputs
    return list(found.values())


def _leads(layer):
    if isinstance(layer, keras.Sequential):
        return all(map(_leads, layer.layers))
    return isinstance(layer, _FRONT)
