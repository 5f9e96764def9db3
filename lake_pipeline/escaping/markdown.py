"""Text in Markdown, as Dagster's UI renders it: GitHub's flavor, with images, links and bare addresses.

A value becomes a code span or escaped text: nothing in it is formatted, becomes a link, or is fetched by a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lake_pipeline.escaping.lines import one_line

_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
"""A code span. Its content is inert, even if it is from data."""

_ADDRESS = re.compile(r"\S*(?:://|www\.|@)\S*", re.IGNORECASE)
"""What GitHub's flavor turns into a link without any markup; no backslash prevents that."""

_SPECIAL = re.compile(
    # Formatting, links, images, HTML, and backslashes that would escape something.
    r"[*~\[\]<]|\\(?=[!-/:-@\[-`{-~]|$)|&(?=#?\w+;)"
    # Underscores inside of a word are not formatting.
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    # What starts a heading, a quote or a list.
    r"|^[#>+=-]"
)
_NUMBERED = re.compile(r"^(\d+)([.)])(?!\S)")

_URL = re.compile(r"https?://[\w./:?=&%#~+,;@!$*-]+", re.ASCII)
"""A link that needs no escaping: data in it is percent-encoded."""


def text(value: object) -> str:
    """A sentence with parts from data, as one line of Markdown that shows exactly its characters.

    Code spans in it stay code spans. Addresses become code spans too.
    """
    line = one_line(value).strip()
    pieces = _SPAN.split(line)
    return "".join(code(piece) if odd % 2 else _without_markup(piece) for odd, piece in enumerate(pieces))


def code(value: object) -> str:
    """A value as a code span; nothing for an empty one."""
    line = one_line(value)
    if not line.strip():
        return ""
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    # A space at both ends is removed by readers; with a backtick next to the fence it is necessary.
    padding = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def cell(markdown: str) -> str:
    """The output of `text`, `code` or `link` as a cell of a table."""
    # Readers disagree about a pipe after a backslash.
    return markdown.replace("\\|", "\\x7c").replace("|", "\\|")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown of this module. Column names are not escaped."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *lines])


def link(label: str, url: str) -> str:
    """A link with `label` as code; only the label if `url` is not of the web or has characters that are not encoded."""
    shown = code(label) or "link"
    return f"[{shown}](<{url}>)" if _URL.fullmatch(url) else shown


def block(lines: Iterable[str], language: str = "") -> str:
    """Lines as a block of code."""
    shown = [one_line(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *shown, fence])


def _without_markup(piece: str) -> str:
    shown, position = [], 0
    for address in _ADDRESS.finditer(piece):
        shown += [_escaped(piece[position : address.start()]), code(address[0])]
        position = address.end()
    return "".join([*shown, _escaped(piece[position:])])


def _escaped(piece: str) -> str:
    escaped = _SPECIAL.sub(lambda special: f"\\{special[0]}", piece)
    return _NUMBERED.sub(r"\1\\\2", escaped).replace("`", "&#96;")
