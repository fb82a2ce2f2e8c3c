"""Writes docs/coverage.md: which layers of both Kerases verifiers bound.

    python docs/coverage.py            # Under each Keras: writes its part.
    TF_USE_LEGACY_KERAS=1 python docs/coverage.py

A test compares the part of Keras 3 with what this gives.
"""

import inspect
import pathlib
import re

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras

PAGE = pathlib.Path(__file__).parent / "coverage.md"
HEAD = """# Which layers are bounded

Written by `docs/coverage.py`, which asks `tfr.verifiers.coverage` of a network
of one layer and a `Dense`, with arguments only where the layer needs some. What
isn't bounded is refused by name; attacks and training take what has a gradient.
Of your network ask yourself: `print(tfr.verifiers.coverage(model))`.
"""

ROW, SEQUENCE = (8,), (6, 4)
IMAGE, VOLUME, FILM = (8, 8, 3), (6, 6, 6, 2), (3, 6, 6, 2)
FILTERS = {"filters": 2, "kernel_size": 3}
UNITS = {"units": 2}

# What a layer needs to be made, and the shape of its input.
MADE = {
    "Activation": (ROW, {"activation": "relu"}),
    "CenterCrop": (IMAGE, {"height": 4, "width": 4}),
    "Dense": (ROW, {"units": 2}),
    "GaussianNoise": (ROW, {"stddev": 0.1}),
    "EinsumDense": (ROW, {"equation": "ab,bc->ac", "output_shape": 2}),
    "Embedding": (ROW, {"input_dim": 4, "output_dim": 2}),
    "GRU": (SEQUENCE, UNITS),
    "GroupNormalization": (IMAGE, {"groups": 3}),
    "LSTM": (SEQUENCE, UNITS),
    "Normalization": (ROW, {"mean": 0.5, "variance": 2.0}),
    "Permute": (SEQUENCE, {"dims": (2, 1)}),
    "RepeatVector": (ROW, {"n": 2}),
    "Rescaling": (ROW, {"scale": 2.0}),
    "Reshape": (ROW, {"target_shape": (2, 4)}),
    "Resizing": (IMAGE, {"height": 4, "width": 4}),
    "SimpleRNN": (SEQUENCE, UNITS),
    "STFTSpectrogram": ((300, 1), {}),
    "Solarization": (IMAGE, {"addition_factor": 0.1, "value_range": (0, 1)}),
    "AutoContrast": (IMAGE, {"value_range": (0, 1)}),
    "Equalization": (IMAGE, {"value_range": (0, 1)}),
    "AveragePooling1D": (SEQUENCE, {"pool_size": 2}),
    "AveragePooling2D": (IMAGE, {"pool_size": 2}),
    "AveragePooling3D": (VOLUME, {"pool_size": 2}),
    "RandomPosterization": (IMAGE, {"factor": 4}),
    "RandomTranslation": (
        IMAGE,
        {"height_factor": 0.1, "width_factor": 0.1},
    ),
    "RandomZoom": (IMAGE, {"height_factor": 0.1}),
    "RandomHeight": (IMAGE, {"factor": 0.1}),
    "RandomWidth": (IMAGE, {"factor": 0.1}),
    "ThresholdedReLU": (ROW, {"theta": 1.0}),
}
# Layers of two values, both of which depend on the input.
TWO = "Add Average Concatenate Maximum Minimum Multiply Subtract".split()
ATTENTION = {
    "Attention": {},
    "AdditiveAttention": {},
    "GroupQueryAttention": dict(
        head_dim=2, num_query_heads=2, num_key_value_heads=1
    ),
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 2},
}
# What is no function of numbers at inference, or belongs to others.
ELSEWHERE = {
    "a base class or a container": "AbstractRNNCell InputLayer InputSpec Layer "
    "Wrapper RNN Pipeline",
    "a cell, bounded within its layer": "GRUCell LSTMCell SimpleRNNCell "
    "StackedRNNCells",
    "your own function: as its ops are": "Lambda",
    "indices, categories or strings: attack what follows, see from_layer": (
        "CategoryEncoding DenseFeatures Discretization HashedCrossing Hashing "
        "IntegerLookup StringLookup TextVectorization ReversibleEmbedding "
        "MaxNumBoundingBoxes"
    ),
    "another framework's": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    "Keras doesn't make a model of it": "ContrastLimitedAdaptiveHistogram"
    "Equalization Equalization RandAugment RandomCrop",
}
NAMES = {
    name: reason
    for reason, names in ELSEWHERE.items()
    for name in names.split()
}


def classes():
    """The layers by name, each class once: as it calls itself, if it can."""
    found = {}
    for name in sorted(dir(keras.layers)):
        kind = getattr(keras.layers, name)
        if inspect.isclass(kind):
            own = getattr(keras.layers, kind.__name__, None) is kind
            found[kind.__name__ if own else name] = kind
    return dict(sorted(found.items()))


def inside(x, outputs):
    """A model with a layer behind: what a network ends in, nobody bounds."""
    flat = keras.layers.Flatten()(outputs)
    return keras.Model(x, keras.layers.Dense(2, name="behind")(flat))


