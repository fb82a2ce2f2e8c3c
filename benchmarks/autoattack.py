r"""Strength and speed of AutoAttack next to other tools, part by part.

Every tool attacks the same small network with the same weights on the same
MNIST images, in a process of its own: TensorFlow and PyTorch would fight for
the threads of one. `torchattacks` gets the budgets of the papers: its own
AutoAttack takes 10 steps where they take 100, and is the row `as shipped`, as
is ART's, which is made of other attacks. See README.md for how to install.

Usage, from the root of the repository:
    python -m benchmarks.autoattack --data_dir=data --weights=small_cnn.npz \
        --norm=linf --epsilon=0.3 --examples=1000 --batch_size=250
"""

import os
import sys
import time

import numpy as np
from absl import app, flags

from benchmarks import attack, peers

flags.DEFINE_enum("norm", "linf", ["linf", "l2", "l1"], "The threat's norm.")
flags.DEFINE_list(
    "attacks", ["apgd-ce", "apgd-t", "fab-t", "square"], "Which, in order."
)
flags.DEFINE_bool(
    "sequence", True, "Each on what stands; otherwise each on all images."
)
FLAGS = flags.FLAGS
FLAGS.set_default("examples", 64)
FLAGS.set_default("batch_size", 64)
SHIPPED = "as shipped"


def tfrobust(problem, norm, names):
    import tensorflow as tf

    import tfrobust as tfr

    network = peers._keras_network(problem)
    norms = {"linf": "Linf", "l2": "L2", "l1": "L1"}
    threat = getattr(tfr.threats, norms[norm])(problem.epsilon)
    whole = tfr.attacks.AutoAttack(threat)
    parts = {**whole.components(10), SHIPPED: whole}
    signature = [
        tf.TensorSpec([None, 28, 28, 1]),
        tf.TensorSpec([None], "int64"),
    ]

    def compiled(part):
        perturb = tf.function(
            lambda x, y: part.perturb(network, x, y), signature, autograph=False
        )
        # Compiles; what is wrong from the start is not attacked.
        wrong = np.argmin(problem.logits[:1], axis=1)
        peers._numpy(perturb, problem.x[:1], wrong)
        return lambda x, y: peers._numpy(perturb, x, y)

    chosen = {name: compiled(parts[name]) for name in names if name in parts}
    return chosen, network.predict_on_batch


def torchattacks(problem, norm, names):
    import torchattacks as module

    network, predict = peers._torch_network(problem)
    if norm == "l1":
        raise ValueError("it has no l1, but for a FAB that fails in it")
    options = {"norm": norm.capitalize(), "eps": problem.epsilon}
    makers = {
        "apgd-ce": lambda: module.APGD(network, steps=100, **options),
        "apgd-t": lambda: module.APGDT(network, steps=100, **options),
        "fab-t": lambda: module.FAB(
            network, steps=100, multi_targeted=True, **options
        ),
        "square": lambda: module.Square(
            network, n_queries=5000, resc_schedule=False, **options
        ),
        SHIPPED: lambda: module.AutoAttack(network, seed=0, **options),
    }

    def wrapped(part):
        return peers._channels_first(lambda x, y: peers._torch_call(part, x, y))

    chosen = {n: wrapped(makers[n]()) for n in names if n in makers}
    return chosen, predict


def art_pytorch(problem, norm, names):
    import torch
    from art.estimators.classification import PyTorchClassifier

    network, predict = peers._torch_network(problem)
    classifier = PyTorchClassifier(
        network,
        torch.nn.CrossEntropyLoss(),
        (1, 28, 28),
        10,
        clip_values=(0, 1),
        device_type="cpu",
    )
    chosen = _art(problem, norm, names, classifier)
    return {n: peers._channels_first(a) for n, a in chosen.items()}, predict


def _art(problem, norm, names, classifier):
    from art.attacks import evasion

    options = {
        "norm": {"linf": np.inf, "l2": 2, "l1": 1}[norm],
        "eps": problem.epsilon,
    }
    batch = {"batch_size": problem.batch_size}
    step = {"eps_step": 2 * problem.epsilon}
    makers = {
        "apgd-ce": lambda: evasion.AutoProjectedGradientDescent(
            classifier,
            max_iter=100,
            nb_random_init=1,
            loss_type="cross_entropy",
            verbose=False,
            **options,
            **step,
            **batch,
        ),
        "square": lambda: evasion.SquareAttack(
            classifier, max_iter=5000, verbose=False, **options, **batch
        ),
        SHIPPED: lambda: evasion.AutoAttack(
            classifier, **options, **step, **batch
        ),
    }
    return {name: makers[name]().generate for name in names if name in makers}


