"""The step of every certified training method, in time and memory.

Every method trains the small CNN on MNIST by `fit`, in turns with Keras's own
training of the same network. Then each does so in a process of its own, whose
largest memory is printed, and beside it how often the step was traced while
epsilon grew.

Usage, from the root of the repository:
    python -m benchmarks.certified_training --data_dir=data --rounds=5
"""

import re
import resource
import subprocess
import sys
import types

from absl import app, flags

from benchmarks.counted import Counted
from benchmarks.fast_training import begun, fitting, in_turns, plain, show
from examples import networks
from examples.certified_methods import METHODS, Recipe

flags.DEFINE_bool("memory", True, "Measure memory, in processes of its own.")
FLAGS = flags.FLAGS


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    x, y = begun()
    names = FLAGS.methods or [name for name in METHODS if name != "clean"]
    models = {name: robust(name) for name in names}
    rows = {"plain": fitting(plain(), x, y)}
    rows |= {name: fitting(model, x, y) for name, model in models.items()}
    show(in_turns(rows))
    extra = {n: m.traces - 1 for n, m in models.items() if m.traces > 1}
    print(f"\nextra traces of the training step: {extra or 0}")
    print(f"largest memory {_largest():.0f} MiB")
    if FLAGS.memory:
        print("\n| row | MiB |\n|---|---|")
        for name in names:
            print(f"| {name} | {alone(name)} |")


def robust(name):
    """A model compiled for a method, with no metrics."""
    given = types.SimpleNamespace(
        norm="l2" if name == "gloro" else "linf",
        steps=10 if name == "pgd" else 1,
        **{"epsilon": 0.1, "train_epsilon": None, "ramp": 1.0, "weight": 0.5},
        **{"split": 2, "regularizer": 0.0},
    )
    recipe = Recipe(given, total=10**6)
    recipe.end = 0  # Attacks inside begin at once.
    model = Counted(networks.small_cnn())
    model.compile("sgd", objective=METHODS[name](recipe), metrics=[])
    return model


def alone(name):
    """The largest memory of a process that trains by one method, MiB."""
    own = [f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []
    own += ["--nomemory", "--rounds=1", f"--methods={name}"]
    command = [sys.executable, "-m", "benchmarks.certified_training", *own]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.search(r"largest memory (\d+)", run.stdout).group(1)


def _largest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    app.run(main)
