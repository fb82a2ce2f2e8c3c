"""The methods that fast_training.py compares, by name.

Usage:
    objective = METHODS["nfgsm"](threat, augmentation=None, steps=1000)

Those that remember the perturbation of each instance move it along with the
augmentation; the others leave that to the dataset. Numbers are each paper's.
`Counted()` is a layer that counts passes.
"""

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.evaluation.counter import Counter

attacks, objectives = tfr.attacks, tfr.objectives


def against(attack, **options):
    """Builds training on the worst points of an attack."""
    return lambda threat, **_: objectives.WorstCase(attack(threat, **options))


def watching(attack, **options):
    """The same for an attack of one step, which logs how well it points."""
    return lambda threat, **_: objectives.SingleStep(attack(threat, **options))


def remembering(objective):
    """Builds training that remembers perturbations, as they are augmented."""
    return lambda threat, augmentation, **_: objective(threat, augmentation)


def nuat(threat, steps, **_):
    """NuAT, whose weight grows over two thirds of the training."""
    ramp = tfr.schedules.Ramp(0.0, 4.5, end=max(1, 2 * steps // 3))
    return objectives.NuAT(threat, ramp)


METHODS = {
    "clean": lambda *_, **__: objectives.Clean(),
    "pgd10": against(attacks.PGD, steps=10),
    "fgsm": watching(attacks.FGSM),
    "fgsm_rs": watching(attacks.FGSM, step_size=1.25, random_start=1.0),
    "nfgsm": watching(attacks.NFGSM),
    "adat": against(attacks.AdAT),
    "fast_egl1": watching(attacks.FastEGL1),
    "gradalign": lambda threat, **_: objectives.GradAlign(threat),
    "nuat": nuat,
    "qub": lambda threat, **_: objectives.QUB(threat),
    "atta": remembering(objectives.ATTA),
    "atas": remembering(objectives.ATAS),
    "free": remembering(objectives.Free),
    "fgsm_pgi": remembering(objectives.FGSMPGI),
}


class Counted(keras.layers.Layer):
    """Passes logits on, and counts the examples that they are of."""

    def __init__(self):
        super().__init__()
        self.counter = Counter(lambda x, training: x)

    def call(self, x):
        return self.counter(x)
