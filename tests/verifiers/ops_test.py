"""Networks of these layers are the same ops under both Kerases.

Bounds follow from ops alone, so tests of bounds on such networks run under one
Keras: all but those on networks that `conftest.DIFFER` names.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import contracts_test
from tests.bounds import rounding_test
from tests.verifiers import branch_and_bound_test, every_verifier_test
from tests.verifiers.conftest import (
    DIFFER,
    NETWORKS,
    block,
    chain,
    random_network,
)
from tfrobust import backend
from tfrobust.graph import Trace

pytestmark = pytest.mark.one_keras
OTHER = "keras" if backend.LEGACY else "tf_keras"


def networks():
    """All networks, by name."""
    plane, layers = branch_and_bound_test.plane, backend.keras.layers
    dense = [np.ones((3, 2)), np.ones(2), np.ones((2, 2)), np.ones(2)]
    drawn = {
        f"random {seed}": random_network(np.random.default_rng(seed))
        for seed in range(9)
    }
    builders = NETWORKS | every_verifier_test.TABLE
    found = {name: build() for name, build in builders.items()}
    found |= {
        f"contracts, {name}": network
        for name, network in contracts_test.piecewise().items()
    }
    return (
        found
        | drawn
        | {
            "block": block(),
            "unbiased": chain((5,), layers.Dense(6, use_bias=False)),
            "relu": plane(layers.ReLU(), layers.ReLU()),
            "leaky": plane(layers.LeakyReLU(0.1), layers.ReLU()),
            "curve": plane(layers.Activation("sigmoid")),
            "rounded": rounding_test.network(3, *dense),
            "rounded line": rounding_test.network(3, *dense, activation=None),
            "rounded curve": rounding_test.network(
                3, *dense, activation="tanh"
            ),
        }
    )


def described(network):
    """Every op that depends on the input: type, shape, inputs, attributes."""
    trace = Trace(network, tf.zeros([2, *network.input_shape[1:]]))
    order = {node: k for k, node in enumerate(trace.nodes)}
    return [
        {
            "type": node.type,
            "shape": list(node.shape),
            "inputs": [order[given] for given in node.dependent],
            "constants": [constant(node, k) for k in range(len(node.inputs))],
            "attributes": {
                name: str(node.op.get_attr(name))
                for name in sorted(a.name for a in node.op.op_def.attr)
            },
        }
        for node in trace.nodes[1:]
    ]


def constant(node, position):
    """Integers, such as an axis; of weights the shape, as they are drawn."""
    value = np.array(node.constant(position))
    if value.dtype.kind == "f":
        return list(value.shape)
    if node.type == "ConcatV2" and value.dtype.kind == "i":
        value = value % (1 + len(node.shape))  # Both mean the last axis.
    return value.tolist()


def table():
    """What `described` tells of every network."""
    return {name: described(net) for name, net in networks().items()}


def test_both_kerases_trace_a_network_to_the_same_ops():
    pytest.importorskip(OTHER)
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, __file__],
        env={
            **os.environ,
            "TF_USE_LEGACY_KERAS": str(int(not backend.LEGACY)),
            "PYTHONPATH": str(root),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    name, others = json.loads(done.stdout.splitlines()[-1])
    assert name.split(".")[0] == OTHER
    mine = json.loads(json.dumps(table()))
    assert list(mine) == list(others) and len(mine) > len(NETWORKS)
    assert {n for n in mine if mine[n] != others[n]} == set(DIFFER)


if __name__ == "__main__":
    print(json.dumps([backend.keras.__name__, table()]))
