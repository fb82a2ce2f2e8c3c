r"""Complete decisions: how many, how fast, and none of them wrong.

    python -m benchmarks.complete --problems=6 --timeout=20
    python -m benchmarks.complete --problems=acasxu --timeout=60
    python -m benchmarks.complete --points=4 --timeout=30 \
        --peer=alpha-beta-CROWN/vnncomp_scripts

The first draws networks, writes problems whose truth is known in part, as
tfr.problems.write does, and decides them from their files. Of each network a
half have a hidden counterexample, the worst of many random points: `unsat` is
wrong there, as in SoundnessBench. The others ask for a little more than what no
random point shows. `sat` is only said of what onnxruntime confirms.

The second decides the instances of a folder, lines of network, query and
seconds in instances.csv, as VNN-COMP has them, and counts the answers. What is
known to be right, sat or unsat, may stand behind the seconds: another one is
wrong.

The third trains networks on digits by PGD, by intervals and by linear bounds,
and decides test images that they get right. The same problems go to another
tool by the scripts that VNN-COMP asks of each, one process a problem, whose
start counts; where nothing is named, that column is empty.
"""

import collections
import csv
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import trained
from benchmarks.vnncomp import peer
from tfrobust import problems, threats
from tfrobust.verifiers import BranchAndBound, Specification

flags.DEFINE_string(
    "problems",
    "6",
    "A folder with instances.csv; or how many of each network to draw, even.",
)
flags.DEFINE_float("timeout", 20.0, "Seconds for each problem.")
flags.DEFINE_float("epsilon", 0.1, "linf radius.")
flags.DEFINE_integer("seed", 0, "Keys networks, inputs and points.")
flags.DEFINE_integer("points", 0, "Test images of each trained network.", 0)
flags.DEFINE_string("peer", None, "A folder with a tool's VNN-COMP scripts.")
FLAGS = flags.FLAGS


def dense(rng, activation, *sizes):
    """A fully connected network."""
    weights = [
        2 * rng.normal(size=pair).astype(np.float32) / np.sqrt(pair[0])
        for pair in zip(sizes, sizes[1:], strict=False)
    ]

    def model(x, training=False):
        for number, kernel in enumerate(weights):
            x = (activation(x) if number else x) @ kernel
        return x

    return model, sizes[:1]


def convolutional(rng):
    """Two convolutions and a pooling."""
    first, second, last = (
        rng.normal(size=shape).astype(np.float32) / np.sqrt(scale)
        for shape, scale in (
            ((3, 3, 1, 4), 2.0),
            ((3, 3, 4, 4), 9.0),
            ((16, 4), 4.0),
        )
    )

    def model(x, training=False):
        x = tf.nn.relu(tf.nn.conv2d(x, first, 2, "SAME"))
        x = tf.nn.relu(tf.nn.conv2d(x, second, 1, "SAME"))
        return tf.reshape(tf.nn.avg_pool2d(x, 2, 2, "SAME"), [-1, 16]) @ last

    return model, (8, 8, 1)


NETWORKS = {
    "relu, 5 inputs": lambda rng: dense(rng, tf.nn.relu, 5, 24, 24, 4),
    "relu, 40 inputs": lambda rng: dense(rng, tf.nn.relu, 40, 20, 20, 4),
    "tanh, 5 inputs": lambda rng: dense(rng, tf.tanh, 5, 16, 4),
    "convolutions": convolutional,
}


