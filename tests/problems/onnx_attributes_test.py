"""Attributes and inputs of ONNX nodes are honoured, or refused by name."""

import numpy as np
import pytest

from tests.problems.conftest import IMAGE, VECTOR, drawn, model_of, whole
from tests.problems.onnx_reader_test import CASES, compare, one_op
from tests.problems.onnx_refusals_test import save
from tfrobust.problems import Network, verify

pytestmark = pytest.mark.keras_free

# These read all their inputs, however many there are.
ALL = "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "MatMul"


def node(*words, **attributes):
    from onnx import helper

    return helper.make_node(*words, **attributes)


def scaled(**attributes):
    """A network that multiplies with a sum of the lengths of its input."""
    nodes = [
        node("Shape", ["x"], ["s"], **attributes),
        node("Cast", ["s"], ["c"], to=1),
        node("ReduceSum", ["c"], ["k"], keepdims=0),
        node("Mul", ["x", "k"], ["m"]),
        node("Add", ["x", "m"], ["y"]),
    ]
    return nodes, (1, 2, 4)


@pytest.mark.parametrize("start", [None, 0, 1, -1, -2, -9, 3, 9])
@pytest.mark.parametrize("end", [None, 1, 2, -1, -9, 9])
def test_a_part_of_a_shape_is_what_onnxruntime_reads(start, end, tmp_path):
    ends = {"start": start, "end": end}
    given = {name: k for name, k in ends.items() if k is not None}
    nodes, shape = scaled(**given)
    compare(model_of(nodes, {}, shape, 15), shape, tmp_path)


def test_no_proof_reads_another_shape(tmp_path):
    # y = x + 6 x, which the whole shape would make x + 7 x.
    nodes, shape = scaled(start=1)
    names = [f"{letter}_{k}" for letter in "XY" for k in range(8)]
    text = "".join(f"(declare-const {name} Real)" for name in names)
    for k in range(8):
        text += f"(assert (and (>= X_{k} -1) (<= X_{k} 1)))"
    path = tmp_path / "query.vnnlib"
    for end, result in (("6.9", "sat"), ("7.1", "unsat")):
        path.write_text(f"{text}(assert (>= Y_0 {end}))")
        net = save(tmp_path, nodes, shape, {}, 15)
        assert verify(path, net).result == result


@pytest.mark.parametrize("name", list(CASES))
def test_an_attribute_that_nobody_reads_is_refused(name, tmp_path):
    from onnx import helper

    made, _ = one_op(name)
    made.graph.node[0].attribute.append(helper.make_attribute("unheard", 1))
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(NotImplementedError, match="the attribute unheard"):
        Network(path)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n][1] not in ALL])
def test_an_input_that_nobody_reads_is_refused(name, tmp_path):
    made, _ = one_op(name)
    held = made.graph.node[0].input
    held.extend([""] * (6 - len(held)) + ["x"])
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(NotImplementedError, match="the input 6"):
        Network(path)


@pytest.mark.parametrize(
    ("op", "shape", "others", "attributes", "opset"),
    [
        ("Gemm", VECTOR, [drawn(6, 3)], {"beta": 0.5, "transA": 0}, 13),
        ("Dropout", VECTOR, [], {"ratio": 0.3}, 10),
        ("Dropout", VECTOR, [np.float32(0.3)], {"seed": 3}, 13),
        ("Cast", VECTOR, [], {"to": 1, "saturate": 1}, 19),
        (
            "BatchNormalization",
            IMAGE,
            [drawn(4), drawn(4), drawn(4), drawn(4) ** 2],
            {"momentum": 0.5},
            13,
        ),
        ("ReduceSum", IMAGE, [whole(2)], {"noop_with_empty_axes": 1}, 13),
        ("Conv", IMAGE, [drawn(3, 4, 3, 2)], {"kernel_shape": [3, 2]}, 13),
        (
            "MaxPool",
            IMAGE,
            [],
            {"kernel_shape": [2, 2], "auto_pad": "VALID", "pads": [0] * 4},
            13,
        ),
    ],
)
def test_attributes_that_change_nothing_are_read(
    op, shape, others, attributes, opset, tmp_path
):
    held = {f"c{k}": np.asarray(v) for k, v in enumerate(others)}
    nodes = [node(op, ["x", *held], ["y"], **attributes)]
    compare(model_of(nodes, held, shape, opset), shape, tmp_path)


