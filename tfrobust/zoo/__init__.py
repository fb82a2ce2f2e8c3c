"""Robust networks that come with the package, each with its card."""

from tfrobust.zoo.shelf import card, list, load
from tfrobust.zoo.writing import write

__all__ = ["card", "list", "load", "write"]


def __dir__():
    return __all__
