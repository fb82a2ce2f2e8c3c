"""Signs that there is nothing whose robustness would matter.

A model that answers one class for everything withstands every attack.
"""

import numpy as np

from tfrobust.evaluation.diagnostics import Check

FEW_EXAMPLES, TOO_FEW_EXAMPLES = 1000, 100
LEAST_AGREEMENT = 0.1


def counted(labels, predicted, classes):
    """How often each class is a label, and is the answer to clean inputs."""
    return {
        "labels": np.bincount(labels, minlength=classes).tolist(),
        "predicted": np.bincount(predicted, minlength=classes).tolist(),
    }


def answers(labels, predicted):
    """The label of each example, and what was answered, for JSON.

    Args:
        labels: Shape `[n]`.
        predicted: Dictionary of a row's name to classes, shape `[n]`.
    """
    return {
        "label": np.asarray(labels).tolist(),
        "predicted": {name: p.tolist() for name, p in predicted.items()},
    }


def of_answers(clean, classes):
    """Checks of the answers to the clean inputs.

    Agreement beyond chance is kappa of Cohen, 1960, A coefficient of agreement
    for nominal scales, of the lower end of the accuracy's interval.

    Args:
        clean: The `Row` of the clean inputs.
        classes: What `counted` returned.
    """
    labels, predicted = (np.array(counts) for counts in classes.values())
    examples, answered = len(clean.correct), np.count_nonzero(predicted)
    chance = float(labels @ predicted) / examples**2
    beyond = (clean.interval[0] - chance) / max(1 - chance, 1e-12)
    # Where all labels are of one class, a constant can't be told from a model.
    several = bool(np.count_nonzero(labels) > 1)
    return [
        Check(
            "enough_examples",
            examples >= FEW_EXAMPLES,
            f"{examples} examples; below {FEW_EXAMPLES} the intervals are "
            f"wide, and below {TOO_FEW_EXAMPLES} they say next to nothing.",
            critical=examples < TOO_FEW_EXAMPLES,
        ),
        Check(
            "chance",
            bool(beyond >= LEAST_AGREEMENT),
            f"Clean accuracy {clean.accuracy:.2%}, at least "
            f"{clean.interval[0]:.2%}; the same answers in random order would "
            f"reach {chance:.2%}. A model near chance has nothing to lose to "
            "an attack: look at its training, its inputs' scale, its labels.",
            critical=several,
        ),
        Check(
            "several_classes",
            bool(answered > 1),
            f"The model answers {answered} of {len(predicted)} classes to the "
            "clean inputs. With one for all, no attack has anything to change.",
            critical=several,
        ),
    ]
