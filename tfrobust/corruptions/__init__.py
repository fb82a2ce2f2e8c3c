"""Common corruptions of images: what no attacker chooses."""

from tfrobust.corruptions.blur import (
    defocus_blur,
    gaussian_blur,
    motion_blur,
    zoom_blur,
)
from tfrobust.corruptions.digital import elastic, jpeg, pixelate
from tfrobust.corruptions.evaluate import evaluate
from tfrobust.corruptions.light import brightness, contrast, fog, saturate
from tfrobust.corruptions.noise import (
    gaussian_noise,
    impulse_noise,
    shot_noise,
    speckle_noise,
)
from tfrobust.corruptions.report import CorruptionReport

__all__ = [
    "CorruptionReport",
    "brightness",
    "contrast",
    "defocus_blur",
    "elastic",
    "evaluate",
    "fog",
    "gaussian_blur",
    "gaussian_noise",
    "impulse_noise",
    "jpeg",
    "motion_blur",
    "pixelate",
    "saturate",
    "shot_noise",
    "speckle_noise",
    "zoom_blur",
]


def __dir__() -> list[str]:
    return __all__
