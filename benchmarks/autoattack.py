r"""Strength and speed of AutoAttack next to other tools, part by part.

Every tool attacks the same small network with the same weights on the same
MNIST images, in a process of its own: TensorFlow and PyTorch would fight for
the threads of one. `torchattacks` gets the budgets of the papers: its own
AutoAttack takes 10 steps where they take 100, and is the row `as shipped`, as
is ART's, which is made of other attacks. `pyautoattack` is the reference. See
README.md for how to install.

Usage, from the root of the repository:
    python -m benchmarks.autoattack --data_dir=data --weights=small_cnn.npz \
        --norm=linf --epsilon=0.3 --examples=1000 --batch_size=250
"""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
from absl import app, flags

from benchmarks import attack, peers

flags.DEFINE_enum("norm", "linf", ["linf", "l2", "l1"], "The threat's norm.")
flags.DEFINE_list(
    "attacks", ["apgd-ce", "apgd-t", "fab-t", "square"], "Which, in order."
)
flags.DEFINE_bool("sequence", True, "Each on what stands, else on all images.")
flags.DEFINE_float("time_limit", None, "Seconds of one attack at most.", 0.0)
FLAGS = flags.FLAGS
FLAGS.set_default("examples", 64)
FLAGS.set_default("batch_size", 64)
SHIPPED = "as shipped"
ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}


