"""Speed and strength of PGD next to other tools, at equal steps.

Every tool attacks the same network, adversarially trained for one epoch, on
the same MNIST images from random starts; tools take turns, each in a process
of its own. See README.md for how to install them.

Usage, from the root of the repository:
    python -m benchmarks.attack --data_dir=data --rounds=5
"""

import concurrent.futures
import importlib.metadata
import multiprocessing
import os
import platform

import numpy as np
from absl import app, flags

from benchmarks import peers

flags.DEFINE_string("data_dir", None, "Folder of mnist.npz; None downloads.")
flags.DEFINE_integer("examples", 1024, "Number of test images.", 1)
flags.DEFINE_integer("batch_size", 128, "Images in one call.", 1)
flags.DEFINE_float("epsilon", 0.3, "Radius of the linf ball.")
flags.DEFINE_float("step", 0.03, "Length of a step, in pixel values.")
flags.DEFINE_integer("steps", 20, "Steps of PGD.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds; in each every tool has a turn.", 1)
flags.DEFINE_integer("threads", 2, "Threads of every tool.", 1)
flags.DEFINE_list("tools", list(peers.TOOLS), "Which tools, the first is 1.0.")
flags.DEFINE_string("weights", None, "Trained weights (.npz), kept here.")
FLAGS = flags.FLAGS

PACKAGES = (
    "tensorflow keras torch adversarial-robustness-toolbox foolbox eagerpy "
    "cleverhans torchattacks numpy"
)


def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _print_versions()
    with _process() as pool:
        problem = pool.submit(make_problem, **_options()).result()
    pools = {name: _process() for name in FLAGS.tools}
    accuracy = {n: _start(n, pool, problem) for n, pool in pools.items()}
    running = [name for name in pools if isinstance(accuracy[name], float)]
    seconds = {name: [] for name in running}
    for _ in range(FLAGS.rounds):
        for name in running:
            seconds[name].append(pools[name].submit(peers.run).result())
    _print_table(accuracy, seconds)
    for pool in pools.values():
        pool.shutdown()


def make_problem(
    data_dir, examples, weights, epsilon, step, steps, batch_size, threads
):
    """Loads the images and trains the network, unless `weights` exists."""
    import keras

    from examples import datasets, networks

    keras.utils.set_random_seed(0)
    train, (x, y) = datasets.load("mnist", data_dir)
    # Tools that compile would compile again for a smaller last batch.
    count = max(examples // batch_size, 1) * batch_size
    network = networks.small_cnn()
    if weights and os.path.exists(weights):
        with np.load(weights) as arrays:
            network.set_weights([arrays[key] for key in arrays])
    else:
        _train(network, *train)
        if weights:
            np.savez(weights, *network.get_weights())
    return peers.Problem(
        x[:count],
        y[:count],
        network.get_weights(),
        network.predict_on_batch(x[:batch_size]),
        epsilon=epsilon,
        step=step,
        steps=steps,
        batch_size=batch_size,
        threads=threads,
    )


def _train(network, x, y):
    """Trains against PGD-5 while epsilon grows from 0 to 0.3."""
    import tfrobust as tfr

    ramp = tfr.schedules.Ramp(0.0, 0.3, begin=0, end=300)
    attack = tfr.attacks.PGD(tfr.threats.Linf(ramp), steps=5, step_size=0.4)
    model = tfr.RobustModel(network)
    model.compile("adam", objective=tfr.objectives.WorstCase(attack))
    model.fit(x, y, batch_size=128, verbose=2)


def _options():
    names = "data_dir examples weights epsilon step steps batch_size threads"
    return {name: FLAGS[name].value for name in names.split()}


def _process():
    """A fresh process: nothing of one tool is loaded in another's."""
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=context)


def _start(name, pool, problem):
    """The accuracy under attack, or why there is none."""
    try:
        return pool.submit(peers.start, name, problem).result()
    except Exception as error:
        return f"cannot run: {type(error).__name__}: {error}"


def _print_versions():
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs")
    print(f"load before the start {load:.2f}: the figures need an idle machine")
    for package in PACKAGES.split():
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} not installed")


def _print_table(accuracy, seconds):
    """Milliseconds for a batch, and times the first tool's."""
    best = {name: np.min(times) for name, times in seconds.items()}
    middle = {name: np.median(times) for name, times in seconds.items()}
    print(
        f"\nPGD-{FLAGS.steps}, linf {FLAGS.epsilon:g}, step {FLAGS.step:g}, "
        f"batch {FLAGS.batch_size}, {FLAGS.threads} threads\n\n"
        "| tool | accuracy | min ms | median ms | min ratio | median ratio |\n"
        "|---|---|---|---|---|---|"
    )
    for name, result in accuracy.items():
        if name not in seconds:
            print(f"| {name} | {result} | | | | |")
            continue
        first = next(iter(seconds))
        print(
            f"| {name} | {result:.4f} "
            f"| {1e3 * best[name]:.1f} | {1e3 * middle[name]:.1f} "
            f"| {best[name] / best[first]:.2f} "
            f"| {middle[name] / middle[first]:.2f} |"
        )


if __name__ == "__main__":
    app.run(main)