def network(name, kind):
    """A network of one layer, and the shape of its input."""
    layers = keras.layers
    if name in TWO or name == "Dot":
        x = keras.Input(ROW)
        other = layers.Dense(8)(x)
        layer = kind(axes=1) if name == "Dot" else kind()
        return inside(x, layer([x, other])), ROW
    if name in ATTENTION:
        x, layer = keras.Input(SEQUENCE), kind(**ATTENTION[name])
        listed = name in ("Attention", "AdditiveAttention")
        outputs = layer([x, x]) if listed else layer(x, x)
        return inside(x, outputs), SEQUENCE
    if name == "Bidirectional":
        shape, layer = SEQUENCE, kind(layers.SimpleRNN(2))
    elif name == "TimeDistributed":
        shape, layer = SEQUENCE, kind(layers.Dense(2))
    elif name == "SpectralNormalization":
        shape, layer = ROW, kind(layers.Dense(2))
    elif name in MADE:
        shape, arguments = MADE[name]
        layer = kind(**arguments)
    else:
        shape, layer = guessed(name, kind)
    x = keras.Input(shape)
    return inside(x, layer(x)), shape


def guessed(name, kind):
    """By what the name says: convolutions, pooling, padding, images."""
    if "LSTM" in name:
        return (
            2,
            *{"1": (6, 2), "2": (6, 6, 2), "3": (4, 4, 4, 2)}[name[-2]],
        ), (kind(2, 3))
    shape = {"1": SEQUENCE, "2": IMAGE, "3": VOLUME}.get(name[-2:-1], ROW)
    if name.endswith("Transpose"):
        shape = {"1": SEQUENCE, "2": IMAGE, "3": VOLUME}[name[4]]
    if "Depthwise" in name:
        return shape, kind(kernel_size=3)
    if "Conv" in name or "Locally" in name:
        return shape, kind(**FILTERS)
    if "Pooling" in name and not name.startswith("Global"):
        return shape, kind(2)
    if "Dropout" in name:
        return shape, kind(0.5)
    if name.startswith("Random") or name in ("AugMix", "CutMix", "MixUp"):
        needed = inspect.signature(kind).parameters
        given = {"height": 4, "width": 4, "factor": 0.1}
        return IMAGE, kind(**{n: given[n] for n in given if n in needed})
    return shape, kind()


def verdict(name, kind):
    """Bounded, or why not, in a few words."""
    if name in NAMES:
        return "-", NAMES[name]
    try:
        model, shape = network(name, kind)
        found = tfr.verifiers.coverage(model, shape=shape)
    except Exception as error:  # The page says of each layer what there is.
        return "refused", brief(str(error))
    if found.complete:
        return "bounded", rules(found)
    return "refused", brief(found.problems[0])


def rules(found):
    """The rules of a layer's ops, without those of the layer behind."""
    rows = [row for row in found.rows if "behind" not in row[0]]
    return ", ".join(sorted({rule for *_, rule in rows}))


def brief(sentence):
    """The first sentence, without names that count layers."""
    first = re.split(r"(?<=[a-z)'])\. ", " ".join(sentence.split()))[0]
    first = re.sub(r" at '[^']*'", "", first).replace("|", "/")
    first = re.sub(r"'[^']*/[^']*'", "it", first)
    return first.rstrip(".")[:160]


def activations():
    """Those of Keras, each a network of one `Activation` layer."""
    for name in sorted(dir(keras.activations)):
        function = getattr(keras.activations, name)
        if (
            not inspect.isfunction(function)
            or function.__name__ != name
            or name in ("get", "serialize", "deserialize", "threshold", "glu")
        ):
            continue
        x = keras.Input(ROW)
        try:
            layer = keras.layers.Activation(function)
            found = tfr.verifiers.coverage(inside(x, layer(x)))
        except Exception as error:  # As above.
            yield name, "refused", brief(str(error))
            continue
        why = rules(found) if found.complete else brief(found.problems[0])
        yield name, "bounded" if found.complete else "refused", why


def section():
    """The part of the Keras in use, as Markdown."""
    title = "tf_keras" if backend.LEGACY else "Keras 3"
    rows = [(name, *verdict(name, kind)) for name, kind in classes().items()]
    count = sum(row[1] == "bounded" for row in rows)
    lines = [f"## {title}", ""]
    lines.append(
        f"{count} of {sum(r[1] != '-' for r in rows)} layers are bounded."
    )
    for head, table in (("layer", rows), ("activation", [*activations()])):
        lines += ["", f"| {head} | | rule, or why not |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in table]
    return "\n".join(lines) + "\n"


def parts(text):
    """The sections of a page by their titles."""
    found = re.split(r"(?m)^(?=## )", text)[1:]
    return {part.splitlines()[0]: part.strip() + "\n" for part in found}


def main():
    """Writes the part of the Keras in use into the page."""
    known = parts(PAGE.read_text()) if PAGE.exists() else {}
    part = section()
    known[part.splitlines()[0]] = part
    PAGE.write_text(HEAD + "\n" + "\n".join(known[k] for k in sorted(known)))


if __name__ == "__main__":
    main()
