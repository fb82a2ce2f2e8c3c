"""What is not known of an ONNX file is refused, never guessed."""

import numpy as np
import pytest

from tests.problems.conftest import IMAGE, VECTOR, drawn, model_of, whole
from tfrobust.problems import Network

pytestmark = pytest.mark.keras_free


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
        (
            "BatchNormalization",
            (1, 3, 5),
            [drawn(3), drawn(3), drawn(3), drawn(3) ** 2],
            {},
            "an input of 3 axes",
        ),
        # Without axes all are summed, the batch's too.
        ("ReduceSum", VECTOR, [whole()], {}, "no axes"),
        # These broadcast to more axes.
        ("Pow", VECTOR, [np.float32([[[2]]])], {}, "an exponent of the shape"),
        ("Pow", (1, 1), [np.float32([2, 2])], {}, "an exponent of the shape"),
        ("MatMul", VECTOR, [drawn(1, 6, 3)], {}, "a constant of the shape"),
        ("Clip", VECTOR, [drawn(6)], {}, "ends that aren't single"),
        ("Reshape", VECTOR, [whole(1, 3)], {}, "the shape .* for one of"),
        ("Squeeze", VECTOR, [whole(1)], {}, "the shape .* for one of"),
        ("Unsqueeze", VECTOR, [whole(1, 1)], {}, "axes="),
        ("Unsqueeze", VECTOR, [whole(4)], {}, "axes="),
        ("Gather", VECTOR, [whole(6)], {"axis": 1}, "indices beyond the 6"),
        ("Gather", VECTOR, [whole()], {"axis": 1}, "indices of the shape"),
        (
            "Conv",
            IMAGE,
            [drawn(3, 4, 3, 2)],
            {"kernel_shape": [2, 2]},
            "kernel_shape=.*, not its kernel's",
        ),
        ("Conv", IMAGE, [drawn(4, 2, 3, 2)], {}, "group=1, which its kernel"),
        (
            "MaxPool",
            IMAGE,
            [],
            {"kernel_shape": [2, 2], "auto_pad": "SAME"},
            "auto_pad=SAME",
        ),
        (
            "MaxPool",
            IMAGE,
            [],
            {"kernel_shape": [2, 2], "auto_pad": "VALID", "pads": [1] * 4},
            "auto_pad=VALID and pads",
        ),
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
