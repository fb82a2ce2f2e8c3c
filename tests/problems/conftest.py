"""Models of ONNX, and the extra that tests of this room need."""

import numpy as np
import pytest

VECTOR, IMAGE = (1, 6), (1, 4, 6, 5)
rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(size=shape).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


@pytest.fixture(scope="session", autouse=True)
def extra():
    """Tests of this room need the extra `onnx`."""
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra: tfrobust[onnx]")


def model_of(nodes, constants, shape, opset=13):
    """A model of nodes that read `x` and compute `y`."""
    import onnx
    from onnx import helper

    number = onnx.TensorProto.FLOAT
    held = [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", number, shape)],
        [helper.make_tensor_value_info("y", number, None)],
        held,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