def tfrobust(problem, norm, names):
    import tensorflow as tf

    import tfrobust as tfr

    network = peers._keras_network(problem)
    threat = getattr(tfr.threats, norm.capitalize())(problem.epsilon)
    whole = tfr.attacks.AutoAttack(threat)
    parts = {**whole.components(10), SHIPPED: whole}
    shape = None, 28, 28, 1
    inputs = tf.TensorSpec(shape), tf.TensorSpec(shape[:1], "int64")

    def compiled(part):
        perturb = tf.function(
            lambda x, y: part.perturb(network, x, y), inputs, autograph=False
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
    return {n: _wrapped(makers[n]()) for n in names if n in makers}, predict


def pyautoattack(problem, norm, names):
    import pyautoattack as module

    network, predict = peers._torch_network(problem)
    whole = module.AutoAttack(
        network, norm=norm.capitalize(), eps=problem.epsilon, seed=0
    )
    # What its own evaluation does before it calls FAB.
    whole.fab.targeted = True
    evaluate = whole.run_standard_evaluation
    parts = {
        "apgd-ce": whole.apgd.perturb,
        "apgd-t": whole.apgd_targeted.perturb,
        "fab-t": whole.fab.perturb,
        "square": whole.square.perturb,
        SHIPPED: lambda x, y: evaluate(x, y, batch_size=len(x))[0],
    }
    return {n: _wrapped(parts[n]) for n in names if n in parts}, predict


def _wrapped(part):
    """A part that takes tensors with channels first, for arrays."""
    return peers._channels_first(lambda x, y: peers._torch_call(part, x, y))


def art_tensorflow(problem, norm, names):
    import keras
    from art.estimators.classification import TensorFlowV2Classifier

    network = peers._keras_network(problem)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier = TensorFlowV2Classifier(
        peers._compiled(network), 10, (28, 28, 1), loss, clip_values=(0, 1)
    )
    return _art(problem, norm, names, classifier), network.predict_on_batch


def art_pytorch(problem, norm, names):
    import torch
    from art.estimators.classification import PyTorchClassifier

    network, predict = peers._torch_network(problem)
    loss = torch.nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(
        network, loss, (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    chosen = _art(problem, norm, names, classifier)
    return {n: peers._channels_first(a) for n, a in chosen.items()}, predict


def _art(problem, norm, names, classifier):
    from art.attacks import evasion

    options = {
        "norm": ORDERS[norm],
        "eps": problem.epsilon,
        "batch_size": problem.batch_size,
    }
    step = 2 * problem.epsilon
    makers = {
        "apgd-ce": lambda: evasion.AutoProjectedGradientDescent(
            classifier,
            eps_step=step,
            max_iter=100,
            nb_random_init=1,
            loss_type="cross_entropy",
            verbose=False,
            **options,
        ),
        "square": lambda: evasion.SquareAttack(
            classifier, max_iter=5000, verbose=False, **options
        ),
        SHIPPED: lambda: evasion.AutoAttack(
            classifier, eps_step=step, **options
        ),
    }
    return {name: makers[name]().generate for name in names if name in makers}


TOOLS = {
    "tfrobust": tfrobust,
    "torchattacks": torchattacks,
    "pyautoattack": pyautoattack,
    "ART TensorFlow": art_tensorflow,
    "ART PyTorch": art_pytorch,
}
FLAGS.set_default("tools", list(TOOLS))
_state: dict = {}


def start(tool, problem, norm, names):
    """Builds the attacks of one tool.

    Returns:
        The number of this process, the names of the attacks, the ensemble's
        last, and which images are right without any, shape `[n]`.

    Raises:
        ValueError: If the tool's network answers with other logits.
    """
    threading.Thread(target=_follow, daemon=True).start()
    attacks, predict = TOOLS[tool](problem, norm, names)
    error = np.abs(predict(problem.x[: problem.batch_size]) - problem.logits)
    if error.max() > 1e-3:
        raise ValueError(f"the logits differ by {error.max():.1e}")
    _state.update(attacks=attacks, predict=predict, problem=problem, norm=norm)
    clean = np.argmax(predict(problem.x), axis=1) == problem.y
    return os.getpid(), sorted(attacks, key=SHIPPED.__eq__), clean


def _follow():
    """Ends with the parent, however that ends: no attack outlives it."""
    multiprocessing.parent_process().join()
    os._exit(1)


def run(name, asked):
    """Attacks the images that are asked for, in the process of `start`.

    Returns:
        How many they are, the seconds that took, how many points left the
        threat, which count as failed, and which images stand, shape `[n]`.
    """
    perturb, predict = _state["attacks"][name], _state["predict"]
    problem, norm = _state["problem"], _state["norm"]
    index = np.flatnonzero(asked)
    right, seconds, outside = asked.copy(), 0.0, 0
    for begin in range(0, len(index), problem.batch_size):
        rows = index[begin : begin + problem.batch_size]
        x, y = problem.x[rows], problem.y[rows]
        begun = time.perf_counter()
        points = perturb(x, y)
        seconds += time.perf_counter() - begun
        left = _left(points, x, problem.epsilon, norm)
        outside += int(np.sum(left))
        right[rows] = (np.argmax(predict(points), axis=1) == y) | left
    return len(index), seconds, outside, right


def _left(points, x, epsilon, norm):
    """Which points are not in the threat."""
    moves = (points - x).reshape(len(x), -1).astype(np.float64)
    far = np.linalg.norm(moves, ORDERS[norm], axis=1) > epsilon * (1 + 1e-4)
    return far | np.any((points < 0) | (points > 1), axis=(1, 2, 3))


def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    attack._print_versions()
    options = attack._options() | {"step": 0.0, "steps": 0}
    with attack._process() as pool:
        problem = pool.submit(attack.make_problem, **options).result()
    which = "what stands" if FLAGS.sequence else "all that is right"
    print(
        f"\n{FLAGS.norm} {FLAGS.epsilon:g}, {len(problem.x)} images, batch "
        f"{FLAGS.batch_size}, {FLAGS.threads} threads, each on {which}\n\n"
        "| tool | attack | images | accuracy | outside | images/s | speed |\n"
        "|---|---|---|---|---|---|---|"
    )
    first: dict[str, float] = {}
    for tool in FLAGS.tools:
        _print_rows(tool, problem, first)


def _print_rows(tool, problem, first):
    """Prints a tool's attacks, and the union unless one of them is missing."""
    names, name, done = [], "-", []
    with attack._process() as pool:
        try:
            built = pool.submit(start, tool, problem, FLAGS.norm, FLAGS.attacks)
            number, names, clean = built.result()
            standing = clean
            for name in names:
                # Only a whole ensemble begins anew.
                part = name != SHIPPED
                asked = standing if FLAGS.sequence and part else clean
                answer = pool.submit(run, name, asked).result(FLAGS.time_limit)
                _print_row(tool, name, answer, first)
                if part:
                    done.append(answer)
                    standing = standing & answer[-1]
        except concurrent.futures.TimeoutError:
            os.kill(number, signal.SIGKILL)
            answer = np.sum(asked), FLAGS.time_limit, "-", None
            _print_row(tool, name, answer, first)
        except Exception as error:
            text = f"cannot run: {type(error).__name__}: {error}"
            print(f"| {tool} | {name} | {text} | | | | |", flush=True)
    if len(done) > 1 and len(done) == len(set(names) - {SHIPPED}):
        images, seconds, outside, right = zip(*done, strict=True)
        every = max(images), sum(seconds), sum(outside), np.all(right, axis=0)
        _print_row(tool, "all", every, first)


def _print_row(tool, name, answer, first):
    """Prints an answer of `run`, or bounds of one that was stopped."""
    images, seconds, outside, right = answer
    speed = images / seconds if seconds else float("nan")
    bound, accuracy = "at most ", "-"
    if right is not None:
        first.setdefault(name, speed)
        bound, accuracy = "", f"{np.mean(right):.4f}"
    ratio = speed / first.get(name, float("nan"))
    note = bound and f", stopped after {seconds:g} s"
    print(
        f"| {tool} | {name}{note} | {images} | {accuracy} | {outside} "
        f"| {bound}{speed:.2f} | {bound}{ratio:.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    app.run(main)
