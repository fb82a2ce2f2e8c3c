r"""Bounds next to auto_LiRPA: speed, memory and agreement.

    python -m benchmarks.certify --data_dir=data --peer=.venv-lirpa/bin/python \
        --network=cnn --weights=small_cnn.npz
    python -m benchmarks.certify --data_dir=data --peer=.venv-lirpa/bin/python \
        --network=cnn --widths=1,2,4 --batches=1,16,64,256

The second shows how cost grows with neurons and with the batch. `--weights`
holds the arrays of a network of width 1 in Keras's order, as
`benchmarks.attack --weights` leaves those of the small MNIST network; without
it they are drawn at random. `--peer` is an interpreter with auto_LiRPA, which
needs NumPy 1; see README.md. Tools and methods have processes of their own, in
turns; the smallest time of all counts. Memory is what the process held at its
peak beyond what it held after one example and two. Margins are compared once a
method, on 8 images.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

# The shapes of the kernels at width 1: what isn't an image or a logit grows.
NETWORKS = {
    "mlp": [(784, 256), (256, 256), (256, 10)],
    "cnn": [(4, 4, 1, 16), (4, 4, 16, 32), (49 * 32, 100), (100, 10)],
    "residual": [
        (4, 4, 1, 16),
        (3, 3, 16, 16),
        (3, 3, 16, 16),
        (4, 4, 16, 32),
        (49 * 32, 10),
    ],
    # Of a step, and of what the step before left; four gates beside each other.
    "lstm": [(49, 4 * 32), (32, 4 * 32), (32, 10)],
}
TOOLS = "tfrobust", "auto_LiRPA"
WORKER = pathlib.Path(__file__).with_name("certify_worker.py")
flags.DEFINE_string("data_dir", "data", "Folder of mnist.npz.")
flags.DEFINE_enum("network", "cnn", list(NETWORKS), "Network.")
flags.DEFINE_string("weights", None, "Its weights; None draws them.")
flags.DEFINE_string("peer", None, "Python that has auto_LiRPA.", required=True)
flags.DEFINE_float("epsilon", 0.1, "linf radius.")
flags.DEFINE_string("methods", "IBP,CROWN-IBP,CROWN", "Which bounds.")
flags.DEFINE_string("widths", "1", "Multiples of the network's width.")
flags.DEFINE_string("batches", "8,32", "Batch sizes, growing.")
flags.DEFINE_integer("rounds", 2, "Processes of each tool.")
flags.DEFINE_float("memory", 8192, "MiB from which a batch is left out.")
FLAGS = flags.FLAGS


def main(argv):
    del argv
    if FLAGS.weights and FLAGS.widths != "1":
        raise app.UsageError("--weights are those of one network: --widths=1.")
    print(
        "| width | method | batch | tfrobust images/s | auto_LiRPA images/s "
        "| speed | tfrobust MiB | auto_LiRPA MiB | margins differ, relative |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for width in map(int, FLAGS.widths.split(",")):
        for cells in rows(*measured(width)):
            print(f"| {width} | {' | '.join(cells)} |", flush=True)


def measured(width):
    """What both tools print, and the margins that they find."""
    lines, margins = {}, {}
    with tempfile.TemporaryDirectory() as room:
        problem = pathlib.Path(room, "problem.npz")
        np.savez(problem, **asked(width))
        for _ in range(FLAGS.rounds):
            pythons = sys.executable, FLAGS.peer
            for method, (tool, python) in itertools.product(
                FLAGS.methods.split(","), zip(TOOLS, pythons, strict=True)
            ):
                answers = pathlib.Path(room, f"{tool}.npz")
                for line in run(python, tool, method, problem, answers):
                    key = tool, line["method"], line["batch"]
                    known = lines.setdefault(key, line)
                    for part in ("seconds", "mib"):
                        known[part] = min(known[part], line[part])
                margins.setdefault(tool, {}).update(np.load(answers))
    return lines, margins


def asked(width):
    """Images, labels, network, weights and epsilon, by name."""
    largest = max(map(int, FLAGS.batches.split(",")))
    with np.load(pathlib.Path(FLAGS.data_dir, "mnist.npz")) as data:
        x = data["x_test"][:largest, ..., np.newaxis].astype(np.float32) / 255
        y = data["y_test"][:largest].astype(np.int64)
    if FLAGS.weights:
        with np.load(FLAGS.weights) as stored:
            arrays = [stored[name] for name in stored.files]
    else:
        arrays = drawn(NETWORKS[FLAGS.network], width)
    weights = {f"w{k}": array for k, array in enumerate(arrays)}
    network, epsilon = FLAGS.network, FLAGS.epsilon
    return {"x": x, "y": y, "network": network, "epsilon": epsilon, **weights}


def drawn(shapes, width):
    """Kernels and biases at random, of a scale that keeps that of signals."""
    generator = np.random.default_rng(0)
    for number, (*window, inputs, outputs) in enumerate(shapes):
        inputs *= width if number else 1
        outputs *= width if number < len(shapes) - 1 else 1
        shape = *window, inputs, outputs
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        yield (scale * generator.standard_normal(shape)).astype(np.float32)
        yield (0.1 * generator.standard_normal(outputs)).astype(np.float32)


def run(python, tool, method, problem, answers):
    """Runs the worker in an interpreter; yields what it prints."""
    command = [python, WORKER, tool, problem, method, FLAGS.batches]
    done = subprocess.run(
        [*command, str(FLAGS.memory), answers],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{tool} cannot run: see above.")
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def rows(lines, margins):
    """The cells of each line of the table; a dash is what was left out."""
    seen = set()
    for method, batch in dict.fromkeys(key[1:] for key in lines):
        ours, theirs = both = [lines.get((t, method, batch)) for t in TOOLS]
        rates = [f"{batch / t['seconds']:.1f}" if t else "-" for t in both]
        grown = [f"{t['mib']:.0f}" if t else "-" for t in both]
        speed = differ = "-"
        if ours and theirs:
            speed = f"{theirs['seconds'] / ours['seconds']:.2f}"
        if method not in seen:
            a, b = (margins[tool][method] for tool in TOOLS)
            differ = f"{np.max(np.abs(a - b)) / np.max(np.abs(b)):.1e}"
            seen.add(method)
        yield [method, str(batch), *rates, speed, *grown, differ]


if __name__ == "__main__":
    app.run(main)
