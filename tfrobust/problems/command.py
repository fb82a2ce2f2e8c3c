"""What the command `python -m tfrobust.problems` does."""

import argparse
import contextlib
import importlib.metadata
import os
import pathlib
import re
import sys
import threading
from collections.abc import Sequence

import numpy as np

from tfrobust import checks
from tfrobust.problems.decimals import decimals
from tfrobust.problems.declarations import PROVEN
from tfrobust.problems.onnx_reader import OPSETS
from tfrobust.problems.query import Query, read
from tfrobust.problems.solving import LATE, SAT, Verdict, verify

NAME = "tfrobust"
_SUPPORTS = {
    "onnx_opset_versions": [str(number) for number in OPSETS],
    "onnx_element_types": list(PROVEN),
    "vnnlib_versions": ["1.0", "2.0"],
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Args:
        arguments: Words after the name of the module.

    Returns:
        0, or 1 where nothing could be decided; stderr then says why.
    """
    asked = _parser().parse_args(arguments)
    if asked.name or asked.version:
        print(NAME if asked.name else importlib.metadata.version(NAME))
        return 0
    if asked.command == "supports":
        for name, values in _SUPPORTS.items():
            if getattr(asked, name):
                print("\n".join(values))
        return 0
    if asked.command != "verify":
        _parser().print_usage(sys.stderr)
        return 1
    return _verify(asked)


def _verify(asked):
    try:
        checks.number(asked.timeout, "timeout", 0)
        if asked.result:
            # No earlier answer stays in it.
            _write(asked.result, "")
    except ValueError as error:
        return _failed(error)
    said, seconds = threading.Lock(), min(asked.timeout, threading.TIMEOUT_MAX)
    watch = threading.Timer(seconds, _late, [said, asked.result])
    watch.daemon = True
    watch.start()
    try:
        lines, reason = _answered(asked)
    except (ImportError, NotImplementedError, OSError, ValueError) as error:
        lines, reason = None, error
    finally:
        # Whoever holds it gives the only answer.
        mine = said.acquire(blocking=False)
        watch.cancel()
    if not mine:
        watch.join()
        return 0
    return _failed(reason) if lines is None else _say(asked, lines, reason)


def _answered(asked):
    """The lines of the answer and its reason, before time is up."""
    # A query may name its network: f=net.onnx.
    path = re.sub(r"^[A-Za-z_]\w*=", "", asked.network)
    query = read(asked.query)
    verdict = verify(query, path, asked.timeout)
    return answer(query, verdict), verdict.reason


def _say(asked, lines, reason):
    code = 0
    if asked.result:
        try:
            _write(asked.result, lines)
        except ValueError as error:
            code = _failed(error)
    print(lines, end="", flush=True)
    if reason:
        print(reason, file=sys.stderr)
    return code


def _failed(error):
    print(f"error: {error}", file=sys.stderr)
    return 1


def _write(path, lines):
    try:
        pathlib.Path(path).write_text(lines)
    except OSError as error:
        raise ValueError(
            "`--result` must name a file that can be written, in a folder "
            f"that is there. Received: {path}: {error.strerror}."
        ) from error


def _late(said, path):
    """Time is up: whatever computes is left where it is."""
    if not said.acquire(blocking=False):
        return
    print(LATE, flush=True)
    if path:
        with contextlib.suppress(ValueError):
            _write(path, f"{LATE}\n")
    os._exit(0)


def answer(query: Query, verdict: Verdict) -> str:
    """The lines that the standard asks for, or those of VNN-LIB 1.0."""
    if verdict.result != SAT or verdict.x is None or verdict.y is None:
        return f"{verdict.result}\n"
    x = [decimals(value) for value in verdict.x]
    y = [repr(float(np.float32(value))) for value in verdict.y]
    if query.input.version == "1.0":
        pairs = [
            *zip(query.input.names(), x, strict=True),
            *zip(query.output.names(), y, strict=True),
        ]
        inner = "\n".join(f"({name} {value})" for name, value in pairs)
        return f"sat\n({inner})\n"
    lines = ["sat"]
    for part, values in ((query.input, x), (query.output, y)):
        shape = ",".join(map(str, part.shape))
        lines += [f"{part.name} {part.type} [{shape}]", *values]
    return "\n".join(lines) + "\n"


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tfrobust.problems")
    parser.add_argument("--name", action="store_true")
    parser.add_argument("--version", action="store_true")
    commands = parser.add_subparsers(dest="command")
    deciding = commands.add_parser("verify", help="decides one query")
    deciding.add_argument("query", help="a VNN-LIB file, gzipped or not")
    deciding.add_argument("--network", required=True, help="an ONNX file")
    deciding.add_argument("--timeout", type=float, default=60.0)
    deciding.add_argument("--result", help="a file for the answer, too")
    supports = commands.add_parser("supports", help="what can be decided")
    for name in _SUPPORTS:
        supports.add_argument(
            f"--{name.replace('_', '-')}", action="store_true"
        )
    return parser
