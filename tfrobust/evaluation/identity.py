"""Which configurations are the same: by what they hold, never by their names.

Arrays count by their bytes, models by their layers and weights, functions by
their code. What can't be told apart is refused.
"""

import dis
import enum
import functools
import hashlib
import pathlib
import sys
import types

import numpy as np
import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.configurable import Configurable

_LIBRARIES = ("tfrobust", "tensorflow", "keras", "tf_keras", "numpy")
_PLAIN = (type(None), bool, str, bytes, complex, range, slice)


def identity(value):
    """Returns a hash that two values share only if they do the same.

    Args:
        value: An adversary, a threat, or numbers, arrays, models, functions,
            and lists and dictionaries of them.

    Raises:
        TypeError: If it holds what nothing is known of.
    """
    return _Hash()(value).hex()


def identified(value):
    """The identity, or None if it can't be told."""
    try:
        return identity(value)
    except TypeError:
        return None


class _Hash:
    """The hash of a value from those of its parts."""

    def __init__(self):
        self._known = {}  # By id; the value is held, so that its id is its own.

    def __call__(self, value):
        if isinstance(value, (str, bytes)):
            kind = type(value).__name__.encode()
            held = value.encode() if isinstance(value, str) else value
            return _sha256(kind + b":" + held)
        if id(value) not in self._known:
            # What is reached again from inside of itself is told by that.
            self._known[id(value)] = value, _sha256(b"again")
            hashes = [self(part) for part in _parts(value)]
            if isinstance(value, (set, frozenset)):
                hashes.sort()
            self._known[id(value)] = value, _sha256(b"all:" + b"".join(hashes))
        return self._known[id(value)][1]


def _sha256(content):
    return hashlib.sha256(content).digest()


def _parts(value):
    """What tells a value, of texts, bytes and further values."""
    for kinds, parts in _KINDS:
        if isinstance(value, kinds):
            return parts(value)
    if hasattr(value, "python_function"):  # A `tf.function`.
        return ["tf.function", value.python_function]
    if hasattr(value, "__array__"):
        return _array(value)
    if isinstance(weights_of(value), (list, tuple)):
        return _network(value)
    if hasattr(value, "__dict__") and not isinstance(value, tf.Module):
        return ["object", type(value), vars(value)]
    raise TypeError(
        "What is compared must hold numbers, arrays, Keras models and Python "
        f"functions alone. Received: {value!r}, of which nothing is known."
    )


def weights_of(network):
    """The weights of whatever has any, else None."""
    try:
        return getattr(network, "weights", getattr(network, "variables", None))
    except ValueError:  # In tf_keras a model has none before it is called.
        return None


def _dictionary(value):
    return ["dict", str(len(value)), *value, *value.values()]


def _array(value):
    try:
        array = np.asarray(value)
    # Of graphs and of datasets, tensors hold nothing to be read.
    except (NotImplementedError, tf.errors.OpError) as error:
        raise TypeError(f"Tensors must hold numbers: {value!r}") from error
    if array.dtype.hasobject:
        raise TypeError(f"Arrays must hold numbers. Received: {value!r}")
    return ["array", array.dtype.name, str(array.shape), array.tobytes()]


def _configuration(value):
    # The step keys the random numbers, and is no argument.
    step = getattr(value, "step", None)
    return ["configuration", type(value), step, value._arguments()]


def _network(value):
    layers = getattr(value, "layers", None) or []
    return ["network", type(value), _settings(value), layers, weights_of(value)]


def _settings(layer):
    """The configuration of a layer without others in it, but for its name."""
    if getattr(layer, "layers", None) or not isinstance(
        layer, keras.layers.Layer
    ):
        return {}
    try:
        config = layer.get_config()
    except NotImplementedError:
        return {}
    return {name: part for name, part in config.items() if name != "name"}


def _function(value):
    module = sys.modules.get(value.__module__)
    named = f"{value.__module__}.{value.__qualname__}"
    if _is_library(value) and _held(module, value.__qualname__) is value:
        return ["library", named]
    parts = [value.__code__, value.__defaults__, value.__kwdefaults__]
    closure = [_content(cell) for cell in value.__closure__ or ()]
    if _is_library(value):
        return ["function", *parts, closure]
    held = {
        name: value.__globals__[name]
        for name in sorted(_globals(value.__code__))
        if name in value.__globals__
    }
    return ["function", *parts, closure, held]


def _held(module, path):
    """What a module holds under a dotted name, or None."""
    names = path.split(".")
    return functools.reduce(lambda o, n: getattr(o, n, None), names, module)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"


def _globals(code):
    """The names of the globals that code reads, that of its parts included."""
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return names.union(*map(_globals, inner))


def _code(value):
    table = getattr(value, "co_exceptiontable", b"")
    lists = value.co_consts, value.co_names, value.co_varnames
    return ["code", value.co_code, table, str(value.co_flags), *lists]


def _class(value):
    named = f"{value.__module__}.{value.__qualname__}"
    if value.__module__ == "builtins" or _is_library(value):
        return ["class", named]
    kinds = (types.FunctionType, staticmethod, classmethod, property)
    plain = (*_PLAIN, int, float, tuple, np.ndarray)
    members = {
        name: member
        for name, member in sorted(vars(value).items())
        # Double underscores hold the place in the file, too.
        if isinstance(member, kinds)
        or (isinstance(member, plain) and not name.startswith("__"))
    }
    return ["class", named, value.__bases__, members]


def _is_library(value):
    """Whether a function or class comes with a package, not from the user."""
    return (value.__module__ or "").split(".")[0] in _LIBRARIES


def _named(value):
    return ["named", str(value.__module__), value.__name__]


# The first that fits counts.
_KINDS = (
    (_PLAIN, lambda value: [type(value).__name__, repr(value)]),
    (enum.Enum, lambda value: [type(value), value.name]),
    (int, lambda value: ["int", str(int(value))]),
    (float, lambda value: ["float", float(value).hex()]),
    ((list, tuple), lambda value: ["list", *value]),
    ((set, frozenset), lambda value: ["set", *value]),
    (dict, _dictionary),
    ((np.ndarray, np.generic, tf.Tensor, tf.Variable), _array),
    ((np.dtype, tf.DType), lambda value: ["dtype", value.name]),
    (pathlib.PurePath, lambda value: ["path", str(value)]),
    (Configurable, _configuration),
    (types.CodeType, _code),
    (types.FunctionType, _function),
    (
        types.MethodType,
        lambda value: ["method", value.__func__, value.__self__],
    ),
    ((staticmethod, classmethod), lambda value: ["method", value.__func__]),
    (property, lambda value: ["property", value.fget]),
    (
        functools.partial,
        lambda value: ["partial", value.func, value.args, value.keywords],
    ),
    (types.ModuleType, lambda value: ["module", value.__name__]),
    (type, _class),
    (types.BuiltinFunctionType, _named),
    (np.ufunc, lambda value: ["ufunc", value.__name__]),
)
