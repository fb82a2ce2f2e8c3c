"""What the extra `onnx` brings, imported once it is needed."""

import gzip
import importlib
import pathlib
import zlib
from typing import Any

from tfrobust.types import Path


def load(name: str) -> Any:
    """Imports a module of the extra.

    Args:
        name: `"onnx"` or `"onnxruntime"`, or a module of one.

    Raises:
        ImportError: If it isn't installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name.partition('.')[0]} is needed to write and read ONNX. "
            "Install it: pip install 'tfrobust[onnx]'."
        ) from error


def contents(path: Path) -> bytes:
    """What a file holds, which may be gzipped.

    Raises:
        ValueError: If it is gzipped and damaged.
    """
    data = pathlib.Path(path).read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"A whole gzip file is expected. Received: {path}: {error}."
        ) from error


def session(path: Path) -> Any:
    """A session of onnxruntime for a network, on the CPU and one thread.

    It optimises nothing, so that it computes what the file says.

    Raises:
        ImportError: If onnxruntime isn't installed.
        ValueError: If it doesn't take the file.
    """
    runtime = load("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = (
        runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    data, providers = contents(path), ["CPUExecutionProvider"]
    try:
        return runtime.InferenceSession(data, options, providers=providers)
    # Its errors have no class in common.
    except Exception as error:
        raise ValueError(f"onnxruntime doesn't take {path}: {error}") from error
