"""Slow ways to a certificate, each as margins that the judge can hold.

An example that is certified has margins that are tiny and positive, any other
has none.
"""

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust import verifiers

LEAST = 1e-30  # A certificate says no more than that it is positive.


def branch_and_bound(network, problem, batch_size=64):
    """The margins of `BranchAndBound`, whose points must be what they seem."""
    answer = verifiers.BranchAndBound(
        problem.threat,
        timeout=0.3,
        batch_size=batch_size,
        steps=3,
        restarts=1,
    ).answer(network, problem.x, problem.y)
    for k, verdict in enumerate(answer.verdict):
        point = answer.counterexample[k]
        if verdict == "falsified" and not problem.holds(point, k):
            raise AssertionError(f"{point} of {k} is outside of the threat.")
    certain = answer.verdict == "certified"
    claimed = _claimed(certain, answer.margins.shape[1], problem)
    return np.maximum(answer.margins, claimed), problem


def of_eight(network, problem):
    return branch_and_bound(network, problem, 8)


def certified_radius(network, problem, kind=verifiers.CROWN):
    """Certificates in the radii that it found."""
    found = verifiers.certified_radius(
        network, problem.x, problem.y, kind(problem.threat), tolerance=0.02
    )
    axes = [-1] + [1] * (problem.x.ndim - 1)
    share = found.radius / np.maximum(np.float32(problem.threat.epsilon), 1e-30)
    if np.any(share > 1):
        raise AssertionError(f"Radii {found.radius} beyond {problem.threat}.")
    nearer = problem.radius * np.reshape(share.astype(np.float64), axes)
    # Rounded down: the radius is float32.
    nearer *= 1 - 1e-7
    claimed = _claimed(found.radius > 0, network.spec.classes, problem)
    return claimed, problem._replace(radius=nearer)


def envelope_radius(network, problem):
    return certified_radius(network, problem, verifiers.PolyhedralEnvelope)


def certify(network, problem):
    """Certificates of `tfr.certify`."""
    threat = problem.threat
    report = tfr.certify(
        network,
        (problem.x, problem.y),
        [verifiers.IBP(threat), verifiers.CROWN(threat)],
        verbose=0,
    )
    certain = np.array(report.certificates["verdict"]) == "certified"
    return _claimed(certain, network.spec.classes, problem), problem


def in_a_graph(network, problem):
    """The margins of CROWN inside a graph, for a batch of any size."""
    verifier = verifiers.CROWN(problem.threat)
    given = tf.TensorSpec([None, *problem.x.shape[1:]], tf.float32)

    @tf.function(
        autograph=False,
        input_signature=[given, tf.TensorSpec([None], tf.int64)],
    )
    def margins(x, y):
        return verifier.margins(network, x, y)

    found = margins(problem.x, problem.y.astype(np.int64))
    return np.asarray(found, np.float64), problem


def _claimed(certain, classes, problem):
    claimed = np.where(certain[:, None], LEAST, -np.inf)
    claimed = np.repeat(claimed, classes, 1)
    claimed[np.arange(len(certain)), problem.y] = 0
    return claimed


SEARCHES = {
    "BranchAndBound": branch_and_bound,
    "BranchAndBound of 8": of_eight,
    "certified_radius": certified_radius,
    "certified_radius of envelopes": envelope_radius,
    "certify": certify,
    "in a graph": in_a_graph,
}
