"""Export: SavedModels for TensorFlow Serving, and LiteRT files."""

from tfrobust.exporting.litert import export_litert
from tfrobust.exporting.saved_model import export

__all__ = ["export", "export_litert"]


def __dir__() -> list[str]:
    return __all__
