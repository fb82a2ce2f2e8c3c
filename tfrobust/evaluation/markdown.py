"""Texts of anybody's in the Markdown of ours."""

import re


def plain(text):
    """A text in one line, of which no part is a tag or ends a cell."""
    text = " ".join(text.splitlines())
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    return text.replace("|", "&#124;")


def table(rows):
    """Lines of a table, of the texts of its cells, the head first."""
    head, *body = ([plain(cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def bullets(texts):
    """Lines of a list."""
    return [f"- {plain(text)}" for text in texts]
