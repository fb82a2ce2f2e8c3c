"""Every op of ONNX that is known computes what onnxruntime does."""

import numpy as np
import pytest
import tensorflow as tf

from tests.problems.conftest import IMAGE, VECTOR, drawn, model_of, whole
from tfrobust import threats
from tfrobust.problems import Network
from tfrobust.problems.extra import session
from tfrobust.problems.onnx_writer import difference, to_onnx
from tfrobust.problems.reading_rules import RULES
from tfrobust.verifiers import CROWN, Specification

pytestmark = pytest.mark.keras_free


def conv(*more, of=(3, 4, 3, 2), **attributes):
    return IMAGE, "Conv", [drawn(*of), *more], attributes


# Shape of the input, op, its other inputs, its attributes.
CASES = {
    "gemm": (
        VECTOR,
        "Gemm",
        [drawn(6, 3), drawn(3)],
        {"alpha": 2.0, "beta": 0.5},
    ),
    "gemm turned": (VECTOR, "Gemm", [drawn(3, 6)], {"transB": 1}),
    "matmul": (VECTOR, "MatMul", [drawn(6, 3)], {}),
    "matmul of matrices": ((1, 2, 6), "MatMul", [drawn(1, 6, 3)], {}),
    "matmul from the left": ((1, 2, 6), "MatMul", [drawn(3, 2), 0], {}),
    "conv": conv(drawn(3), pads=[1, 0, 2, 1], strides=[2, 1]),
    "conv dilated": conv(dilations=[2, 1]),
    "conv same upper": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv valid": conv(auto_pad="VALID"),
    "conv of groups": conv(of=(6, 2, 3, 2), group=2, pads=[1, 1, 1, 1]),
    "conv of channels": conv(
        drawn(8), of=(8, 1, 3, 2), group=4, pads=[1, 1, 0, 0]
    ),
    "add": (IMAGE, "Add", [drawn(4, 1, 1)], {}),
    "add from the left": (IMAGE, "Sub", [drawn(1, 4, 1, 5), 0], {}),
    "sub": (VECTOR, "Sub", [drawn(6)], {}),
    "mul": (IMAGE, "Mul", [drawn(5)], {}),
    "div": (VECTOR, "Div", [np.float32(3)], {}),
    "max": (VECTOR, "Max", [drawn(6), drawn(1)], {}),
    "min": (VECTOR, "Min", [drawn(6)], {}),
    "sum": (VECTOR, "Sum", [drawn(6), drawn(6)], {}),
    "pow": (VECTOR, "Pow", [np.float32(2)], {}),
    "leaky": (VECTOR, "LeakyRelu", [], {"alpha": 0.3}),
    "leaky by default": (VECTOR, "LeakyRelu", [], {}),
    "clip": (VECTOR, "Clip", [np.float32(-0.2), np.float32(0.4)], {}),
    "softmax": (IMAGE, "Softmax", [], {"axis": 1}),
    "max pool": (
        IMAGE,
        "MaxPool",
        [],
        {"kernel_shape": [3, 2], "strides": [2, 1]},
    ),
    "max pool padded": (
        IMAGE,
        "MaxPool",
        [],
        {"kernel_shape": [3, 3], "pads": [2, 1, 1, 2], "strides": [2, 2]},
    ),
    "average pool": (IMAGE, "AveragePool", [], {"kernel_shape": [2, 2]}),
    "average pool padded": (
        IMAGE,
        "AveragePool",
        [],
        {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "strides": [2, 2]},
    ),
    "average pool of pads": (
        IMAGE,
        "AveragePool",
        [],
        {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1},
    ),
    "global average": (IMAGE, "GlobalAveragePool", [], {}),
    "batch norm": (
        IMAGE,
        "BatchNormalization",
        [drawn(4), drawn(4), drawn(4), drawn(4) ** 2],
        {"epsilon": 0.01},
    ),
    "batch norm of features": (
        VECTOR,
        "BatchNormalization",
        [drawn(6), drawn(6), drawn(6), drawn(6) ** 2],
        {},
    ),
    "flatten": (IMAGE, "Flatten", [], {}),
    "reshape": (IMAGE, "Reshape", [whole(0, 8, -1)], {}),
    "transpose": (IMAGE, "Transpose", [], {"perm": [0, 3, 1, 2]}),
    "squeeze": ((1, 4, 1, 5), "Squeeze", [whole(-2)], {}),
    "unsqueeze": (VECTOR, "Unsqueeze", [whole(1, -1)], {}),
    "slice": (
        IMAGE,
        "Slice",
        [whole(1, -4), whole(3, 2**62), whole(1, -1), whole(1, 2)],
        {},
    ),
    "gather": (IMAGE, "Gather", [whole(2, 0, -1)], {"axis": 1}),
    "gather one": (IMAGE, "Gather", [np.int64(1)], {"axis": 2}),
    "pad": (IMAGE, "Pad", [whole(0, 0, 1, 2, 0, 1, 0, 0), np.float32(0.5)], {}),
    "mean": (IMAGE, "ReduceMean", [], {"axes": [1, -1], "keepdims": 0}),
    "sums": (IMAGE, "ReduceSum", [whole(2)], {}),
    "split": (VECTOR, "Split", [whole(2, 4)], {"axis": 1}),
    "cast": (VECTOR, "Cast", [], {"to": 1}),
    "dropout": (VECTOR, "Dropout", [], {}),
}
for name in (
    "Abs Cos Elu Erf Exp Identity Neg Relu Sigmoid Sign Sin Softplus Tanh"
).split():
    CASES[name] = VECTOR, name, [], {}
