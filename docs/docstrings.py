"""Makes Markdown of what our docstrings write plainly.

Examples are code without fences, and the arguments of a call are a list that
Google's style doesn't know. An extension of griffe, named in mkdocs.yml.
"""

import re

import griffe

_SECTION = re.compile(
    r"^(Example|Call arguments):\n((?:(?: {4}.*)?(?:\n|\Z))+)", re.MULTILINE
)


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """A docstring with its examples fenced and its call arguments listed."""
    return _SECTION.sub(_section, text)


def _section(match):
    title, body = match[1], match[2].rstrip()
    lines = [line[4:] for line in body.split("\n")]
    if title == "Call arguments":
        lines = [re.sub(r"^(\w+): ", r"- `\1`: ", line) for line in lines]
        return f"**{title}:**\n\n" + "\n".join(lines) + "\n\n"
    if not lines[0].startswith("`"):
        lines = ["```python", *lines, "```"]
    return f"**{title}:**\n\n" + "\n".join(lines) + "\n\n"
