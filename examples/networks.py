"""The networks of the examples and benchmarks: Keras models of logits.

Usage:
    network = networks.lenet()
    network = networks.build("resnet18", (32, 32, 3), classes=10, width=8)

The first argument of each builder scales its width; the defaults are the
widths of the papers. Images are channels last and in [0, 1], the input is
named `image`, and no network ends in a softmax.

Matched to PyTorch, where the papers were run: batch normalisation (momentum
0.9, epsilon 1e-5), the padding of strided convolutions, and in the deep
networks the scale of the initial kernels. Not matched: biases start at zero,
and `digits_cnn`, `small_cnn`, `fc1`, `lenet` and `cifar_lenet` keep Keras's
initial kernels. Parameter counts are PyTorch's, of trainable weights: the
scale and offset of batch normalisation count, its moving statistics do not.
"""

import tfrobust as tfr
from tfrobust.backend import keras

layers = keras.layers


def digits_cnn(width=16, input_shape=(8, 8, 1), classes=10):
    """A small network for 8x8 images, 41,866 parameters."""
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(width, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(2 * width, 4, 2, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(4 * width, activation="relu")(x)
    return keras.Model(image, _logits(x, classes), name="digits_cnn")


def small_cnn(width=16, input_shape=(28, 28, 1), classes=10):
    """A small network that verifiers like, 166,406 parameters."""
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(width, 4, 2, padding="same", activation="relu")(image)
    x = layers.Conv2D(2 * width, 4, 2, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(100, activation="relu")(x)
    return keras.Model(image, _logits(x, classes), name="small_cnn")


def fc1(width=1024, input_shape=(28, 28, 1), classes=10):
    """One hidden layer, 814,090 parameters."""
    image = keras.Input(input_shape, name="image")
    x = layers.Flatten()(image)
    x = layers.Dense(width, activation="relu")(x)
    return keras.Model(image, _logits(x, classes), name="fc1")


def lenet(width=16, input_shape=(28, 28, 1), classes=10):
    """LeNet for MNIST, 3,274,634 parameters."""
    image = keras.Input(input_shape, name="image")
    x = image
    for filters in (2 * width, 4 * width):
        x = layers.Conv2D(filters, 5, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(64 * width, activation="relu")(x)
    return keras.Model(image, _logits(x, classes), name="lenet")


def cifar_lenet(width=8, input_shape=(32, 32, 3), classes=10):
    """LeNet for CIFAR-10, 3,882,858 parameters."""
    image = keras.Input(input_shape, name="image")
    x = image
    for filters in (6 * width, 16 * width):
        x = layers.Conv2D(filters, 5, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for units in (120 * width, 84 * width):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(image, _logits(x, classes), name="cifar_lenet")


def vgg16(width=8, input_shape=(32, 32, 3), classes=10):
    """VGG16 with batch normalisation and one dense layer, 3,686,954.

    Reference: Simonyan and Zisserman, 2015, arXiv 1409.1556, table 1, D.
    """
    image = keras.Input(input_shape, name="image")
    x = image
    for scale, depth in ((4, 2), (8, 2), (16, 3), (32, 3), (32, 3)):
        for _ in range(depth):
            x = convolution(x, scale * width, 3, use_bias=True)
            x = _activate(_normalize(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    return keras.Model(image, _logits(x, classes, _uniform()), name="vgg16")


def resnet18(width=8, input_shape=(32, 32, 3), classes=10):
    """ResNet-18 for small images, 2,797,610; 11,173,962 at width 16.

    Reference: He et al., 2016, arXiv 1512.03385, table 1 and section 4.2.
    """
    image = keras.Input(input_shape, name="image")
    x = _activate(_normalize(convolution(image, 4 * width, 3)))
    for scale, stride in ((4, 1), (8, 2), (16, 2), (32, 2)):
        x = _residual_block(x, scale * width, stride)
        x = _residual_block(x, scale * width, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _logits(x, classes, _uniform()), name="resnet18")


def small_resnet(width=8, input_shape=(32, 32, 3), classes=10):
    """Three pre-activation blocks at half the resolution, 77,850 parameters."""
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 2 * width, 3, 2)
    for scale, stride in ((2, 1), (4, 2), (8, 2)):
        x = _preactivation_block(x, scale * width, stride)
    x = layers.GlobalAveragePooling2D()(_activate(_normalize(x)))
    outputs = _logits(x, classes, _uniform())
    return keras.Model(image, outputs, name="small_resnet")


def preact_resnet18(
    width=16, input_shape=(32, 32, 3), classes=10, activation="relu"
):
    """Pre-activation ResNet-18, 11,172,170; 11,218,340 for 100 classes.

    Args:
        width: Scales the channels, `4 * width` to `32 * width`.
        input_shape: Shape of one image.
        classes: Number of logits.
        activation: "relu", or "softplus" for a smooth network.

    Reference: He et al., 2016, arXiv 1603.05027, figure 1b.
    """
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 4 * width, 3)
    for scale, stride in ((4, 1), (8, 2), (16, 2), (32, 2)):
        x = _preactivation_block(x, scale * width, stride, activation)
        x = _preactivation_block(x, scale * width, 1, activation)
    x = layers.GlobalAveragePooling2D()(_activate(_normalize(x), activation))
    outputs = _logits(x, classes, _uniform())
    return keras.Model(image, outputs, name="preact_resnet18")


def wide_resnet(widen_factor=10, depth=34, input_shape=(32, 32, 3), classes=10):
    """Wide ResNet without dropout, 46,160,474 parameters (WRN-34-10).

    Args:
        widen_factor: Scales the channels, `16 * widen_factor` and on.
        depth: Number of convolutions, a multiple of 6 plus 4.
        input_shape: Shape of one image.
        classes: Number of logits.

    Raises:
        ValueError: If `depth` is not a multiple of 6 plus 4.

    Reference: Zagoruyko and Komodakis, 2016, arXiv 1605.07146, table 1.
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(
            "`depth` must be a multiple of 6 plus 4, at least 10. "
            f"Received: depth={depth}"
        )
    image = keras.Input(input_shape, name="image")
    x = convolution(image, 16, 3, initializer=_he)
    for scale, stride in ((16, 1), (32, 2), (64, 2)):
        for strides in [stride] + [1] * ((depth - 10) // 6):
            x = _preactivation_block(
                x, scale * widen_factor, strides, initializer=_he
            )
    x = layers.GlobalAveragePooling2D()(_activate(_normalize(x)))
    outputs = _logits(x, classes, _uniform())
    return keras.Model(image, outputs, name="wide_resnet")


def instead_of_relu(name, build, make):
    """The same network with other layers in the place of ReLUs.

    Args:
        name: Its name.
        build: Builds a chain of layers.
        make: Makes a list of those layers, for each ReLU anew.
    """

    def made(*width, **arguments):
        network = build(*width, **arguments)
        image, *steps = network.layers
        x = image.output
        for layer in steps:
            config = layer.get_config()
            active = config.get("activation") == "relu"
            config |= {"activation": "linear"} if active else {}
            x = type(layer).from_config(config)(x)
            for other in make() if active else []:
                x = other(x)
        return keras.Model(image.output, x, name=name)

    return made


def sorted_pairs():
    """`MinMax`: the network's widths must be even."""
    return [tfr.layers.MinMax()]


def normalized():
    """A ReLU of what batch normalisation gives."""
    return [layers.BatchNormalization(), layers.ReLU()]


NETWORKS = {
    "digits_cnn": digits_cnn,
    "small_cnn": small_cnn,
    "sorting_cnn": instead_of_relu("sorting_cnn", small_cnn, sorted_pairs),
    "normalized_cnn": instead_of_relu("normalized_cnn", small_cnn, normalized),
    "fc1": fc1,
    "normalized_fc1": instead_of_relu("normalized_fc1", fc1, normalized),
    "sorting_fc1": instead_of_relu("sorting_fc1", fc1, sorted_pairs),
    "lenet": lenet,
    "cifar_lenet": cifar_lenet,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "small_resnet": small_resnet,
    "preact_resnet18": preact_resnet18,
    "wide_resnet": wide_resnet,
}


def build(name, input_shape, classes, width=None):
    """Builds the network called `name`.

    Args:
        name: A key of `NETWORKS`.
        input_shape: Shape of one image, `(height, width, channels)`.
        classes: Number of logits.
        width: First argument of the builder; its default if None.

    Raises:
        ValueError: If there is no such network.
    """
    if name not in NETWORKS:
        raise ValueError(
            f"`name` must be one of {sorted(NETWORKS)}. Received: name={name!r}"
        )
    widths = () if width is None else (width,)
    return NETWORKS[name](*widths, input_shape=input_shape, classes=classes)


def _uniform():
    """PyTorch's kernels: uniform in +-1 / sqrt(fan in)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _he():
    """He's kernels: normal with variance 2 / fan out."""
    return keras.initializers.VarianceScaling(
        2.0, "fan_out", "untruncated_normal"
    )


def convolution(
    x, filters, size, strides=1, use_bias=False, initializer=_uniform
):
    """A convolution with PyTorch's `padding=size // 2`, `size` odd."""
    # Keras's "same" pads a strided convolution more after than before.
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    return layers.Conv2D(
        filters,
        size,
        strides,
        padding="valid" if strides > 1 else "same",
        use_bias=use_bias,
        # A new initializer each time: one used twice repeats its numbers.
        kernel_initializer=initializer(),
    )(x)


def _normalize(x):
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _activate(x, activation="relu"):
    return layers.Activation(activation)(x)


def remade(network, kernels):
    """A new network whose layers with kernels have other arguments.

    Args:
        network: The network; its last layer keeps its initial kernel.
        kernels: Arguments by name, such as `kernel_regularizer`.
    """

    def copy(layer):
        config = layer.get_config()
        if "kernel_initializer" in config:
            config |= kernels
        return type(layer).from_config(config)

    new = keras.models.clone_model(network, clone_function=copy)
    new.layers[-1].set_weights(network.layers[-1].get_weights())
    return new


def _logits(x, classes, initializer="glorot_uniform"):
    return layers.Dense(classes, kernel_initializer=initializer, name="logits")(
        x
    )


def _residual_block(x, filters, strides):
    """Two convolutions and a shortcut, activated after their sum."""
    y = _activate(_normalize(convolution(x, filters, 3, strides)))
    y = _normalize(convolution(y, filters, 3))
    if strides > 1 or x.shape[-1] != filters:
        x = _normalize(convolution(x, filters, 1, strides))
    return _activate(layers.Add()([x, y]))


def _preactivation_block(
    x, filters, strides, activation="relu", initializer=_uniform
):
    """Activated before each convolution; so is a shortcut that projects."""
    y = _activate(_normalize(x), activation)
    if strides > 1 or x.shape[-1] != filters:
        x = convolution(y, filters, 1, strides, initializer=initializer)
    y = convolution(y, filters, 3, strides, initializer=initializer)
    y = _activate(_normalize(y), activation)
    y = convolution(y, filters, 3, initializer=initializer)
    return layers.Add()([x, y])