for name in "Log Reciprocal Sqrt".split():
    CASES[name] = VECTOR, name, [], {}
POSITIVE = "Log", "Reciprocal", "Sqrt"


def one_op(name):
    """A model of one op; 0 among its inputs stands for the network's."""
    from onnx import helper

    shape, op, others, attributes = CASES[name]
    constants = {f"c{k}": np.asarray(v) for k, v in enumerate(others)}
    names = ["x", *constants]
    if others and isinstance(others[-1], int):
        names = [*constants][:-1] + ["x"]
        constants.popitem()
    outputs = ["y", "z"] if op == "Split" else ["y"]
    node = helper.make_node(op, names, outputs, **attributes)
    return model_of([node], constants, shape), shape


def compare(made, shape, tmp_path, positive=False):
    """Compares several examples at once with one after the other."""
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    x = np.random.default_rng(1).normal(size=(5, *shape[1:]))
    x = (np.abs(x) + 0.1 if positive else x).astype(np.float32)
    run, network = session(path), Network(path)
    expected = [run.run(["y"], {"x": one[None]})[0].ravel() for one in x]
    found = network(x).numpy()
    assert network.shape == tuple(shape[1:])
    assert network.outputs == found.shape[1]
    assert np.ptp(expected) > 0.1
    assert difference(np.array(expected), found) < 1e-6
    return network


@pytest.mark.parametrize("name", list(CASES))
def test_an_op_computes_what_onnxruntime_does(name, tmp_path):
    compare(*one_op(name), tmp_path, CASES[name][1] in POSITIVE)


def test_every_op_has_a_case():
    apart = {"Concat", "Shape"}
    assert set(RULES) == {case[1] for case in CASES.values()} | apart


def residual():
    """A network whose shapes are worked out while it runs."""
    from onnx import helper

    node, rng = helper.make_node, np.random.default_rng(0)
    constants = {
        "k": rng.normal(size=(4, 4, 3, 3)).astype(np.float32),
        "last": whole(-1),
        "w": rng.normal(0.0, 0.5, (240, 3)).astype(np.float32),
        "half": np.float32(0.5),
    }
    nodes = [
        node("Conv", ["x", "k"], ["a"], pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("Concat", ["b", "x"], ["c"], axis=1),
        node("Add", ["b", "x"], ["d"]),
        node("Concat", ["d", "b"], ["e"], axis=3),
        node("Shape", ["x"], ["s"]),
        node(
            "Constant", [], ["zero"], value=helper.make_tensor("", 7, [1], [0])
        ),
        node("Gather", ["s", "zero"], ["n"]),
        node("Concat", ["n", "last"], ["t"], axis=0),
        node("Reshape", ["c", "t"], ["f"]),
        node("Reshape", ["e", "t"], ["g"]),
        node("Mul", ["f", "half"], ["h"]),
        node("Sub", ["h", "g"], ["i"]),
        node("MatMul", ["i", "w"], ["y"]),
    ]
    return model_of(nodes, constants, IMAGE)


def test_a_network_is_read_and_bounded(tmp_path):
    network = compare(residual(), IMAGE, tmp_path)
    x = np.random.default_rng(2).uniform(size=(2, *IMAGE[1:]))
    x, linf = x.astype(np.float32), threats.Linf(0.01)
    spec = Specification(np.eye(3), [0.0] * 3)
    lower = CROWN(linf).margins(network, x, spec).numpy()
    points = [linf.sample(tf.constant(x), seed) for seed in range(20)]
    least = np.min([network(point) for point in points], axis=0)
    assert np.all(lower <= least) and np.all(lower > least - 5)


def test_what_was_written_is_read_again(tmp_path):
    kernel, matrix = drawn(3, 3, 2, 4), drawn(60, 3)

    def model(x, training=False):
        x = tf.nn.relu(
            tf.nn.conv2d(x, kernel, 2, "SAME") + [1.0, 0.0, -1.0, 0.5]
        )
        x = tf.nn.max_pool2d(x, 2, 1, "SAME")
        x = tf.pad(x, [[0, 0], [0, 0], [0, 2], [0, 0]])
        return tf.reshape(x, [-1, 60]) @ matrix

    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(model, (6, 5, 2)).SerializeToString())
    x = np.random.default_rng(0).uniform(size=(4, 6, 5, 2)).astype(np.float32)
    assert difference(model(x).numpy(), Network(path)(x)) < 1e-6