def parts(count, **attributes):
    """A network that turns the order of parts."""
    names = [f"p{k}" for k in range(count)]
    return [
        node("Split", ["x"], names, axis=1, **attributes),
        node("Concat", names[::-1], ["y"], axis=1),
    ]


@pytest.mark.parametrize(("length", "count"), [(7, 3), (6, 3), (5, 2)])
def test_the_last_part_may_be_smaller(length, count, tmp_path):
    shape = (1, length)
    made = model_of(parts(count, num_outputs=count), {}, shape, 18)
    compare(made, shape, tmp_path)


@pytest.mark.parametrize(
    ("count", "attributes", "opset", "message"),
    [
        (4, {}, 13, r"parts of \[1, 1, 1, 3\] for an axis of 6"),
        (5, {"num_outputs": 5}, 18, r"parts of \[2, 2, 2, 2, -2\]"),
        (2, {"num_outputs": 3}, 18, r"2 outputs for parts of \[3, 3\]"),
        (2, {"split": [1, 2]}, 11, r"parts of \[1, 2\] for an axis of 6"),
        (2, {"split": [1, 2, 3]}, 11, "2 outputs for parts"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    count, attributes, opset, message, tmp_path
):
    nodes = parts(count, **attributes)
    with pytest.raises(NotImplementedError, match=f"op Split .*{message}"):
        Network(save(tmp_path, nodes, VECTOR, {}, opset))


def test_what_nothing_computes_is_refused(tmp_path):
    nodes = [
        node("Dropout", ["x"], ["d", "mask"]),
        node("Cast", ["mask"], ["c"], to=1),
        node("Mul", ["d", "c"], ["y"]),
    ]
    with pytest.raises(NotImplementedError, match=r"computes.*\['mask'\]"):
        Network(save(tmp_path, nodes))
    nodes = [node("Relu", ["x"], ["z"])]
    with pytest.raises(ValueError, match="doesn't depend on its input"):
        Network(save(tmp_path, nodes))


def test_values_of_other_ranks_are_not_multiplied(tmp_path):
    nodes = [node("Neg", ["x"], ["a"]), node("MatMul", ["x", "a"], ["y"])]
    with pytest.raises(NotImplementedError, match="op MatMul .*other ranks"):
        Network(save(tmp_path, nodes, (1, 1)))
    nodes = [node("Sum", ["a", "a", "x"], ["y"])]
    held = {"a": np.float32(2)}
    with pytest.raises(NotImplementedError, match="op Sum .*two constants"):
        Network(save(tmp_path, nodes, VECTOR, held))


@pytest.mark.parametrize("inputs", [["x"], ["c"]])
def test_nodes_that_onnx_does_not_allow_are_named(inputs, tmp_path):
    nodes = [
        node("Transpose", inputs, ["t"], name="bad", perm=[0, 2, 1]),
        node("Add", ["x", "t"], ["y"]),
    ]
    held = {"c": drawn(1, 6)}
    with pytest.raises(ValueError, match="op Transpose at 'bad' can't be"):
        Network(save(tmp_path, nodes, VECTOR, held))


def test_constants_in_other_files_are_refused(tmp_path):
    from onnx import TensorProto

    nodes = [node("MatMul", ["x", "w"], ["y"])]
    made = model_of(nodes, {"w": drawn(6, 3)}, VECTOR)
    (held,) = made.graph.initializer
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value="w.bin")
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(NotImplementedError, match="'w' in another file"):
        Network(path)
