"""What the command `python -m tfrobust.problems` does."""

import argparse
import importlib.metadata
import os
import pathlib
import re
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

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
    # A query may name its network: f=net.onnx.
    path = re.sub(r"^[A-Za-z_]\w*=", "", asked.network)
    watch = threading.Timer(asked.timeout, _late)
    watch.daemon = True
    watch.start()
    try:
        query = read(asked.query)
        verdict = verify(query, path, asked.timeout)
    except (ImportError, NotImplementedError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        watch.cancel()
    lines = answer(query, verdict)
    if asked.result:
        pathlib.Path(asked.result).write_text(lines)
    print(lines, end="", flush=True)
    if verdict.reason:
        print(verdict.reason, file=sys.stderr)
    return 0


def _late():
    """Time is up: whatever computes is left where it is."""
    print(LATE, flush=True)
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


def decimals(value: Fraction) -> str:
    """A fraction that decimal digits can express, with all of them."""
    digits, number = 0, abs(value)
    while number.denominator > 1:
        number, digits = number * 10, digits + 1
    text = str(number.numerator).rjust(digits + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{text[: len(text) - digits]}.{text[len(text) - digits :]}0"


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
