"""What adversaries were asked to do, in words that a report holds."""

import numpy as np
import tensorflow as tf

from tfrobust.backend import Schedule
from tfrobust.configurable import Configurable
from tfrobust.kinds import range_shown
from tfrobust.verifier import Verifier

_NORMS = {
    "linf": "no feature moves by more than epsilon",
    "l2": "the Euclidean norm of the perturbation is at most epsilon",
    "l1": "the absolute changes sum to at most epsilon",
    "box": "no feature moves by more than an epsilon of its own",
}


_SETS = {
    "patch": "any values within one square of pixels",
    "spatial": "rotations and translations",
}


def settings(adversaries):
    """The configuration of each adversary, for JSON.

    Args:
        adversaries: Dictionary of name to `Adversary`.
    """
    return {name: _settings(a) for name, a in adversaries.items()}


def _settings(adversary):
    return {
        "kind": type(adversary).__name__,
        "role": "verifier" if isinstance(adversary, Verifier) else "attack",
        "threat": in_words(adversary.threat),
        "epsilon": _one(adversary.threat.epsilon),
        "settings": {
            name: _short(value)
            for name, value in adversary._arguments().items()
            if name != "threat"
        },
        "seeds": seeds(adversary),
    }


def in_words(threat):
    """A threat as a sentence: norm, epsilon, range and mask."""
    if threat.epsilon is None:
        moves = _SETS.get(threat.name, "a set that is no ball")
        return f"{threat.name}: {moves}, {threat!r}."
    moves = _NORMS.get(threat.name, f"the norm {threat.name} bounds the move")
    epsilon = _range_of(threat.epsilon)
    low, high = getattr(threat, "low", None), getattr(threat, "high", None)
    valid = "inputs have no valid range"
    if low is not None:
        valid = f"inputs stay in {range_shown(low, high)}"
    mask = getattr(threat, "mask", None)
    masked = "no mask, every feature may move"
    if mask is not None:
        free = np.count_nonzero(np.asarray(mask))
        masked = f"a mask lets {free} of {np.size(mask)} entries move"
    return f"{threat.name}: {moves}; epsilon {epsilon}; {valid}; {masked}."


def seeds(adversary, path=""):
    """The seeds of an adversary and of those within, by where they stand."""
    found = {}
    for name, value in getattr(adversary, "__dict__", {}).items():
        here = f"{path}{name}"
        parts = value if isinstance(value, dict) else {"": value}
        if name == "seed":
            found[here] = _short(value)
        for key, part in parts.items():
            if isinstance(part, Configurable):
                found |= seeds(part, f"{here}.{key}." if key else f"{here}.")
    return found


def _one(epsilon):
    """The one radius of all examples and features, or None."""
    if epsilon is None or isinstance(epsilon, Schedule) or np.ndim(epsilon):
        return None
    return float(epsilon)


def _range_of(value):
    if isinstance(value, Schedule) or np.ndim(value) == 0:
        return _short(value)
    least, most = float(np.min(value)), float(np.max(value))
    shape = list(np.shape(value))
    return f"from {least:.6g} to {most:.6g}, an array of shape {shape}"


def _short(value):
    """A setting as a text in which no array is written out."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    if isinstance(value, np.ndarray) or tf.is_tensor(value):
        if np.ndim(value) == 0:
            return f"{np.asarray(value):.6g}"
        return f"array of shape {list(np.shape(value))}"
    return str(value) if isinstance(value, str) else repr(value)
