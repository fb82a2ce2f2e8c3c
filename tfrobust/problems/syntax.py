"""The brackets and words of a VNN-LIB file, with their lines."""

import re
from typing import Any

from tfrobust.problems.extra import contents
from tfrobust.types import Path

_TOKEN = re.compile(
    r";[^\n]*"  # A comment.
    r"|[()]"
    r'|"[^"]*"'
    r"|[^\s()\[\];\"]*\[[^\]]*\]"  # A name with indices, or a shape.
    r"|[^\s()\[\];\"]+"
    r"|\n"
    r"|[^\s]"  # What belongs nowhere.
)


# No formula needs as many; deeper ones would exhaust the stack.
_DEEPEST = 200


class Word(str):
    """A word, and the line that it stands in."""

    line: int


class Group(list[Any]):
    """What stands in brackets, and the line where they open."""

    line: int


class VNNLIBError(ValueError):
    """What can't be read of a VNN-LIB file; the message names the line."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def refuse(part: Any, message: str) -> VNNLIBError:
    """The error for a part of a file."""
    shown = " ".join(_flat(part))
    shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
    return VNNLIBError(f"Line {part.line}: {message} Received: {shown}")


def read_text(path: Path) -> str:
    """The text of a file, which may be gzipped.

    Raises:
        VNNLIBError: If it is no text.
    """
    try:
        return contents(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise VNNLIBError(f"{path} is no text: {error}.") from error


def parse(text: str) -> list[Group]:
    """The groups of a file.

    Raises:
        VNNLIBError: If brackets don't match or are nested too deep, or a word
            stands outside.
    """
    top: list[Group] = []
    stack: list[Group] = []
    line = 1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "(":
            group = Group()
            group.line = line
            (stack[-1] if stack else top).append(group)
            stack.append(group)
            if len(stack) > _DEEPEST:
                raise VNNLIBError(
                    f"Line {line}: at most {_DEEPEST} brackets in brackets are "
                    "expected. Received: more. Write flat sums and formulas."
                )
        elif token == ")":
            if not stack:
                raise VNNLIBError(f"Line {line}: a bracket closes nothing.")
            stack.pop()
        elif token != "\n" and not token.startswith(";"):
            word = Word("".join(token.split()))
            word.line = line
            if not stack:
                raise refuse(word, "A word stands outside of all brackets.")
            stack[-1].append(word)
        line += token.count("\n")
    if stack:
        raise VNNLIBError(f"Line {stack[-1].line}: a bracket is never closed.")
    return top


def _flat(part):
    if isinstance(part, str):
        return [part]
    return ["(", *(word for inner in part for word in _flat(inner)), ")"]
