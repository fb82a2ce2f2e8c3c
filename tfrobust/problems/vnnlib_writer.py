"""Properties as VNN-LIB: a box of inputs, and outputs that are unsafe."""

import decimal
import itertools

import numpy as np

from tfrobust.specification import Specification


def exact(value: float) -> str:
    """A number in decimal digits, all that it has."""
    text = format(decimal.Decimal(float(value)), "f")
    return text if "." in text else f"{text}.0"


def text(
    lower: np.ndarray,
    upper: np.ndarray,
    specification: Specification,
    version: str,
    title: str,
) -> str:
    """The query whether some point of a box violates a specification.

    Args:
        lower: Lower corner, in the shape of one input.
        upper: Upper corner.
        specification: A `Specification` of rows `[rows, outputs]`.
        version: `"1.0"` or `"2.0"`.
        title: A comment for the first line.
    """
    outputs = specification.rows.shape[-1]
    if version == "2.0":
        x_shape, places = [1, *lower.shape], np.ndindex(1, *lower.shape)
        names = [f"X[{','.join(map(str, place))}]" for place in places]
        y_names = [f"Y[0,{k}]" for k in range(outputs)]
        head = [
            "(vnnlib-version <2.0>)",
            "(declare-network f",
            f"    (declare-input X float32 {_shape(x_shape)})",
            f"    (declare-output Y float32 {_shape([1, outputs])})",
            ")",
        ]
    else:
        names = [f"X_{k}" for k in range(lower.size)]
        y_names = [f"Y_{k}" for k in range(outputs)]
        head = [f"(declare-const {n} Real)" for n in [*names, *y_names]]
    ends = zip(names, lower.ravel(), upper.ravel(), strict=True)
    box = [
        f"(assert ({sign} {name} {exact(end)}))"
        for name, low, high in ends
        for sign, end in ((">=", low), ("<=", high))
    ]
    clauses = [
        " ".join(_unsafe(specification, row, y_names) for row in clause)
        for clause in specification.clauses
    ]
    cases = "\n".join(f"    (and {clause})" for clause in clauses)
    lines = [f"; {title}", *head, "", *box, "", f"(assert (or\n{cases}\n))"]
    return "\n".join(lines) + "\n"


def _shape(lengths):
    return f"[{', '.join(map(str, lengths))}]"


def _unsafe(specification, row, names):
    """That a row isn't positive, in the simplest form that there is."""
    weights = specification.rows[row].astype(float)
    offset = float(specification.offsets[row])
    places = np.flatnonzero(weights)
    signs = sorted(weights[places].tolist())
    if signs == [-1.0, 1.0] and offset == 0:
        return f"(<= {names[np.argmax(weights)]} {names[np.argmin(weights)]})"
    if len(places) == 1 and abs(signs[0]) == 1.0:
        sign, end = ("<=", -offset) if signs[0] > 0 else (">=", offset)
        return f"({sign} {names[places[0]]} {exact(end)})"
    terms = [f"(* {exact(weights[place])} {names[place]})" for place in places]
    if len(terms) > 1:
        total = f"(+ {' '.join(terms)})"
    else:
        total = "".join(terms) or "0.0"
    return f"(<= {total} {exact(-offset)})"


def rows_of(specification: Specification, count: int) -> list[Specification]:
    """A specification for each of so many examples."""
    rows, offsets = specification.rows, specification.offsets
    every = itertools.repeat(None, count)
    each = rows if rows.ndim == 3 else [rows for _ in every]
    numbers = offsets if offsets.ndim == 2 else [offsets] * count
    if len(each) != count:
        raise ValueError(
            "`y` must hold a specification of as many examples as `x`. "
            f"Received: {len(each)} of them and {count} inputs."
        )
    pairs = zip(each, numbers, strict=True)
    return [Specification(*pair, specification.clauses) for pair in pairs]
