"""Bounds of networks of sequences: attention and recurrent layers.

A vision transformer of two blocks on 28x28 pixels, in patches of `--patch`, and
an LSTM that reads 16 steps of 49 pixels, with weights as Keras draws them. For
each verifier a row: seconds of a call on `--batch` images as it is; compiled by
a tf.function, which what is called once isn't worth; and compiled before, the
least of `--rounds`.

Usage, from the root of the repository:
    python -m benchmarks.sequences --batch=8
"""

import time

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfrobust as tfr
from examples import attention
from tfrobust.backend import keras
from tfrobust.verifiers import CROWN, CROWNIBP, IBP

flags.DEFINE_integer("patch", 7, "Pixels to the side of a patch.")
flags.DEFINE_integer("width", 32, "Features of a patch, and LSTM units.")
flags.DEFINE_integer("batch", 8, "Images in a call.")
flags.DEFINE_integer("rounds", 3, "Calls.")
flags.DEFINE_float("epsilon", 0.001, "linf radius.")
FLAGS = flags.FLAGS
VERIFIERS = {"IBP": IBP, "CROWN-IBP": CROWNIBP, "CROWN": CROWN}


def recurrent(width):
    """An LSTM of 16 steps."""
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    x = layers.Reshape((16, 49))(image)
    return keras.Model(image, layers.Dense(10)(layers.LSTM(width)(x)))


def timed(verifier, network, x, y):
    """Seconds of an eager call, of the first compiled one, of the others."""

    def margins(x, y):
        return verifier.margins(network, x, y)

    compiled, seconds = tf.function(margins, autograph=False), []
    for call in [margins] + [compiled] * (1 + FLAGS.rounds):
        begin = time.perf_counter()
        found = call(x, y).numpy()
        seconds.append(time.perf_counter() - begin)
    if not np.all(np.isfinite(found)):
        raise SystemExit(f"{verifier} finds no bounds.")
    return seconds[0], seconds[1], min(seconds[2:])


def main(argv):
    del argv
    keras.utils.set_random_seed(0)
    networks = {
        "transformer": attention.transformer(
            FLAGS.width, (28, 28, 1), FLAGS.patch
        ),
        "LSTM": recurrent(FLAGS.width),
    }
    x = tf.random.stateless_uniform((FLAGS.batch, 28, 28, 1), [0, 0])
    y = tf.range(FLAGS.batch) % 10
    threat = tfr.threats.Linf(FLAGS.epsilon)
    print("| network | method | eager, s | compiling, s | compiled, s |")
    print("|---|---|---|---|---|")
    for name, network in networks.items():
        for method, kind in VERIFIERS.items():
            eager, first, rest = timed(kind(threat), network, x, y)
            cells = f"{eager:.1f} | {first:.1f} | {rest:.2f}"
            print(f"| {name} | {method} | {cells} |", flush=True)


if __name__ == "__main__":
    app.run(main)
