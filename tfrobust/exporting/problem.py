"""What every exporter asks of its arguments."""

import keyword
import re

import numpy as np
import tensorflow as tf

from tfrobust import backend
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.compression.plain import made_plain
from tfrobust.evaluation.batches import arrays, labelled
from tfrobust.evaluation.report import Report
from tfrobust.exporting.comparison import probes
from tfrobust.verifier import Verifier
from tfrobust.verifiers import BranchAndBound

OUTPUTS = ("logits", "probabilities", "class", "certified", "margin", "epsilon")


def stock(network):
    """The network in stock Keras layers, where it can be had."""
    known = getattr(network, "outputs", None)
    return made_plain(network) if known else network


def input_spec(network, input_name):
    """The `tf.TensorSpec` of a batch of inputs, once it is known to fit.

    Raises:
        ValueError: If the name isn't one that a signature can have, or the
            network isn't built or takes other inputs than one of numbers.
    """
    _check_name(input_name)
    backend.refuse_several(network)
    spec = tf.TensorSpec(_input_shape(network), tf.float32, name=input_name)
    for given in tf.nest.flatten(getattr(network, "inputs", None) or []):
        if not tf.as_dtype(given.dtype).is_floating:
            raise ValueError(
                "`model` must take floating point inputs: what is exported "
                f"takes float32. Received: {network.name!r} with inputs of "
                f"{tf.as_dtype(given.dtype).name}. Give it a float32 Input."
            )
    return spec


def _input_shape(network):
    """The shape of a batch; a subclassed model knows what it was built with."""
    shape = None
    if network.built:
        shape = getattr(network, "input_shape", None)
        shape = shape or (network.get_build_config() or {}).get("input_shape")
    if not shape or not all(n is None or isinstance(n, int) for n in shape):
        raise ValueError(
            "`model` must be built before export, with one input of a known "
            f"shape. Received: {network.name!r} with input shape {shape}. Call "
            "it once, or fit it."
        )
    return (None, *shape[1:])


def check_answers(network, spec, kind="classes"):
    """Refuses a network whose answers can't be what they shall be.

    Args:
        network: The Keras model.
        spec: `tf.TensorSpec` of its input.
        kind: See `Answers`.
    """
    x = probes(spec)
    logits = network(x, training=False)
    shape = getattr(logits, "shape", None)
    least = 2 if kind == "classes" else 1
    if shape is None or len(shape) != 2 or shape[1] < least:
        raise ValueError(
            f"`model` must answer with one tensor, [batch, {kind}], of at "
            f"least {least}. Received: {network.name!r}, which answers with "
            f"{shape or type(logits).__name__} for {len(x)} inputs. Of one "
            "logit tfr.logits_of(model) makes two; a regression is exported "
            "by the RobustModel that was compiled with its loss."
        )
    logits = np.asarray(logits, np.float32)
    if not np.all(np.isfinite(logits)):
        raise ValueError(
            "`model` must answer inputs between 0 and 1 with finite logits. "
            f"Received: {network.name!r}, which answers with {logits.min():g} "
            f"to {logits.max():g}. Are its weights finite?"
        )
    if kind == "numbers":
        return
    sums = logits.sum(axis=1)
    if logits.min() >= 0 and np.allclose(sums, 1, rtol=0, atol=1e-5):
        raise ValueError(
            "`model` must return logits. Received: "
            f"{network.name!r}, whose outputs are probabilities: they aren't "
            "negative and sum up to 1. Remove its softmax."
        )


def _check_name(input_name):
    """Refuses a name that no signature can have."""
    known = isinstance(input_name, str) and re.fullmatch(
        "[A-Za-z][A-Za-z0-9_]*", input_name
    )
    if not known or keyword.iskeyword(input_name) or input_name == "self":
        raise ValueError(
            "`input_name` must be a Python identifier of plain letters, "
            "digits and underscores that starts with a letter, but no keyword "
            f"and not self. Received: input_name={input_name!r}"
        )
    if input_name in OUTPUTS:
        raise ValueError(
            "`input_name` must differ from the outputs of the signatures, "
            f"{', '.join(OUTPUTS)}. Received: input_name={input_name!r}"
        )


def check_report(report):
    """Refuses what has nothing to put on a card."""
    if report is not None and not isinstance(report, Report):
        raise TypeError(
            "`report` must be a report, as tfr.evaluate and tfr.certify return "
            f"it. Received: {report!r}"
        )


def resolved(network, spec, certify, data, attack):
    """Checks adversaries and data; returns the attack and the data it is for.

    Args:
        network: The Keras model.
        spec: `tf.TensorSpec` of its input.
        certify: The `Verifier` of the signatures, or None.
        data: Inputs and labels, or None.
        attack: The `Attack` on the data, or None.
    """
    if certify is not None and not isinstance(certify, Verifier):
        raise TypeError(
            "`certify` must be a verifier, such as "
            f"tfr.verifiers.CROWN(threat). Received: {certify!r}"
        )
    if attack is not None and data is None:
        raise ValueError(
            "`attack` needs `data`, inputs and labels to attack what was "
            f"written on. Received: attack={attack!r} alone."
        )
    if attack is None and certify is not None:
        attack = PGD(certify.threat, steps=20)
    if data is not None and not isinstance(attack, Attack):
        raise TypeError(
            "`data` needs an `attack`, such as tfr.attacks.PGD(threat), or a "
            f"verifier in `certify`. Received: attack={attack!r}"
        )
    if isinstance(certify, BranchAndBound):
        raise ValueError(
            "`certify` must be a verifier whose bounds are a graph; branch and "
            f"bound searches in Python. Received: {certify!r}. Pass "
            "tfr.verifiers.CROWN(threat), and the rest to tfr.certify."
        )
    for name, adversary in {"certify": certify, "attack": attack}.items():
        if adversary is not None:
            _check_fixed(name, adversary, spec)
    return attack, None if data is None else _data(data, attack, network, spec)


def _check_fixed(name, adversary, spec):
    """Refuses a threat that moves, or differs from example to example."""
    threat, one = adversary.threat, (1, *(n or 32 for n in spec.shape[1:]))
    parts = threat.epsilon, 0.0 if threat.mask is None else threat.mask
    fixed = not adversary.schedules() and np.ndim(threat.epsilon) != 1
    if not fixed or any(isinstance(part, tf.Variable) for part in parts):
        raise ValueError(
            f"`{name}` needs one fixed epsilon. Received: {adversary!r}. Pass "
            "threat.replace(epsilon=0.3)."
        )
    for part in parts:
        try:
            fits = np.broadcast_shapes(np.shape(part), one) == one
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"`{name}` needs an epsilon and a mask of the shape of one "
                f"input, {one[1:]}, or that broadcast to it. Received one of "
                f"shape {np.shape(part)}."
            )


def _data(data, attack, network, spec):
    """Inputs and labels as arrays, once they are known to fit."""
    pair = isinstance(data, (tuple, list)) and len(data) == 2
    if not pair and not isinstance(data, tf.data.Dataset):
        raise TypeError(
            "`data` must be a pair of arrays, inputs and labels. Received: "
            f"{type(data).__name__}"
        )
    x = arrays(data)[0]
    if not spec.shape.is_compatible_with(x.shape):
        raise ValueError(
            "`data` must hold inputs of the model's shape, "
            f"{spec.shape}. Received: {x.shape}"
        )
    return labelled(data, attack.threat, network)
