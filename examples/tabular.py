"""A table: one logit, a tolerance for each feature, and certificates.

    python examples/tabular.py
    python examples/tabular.py --tolerance=0.05 --epochs=20

Scikit-learn's breast cancer data, 569 rows of 30 measurements in units of their
own: ranges and radii are arrays, one number a feature. The radius of each is a
share of its standard deviation; the last ten columns, the worst values, may be
kept as they are (--fixed). The largest boxes in which each answer is proven to
hold are tolerances: how far each measurement may be off.
"""

import numpy as np
from absl import app, flags

import tfrobust as tfr
from tfrobust.backend import keras

FLAGS = flags.FLAGS
flags.DEFINE_float("tolerance", 0.1, "Radius, in standard deviations.")
flags.DEFINE_bool("fixed", False, "Whether the last ten columns stay.")
flags.DEFINE_integer("epochs", 15, "Number of epochs.")
flags.DEFINE_integer("boxes", 32, "For how many rows to find tolerances.")


def data():
    """Training and test rows, and the names of the features."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise ImportError(
            "The data needs scikit-learn: pip install scikit-learn."
        ) from error

    found = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(found.data))
    x, y = found.data[order].astype("float32"), found.target[order]
    return (x[:400], y[:400]), (x[400:], y[400:]), found.feature_names


def network(x):
    """One logit of a small network, which normalises its inputs itself."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Normalization(
                mean=x.mean(axis=0), variance=x.var(axis=0), axis=-1
            ),
            layers.Dense(32, "relu"),
            layers.Dense(16, "relu"),
            layers.Dense(1),
        ]
    )


def threat_of(x):
    """Radius and range of each feature, both in its own units."""
    radius = FLAGS.tolerance * x.std(axis=0)
    if FLAGS.fixed:
        radius[20:] = 0.0
    spare = 0.5 * x.std(axis=0)
    low, high = x.min(axis=0) - spare, x.max(axis=0) + spare
    return tfr.threats.Box(radius, np.minimum(low, 0), 2 * high)


def main(argv):
    del argv
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test), names = data()
    box = threat_of(x)
    model = tfr.RobustModel(network(x))
    model.compile(
        keras.optimizers.Adam(3e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        objective=tfr.objectives.WorstCase(tfr.attacks.PGD(box)),
    )
    model.fit(x, y, epochs=FLAGS.epochs, batch_size=64, verbose=2)
    pgd = tfr.attacks.PGD(box, steps=50, restarts=2, loss="margin")
    verifiers = [tfr.verifiers.IBP(box), tfr.verifiers.CROWN(box)]
    report = tfr.certify(model, (x_test, y_test), verifiers, attack=pgd)
    clean, attacked, proven = (
        report[name].accuracy for name in ("clean", "pgd", "worst case")
    )
    print(
        f"| clean | PGD-50 | certified |\n| {clean:.1%} | {attacked:.1%} ",
        end="",
    )
    print(f"| {proven:.1%} |")
    tolerances(model, x_test, y_test, names, box, x.std(axis=0))
    if not proven <= attacked <= clean:
        raise AssertionError("certified <= attacked <= clean must hold")


def tolerances(model, x, y, names, box, deviations):
    """Prints the features of the narrowest and the widest boxes."""
    with model.averaged():
        logits = tfr.logits_of(model.network)
    x, y = x[: FLAGS.boxes], y[: FLAGS.boxes]
    verifier = tfr.verifiers.CROWNIBP(box)
    found = tfr.verifiers.maximize_box(logits, x, y, verifier, steps=50)
    radii = np.asarray(found.threat.epsilon) / deviations
    print(f"Boxes are certified of {np.mean(found.certified):.1%} of the rows.")
    print("| feature | median tolerance, in standard deviations |")
    medians = np.median(radii[np.asarray(found.certified)], axis=0)
    for k in [*np.argsort(medians)[:3], *np.argsort(medians)[-3:]]:
        print(f"| {names[k]} | {medians[k]:.3f} |")


if __name__ == "__main__":
    app.run(main)
