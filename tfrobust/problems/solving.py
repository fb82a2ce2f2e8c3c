"""Deciding a query about an ONNX file."""

import time
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from tfrobust import checks
from tfrobust.decision import CERTIFIED, FALSIFIED
from tfrobust.problems.decimals import between
from tfrobust.problems.extra import session
from tfrobust.problems.onnx_reader import Network
from tfrobust.problems.query import Case, Query, read
from tfrobust.specification import Specification
from tfrobust.threats import Box
from tfrobust.types import Path
from tfrobust.verifiers import CROWN, BranchAndBound

SAT, UNSAT, UNDECIDED, LATE = "sat", "unsat", "unknown", "timed-out"


class Verdict(NamedTuple):
    """The answer to a query.

    Attributes:
        result: `"sat"`, `"unsat"`, `"unknown"` or `"timed-out"`.
        x: Of sat the counterexample, fractions in row-major order.
        y: Of sat what onnxruntime computes for it, in row-major order.
        reason: A sentence, where there is something to say.
    """

    result: str
    x: list[Fraction] | None = None
    y: list[float] | None = None
    reason: str = ""


def verify(
    query: Path | Query, network: Path, timeout: float = 60.0
) -> Verdict:
    """Decides whether a query has a counterexample.

    An attack, CROWN and branch and bound are asked. `sat` is only said of a
    point of the exact box at which onnxruntime, given the file, computes an
    unsafe output. `unsat` is only said where bounds that allow for every
    rounding to float32 prove it, of all points of the box; so it holds of the
    network in real arithmetic, too. Without an input that meets the query's
    conditions it is unsat vacuously, and the reason says so.

    Args:
        query: A VNN-LIB file, or what `read` returned of one.
        network: An ONNX file.
        timeout: Seconds to search for a proof; tracing comes on top.

    Returns:
        A `Verdict`.

    Raises:
        ImportError: If the extra `onnx` isn't installed.
        NotImplementedError: If the network holds what isn't known, or what no
            verifier can bound.
        ValueError: If the query can't be read, or is about another network.

    Example:
        `tfr.problems.verify("query.vnnlib", "net.onnx").result`
    """
    return Solver(network).verify(query, timeout)


class Solver:
    """Decides queries about one network, which is read and compiled once.

    Another query, of the same form, costs no new trace.

    Args:
        network: An ONNX file.

    Raises:
        ImportError: If the extra `onnx` isn't installed.
        NotImplementedError: If the network holds what isn't known.

    Example:
        ```
        solver = tfr.problems.Solver("net.onnx")
        results = [solver.verify(query).result for query in ["query.vnnlib"]]
        ```
    """

    def __init__(self, network: Path) -> None:
        self._model, self._run = Network(network), session(network)
        self._search: BranchAndBound | None = None
        self._query: Any = None
        # The verdict of a counterexample, None until there is one.
        self._found: Verdict | None = None

    def verify(self, query: Path | Query, timeout: float = 60.0) -> Verdict:
        """Decides whether a query has a counterexample: see `verify`."""
        checks.number(timeout, "timeout", 0)
        asked = query if isinstance(query, Query) else read(query)
        _check_shapes(asked, self._model)
        reason = "No input meets the query's conditions."
        if not asked.cases:
            return Verdict(UNSAT, reason=reason)
        self._query, self._found = asked, None
        deadline = time.monotonic() + timeout
        proven = [self._decide(g, deadline) for g in _groups(asked.cases)]
        if self._found is not None:
            return self._found
        if all(proven):
            return Verdict(UNSAT)
        return Verdict(LATE if time.monotonic() >= deadline else UNDECIDED)

    def _decide(self, cases, deadline):
        """Whether none of some cases has a counterexample, for certain."""
        if self._found is not None:
            return False
        shape = [len(cases), *self._model.shape]
        lower = np.reshape([_outward(c.lower, 0) for c in cases], shape)
        upper = np.reshape([_outward(c.upper, 1) for c in cases], shape)
        x, box = Box.between(lower, upper)
        if cases[0].specification is None:
            self._judge(cases[0], x[0])
            return False
        if self._search is None or len(cases) > 1:
            # Of one network and many queries, the search is compiled once.
            crown = CROWN(box).decide(self._model, x, _together(cases))
            left = np.flatnonzero(~np.asarray(crown.certified))
            if not len(left):
                return True
            cases = [cases[k] for k in left]
            x, box = Box.between(lower[left], upper[left])
        # Every case is given its share of the time.
        seconds = max(0.0, deadline - time.monotonic()) / len(cases)
        search = self._search or BranchAndBound(box)
        self._search = search.replace(threat=box, timeout=seconds)
        answer = self._search.answer(self._model, x, _together(cases))
        for k in np.flatnonzero(answer.verdict == FALSIFIED):
            self._judge(cases[k], answer.counterexample[k])
        return bool(np.all(answer.verdict == CERTIFIED))

    def _judge(self, case, point):
        """Keeps a point if onnxruntime shows that it is a counterexample."""
        x = _clipped(point, case)
        given = np.array([float(v) for v in x], np.float32)
        name = self._run.get_inputs()[0].name
        given = given.reshape([1, *self._model.shape])
        y = np.ravel(self._run.run(None, {name: given})[0]).tolist()
        if self._found is None and self._query.violated(x, y):
            self._found = Verdict(SAT, x, y)


