"""Losses on logits: pure per-example functions and their Keras losses.

Every function gives one loss for each example; larger is worse for the model,
so attacks ascend and training descends the same number.
"""

from tfrobust.losses.classes import DLR, KL, CrossEntropy, Margin
from tfrobust.losses.functions import (
    class_labels as class_labels,
)
from tfrobust.losses.functions import (
    cross_entropy,
    dlr,
    kl,
    margin,
    targeted_dlr,
)
from tfrobust.losses.functions import (
    true_class as true_class,
)
from tfrobust.losses.functions import (
    whole_labels as whole_labels,
)
from tfrobust.losses.resolving import get, per_example
from tfrobust.losses.resolving import (
    in_a_column as in_a_column,
)
from tfrobust.losses.resolving import (
    reads_classes as reads_classes,
)

# What is imported as itself is for the rooms that work on losses.
__all__ = [
    "CrossEntropy",
    "DLR",
    "KL",
    "Margin",
    "cross_entropy",
    "dlr",
    "get",
    "kl",
    "margin",
    "per_example",
    "targeted_dlr",
]


def __dir__() -> list[str]:
    return __all__