TOOLS = {
    "tfrobust": tfrobust,
    "torchattacks": torchattacks,
    "ART PyTorch": art_pytorch,
}
FLAGS.set_default("tools", list(TOOLS))


def run(tool, problem, norm, names, sequence):
    """Runs the attacks of one tool.

    Returns:
        For each attack how many images it was given, the seconds that took,
        how many of its points left the threat, which count as failed, and
        which images it didn't fool, shape `[n]`.

    Raises:
        ValueError: If the tool's network answers with other logits.
    """
    attacks, predict = TOOLS[tool](problem, norm, names)
    error = np.abs(predict(problem.x[: problem.batch_size]) - problem.logits)
    if error.max() > 1e-3:
        raise ValueError(f"the logits differ by {error.max():.1e}")
    clean = np.argmax(predict(problem.x), axis=1) == problem.y
    standing, answers = clean, {}
    for name, perturb in attacks.items():
        # Only a whole ensemble begins anew.
        asked = standing if sequence and name != SHIPPED else clean
        index = np.flatnonzero(asked)
        right, seconds, outside = asked.copy(), 0.0, 0
        for begin in range(0, len(index), problem.batch_size):
            rows = index[begin : begin + problem.batch_size]
            x, y = problem.x[rows], problem.y[rows]
            start = time.perf_counter()
            points = perturb(x, y)
            seconds += time.perf_counter() - start
            left = _left(points, x, problem.epsilon, norm)
            outside += int(np.sum(left))
            right[rows] = (np.argmax(predict(points), axis=1) == y) | left
        answers[name] = len(index), seconds, outside, right
        print(f"{tool}, {name}: {seconds:.1f} s", file=sys.stderr, flush=True)
        if name != SHIPPED:
            standing = standing & right
    return answers


def _left(points, x, epsilon, norm):
    """Which points are not in the threat."""
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    moves = (points - x).reshape(len(x), -1).astype(np.float64)
    far = np.linalg.norm(moves, order, axis=1) > epsilon * (1 + 1e-4)
    rows = points.reshape(len(x), -1)
    return far | np.any((rows < 0) | (rows > 1), axis=1)


def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    attack._print_versions()
    options = attack._options() | {"step": 0.0, "steps": 0}
    with attack._process() as pool:
        problem = pool.submit(attack.make_problem, **options).result()
    arguments = problem, FLAGS.norm, [*FLAGS.attacks], FLAGS.sequence
    how = (
        "each on what stands" if FLAGS.sequence else "each on all that is right"
    )
    print(
        f"\n{FLAGS.norm} {FLAGS.epsilon:g}, {len(problem.x)} images, batch "
        f"{FLAGS.batch_size}, {FLAGS.threads} threads, {how}\n\n"
        "| tool | attack | images | accuracy | outside | images/s | speed |\n"
        "|---|---|---|---|---|---|---|"
    )
    first: dict[str, float] = {}
    for tool in FLAGS.tools:
        with attack._process() as pool:
            try:
                answers = pool.submit(run, tool, *arguments).result()
            except Exception as error:
                text = f"cannot run: {type(error).__name__}: {error}"
                print(f"| {tool} | {text} | | | | | |", flush=True)
                continue
        _print_rows(tool, answers, first)


def _print_rows(tool, answers, first):
    """Prints a tool's attacks, and their union; speeds are the first tool's."""
    parts = [name for name in answers if name != SHIPPED]
    if len(parts) > 1:
        images, seconds, outside, right = zip(
            *(answers[name] for name in parts), strict=True
        )
        every = max(images), sum(seconds), sum(outside), np.all(right, axis=0)
        answers = {**answers, "all": every}
    for name, (images, seconds, outside, right) in answers.items():
        speed = images / seconds if seconds else float("nan")
        ratio = speed / first.setdefault(name, speed)
        print(
            f"| {tool} | {name} | {images} | {np.mean(right):.4f} | {outside} "
            f"| {speed:.2f} | {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