def _groups(cases: list[Case]) -> list[list[Case]]:
    """Cases of specifications of one form, which are bounded together."""
    groups: dict[Any, list[Case]] = {}
    for number, case in enumerate(cases):
        # What every point violates comes first, one by one.
        key: Any = number
        if case.specification is not None:
            key = repr(case.specification.clauses)
        groups.setdefault(key, []).append(case)
    return sorted(groups.values(), key=lambda g: g[0].specification is not None)


def _together(cases: list[Case]) -> Specification:
    """The specifications of cases of one form, as rows of each example."""
    held: list[Any] = [case.specification for case in cases]
    rows = np.stack([specification.rows for specification in held])
    offsets = np.stack([specification.offsets for specification in held])
    return Specification(rows, offsets, held[0].clauses)


def _check_shapes(query, model):
    counts = [int(np.prod(part.shape)) for part in query[:2]]
    expected = [int(np.prod(model.shape)), model.outputs]
    if counts != expected:
        raise ValueError(
            f"The query is about {counts[0]} inputs and {counts[1]} outputs, "
            f"the network has {expected[0]} and {expected[1]}. Is it another "
            "network's?"
        )
    declared = tuple(query.input.shape)
    if query.input.version == "2.0" and declared != (1, *model.shape):
        raise ValueError(
            f"The query declares inputs of the shape {list(declared)}, the "
            f"network has {[1, *model.shape]}. Is it another network's?"
        )


def _outward(ends: list[Fraction], upper: int) -> list[float]:
    """Ends as float64, rounded away from the inside."""
    found = []
    for end in ends:
        value = float(end)
        exact = Fraction(value)
        if exact < end and upper:
            value = float(np.nextafter(value, np.inf))
        if exact > end and not upper:
            value = float(np.nextafter(value, -np.inf))
        found.append(value)
    return found


def _clipped(point: np.ndarray, case: Case) -> list[Fraction]:
    """A point moved into the exact box, of float32 numbers if that holds any.

    Where it holds none, a decimal of it stands for the float32 next to it.
    """
    x = []
    for value, low, high in zip(point.ravel(), *case[:2], strict=True):
        value = np.float32(value)
        if Fraction(float(value)) < low:
            value = np.float32(float(low))
            if Fraction(float(value)) < low:
                value = np.nextafter(value, np.float32(np.inf))
        elif Fraction(float(value)) > high:
            value = np.float32(float(high))
            if Fraction(float(value)) > high:
                value = np.nextafter(value, np.float32(-np.inf))
        exact = Fraction(float(value))
        x.append(exact if low <= exact <= high else between(low, high))
    return x
