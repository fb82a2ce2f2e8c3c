"""The objectives that certified_training.py compares, by name.

Usage:
    objective = made(FLAGS, total, network)

What `--weight` is depends on the method:

- ibp, crown_ibp, kw, fusion: the share of the bound against the clean loss;
- mtl, cc, exp, cc_crown_ibp: the share of the bound against the attack;
- sabr: the side of the small box, as a share of the threat's;
- taps, staps: the factor of the gradient of attacked points inside;
- per: the weight of the hyperplanes that are too near;
- gloro: the weight of the certificate.
"""

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.threats.norms import NORMS

objectives, verifiers = tfr.objectives, tfr.verifiers


class Recipe:
    """What a method is built from.

    Args:
        flags: Those of certified_training.py.
        total: Number of training steps.
    """

    def __init__(self, flags, total):
        self.epsilon = flags.train_epsilon or flags.epsilon
        self.end = max(1, int(flags.ramp * total)) if flags.ramp else 0
        grown = tfr.schedules.SmoothRamp(0.0, self.epsilon, end=self.end or 1)
        self.threat = NORMS[flags.norm](grown if flags.ramp else self.epsilon)
        self.weight, self.steps = flags.weight, flags.steps
        self.split, self.regularizer = flags.split, flags.regularizer


def bounded(verifier):
    """Builds training on what a verifier proves."""
    return lambda recipe: objectives.WorstCase(
        verifier(recipe.threat), mix=recipe.weight
    )


def attack_of(recipe):
    """From a random point straight to a corner, or in several steps."""
    if recipe.steps == 1:
        return tfr.attacks.FGSM(recipe.threat, step_size=2.0, random_start=1.0)
    return tfr.attacks.PGD(recipe.threat, recipe.steps, 2 / recipe.steps)


def expressive(form, verifier=verifiers.IBP):
    """Builds a mixture of bounds and an attack."""
    return lambda recipe: objectives.Expressive(
        attack_of(recipe), verifier(recipe.threat), recipe.weight, form
    )


def fusion(recipe):
    """CROWN-IBP by one row of coefficients."""
    verifier = verifiers.CROWNIBP(recipe.threat)
    return objectives.LossFusion(verifier, mix=recipe.weight)


def taps(share):
    """Builds TAPS, or STAPS, that attacks inside once epsilon has grown."""

    def built(recipe):
        return objectives.TAPS(
            attack_of(recipe),
            recipe.split,
            share,
            recipe.weight,
            begin=recipe.end,
        )

    return built


def per(recipe):
    """PER, whose distance asked for is the threat's epsilon."""
    envelope = verifiers.PolyhedralEnvelope(recipe.threat)
    alpha = recipe.threat.epsilon
    return objectives.PER(envelope, alpha, recipe.weight, examples=20)


def warmed_up(make):
    """Builds the same with the regularisers of a growing epsilon, if any."""

    def regularized(recipe):
        objective = make(recipe)
        if not recipe.regularizer:
            return objective
        return objectives.WarmUpRegularized(
            objective,
            verifiers.IBP(recipe.threat),
            recipe.epsilon,
            recipe.regularizer,
        )

    return regularized


def normalizes(network):
    """Whether it has batch normalisation."""
    kind = keras.layers.BatchNormalization
    return any(isinstance(layer, kind) for layer in network.layers)


def made(flags, total, network):
    """The objective, by the clean batch's statistics if there are any."""
    objective = METHODS[flags.method](Recipe(flags, total))
    if normalizes(network):
        objective = objectives.BatchStatistics(objective)
    return objective


def reestimated(network, data):
    """A callback for the moving statistics, if there are any, in a list."""
    estimate = tfr.callbacks.ReestimateBatchNorm
    return [estimate(data)] if normalizes(network) else []


METHODS = {
    "clean": lambda recipe: objectives.Clean(),
    "pgd": lambda recipe: objectives.WorstCase(attack_of(recipe)),
    "ibp": warmed_up(bounded(verifiers.IBP)),
    "crown_ibp": warmed_up(bounded(verifiers.CROWNIBP)),
    "kw": bounded(verifiers.FastLin),
    "fusion": warmed_up(fusion),
    "mtl": warmed_up(expressive("mtl")),
    "cc": warmed_up(expressive("cc")),
    "exp": warmed_up(expressive("exp")),
    "cc_crown_ibp": warmed_up(expressive("cc", verifiers.CROWNIBP)),
    "sabr": lambda recipe: objectives.SABR(
        attack_of(recipe), share=recipe.weight
    ),
    "taps": taps(1.0),
    "staps": taps(0.4),
    "per": per,
    "gloro": lambda recipe: objectives.GloRo(recipe.threat, recipe.weight),
}
