"""Hard instances: which they are, and what training on them alone gives.

Usage:
    python examples/hard_instances.py --output_dir=/tmp/hard
    python examples/hard_instances.py --dataset=fashion_mnist --network=lenet \
        --train_examples=10000 --subset=2000 --output_dir=/tmp/hard

Records the adversarial loss of every training instance, ranks them, and trains
anew on the easiest, the hardest and as many random ones. `--output_dir` must be
new; it receives instances.npz (the losses, by epoch and instance),
difficulty.npy (the ranks), groups.csv (mean loss and feature norm of ten groups
of difficulty, the hardest first), subsets.csv (train and test error under PGD,
by epoch) and figure.png. `--compare` prints how the ranks correlate with those
of other runs.
"""

import pathlib

import matplotlib
import numpy as np
from absl import app, flags

import datasets
import networks
import runs
import tfrobust as tfr
from tfrobust.backend import keras

RANKS = "difficulty.npy"

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "Folder of the results.", required=True)
flags.DEFINE_enum("dataset", "digits", list(datasets.SHAPES), "Images.")
flags.DEFINE_string("data_dir", None, "Folder of <dataset>.npz; else download.")
flags.DEFINE_enum("network", "digits_cnn", list(networks.NETWORKS), "Network.")
flags.DEFINE_integer("width", None, "The network's width; else its default.")
flags.DEFINE_float("epsilon", 0.15, "Radius of linf, for pixels in [0, 1].")
flags.DEFINE_integer("steps", 10, "Steps of PGD.", 1)
flags.DEFINE_integer("epochs", 20, "Epochs of each training.", 2)
flags.DEFINE_multi_string("compare", [], "Folder of a run to compare with.")
flags.DEFINE_integer("skip", 5, "First epochs that the ranking leaves out.", 0)
flags.DEFINE_integer("subset", 200, "Instances in a subset.", 1)
flags.DEFINE_enum("optimizer", "sgd", list(runs.OPTIMIZERS), "Optimizer.")
flags.DEFINE_float("learning_rate", 0.05, "Its learning rate.")
flags.DEFINE_integer("train_examples", None, "Use only the first ones.", 1)
flags.DEFINE_integer("test_examples", None, "Test only the first ones.", 1)
flags.DEFINE_integer("seed", 0, "Seed of weights and data order.")


def fit(data, test, callbacks=()):
    """Trains a new network and returns it, recorded, with its history."""
    keras.utils.set_random_seed(FLAGS.seed)
    (x, y), shape = data, data[0].shape[1:]
    network = networks.build(FLAGS.network, shape, 10, FLAGS.width)
    attack = tfr.attacks.PGD(tfr.threats.Linf(FLAGS.epsilon), FLAGS.steps)
    objective = tfr.objectives.WorstCase(attack)
    model = tfr.RobustModel(network)
    model.compile(
        runs.OPTIMIZERS[FLAGS.optimizer](FLAGS.learning_rate),
        objective=tfr.objectives.Recorded(objective, FLAGS.skip),
        adversaries={"pgd": attack},
    )
    indexed = tfr.instances.Indexed(x, np.arange(len(x)))
    history = model.fit(
        indexed,
        y,
        batch_size=128,
        epochs=FLAGS.epochs,
        validation_data=test,
        callbacks=list(callbacks),
        verbose=2,
    ).history
    trained = history[f"pgd{FLAGS.steps}_accuracy"]
    errors = {"train": trained, "test": history["val_pgd_accuracy"]}
    return model, {n: 1 - np.array(rows) for n, rows in errors.items()}


def ranks(folder, instances):
    """The difficulties that another run found, of as many instances."""
    found = np.load(pathlib.Path(folder, RANKS))
    if len(found) != instances:
        raise app.UsageError(f"{folder} ranks {len(found)}, not {instances}.")
    return found


def draw(path, losses, errors):
    """Draws the losses of the groups and the errors of the subsets."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    colours = plt.cm.viridis(np.linspace(0, 1, losses.shape[1]))
    for group, colour in enumerate(colours):
        left.plot(losses[:, group], color=colour, label=f"{group / 10:.1f}")
    left.set(xlabel="epoch", ylabel="adversarial loss", title="groups")
    left.legend(title="difficulty", fontsize="x-small", ncols=2)
    for (kind, split), error in errors.items():
        style = "-" if split == "test" else ":"
        colour = {"easy": "C0", "random": "C1", "hard": "C3"}[kind]
        right.plot(error, style, color=colour, label=f"{kind}, {split}")
    right.set(xlabel="epoch", ylabel="error under PGD", title="subsets")
    right.legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    (x, y), test = datasets.load(FLAGS.dataset, FLAGS.data_dir)
    x, y = x[: FLAGS.train_examples], y[: FLAGS.train_examples]
    test = tuple(part[: FLAGS.test_examples] for part in test)
    others = {name: ranks(name, len(x)) for name in FLAGS.compare}
    folder = pathlib.Path(FLAGS.output_dir)
    folder.mkdir(parents=True)  # What another run left is not touched.
    path = folder / "instances.npz"
    kept = tfr.callbacks.InstanceHistory(path, layer=-2, x=x)
    model, _ = fit((x, y), test, [kept])
    rank = tfr.instances.difficulty(model)
    np.save(folder / RANKS, rank)
    for name, other in others.items():
        correlation = tfr.instances.rank_correlation(rank, other)
        print(f"rank correlation with {name}: {correlation:.4f}")
    means = {}
    for name in ("recorded_loss", "feature_norm"):
        means[name] = tfr.instances.group_means(kept.history[name], rank)
    rows = [
        (name, epoch, *np.round(row, 4))
        for name, table in means.items()
        for epoch, row in enumerate(table)
    ]
    runs.write(folder / "groups.csv", ["value", "epoch", *range(10)], rows)
    errors = {}
    print(f"{'subset':8} {'train':>8} {'test':>8} {'best test':>10}")
    for kind in ("easy", "random", "hard"):
        chosen = tfr.instances.subset(rank, y, FLAGS.subset, kind, FLAGS.seed)
        _, found = fit((x[chosen], y[chosen]), test)
        errors |= {(kind, split): error for split, error in found.items()}
        last, best = found["test"][-1], np.min(found["test"])
        print(f"{kind:8} {found['train'][-1]:8.4f} {last:8.4f} {best:10.4f}")
    header = ["epoch", *(f"{kind}_{split}" for kind, split in errors)]
    columns = zip(*errors.values(), strict=True)
    rows = [(i, *np.round(row, 4)) for i, row in enumerate(columns)]
    runs.write(folder / "subsets.csv", header, rows)
    draw(folder / "figure.png", means["recorded_loss"], errors)


if __name__ == "__main__":
    app.run(main)
