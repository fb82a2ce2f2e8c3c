"""The bound engine: intervals forward, linear functions backward."""

from tfrobust.bounds.bounds import Bounds

__all__ = ["Bounds"]


def __dir__() -> list[str]:
    return __all__
