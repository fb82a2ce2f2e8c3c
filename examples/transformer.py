"""A small vision transformer: PGD training, AutoAttack, and bounds.

    python examples/transformer.py
    python examples/transformer.py --epochs=30 --epsilon=0.05

Scikit-learn's digits, 8 x 8 pixels, in 16 patches of 2 x 2, through two blocks
of attention. Softmax and layer normalisation are bounded by rules of their own,
loosely: certificates are for a smaller epsilon (--certified).
"""

from absl import app, flags

import attention
import datasets
import tfrobust as tfr
from tfrobust.backend import keras

FLAGS = flags.FLAGS
flags.DEFINE_float("epsilon", 0.1, "linf radius of training and attack.")
flags.DEFINE_float("certified", 0.001, "linf radius of the bounds.")
flags.DEFINE_integer("epochs", 20, "Number of epochs.")
flags.DEFINE_integer("width", 32, "Features of a patch.")
flags.DEFINE_integer("examples", 100, "How many to attack.")


def main(argv):
    del argv
    keras.utils.set_random_seed(0)
    train, (x, y) = datasets.load("digits")
    linf = tfr.threats.Linf(FLAGS.epsilon)
    model = tfr.RobustModel(
        attention.transformer(FLAGS.width, (8, 8, 1), patch=2)
    )
    model.compile(
        keras.optimizers.Adam(2e-3),
        objective=tfr.objectives.WorstCase(tfr.attacks.PGD(linf, steps=5)),
    )
    model.fit(*train, epochs=FLAGS.epochs, batch_size=64, verbose=2)
    x, y = x[: FLAGS.examples], y[: FLAGS.examples]
    attacks = {"aa": tfr.attacks.AutoAttack(linf)}
    report = tfr.evaluate(
        model, (x, y), attacks, curve=(), diagnostic_examples=0
    )
    print(report)
    small = tfr.threats.Linf(FLAGS.certified)
    verifier = tfr.verifiers.CROWN(small)
    x, y = x[:16], y[:16]
    pgd = tfr.attacks.PGD(small, steps=20, loss="margin")
    proven = tfr.certify(model, (x, y), verifier, attack=pgd)
    clean, attacked, certified = (
        proven[name].accuracy for name in ("clean", "pgd", "worst case")
    )
    print(f"At epsilon {FLAGS.certified:g}, of {len(x)}:")
    print("| clean | PGD-20 | certified |")
    print(f"| {clean:.1%} | {attacked:.1%} | {certified:.1%} |")
    if not certified <= attacked <= clean:
        raise AssertionError("certified <= attacked <= clean must hold")


if __name__ == "__main__":
    app.run(main)
