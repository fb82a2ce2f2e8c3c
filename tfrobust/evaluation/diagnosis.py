"""Diagnostics that need attacks of their own."""

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Square
from tfrobust.evaluation.diagnostics import POINT, TOO_WEAK, Check
from tfrobust.tracing import compiled

ZERO_GRADIENTS = 0.01  # Largest share of examples without any gradient.
NOISE_DRAWS = 10
SEARCH_QUERIES = 200
AGREEMENT = 0.99  # Least share of predictions that a surrogate shares.
OVERFITTING = 0.2  # Single-step minus multi-step accuracy.
LEAST_ALIGNMENT = 0.2


def diagnose(subject):
    """Examines a `Subject`; returns a list of `Check`."""
    # Outputs that are no numbers fail the checks; they need no warning too.
    with np.errstate(all="ignore"):
        return [check(subject) for check in CHECKS]


def deterministic(subject):
    """Repeated forwards must agree."""
    forward = compiled(lambda x: subject.model(x, training=False))
    first, *others = (np.asarray(forward(subject.x)) for _ in range(5))
    gap = max(np.abs(other - first).max() for other in others)
    still = bool(gap <= 1e-4 * max(1.0, np.abs(first).max()))
    return Check(
        "deterministic",
        still or (subject.randomised and bool(np.isfinite(gap))),
        f"5 forwards differ by at most {gap:.2g}. A randomised model needs "
        "attacks on its expectation: switch dropout and noise off, or attack "
        'the mean of several forwards: AutoAttack(threat, version="rand").',
    )


def logits(subject):
    """The outputs must not be probabilities."""
    outputs = subject.clean["logits"]
    sums = np.abs(outputs.sum(axis=1) - 1).max()
    probable = sums < 1e-5 and outputs.min() >= 0 and outputs.max() <= 1
    return Check(
        "logits",
        not probable,
        "The model returns probabilities, which flatten gradients: take the "
        "logits before the softmax."
        if probable
        else "The outputs do not look like probabilities.",
    )


def zero_gradient(subject):
    """Next to no example may be without a gradient."""
    share = float(np.mean(~subject.gradient(subject.x).any(axis=1)))
    return Check(
        "zero_gradient",
        share <= ZERO_GRADIENTS,
        f"{share:.1%} of the examples have no input gradient at all. "
        "Quantised inputs and saturated outputs hide the true one.",
    )


def surrogate(subject):
    """A model without gradients needs a surrogate that answers alike."""
    if subject.surrogate is None:
        return Check("surrogate", True, "The model has gradients of its own.")
    outputs = np.asarray(subject.surrogate(subject.x, training=False))
    share = np.mean(outputs.argmax(axis=1) == subject.clean["predicted"])
    return Check(
        "surrogate",
        bool(share >= AGREEMENT),
        "The model has no gradients. Its surrogate, on which attacks were run, "
        f"predicts the same on {share:.1%} of the examples. Below "
        f"{AGREEMENT:.0%} it says too little: transfer from a closer one.",
    )


def single_step(subject):
    """Many steps must not be weaker than one."""
    return Check(
        "single_step",
        subject.accuracy <= subject.single,
        f"Accuracy {subject.single:.1%} after one step and "
        f"{subject.accuracy:.1%} after {subject.attack.steps}. More steps "
        "must not be weaker; above a point, gradients are masked.",
        critical=subject.accuracy > subject.single + POINT,
    )


def converged(subject):
    """Five times the steps must find next to nothing more, and no less."""
    steps, accuracy = subject.attack.steps, subject.accuracy
    longer = subject.right(subject.longer)
    found = max(subject.fooled(subject.longer), accuracy - longer)
    return Check(
        "converged",
        longer <= accuracy and found <= POINT,
        f"PGD accuracy {accuracy:.1%} with {steps} steps and {longer:.1%} with "
        f"{5 * steps}, which find {found:.1%} more. Above a point, attack "
        "with more steps; if more steps are weaker, gradients are masked.",
        critical=found > TOO_WEAK or longer > accuracy + POINT,
    )


def random_noise(subject):
    """Random points must not beat the gradient."""
    right = subject.standing
    for draw in range(NOISE_DRAWS):
        noisy = subject.attack.threat.sample(tf.constant(subject.x), draw)
        right = right & subject.run(None, noisy)["correct"]
    found = subject.hidden({"correct": right})
    return Check(
        "random_noise",
        found <= POINT,
        f"{NOISE_DRAWS} random points fool {found:.1%} that no attack can. "
        "Above a point, the attacks are broken.",
    )


