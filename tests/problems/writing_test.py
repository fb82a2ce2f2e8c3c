"""What is written computes what the model does, and asks what was asked."""

import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import problems, threats
from tfrobust.graph.sorting import in_pairs
from tfrobust.problems import onnx_graph, writing, writing_rules
from tfrobust.problems.extra import session
from tfrobust.problems.onnx_writer import difference, to_onnx
from tfrobust.problems.vnnlib_writer import exact, text
from tfrobust.verifiers import Specification

pytestmark = pytest.mark.keras_free

LINF = threats.Linf(0.1)
RNG = np.random.default_rng(0)


def drawn(*shape):
    return tf.constant(0.5 * RNG.normal(size=shape), tf.float32)


def convolved(x, size, to, strides=1, padding="SAME", dilations=1, groups=1):
    kernel = drawn(size, size, x.shape[-1] // groups, to)
    return tf.nn.conv2d(x, kernel, strides, padding, "NHWC", dilations)


def flat(x):
    return tf.reshape(x, [-1, int(np.prod(x.shape[1:]))])


def normalized(x):
    count = x.shape[-1]
    ends = [drawn(count), drawn(count), drawn(count), drawn(count) ** 2]
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ends[0],
        offset=ends[1],
        mean=ends[2],
        variance=ends[3],
        is_training=False,
    ).y


IMAGES = {
    "convolutions": lambda x: convolved(
        tf.nn.relu(convolved(x, 3, 4, 2) + drawn(4)), 2, 3, padding="VALID"
    ),
    "dilated": lambda x: tf.tanh(
        convolved(x, 2, 4, dilations=2, padding="VALID")
    ),
    "grouped": lambda x: convolved(x, 3, 4, groups=2),
    "depthwise": lambda x: tf.nn.depthwise_conv2d(
        x, drawn(3, 3, 2, 2), [1, 2, 2, 1], "SAME"
    ),
    "padded by hand": lambda x: tf.nn.relu(
        x + convolved(x, 3, 2, padding=[[0, 0], [2, 0], [1, 1], [0, 0]])
    ),
    "max pooling": lambda x: tf.nn.max_pool2d(tf.nn.elu(x), 3, 2, "SAME"),
    "average pooling": lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"),
    "normalised": lambda x: normalized(
        tf.nn.relu(normalized(convolved(x, 3, 3)))
    ),
    "channels of their own": lambda x: (
        convolved(x, 3, 4) * drawn(4) - drawn(6, 5, 4)
    ),
    "sums": lambda x: (
        tf.reduce_mean(convolved(x, 3, 4), [1, 2])
        + tf.reduce_sum(convolved(x, 3, 4), [1, -2])
    ),
    "moves": lambda x: tf.squeeze(
        tf.expand_dims(tf.transpose(x, [0, 2, 1, 3]), 1), 1
    ),
    "padded": lambda x: tf.pad(
        x, [[0, 0], [1, 0], [0, 2], [0, 0]], constant_values=0.5
    ),
    "sorted": lambda x: in_pairs(convolved(x, 3, 4), -1),
    "parts": lambda x: tf.nn.relu(tf.split(convolved(x, 3, 3), 3, -1)[1]),
    "joined": lambda x: tf.concat(
        [convolved(x, 3, 2), x, tf.nn.relu6(4 * x)], -1
    ),
}
VECTORS = {
    "curves": lambda x: tf.sigmoid(x) + tf.math.softplus(x) * 0.5,
    "clipped": lambda x: tf.maximum(tf.minimum(x, 0.6), 0.3 - x),
    "leaky": lambda x: tf.nn.leaky_relu(x - 0.5, 0.1) / 3.0,
    "squares": lambda x: (
        tf.sqrt(tf.square(x) + 1.0) - tf.exp(-x) + tf.abs(x - 0.5)
    ),
    "matrices": lambda x: tf.matmul(tf.reshape(x, [-1, 5, 2]), drawn(2, 3)),
}


def network(function):
    """It ends in three outputs; its constants are the same at each call."""

    def model(x, training=False):
        RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state
        z = flat(function(tf.convert_to_tensor(x)))
        return z @ drawn(z.shape[1], 3)

    return model


CASES = {name: ((6, 5, 2), f) for name, f in IMAGES.items()}
CASES |= {name: ((10,), f) for name, f in VECTORS.items()}


@pytest.mark.parametrize("name", list(CASES))
def test_onnxruntime_computes_what_the_network_does(name, tmp_path):
    shape, function = CASES[name]
    model = network(function)
    made = to_onnx(model, shape)
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    run = session(tmp_path / "net.onnx")
    x = np.random.default_rng(2).uniform(size=(8, *shape)).astype(np.float32)
    found = [run.run(None, {"input": one[None]})[0] for one in x]
    expected = model(x).numpy()
    assert np.ptp(expected) > 0.1
    assert difference(expected, np.concatenate(found)) < 2e-6


