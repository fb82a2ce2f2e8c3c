"""Finds the command, reads its flags and runs it.

Usage:
    tfrobust train --data=digits --epsilon=0.1 --output_dir=runs/digits
    tfrobust evaluate --model=runs/digits/model.keras --data=digits \
        --epsilon=0.1 --report=report
"""

import importlib
import sys
import textwrap

from absl import flags

COMMANDS = {
    "train": "Trains a network against PGD",
    "evaluate": "Attacks a model and reports its accuracy",
    "certify": "Proves what can be proven of a model",
    "export": "Writes the SavedModel that TensorFlow Serving watches",
    "compare": "Puts reports side by side",
    "card": "Shows the robustness card of an exported model",
}
# What is wrong with what somebody typed; anything else shows where it happened.
_REFUSALS = (flags.Error, ImportError, NotImplementedError, OSError, ValueError)


def main(argv: list[str] | None = None) -> int:
    """Runs `tfrobust <command> <flags>`.

    Args:
        argv: What follows the program's name; None takes it from the system.

    Returns:
        The exit code: 1 if a model doesn't pass a gate, 2 if a word or a flag
        can't be meant, which a line on the standard error says.
    """
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_overview())
        return 0
    if name not in COMMANDS:
        return _refused("", f"{name!r} is none of {', '.join(COMMANDS)}.")
    command = importlib.import_module(f"tfrobust.commands.{name}")
    values = flags.FlagValues()
    values.set_gnu_getopt()  # Flags may follow words.
    command.define(values)
    if {"--help", "-h"} & {*rest}:
        print(_help(name, values))
        return 0
    try:
        words = values([name, *rest])[1:]
        return command.run(values, words) or 0
    except _REFUSALS as error:
        return _refused(f" {name}", str(error))


def _overview():
    lines = [f"  {name:<10} {what}." for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: tfrobust <command> <flags>",
            "",
            *lines,
            "",
            "tfrobust <command> --help lists the flags.",
        ]
    )


def _help(name, values):
    lines = [f"{COMMANDS[name]}.", "", f"Usage: tfrobust {name} <flags>", ""]
    for name in values:
        flag = values[name]
        usual = flag.default if flag.default is not None else ""
        if isinstance(usual, list):
            usual = ",".join(usual)
        told = f" Default: {usual}." if usual != "" else ""
        text = " ".join(f"{flag.help}{told}".split())
        lines.append(f"  --{name}")
        lines += textwrap.wrap(
            text, 78, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _refused(command, message):
    line = " ".join(message.split())
    print(f"tfrobust{command}: {line}", file=sys.stderr)
    return 2
