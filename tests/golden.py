"""What small networks must come to, whichever Keras computes it.

    python tests/golden.py             # Writes golden.json, under Keras 3.
    python tests/golden.py ROOM        # Reads artefacts, see `reread`.

Weights and inputs are drawn by NumPy. The file is written again only where a
change of numbers is wanted, and then it shows in the diff.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

PATH = pathlib.Path(__file__).with_name("golden.json")
SHAPE, CLASSES = (4, 4, 2), 4
THREAT = tfr.threats.Linf(0.05)
ATTACKS = {
    "pgd": tfr.attacks.PGD(THREAT, steps=5, loss="margin"),
    "apgd": tfr.attacks.APGD(THREAT, steps=6, early_stop=False),
    "square": tfr.attacks.Square(THREAT, queries=20),
}
VERIFIERS = {
    "ibp": tfr.verifiers.IBP(THREAT),
    "crown": tfr.verifiers.CROWN(THREAT),
    "alpha-crown": tfr.verifiers.AlphaCROWN(THREAT, steps=5),
}
OBJECTIVES = {
    "worst case": tfr.objectives.WorstCase(ATTACKS["pgd"], mix=0.5),
    "trades": tfr.objectives.TRADES(tfr.attacks.PGD(THREAT, steps=3), beta=2.0),
}
LAYERS = {
    "dense": lambda: [
        keras.layers.Flatten(),
        keras.layers.Dense(9, activation="relu"),
        keras.layers.Dense(7, activation="tanh"),
    ],
    "convolution": lambda: [
        keras.layers.Conv2D(3, 3, 2, padding="same", activation="relu"),
        keras.layers.Conv2D(4, 2, activation="relu"),
        keras.layers.Flatten(),
    ],
    "batch normalisation": lambda: [
        keras.layers.Conv2D(3, 2, use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
    ],
}


def data():
    """Inputs and labels."""
    rng = np.random.default_rng(0)
    return rng.random((6, *SHAPE), np.float32), rng.integers(0, CLASSES, 6)


def network(name):
    """A network, its weights drawn by NumPy, variances positive."""
    model = keras.Sequential(
        [keras.Input(SHAPE), *LAYERS[name](), keras.layers.Dense(CLASSES)]
    )
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(size=w.shape) / np.sqrt(max(1, np.prod(w.shape[:-1])))
        for w in model.get_weights()
    ]
    if name == "batch normalisation":
        weights[4] = 0.5 + np.abs(weights[4])
    model.set_weights(weights)
    return model


def numbers(name):
    """All numbers of a network, nested lists by name."""
    x, y = data()
    model, found = network(name), {}
    found["logits"] = model(x, training=False)
    for key, attack in ATTACKS.items():
        points = attack.perturb(model, x, y)
        logits = model(points, training=False)
        found[key] = tfr.losses.margin(y, logits)
    for key, verifier in VERIFIERS.items():
        found[key] = verifier.margins(model, x, y)
    for key, objective in OBJECTIVES.items():
        robust = tfr.RobustModel(network(name))
        robust.compile(keras.optimizers.SGD(0.1), objective=objective)
        # The loss of the first step, and what that step made of it.
        options = {"epochs": 2, "batch_size": len(x), "shuffle": False}
        logs = robust.fit(x, y, **options, verbose=0).history
        found[key] = logs["loss"]
    return {key: np.asarray(value).tolist() for key, value in found.items()}


def reread(room):
    """What artefacts in a folder, written under the other Keras, come to.

    They are weights of the convolution as `weights.npz`, a SavedModel of it in
    `served`, and an evaluation of it in `report`.
    """
    x, y = data()
    model = network("convolution")
    with np.load(room / "weights.npz") as held:
        model.set_weights([held[name] for name in held.files])
    served = tf.saved_model.load(str(room / "served" / "1"))
    answer = served.signatures["serving_default"](image=tf.constant(x))
    report = tfr.Report.load(room / "report")
    options = {"diagnostic_examples": 0, "curve": (), "verbose": 0}
    attacks = {"pgd": ATTACKS["pgd"]}
    again = tfr.evaluate(model, (x, y), attacks, **options)
    return {
        "keras": keras.__name__,
        "weights": np.asarray(model(x, training=False)).tolist(),
        "served": answer["logits"].numpy().tolist(),
        "verdicts": report["pgd"].correct.tolist(),
        "again": again["pgd"].correct.tolist(),
    }


def main(arguments):
    if arguments:
        print(json.dumps(reread(pathlib.Path(arguments[0]))))
        return
    found = {name: numbers(name) for name in LAYERS}
    # Nine digits give every float32 back.
    rounded = json.loads(
        json.dumps(found), parse_float=lambda text: float(f"{float(text):.9g}")
    )
    PATH.write_text(json.dumps(rounded, indent=None) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
