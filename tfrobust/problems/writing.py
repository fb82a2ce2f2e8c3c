"""Verification problems for other tools."""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.averaging import network_of
from tfrobust.files import new_folder
from tfrobust.problems.extra import load, session
from tfrobust.problems.onnx_writer import difference, to_onnx
from tfrobust.problems.vnnlib_writer import rows_of, text
from tfrobust.specification import Specification
from tfrobust.threats import Threat
from tfrobust.types import Model, Path, TensorLike

# What rounding in another order may make of outputs, of 1 and of the largest.
TOLERANCE = 1e-4
VERSIONS = "1.0", "2.0"


class Written(NamedTuple):
    """What was written.

    Attributes:
        folder: Where.
        problems: How many problems.
        difference: The largest difference between onnxruntime's outputs and
            the model's, as a share of 1 and of the largest output.
    """

    folder: pathlib.Path
    problems: int
    difference: float


def write(
    model: Model,
    x: TensorLike,
    y: TensorLike | Specification,
    threat: Threat,
    folder: Path,
    timeout: float = 60.0,
    overwrite: bool = False,
) -> Written:
    """Writes verification problems that other verifiers read.

    The folder holds the network, `onnx/model.onnx`, for one input; for each x
    a query in VNN-LIB 1.0 and in 2.0, `vnnlib/1.0/0.vnnlib` and so on; and
    `instances.csv` and `instances_2.0.csv`, lines of network, query and
    seconds as in VNN-COMP. A query asks for a counterexample: a point of the
    box where the property fails, ties included. Numbers are written exactly.

    Once written, the network is run by onnxruntime on x, corners and random
    points of the boxes, and compared. The folder appears whole or not at all.

    Args:
        model: A `RobustModel` or any callable `model(x, training=False) ->
            outputs` of outputs `[batch, outputs]`.
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`, which shall win; or a
            `Specification`.
        threat: A `Threat` that is a box: `Linf` or `Box`.
        folder: Where to write.
        timeout: Seconds for each problem, in `instances.csv`.
        overwrite: Whether to replace what an earlier call wrote there.

    Returns:
        `Written`, with the difference that was found.

    Raises:
        FileExistsError: If the folder exists and `overwrite` is false.
        ImportError: If the extra `onnx` isn't installed.
        NotImplementedError: If an op has no counterpart in ONNX.
        ValueError: If an argument isn't as expected, or onnxruntime computes
            something else.

    Example:
        `tfr.problems.write(model, x, y, tfr.threats.Linf(0.1), "problems")`
    """
    checks.kind(threat, Threat, "threat", "tfr.threats.Linf(0.1)")
    checks.argument(threat.is_box, "threat", "be a box: Linf or Box", threat)
    checks.number(timeout, "timeout", 0)
    x = threat.checked(x)
    checks.argument(len(x) > 0, "x", "hold at least one example", x)
    with network_of(model) as network:
        outputs = tf.convert_to_tensor(network(x, training=False))
        if not isinstance(y, Specification):
            y = Specification.label(checks.labels(y, outputs), outputs.shape[1])
        y.matched(outputs)
        specifications = rows_of(y, len(x))
        made = to_onnx(network, x.shape[1:])
        with new_folder(folder, overwrite) as new:
            _save(new, made, threat.box(x), specifications, timeout)
            off = _replay(new, network, x, threat)
    return Written(pathlib.Path(folder), len(x), off)


def _save(new, made, box, specifications, timeout):
    (new / "onnx").mkdir()
    load("onnx").save(made, str(new / "onnx" / "model.onnx"))
    corners = [np.asarray(end) for end in box]
    for version in VERSIONS:
        queries = new / "vnnlib" / version
        queries.mkdir(parents=True)
        lines = []
        for k, specification in enumerate(specifications):
            title = f"Example {k}: sat if the property fails in the box."
            low, high = (corner[k] for corner in corners)
            written = text(low, high, specification, version, title)
            (queries / f"{k}.vnnlib").write_text(written)
            query = f"vnnlib/{version}/{k}.vnnlib"
            lines.append(f"onnx/model.onnx,{query},{timeout:g}\n")
        suffix = "" if version == "1.0" else f"_{version}"
        (new / f"instances{suffix}.csv").write_text("".join(lines))


def _replay(new, network, x, threat):
    """Compares with onnxruntime; returns by how much outputs differ."""
    run = session(new / "onnx" / "model.onnx")
    points: Any = [x, *threat.box(x), threat.sample(x, 0), threat.sample(x, 1)]
    worst = 0.0
    for batch in points:
        expected = np.asarray(network(batch, training=False))
        parts = [
            run.run(None, {"input": one[None]})[0] for one in batch.numpy()
        ]
        worst = max(worst, difference(expected, np.concatenate(parts)))
    # What isn't a number is no small difference either.
    if not worst <= TOLERANCE:
        raise ValueError(
            "What was written must compute what the model does, but for "
            f"rounding. Received: onnxruntime differs by {worst:.1e} of the "
            f"largest output, more than {TOLERANCE:g}, so nothing is kept. "
            "Are its weights and outputs finite?"
        )
    return worst
