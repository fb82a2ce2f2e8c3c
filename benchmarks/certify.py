r"""Bounds next to auto_LiRPA: speed, memory and agreement.

    python -m benchmarks.certify --data_dir=data --weights=small_cnn.npz \
        --peer=.venv-lirpa/bin/python

`--weights` holds the eight arrays of the small MNIST network in Keras's order,
as `benchmarks.attack --weights` leaves them. `--peer` is an interpreter with
auto_LiRPA, which needs NumPy 1; see README.md. Each tool has processes of its
own, in turns; the smallest time of all counts. Memory is what the process grew
by from one example to the batch, at its peak.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

flags.DEFINE_string("data_dir", "data", "Folder of mnist.npz.")
flags.DEFINE_string("weights", "small_cnn.npz", "The network's weights.")
flags.DEFINE_string("peer", None, "Python that has auto_LiRPA.", required=True)
flags.DEFINE_float("epsilon", 0.1, "linf radius.")
flags.DEFINE_string("methods", "IBP,CROWN-IBP,CROWN", "Which bounds.")
flags.DEFINE_string("batches", "8,32", "Batch sizes.")
flags.DEFINE_integer("rounds", 2, "Processes of each tool.")
FLAGS = flags.FLAGS
WORKER = pathlib.Path(__file__).with_name("certify_worker.py")


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as room:
        problem = pathlib.Path(room, "problem.npz")
        np.savez(problem, **asked())
        lines, margins = {}, {}
        for _ in range(FLAGS.rounds):
            for tool, python in (
                ("tfrobust", sys.executable),
                ("auto_LiRPA", FLAGS.peer),
            ):
                answers = pathlib.Path(room, f"{tool}.npz")
                for line in run(python, tool, problem, answers):
                    key = tool, line["method"], line["batch"]
                    known = lines.setdefault(key, line)
                    for part in ("seconds", "extra_mib", "peak_mib"):
                        known[part] = min(known[part], line[part])
                margins[tool] = dict(np.load(answers))
    show(lines, margins)


def asked():
    """Images, labels, weights and epsilon, by name."""
    largest = max(map(int, FLAGS.batches.split(",")))
    with np.load(pathlib.Path(FLAGS.data_dir, "mnist.npz")) as data:
        x = data["x_test"][:largest, ..., np.newaxis].astype(np.float32) / 255
        y = data["y_test"][:largest].astype(np.int64)
    with np.load(FLAGS.weights) as stored:
        weights = {f"w{k}": stored[n] for k, n in enumerate(stored.files)}
    return {"x": x, "y": y, "epsilon": FLAGS.epsilon, **weights}


def run(python, tool, problem, answers):
    """Runs the worker in an interpreter; yields what it prints."""
    command = [python, WORKER, tool, problem]
    command += [FLAGS.methods, FLAGS.batches, answers]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{tool} cannot run: see above.")
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def show(lines, margins):
    print(
        "| method | batch | tfrobust images/s | auto_LiRPA images/s | speed "
        "| tfrobust MiB | auto_LiRPA MiB | margins differ, relative |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tool, method, batch in lines:
        if tool != "tfrobust":
            continue
        ours, theirs = (
            lines[name, method, batch] for name in ("tfrobust", "auto_LiRPA")
        )
        a, b = (
            margins[name][f"{method}/{batch}"]
            for name in ("tfrobust", "auto_LiRPA")
        )
        differ = np.max(np.abs(a - b)) / np.max(np.abs(b))
        print(
            f"| {method} | {batch} | {batch / ours['seconds']:.1f} "
            f"| {batch / theirs['seconds']:.1f} "
            f"| {theirs['seconds'] / ours['seconds']:.2f} "
            f"| {ours['extra_mib']:.0f} | {theirs['extra_mib']:.0f} "
            f"| {differ:.1e} |"
        )


if __name__ == "__main__":
    app.run(main)
