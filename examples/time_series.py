"""A time series: regression under attack, and the range of each forecast.

    python examples/time_series.py
    python examples/time_series.py --epsilon=0.1

A sum of two sines with noise, made here, of which 24 steps are seen and the
next one is told. Attacks ascend the squared error; certificates are ranges that
no forecast leaves, and a bound of the error.
"""

import numpy as np
from absl import app, flags

import tfrobust as tfr
from tfrobust.backend import keras

FLAGS = flags.FLAGS
flags.DEFINE_float("epsilon", 0.05, "linf radius, in units of the series.")
flags.DEFINE_integer("epochs", 10, "Number of epochs.")
LENGTH = 24


def data(count, seed):
    """Windows `[count, 24, 1]` and what follows each, `[count, 1]`."""
    random = np.random.default_rng(seed)
    begin = random.uniform(0, 1000, (count, 1))
    t = begin + np.arange(LENGTH + 1)
    series = np.sin(t / 3) + 0.5 * np.sin(t / 7.3 + 1)
    series += 0.05 * random.normal(size=series.shape)
    series = series.astype("float32")[..., np.newaxis]
    return series[:, :LENGTH], series[:, LENGTH]


def network():
    """Two causal convolutions, the second dilated, and a forecast."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((LENGTH, 1)),
            layers.Conv1D(16, 3, padding="causal", activation="relu"),
            layers.Conv1D(
                16, 3, padding="causal", dilation_rate=2, activation="relu"
            ),
            layers.Flatten(),
            layers.Dense(32, "relu"),
            layers.Dense(1),
        ]
    )


def trained(objective, x, y):
    """A model of the squared error."""
    keras.utils.set_random_seed(0)
    model = tfr.RobustModel(network())
    model.compile(
        keras.optimizers.Adam(3e-3),
        loss=keras.losses.MeanSquaredError(),
        objective=objective,
    )
    model.fit(x, y, epochs=FLAGS.epochs, batch_size=64, verbose=0)
    return model


def main(argv):
    del argv
    train, test = data(2000, 0), data(300, 1)
    linf = tfr.threats.Linf(FLAGS.epsilon, low=-np.inf, high=np.inf)
    pgd = tfr.attacks.PGD(linf, steps=20, restarts=2)
    objectives = {
        "ordinary": tfr.objectives.Clean(),
        "adversarial": tfr.objectives.WorstCase(tfr.attacks.PGD(linf)),
    }
    print("| training | error | under PGD-20 | bound | width of the ranges |")
    for name, objective in objectives.items():
        model = trained(objective, *train)
        report = tfr.certify(
            model, test, tfr.verifiers.CROWN(linf), attack=pgd, verbose=0
        )
        errors = [report[k].loss for k in ("clean", "pgd", "bound")]
        width = float(np.mean(report.upper - report.lower))
        cells = " | ".join(f"{value:.4f}" for value in [*errors, width])
        print(f"| {name} | {cells} |")
        if not errors[0] <= report["worst case"].loss <= errors[2] + 1e-5:
            raise AssertionError("clean <= attacked <= bound must hold")


if __name__ == "__main__":
    app.run(main)
