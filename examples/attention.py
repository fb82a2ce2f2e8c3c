"""A small vision transformer: a Keras model of logits.

Usage:
    network = attention.transformer(32, (8, 8, 1), patch=2)
"""

from tfrobust.backend import keras


def transformer(width, shape, patch, classes=10):
    """Patches with positions, two blocks, and the mean over patches."""
    layers = keras.layers
    image = keras.Input(shape)
    count = (shape[0] // patch) * (shape[1] // patch)
    x = layers.Conv2D(width, patch, strides=patch)(image)
    x = layers.Reshape((count, width))(x)
    x = layers.EinsumDense("bpf,fg->bpg", (count, width), bias_axes="pg")(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, width // 2)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(2 * width, "gelu")(y)
        x = layers.Add()([x, layers.Dense(width)(y)])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(image, layers.Dense(classes)(x))
