"""Verification problems exchanged with other tools: ONNX and VNN-LIB."""

from tfrobust.problems.writing import Written, write

__all__ = ["Written", "write"]


def __dir__() -> list[str]:
    return __all__