def gradient_free(subject):
    """A search without gradients must find next to nothing more."""
    search = Square(subject.attack.threat, queries=SEARCH_QUERIES)
    found = subject.hidden(subject.run(search))
    return Check(
        "gradient_free",
        found <= POINT,
        f"Square with {SEARCH_QUERIES} queries fools {found:.1%} that no "
        "attack on the gradient can. Above a point, the gradients are masked.",
    )


def unbounded(subject):
    """When epsilon spans the whole range, nothing can be robust."""
    threat = subject.attack.threat
    width = threat.high - threat.low
    across = np.broadcast_to(width, (1, *subject.x.shape[1:]))
    across = tf.constant(across.reshape(-1), tf.float64)
    reach = 0.999 * float(threat.norm(across))
    epsilon = np.full(np.shape(threat.epsilon), reach)
    accuracy = subject.right(subject.run(subject.attack, epsilon=epsilon))
    chance = 1 / subject.clean["logits"].shape[1]
    return Check(
        "unbounded",
        accuracy <= chance,
        f"Accuracy {accuracy:.1%} when epsilon spans the whole range. An "
        f"attack that works leaves at most chance, {chance:.1%}.",
        # What a mask protects may decide, whatever the rest is.
        critical=threat.mask is None,
    )


def loss_path(subject):
    """The loss must grow on the way to the adversarial points."""
    path = subject.attacked["point"] - subject.x
    means = [
        float(subject.run(None, subject.x + share * path)["loss"].mean())
        for share in np.linspace(0, 1, 5, dtype=np.float32)
    ]
    return Check(
        "loss_path",
        bool(np.all(np.diff(means) >= -1e-3)),
        "Mean loss on the way to the adversarial points, which must grow: "
        + ", ".join(f"{mean:.3g}" for mean in means),
    )


def targeted(subject):
    """Aiming at the runner-up class must find next to nothing more."""
    found = subject.fooled(subject.at_runner_up)
    return Check(
        "targeted",
        found <= POINT,
        f"Aiming at the runner-up class fools {found:.1%} that no attack did.",
        critical=found > TOO_WEAK,
    )


def other_loss(subject):
    """The margin loss must find next to nothing more."""
    found = subject.fooled(subject.on_margin)
    return Check(
        "other_loss",
        found <= POINT,
        f"The margin loss fools {found:.1%} that no attack did.",
        critical=found > TOO_WEAK,
    )


def strength(subject):
    """Stronger attacks on the same gradient must find next to nothing more."""
    found, steps = float(np.mean(subject.missed)), subject.attack.steps
    steps *= 5 if subject.fooled(subject.longer) > POINT else 1
    return Check(
        "strength",
        found <= POINT,
        f"More steps, the margin loss and the runner-up class as a target fool "
        f"{found:.1%} that no attack did: accuracies are too high by at least "
        f"as much. Recommended: tfr.attacks.PGD(threat, steps={steps}, "
        'loss="margin", restarts=5), or AutoAttack(threat). Above '
        f"{TOO_WEAK:.0%} the report is unreliable.",
        critical=found > TOO_WEAK,
        overstated=found,
    )


def alignment(subject):
    """Gradients must not turn within the threat while one step fails."""
    noisy = subject.attack.threat.sample(tf.constant(subject.x), 0)
    here, there = subject.gradient(subject.x), subject.gradient(noisy)
    sizes = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
    cosines = (here * there).sum(axis=1) / np.maximum(sizes, 1e-30)
    mean, gap = float(cosines.mean()), subject.single - subject.accuracy
    return Check(
        "alignment",
        mean >= LEAST_ALIGNMENT or gap <= OVERFITTING,
        f"Gradients at x and nearby have mean cosine {mean:.2f}, and one step "
        f"leaves {gap:.1%} more right than many. A low cosine with a wide gap "
        "is catastrophic overfitting.",
    )


CHECKS = (
    deterministic,
    logits,
    zero_gradient,
    surrogate,
    single_step,
    converged,
    random_noise,
    gradient_free,
    unbounded,
    loss_path,
    targeted,
    other_loss,
    strength,
    alignment,
)
