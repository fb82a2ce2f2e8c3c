"""Figures, in any format that matplotlib writes."""

from typing import Any

from tfrobust import files
from tfrobust.types import Path


def figure(width: float = 4.8, height: float = 3.2) -> Any:
    """An empty figure, in inches.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib, which is missing. Install it: "
            'pip install "tfrobust[examples]"'
        ) from error
    return Figure(figsize=(width, height), layout="tight")


def save(figure: Any, path: Path) -> None:
    """Writes a figure to a file, whole or not at all."""
    with files.new_file(path) as file:
        figure.savefig(file)
