"""Every op of ONNX that is known computes what onnxruntime does."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats
from tfrobust.problems import Network
from tfrobust.problems.extra import session
from tfrobust.problems.onnx_writer import difference, to_onnx
from tfrobust.problems.reading_rules import RULES
from tfrobust.verifiers import CROWN, Specification

pytestmark = pytest.mark.keras_free

VECTOR, IMAGE = (1, 6), (1, 4, 6, 5)
rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(size=shape).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


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

    node = helper.make_node
    constants = {
        "k": drawn(4, 4, 3, 3),
        "last": whole(-1),
        "w": drawn(240, 3),
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


def save(tmp_path, nodes, shape=VECTOR, constants=None, opset=13):
    path = tmp_path / "net.onnx"
    made = model_of(nodes, constants or {}, shape, opset)
    path.write_bytes(made.SerializeToString())
    return path


def test_ops_that_are_not_known_are_all_named(tmp_path):
    from onnx import helper

    nodes = [
        helper.make_node("Tan", ["x"], ["a"]),
        helper.make_node("Celu", ["a"], ["y"]),
    ]
    with pytest.raises(NotImplementedError, match=r"\['Celu', 'Tan'\]"):
        Network(save(tmp_path, nodes))


@pytest.mark.parametrize(
    ("op", "shape", "constants", "attributes", "message"),
    [
        ("Transpose", (1, 2), [], {"perm": [1, 0]}, "moves the batch"),
        ("Flatten", VECTOR, [], {"axis": 0}, "axis=0"),
        ("Reshape", VECTOR, [whole(2, 3)], {}, "the first axis isn't 1"),
        ("Unsqueeze", VECTOR, [whole(0)], {}, "axis 0, that of the batch"),
        ("ReduceSum", VECTOR, [whole(0)], {}, "axis 0, that of the batch"),
        ("ReduceSum", VECTOR, [], {}, "no axes"),
        ("Softmax", VECTOR, [], {"axis": 0}, "axis 0, that of the batch"),
        ("Slice", VECTOR, [whole(0), whole(1), whole(0)], {}, "axis 0, that"),
        ("Pow", VECTOR, [np.float32(3)], {}, "another exponent"),
        ("Gemm", (1, 1), [drawn(1, 3)], {"transA": 1}, "transA=1"),
        ("Elu", VECTOR, [], {"alpha": 2.0}, "alpha=2.0"),
        ("Add", VECTOR, [drawn(2, 6)], {}, "a constant of the shape"),
        ("Add", VECTOR, [drawn(1, 1, 6)], {}, "a constant of the shape"),
        (
            "MaxPool",
            IMAGE,
            [],
            {"kernel_shape": [2, 2], "ceil_mode": 1},
            "ceil_mode=1",
        ),
        (
            "Slice",
            VECTOR,
            [whole(5), whole(0), whole(1), whole(-1)],
            {},
            "steps=-1",
        ),
        (
            "Pad",
            VECTOR,
            [whole(0, 1, 0, 1)],
            {"mode": "reflect"},
            "mode=reflect",
        ),
        ("Cast", VECTOR, [], {"to": 7}, "a cast to another type"),
    ],
)
def test_what_an_op_is_asked_beyond_that_is_refused(
    op, shape, constants, attributes, message, tmp_path
):
    from onnx import helper

    held = {f"c{k}": np.asarray(v) for k, v in enumerate(constants)}
    node = helper.make_node(op, ["x", *held], ["y"], **attributes)
    with pytest.raises(NotImplementedError, match=f"op {op} .*{message}"):
        Network(save(tmp_path, [node], shape, held))


def test_inputs_that_are_no_batch_are_refused(tmp_path):
    from onnx import helper

    node = helper.make_node("Relu", ["x"], ["y"])
    for shape in ((3, 6), (1, None), ()):
        with pytest.raises(
            NotImplementedError, match="An input of fixed shape"
        ):
            Network(save(tmp_path, [node], shape))
    assert Network(save(tmp_path, [node], ("n", 6))).shape == (6,)
