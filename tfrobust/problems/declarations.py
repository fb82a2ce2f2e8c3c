"""The variables that a VNN-LIB file declares."""

import itertools
import math
import re
from typing import NamedTuple

import numpy as np

from tfrobust.problems.formula import Lookup, Variable
from tfrobust.problems.syntax import Group, VNNLIBError, Word, refuse

# What the bounds are sound for: real arithmetic, and any order of rounding.
PROVEN = "float32", "Real", "real"
# More variables than anyone should name one by one.
_MOST = 10_000_000


class Declared(NamedTuple):
    """The inputs or the outputs of a network.

    Attributes:
        name: What they are called.
        type: The type of their elements.
        shape: Their shape; of VNN-LIB 1.0 that of a list.
        version: The version of the file, `"1.0"` or `"2.0"`.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    version: str

    def names(self) -> list[str]:
        """The name of each, in row-major order."""
        if self.version == "1.0":
            return [f"{self.name}_{k}" for k in range(math.prod(self.shape))]
        places = (",".join(map(str, place)) for place in np.ndindex(self.shape))
        return [f"{self.name}[{place}]" for place in places]


def declared(
    groups: list[Group],
) -> tuple[Declared, Declared, dict[str, Variable]]:
    """What is declared of inputs and outputs, and every variable by its name.

    Raises:
        VNNLIBError: If that isn't one network of one input and one output, or
            a type is one that no proof covers.
    """
    networks = [g for g in groups if g[:1] == ["declare-network"]]
    constants = [g for g in groups if g[:1] == ["declare-const"]]
    if networks and (len(networks) > 1 or constants):
        raise refuse(networks[-1], "Queries of one network alone are decided.")
    if networks:
        x, y = _network(networks[0])
    elif constants:
        x, y = _constants(constants)
    else:
        raise VNNLIBError("Line 1: no input and no output is declared.")
    variables = {
        name: (of is y, place)
        for of in (x, y)
        for place, name in enumerate(of.names())
    }
    return x, y, variables


def _network(group):
    found: dict[str, list[Declared]] = {
        "declare-input": [],
        "declare-output": [],
    }
    for part in group[2:]:
        flat = isinstance(part, Group) and len(part) == 4
        flat = flat and all(isinstance(word, Word) for word in part)
        if not flat or part[0] not in found:
            raise refuse(
                part, "Not known: inputs and outputs alone are declared."
            )
        _, name, kind, shape = part
        if kind not in PROVEN:
            raise refuse(part, f"No proof covers the type {kind}.")
        if not re.fullmatch(r"\[(\d{1,9}(,\d{1,9})*)?\]", shape):
            raise refuse(part, "A shape is expected, such as [1,10].")
        lengths = tuple(int(n) for n in shape[1:-1].split(",") if n)
        if math.prod(lengths) > _MOST:
            raise refuse(part, f"At most {_MOST} variables are expected.")
        found[part[0]].append(Declared(str(name), str(kind), lengths, "2.0"))
    if [len(of) for of in found.values()] != [1, 1]:
        raise refuse(group, "One input and one output are expected.")
    x, y = (of[0] for of in found.values())
    if x.name == y.name:
        raise refuse(group, f"The name {x.name} is declared twice.")
    return x, y


def _constants(groups):
    places: dict[str, set[int]] = {"X": set(), "Y": set()}
    for group in groups:
        name = group[1] if len(group) == 3 else ""
        match = re.fullmatch(r"([XY])_(\d+)", str(name))
        if match is None or group[2] != "Real":
            raise refuse(group, "X_0 or Y_0 and the like are declared, Real.")
        if int(match[2]) in places[match[1]]:
            raise refuse(group, "It is declared twice.")
        places[match[1]].add(int(match[2]))
    for letter, held in places.items():
        missing = next(k for k in itertools.count() if k not in held)
        if missing != len(held) or not held:
            raise refuse(groups[0], f"{letter}_{missing} is never declared.")
    return [
        Declared(letter, "Real", (len(held),), "1.0")
        for letter, held in places.items()
    ]


def lookup(variables: dict[str, Variable]) -> Lookup:
    """A function of a name that gives its variable, or refuses it."""

    def found(name: Word) -> Variable:
        if name not in variables:
            raise refuse(name, "A variable that is never declared.")
        return variables[name]

    return found