def test_images_are_turned_once_on_the_way_in_and_once_on_the_way_out():
    made = to_onnx(network(IMAGES["normalised"]), (6, 5, 2))
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("Transpose") == 2


def test_ops_that_cannot_be_written_are_all_named():
    def strange(x, training=False):
        return tf.math.asinh(x) + tf.math.lgamma(x + 1.0)

    with pytest.raises(NotImplementedError, match=r"\['Asinh', 'Lgamma'\]"):
        to_onnx(strange, (3,))


@pytest.mark.parametrize("value", [0.1, -3.25, 1e-7, 2.0**-149, 3e38, 0.0])
def test_numbers_are_written_with_all_their_digits(value):
    value = np.float32(value)
    assert np.float64(exact(value)) == np.float64(value)
    assert re.fullmatch(r"-?\d+\.\d+", exact(value))


def test_a_query_of_each_version_by_hand():
    spec = Specification([[1, -1], [0, 2]], [0, -0.5]) | Specification(
        [[-1, 0]], [0.25]
    )
    ends = np.float32([0.0, 0.5]), np.float32([1.0, 0.5])
    found = text(*ends, spec, "1.0", "by hand").splitlines()
    assert found == [
        "; by hand",
        *(f"(declare-const {n} Real)" for n in ("X_0", "X_1", "Y_0", "Y_1")),
        "",
        "(assert (>= X_0 0.0))",
        "(assert (<= X_0 1.0))",
        "(assert (>= X_1 0.5))",
        "(assert (<= X_1 0.5))",
        "",
        "(assert (or",
        "    (and (<= Y_0 Y_1) (>= Y_0 0.25))",
        "    (and (<= (* 2.0 Y_1) 0.5) (>= Y_0 0.25))",
        "))",
    ]
    newer = text(*ends, spec, "2.0", "by hand")
    assert "(declare-input X float32 [1, 2])" in newer
    assert "(assert (<= X[0,0] 1.0))" in newer
    assert "(and (<= Y[0,0] Y[0,1]) (>= Y[0,0] 0.25))" in newer


def linear(x, training=False):
    return tf.reshape(x, [-1, 4]) @ tf.constant([[1.0, 0]] * 2 + [[0, 1.0]] * 2)


X = np.random.default_rng(0).uniform(size=(3, 2, 2)).astype(np.float32)


def test_a_folder_holds_networks_queries_and_instances(tmp_path):
    folder = tmp_path / "problems"
    written = problems.write(linear, X, [0, 1, 0], LINF, folder, timeout=30)
    assert written.problems == 3 and 0 <= written.difference < 1e-6
    for name, version in (("", "1.0"), ("_2.0", "2.0")):
        lines = (folder / f"instances{name}.csv").read_text().splitlines()
        assert len(lines) == 3
        for line in lines:
            net, query, seconds = line.split(",")
            assert version in query and seconds == "30"
            assert (folder / net).is_file() and (folder / query).is_file()
    assert "Y_1 Y_0" not in (folder / "vnnlib/1.0/0.vnnlib").read_text()
    assert "(<= Y_1 Y_0)" in (folder / "vnnlib/1.0/1.vnnlib").read_text()
    with pytest.raises(FileExistsError, match="is kept as it is"):
        problems.write(linear, X, [0, 1, 0], LINF, folder)
    problems.write(linear, X, [0, 1, 0], LINF, folder, overwrite=True)


def test_what_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    def model(x, training=False):
        return tf.reshape(x, [-1, 4])

    folder = tmp_path / "problems"
    monkeypatch.setitem(
        writing_rules.RULES,
        "Reshape",
        lambda g, n: onnx_graph.Value(
            g.add("Neg", writing_rules.RULES["Squeeze"](g, n).name)
        ),
    )
    with pytest.raises(ValueError, match="onnxruntime differs by"):
        problems.write(model, X, [0, 1, 0], LINF, folder)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threat": threats.L2(0.1)}, "`threat` must be a box: Linf or Box"),
        ({"y": [0, 1, 2]}, "class labels from 0 to 1"),
        ({"y": Specification.never(0, 3)}, "about 3 outputs"),
        ({"x": X + 2}, "must lie in the threat's valid range"),
        ({"timeout": -1}, "`timeout` must"),
    ],
)
def test_what_cannot_be_written_is_refused(change, message, tmp_path):
    given = {"x": X, "y": [0, 1, 0], "threat": LINF} | change
    with pytest.raises(ValueError, match=message):
        problems.write(linear, folder=tmp_path / "problems", **given)
    assert [*tmp_path.iterdir()] == []


def test_the_tolerance_allows_rounding_alone():
    assert writing.TOLERANCE <= 1e-4
    assert difference(np.float32([3.0]), [3.004]) == pytest.approx(
        1e-3, rel=0.01
    )
    assert np.isnan(difference(np.float32([np.nan]), [0.0]))


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'tfrobust\[onnx\]'"):
        problems.write(linear, X, [0, 1, 0], LINF, tmp_path / "problems")
    assert [*tmp_path.iterdir()] == []