def main(argv):
    """Prints a row for each network, or for each instance."""
    del argv
    if not FLAGS.problems.isdecimal():
        decide_folder(pathlib.Path(FLAGS.problems))
        return
    if FLAGS.points:
        decide_trained()
        return
    print("| network | hidden | sat | unsat | unknown | wrong | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    wrong, number = 0, int(FLAGS.problems)
    for name, make in NETWORKS.items():
        rng = np.random.default_rng(FLAGS.seed)
        counts, seconds = decide(*make(rng), number)
        wrong += counts["wrong"]
        shown = [counts[key] for key in ("sat", "unsat", "unknown", "wrong")]
        cells = [name, number // 2, *shown, f"{seconds:.1f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if wrong:
        raise SystemExit(f"{wrong} answers are wrong.")


def decide(model, shape, number):
    """Counts of answers for one network, and the median of the seconds."""
    rng = np.random.default_rng(FLAGS.seed + 1)
    x = rng.uniform(0.2, 0.8, (number, *shape)).astype(np.float32)
    threat = threats.Linf(FLAGS.epsilon)
    rows, offsets, hidden = properties(model, x, threat)
    counts, seconds = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        asked = Specification(rows, offsets, [[0], [1, 2]])
        written = problems.write(
            model, x, asked, threat, folder + "/problems", FLAGS.timeout
        )
        solver = problems.Solver(written.folder / "onnx" / "model.onnx")
        for k in range(number):
            begin = time.monotonic()
            query = written.folder / "vnnlib" / "2.0" / f"{k}.vnnlib"
            verdict = solver.verify(query, FLAGS.timeout)
            seconds.append(time.monotonic() - begin)
            result = verdict.result.replace("timed-out", "unknown")
            counts[result] += 1
            counts["wrong"] += hidden[k] and result == "unsat"
    return counts, float(np.median(seconds))


def properties(model, x, threat):
    """Rows and offsets that random points of the threat nearly violate.

    One row shall be positive, and of two others one.
    """
    rng = np.random.default_rng(FLAGS.seed + 2)
    points = [threat.sample(tf.constant(x), seed) for seed in range(500)]
    outputs = np.stack([model(point) for point in points], axis=1)
    rows = rng.normal(size=(len(x), 3, outputs.shape[2])).astype(np.float32)
    values = np.einsum("bro,bpo->bpr", rows.astype(float), outputs)
    least = np.minimum(values[..., 0], values[..., 1:].max(axis=2)).min(axis=1)
    spread = np.ptp(values, axis=(1, 2))
    hidden = np.arange(len(x)) % 2 == 0
    # Rounding is far below what a counterexample is worse by.
    moved = np.where(hidden, -1e-3, 0.6) * spread - least
    return rows, np.repeat(moved[:, np.newaxis], 3, axis=1), hidden


def decide_trained():
    """Prints a row for each trained network: decided, seconds, the peer's."""
    script = peer.script_of(FLAGS.peer) if FLAGS.peer else None
    if script is None:
        print("No --peer is named: no other tool is asked.\n")
    print("| network | decided | seconds | parts a second | peer | seconds |")
    print("|---|---:|---:|---:|---:|---:|")
    apart, threat = 0, threats.Linf(FLAGS.epsilon)
    arguments = FLAGS.points, FLAGS.epsilon, FLAGS.seed
    for name, network, x, y in trained.networks_of(*arguments):
        asked = network, x, y, threat, FLAGS.timeout
        verdicts, cells = decided(*asked)
        if script is None:
            cells += ["", ""]
        else:
            begin = time.monotonic()
            theirs = peer.ask(script, *asked)
            seconds = time.monotonic() - begin
            cells += [
                share(np.isin(theirs, ["sat", "unsat"])),
                f"{seconds:.1f}",
            ]
            apart += np.sum((verdicts == "certified") & (theirs == "sat"))
            apart += np.sum((verdicts == "falsified") & (theirs == "unsat"))
        print(f"| {' | '.join([name, *cells])} |", flush=True)
    if apart:
        raise SystemExit(f"The two tools contradict each other {apart} times.")


def decided(network, x, y, threat, timeout):
    """Verdicts, and what the table says of them."""
    search = BranchAndBound(threat, timeout)
    search.answer(network, x[:1], y[:1])  # Traced before it is timed.
    begin = time.monotonic()
    answer = search.answer(network, x, y)
    seconds = time.monotonic() - begin
    speed = np.sum(answer.visited) / seconds
    cells = [
        share(answer.verdict != "unknown"),
        f"{seconds:.1f}",
        f"{speed:.0f}",
    ]
    return answer.verdict, cells


def share(found):
    """How many of all."""
    return f"{np.count_nonzero(found)} of {len(found)}"


def decide_folder(folder):
    """Decides the instances of a folder, one line each, and counts them."""
    print("| network | query | answer | seconds |\n|---|---|---|---:|")
    solvers: dict[str, problems.Solver] = {}
    counts: collections.Counter = collections.Counter()
    with open(folder / "instances.csv", newline="") as lines:
        for network, query, limit, *known in csv.reader(lines):
            seconds = min(FLAGS.timeout, float(limit))
            begin = time.monotonic()
            try:
                if network not in solvers:  # Only one takes memory.
                    solvers = {network: problems.Solver(folder / network)}
                result = solvers[network].verify(folder / query, seconds).result
            except (NotImplementedError, ValueError) as error:
                result = f"refused: {error}"
            took = time.monotonic() - begin
            counts[result.split(":")[0]] += 1
            counts["wrong"] += {result, *known} == {"sat", "unsat"}
            print(
                f"| {network} | {query} | {result} | {took:.1f} |", flush=True
            )
    solved = counts["sat"] + counts["unsat"]
    print(
        f"\n{solved} solved, {counts['sat']} by a counterexample; "
        f"{counts['timed-out']} timed out, {counts['unknown']} unknown, "
        f"{counts['refused']} refused."
    )
    if counts["wrong"]:
        raise SystemExit(f"{counts['wrong']} answers are wrong.")


if __name__ == "__main__":
    app.run(main)
