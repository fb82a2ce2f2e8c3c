"""A model of probabilities without its last step."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import backend, checks
from tfrobust.backend import keras

# How far probabilities may differ once they are computed from the logits.
_TOLERANCE = 1e-5
# Of an axis whose length is left open, to try a model.
_LENGTH = 32


def logits_of(model: Any) -> Any:
    """Cuts off the softmax or sigmoid that a model ends in, if any.

    Attacks, verifiers and losses take logits: behind a softmax gradients
    vanish where a model is sure, and a bound of a probability says less. The
    new model shares all layers with the given one but the last, of which it
    has a copy.

    - A softmax, as a layer or as the activation of the last one: its logits,
      `[batch, classes]`.
    - A sigmoid of one unit, or one logit without it: two logits, `[batch, 2]`,
      of which the first is 0, so that the classes are 0 and 1 and cross entropy
      is the binary one.
    - A sigmoid of several units: the logits of as many labels.

    That the probabilities are the same is checked on random inputs.

    Args:
        model: A functional or Sequential Keras model, built.

    Returns:
        A Keras model.

    Raises:
        TypeError: If `model` isn't a functional or Sequential model of the
            Keras in use.
        ValueError: If it ends in several units without a softmax or sigmoid,
            or the probabilities of both differ.

    Example:
        ```
        network = keras.applications.MobileNetV3Small(weights=None)
        model = tfr.RobustModel(tfr.logits_of(network))
        ```
    """
    _check(model)
    last = model.layers[-1]
    head, inputs = _head(last), _layer_input(last)
    if isinstance(last, keras.layers.Softmax):
        outputs = inputs
    elif head == "logit":
        outputs = model.outputs[0]
    else:
        config = last.get_config() | {"activation": "linear"}
        copy = type(last).from_config(config)
        outputs = copy(inputs)
        copy.set_weights(last.get_weights())
    if head != "softmax" and outputs.shape[-1] == 1:
        two = keras.layers.Dense(
            2, use_bias=False, trainable=False, name="two_logits"
        )
        outputs = two(outputs)
        two.set_weights([np.array([[0.0, 1.0]])])
    found = keras.Model(_inputs(model), outputs, name=model.name)
    _compare(model, found, head)
    return found


def _check(model):
    backend.check_network(model, probabilities=True)
    layered = getattr(model, "layers", None) and hasattr(model, "outputs")
    built = layered and model.outputs and len(model.outputs) == 1
    if not built:
        raise TypeError(
            "`model` must be a functional or Sequential Keras model, built, of "
            "one output: of others nobody knows the last layer. Received: "
            f"{model!r}. Return its logits from `call` instead."
        )


def _head(last):
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    for name in ("softmax", "sigmoid"):
        if getattr(last, "activation", None) is getattr(
            keras.activations, name
        ):
            return name
    linear = getattr(last, "activation", None) is keras.activations.linear
    if linear and getattr(last, "units", None) == 1:
        return "logit"
    raise ValueError(
        "`model` must end in a softmax, a sigmoid or one unit. Received a "
        f"model whose last layer is {last.name!r}, a {type(last).__name__}. "
        "If that returns logits, the model can be used as it is."
    )


def _inputs(model):
    return model.inputs[0] if len(model.inputs) == 1 else model.input


def _layer_input(last):
    given = last.input
    checks.argument(
        not isinstance(given, (list, tuple)),
        "model",
        "end in a layer that reads one value",
        f"a model whose last layer, {last.name!r}, reads several",
    )
    return given


def _compare(model, found, head):
    """Refuses if the probabilities aren't the same."""
    rng = np.random.default_rng(0)

    def drawn(given):
        shape = [length or _LENGTH for length in given.shape[1:]]
        return rng.uniform(size=(4, *shape)).astype(np.float32)

    x = tf.nest.map_structure(drawn, _inputs(model))
    expected = np.asarray(model(x, training=False), np.float64)
    logits = np.asarray(found(x, training=False), np.float64)
    if head != "softmax" and expected.shape[-1] == 1:
        logits = logits[..., 1:] - logits[..., :1]
    if head == "logit":
        got = logits
    elif head == "sigmoid":
        got = 1 / (1 + np.exp(-logits))
    else:
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        got = powers / powers.sum(axis=-1, keepdims=True)
    away = np.max(np.abs(got - expected))
    checks.argument(
        bool(away <= _TOLERANCE),
        "model",
        f"answer with its logits, or a {head} of them along the last axis",
        f"a model whose answers differ from them by up to {away:.2g}",
    )
