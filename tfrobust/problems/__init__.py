"""Verification problems exchanged with other tools: ONNX and VNN-LIB."""

from tfrobust.problems.onnx_reader import Network
from tfrobust.problems.query import Case, Query, read
from tfrobust.problems.solving import Solver, Verdict, verify
from tfrobust.problems.syntax import VNNLIBError
from tfrobust.problems.writing import Written, write

__all__ = [
    "Case",
    "Network",
    "Query",
    "Solver",
    "VNNLIBError",
    "Verdict",
    "Written",
    "read",
    "verify",
    "write",
]


def __dir__() -> list[str]:
    return __all__
