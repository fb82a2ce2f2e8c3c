"""Bytes, load time and latency of exported models, next to dense float32.

The network is four convolutions of 959,040 weights, of which a few are kept at
random, all of one magnitude. Its float32 SavedModel, packed SavedModel and
LiteRT files take turns; the smallest time of each counts.

Usage, from the root of the repository:
    python -m benchmarks.export --density=0.01
"""

import os
import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags

flags.DEFINE_float("density", 0.01, "Share of the weights that is kept.")
flags.DEFINE_integer(
    "rounds", 100, "Rounds; in each every model has a turn.", 1
)
flags.DEFINE_integer("loads", 10, "Rounds of loading.", 1)
FLAGS = flags.FLAGS

FORMATS = ("int8_sparse", "int8", "float16")


def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tfrobust as tfr
    from tfrobust.compression import packing

    network = sparse_network(FLAGS.density)
    x = np.random.default_rng(0).random((32, 28, 28, 1), np.float32)
    totals = {}
    for weight in network.get_weights():
        for scheme, size in packing.storage(weight).items():
            totals[scheme] = totals.get(scheme, 0) + size
    print("packed weights, bytes\n")
    bound = totals["entropy bound"]
    for scheme, size in sorted(totals.items(), key=lambda item: -item[1]):
        print(f"  {scheme:<26} {size:>9,} {size / bound:>8.2f} x the bound")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        paths = {
            "float32": tfr.export(network, root / "float32", packed=False),
            "packed": tfr.export(network, root / "packed"),
        }
        for name in FORMATS:
            path = root / f"{name}.tflite"
            paths[f"LiteRT {name}"] = tfr.export_litert(
                network, path, name, calibration=x
            )
        report(paths, x, totals["best"] / bound)


def sparse_network(density):
    """Four stock convolutions with random signs at random places."""
    from tfrobust.backend import keras

    random = np.random.default_rng(0)
    network = keras.Sequential([keras.Input((28, 28, 1))])
    for filters, strides in ((64, 2), (128, 2), (256, 2), (256, 1)):
        layer = keras.layers.Conv2D(
            filters,
            3,
            strides,
            "same",
            activation="relu" if strides > 1 else None,
            use_bias=False,
        )
        network.add(layer)
        shape = layer.kernel.shape
        size = int(np.prod(shape))
        kernel = np.zeros(size, np.float32)
        kept = random.permutation(size)[: round(density * size)]
        scale = np.sqrt(2 / (density * size / filters))
        kernel[kept] = np.float32(scale) * random.choice([-1, 1], len(kept))
        layer.set_weights([kernel.reshape(shape)])
    network.add(keras.layers.GlobalAveragePooling2D())
    return network


def report(paths, x, ratio):
    """Prints the table, then the bars and whether they are met."""
    loads = best(
        {n: lambda p=p: load(p) for n, p in paths.items()}, FLAGS.loads
    )
    models = {name: load(path) for name, path in paths.items()}
    sizes = {name: size(path) for name, path in paths.items()}
    one, many = (latencies(models, batch) for batch in (x[:1], x))
    print(
        f"\n  {'model':<20} {'bytes':>10} {'smaller':>8} {'load ms':>8} "
        f"{'1: ms':>7} {'ratio':>6} {'32: ms':>7} {'ratio':>6}"
    )
    for name in paths:
        print(
            f"  {name:<20} {sizes[name]:>10,} "
            f"{sizes['float32'] / sizes[name]:>7.1f}x "
            f"{1e3 * loads[name]:>8.1f} "
            f"{1e3 * one[name]:>7.2f} {one[name] / one['float32']:>6.2f} "
            f"{1e3 * many[name]:>7.2f} {many[name] / many['float32']:>6.2f}"
        )
    smaller = sizes["float32"] / sizes["packed"]
    slower = [times["packed"] / times["float32"] for times in (one, many)]
    print()
    for text, met in (
        (f"packed weights {ratio:.3f}x the bound (bar 1.35)", ratio <= 1.35),
        (f"SavedModel {smaller:.1f}x smaller (bar 45)", smaller >= 45),
        (f"latency of 1 {slower[0]:.2f}x (bar 1.1)", slower[0] <= 1.1),
        (f"latency of 32 {slower[1]:.2f}x (bar 1.1)", slower[1] <= 1.1),
    ):
        print(f"  {'met' if met else 'MISSED'}: {text}")


def latencies(models, batch):
    calls = {name: lambda m=m: m(batch) for name, m in models.items()}
    return best(calls, FLAGS.rounds)


def best(calls, rounds):
    """The smallest time of each call, in seconds; they take turns."""
    seconds = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return {name: min(found[1:]) for name, found in seconds.items()}


def load(path):
    """The model as a function from an array to an array."""
    import tensorflow as tf

    from tfrobust.evaluation.litert import LiteRT

    if path.suffix == ".tflite":
        model = LiteRT(path)
        return lambda x: model(x).numpy()
    model = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda x: model(image=tf.constant(x))["logits"].numpy()


def size(path):
    """Bytes of the SavedModel itself, or of the file."""
    if path.is_file():
        return path.stat().st_size
    names = ("saved_model.pb", "fingerprint.pb", "variables/*")
    return sum(f.stat().st_size for name in names for f in path.glob(name))


if __name__ == "__main__":
    app.run(main)
