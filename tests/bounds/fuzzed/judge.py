"""Holds what verifiers say of a network against the truth."""

import re
import traceback
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed import rounding, sets
from tests.bounds.fuzzed.networks import Network
from tests.bounds.fuzzed.searches import SEARCHES
from tests.bounds.fuzzed.truth import Truth
from tfrobust import verifiers

VERIFIERS = {
    "IBP": verifiers.IBP,
    "CROWNIBP": verifiers.CROWNIBP,
    "CROWN": verifiers.CROWN,
    "CROWN without intervals": lambda t: verifiers.CROWN(t, intersect=False),
    "FastLin": verifiers.FastLin,
    "FastLin without intervals": lambda t: verifiers.FastLin(
        t, intersect=False
    ),
    "AlphaCROWN": lambda t: verifiers.AlphaCROWN(t, steps=2),
    "PolyhedralEnvelope": verifiers.PolyhedralEnvelope,
}
# What is less than that share of a logit may be rounding.
ROUNDED = 1e-5


class Violation(NamedTuple):
    """A broken promise.

    Attributes:
        kind: "unsound", "rounding", "crash", "sentence", "label" or "loose".
        verifier: Its name.
        text: What was seen.
    """

    kind: str
    verifier: str
    text: str


class Verdict(NamedTuple):
    """What came of one verifier.

    Attributes:
        outcome: "bounded", "refused", "nan" or "violated".
        violation: The `Violation`; None if there is none.
        reason: The sentence of a refusal.
    """

    outcome: str
    violation: Violation | None = None
    reason: str = ""


def judge(spec, seed, names):
    """The `Verdict` of each verifier, by its name, on one network."""
    if isinstance(spec, rounding.Spec):
        network, see = rounding.Rounded(spec.seed, spec.family), rounding.truth
        problem = rounding.problem(network)
    else:
        network, see = Network(spec), Truth
        problem = sets.drawn(seed, spec.shape, spec.classes)
    truth, found = None, {}
    for name in names:
        margins, held_over, verdict = _margins(name, network, problem)
        if margins is not None:
            # Most of what is refused needs no truth.
            if held_over is not problem:
                seen = see(network, held_over, seed)
            else:
                seen = truth = truth or see(network, problem, seed)
            verdict = held(name, margins, seen, held_over, network)
        found[name] = verdict
    return network, found


def _margins(name, network, problem):
    """Lower bounds, the problem that they are of, and what went wrong."""
    try:
        if name in SEARCHES:
            return *SEARCHES[name](network, problem), None
        verifier = VERIFIERS[name](problem.threat)
        margins = verifier.margins(network, problem.x, problem.y)
        return np.asarray(margins, np.float64), problem, None
    except (NotImplementedError, ValueError) as error:
        verdict = _refusal(name, error)
    except Exception as error:
        verdict = _crash(name, error)
    if verdict.violation and not _runs_in_a_graph(
        network, problem.x, name in SEARCHES
    ):
        verdict = Verdict("refused", reason="Its network has no graph.")
    return None, problem, verdict


def _runs_in_a_graph(network, x, alone):
    """Whether it does for an open batch, and if need be one example alone.

    What doesn't is no engine's fault.
    """
    anything = tf.TensorSpec([None, *x.shape[1:]], tf.float32)
    graph = tf.function(network, autograph=False, input_signature=[anything])
    try:
        graph(x)
        if alone:
            graph(x[:1])
    except (tf.errors.OpError, ValueError, TypeError):
        return False
    return True


def _refusal(name, error):
    text = str(error)
    if not _from_us(error):
        return _crash(name, error)
    # It names each op, or whatever else it is about, in a sentence.
    if (
        "\n" in text
        or len(text) > 350 + 150 * text.lower().count("the op ")
        or not re.search("op |output|shape|`|'", text)
    ):
        return Verdict("violated", Violation("sentence", name, text))
    return Verdict("refused", reason=text)


def _crash(name, error):
    last = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in last if "/tfrobust/" in frame.filename]
    if not ours:
        ours = last
    at = f"{ours[-1].filename.split('/tfrobust/')[-1]}:{ours[-1].lineno}"
    text = f"{type(error).__name__} at {at}: {str(error)[:300]}"
    return Verdict("violated", Violation("crash", name, text))


def _from_us(error):
    frames = traceback.extract_tb(error.__traceback__)
    return "/tfrobust/" in frames[-1].filename


def held(name, margins, truth, problem, network):
    """The `Verdict` on margins, given what was seen."""
    rows = np.arange(len(problem.y))
    if np.any(margins[rows, problem.y] != 0):
        return _violated("label", name, f"{margins[rows, problem.y]}")
    rival = np.arange(margins.shape[1]) != problem.y[:, None]
    seen = truth.smallest
    # What isn't a number, or isn't seen to be one, proves nothing.
    above = rival & (margins > seen) & ~np.isneginf(margins)
    if np.any(above):
        excess = np.where(above, margins - seen, -np.inf)
        at = np.unravel_index(np.argmax(excess), excess.shape)
        size = 1e-30 + np.abs(seen[at]) + np.abs(margins[at])
        kind = "rounding" if excess[at] <= ROUNDED * (1 + size) else "unsound"
        certified = np.any(above & (margins > 0) & (seen <= 0))
        text = (
            f"bound {margins[at]:.9g} above {seen[at]:.9g}, seen in "
            f"{truth.where[at]}, example {at[0]}, class {at[1]}, "
            f"{problem.threat}"
        )
        text += ", a certificate contradicted" if certified else ""
        return _violated(kind, name, text)
    if np.any(rival & np.isnan(margins)):
        return Verdict("nan")  # It proves nothing.
    if name in SEARCHES:
        return Verdict("bounded")
    if network.affine and truth.apart and problem.exact:
        slack = np.max((seen - margins)[rival])
        if slack > 1e-3 * (1 + np.max(np.abs(seen[rival]))):
            text = f"slack {slack:.3g} of {np.max(np.abs(seen[rival])):.3g}"
            return _violated("loose", name, f"{text}, {problem.threat}")
    return Verdict("bounded")


def _violated(kind, name, text):
    return Verdict("violated", Violation(kind, name, text))


def shrunk(spec, seed, violation):
    """The shortest `Spec` on which a verifier breaks the same promise."""
    if isinstance(spec, rounding.Spec):
        return spec
    smaller = spec._replace(call="plain")
    candidates = [smaller] if spec.call != "plain" else []
    while True:
        candidates += [
            spec._replace(steps=spec.steps[:k] + spec.steps[k + 1 :])
            for k in range(len(spec.steps))
        ]
        for candidate in candidates:
            if _breaks(candidate, seed, violation):
                spec = candidate
                break
        else:
            return spec
        candidates = []


def _breaks(spec, seed, violation):
    try:
        _, found = judge(spec, seed, [violation.verifier])
    except (tf.errors.OpError, ValueError, TypeError):
        return False
    again = found[violation.verifier].violation
    return again is not None and alike(again) == alike(violation)


def alike(violation):
    """Its kind, and where it is a crash the line too."""
    line = violation.text.split(": ")[0] if violation.kind == "crash" else ""
    return violation.kind, line
