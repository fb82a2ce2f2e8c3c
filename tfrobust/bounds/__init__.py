"""The bound engine: intervals forward, linear forms backward."""

from tfrobust.bounds import bilinear as bilinear
from tfrobust.bounds import composites as composites  # The table of records.
from tfrobust.bounds import curve_families as curve_families
from tfrobust.bounds import periodic as periodic
from tfrobust.bounds import polynomial_pieces as polynomial_pieces
from tfrobust.bounds import pooling as pooling
from tfrobust.bounds import rearranging as rearranging
from tfrobust.bounds import rules as rules
from tfrobust.bounds import smooth_curves as smooth_curves
from tfrobust.bounds import softmax as softmax
from tfrobust.bounds import sorting as sorting
from tfrobust.bounds.bounds import Bounds

__all__ = ["Bounds"]


def __dir__() -> list[str]:
    return __all__
