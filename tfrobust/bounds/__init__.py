"""The bound engine: intervals forward, linear forms backward."""

from tfrobust.bounds.bounds import Bounds

__all__ = ["Bounds"]
