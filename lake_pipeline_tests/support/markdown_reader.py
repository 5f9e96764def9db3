"""A reader of GitHub's Markdown: what it would format, fetch or link, and what it shows."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

_BARE_ADDRESS = re.compile(r"https?://|www\.|[\w.+-]+@[\w-]+\.\w", re.IGNORECASE)
"""Text that becomes a link in GitHub's flavor without any markup."""

_INERT = {"text", "code_inline", "code_block", "fence", "paragraph", "tr", "td", "th", "thead", "tbody", "table"}


def tokens(source: str) -> list[Token]:
    """The parts of a page, blocks and what is inside of them."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [inner for token in parser.parse(source) for inner in (token.children or [token])]


def active(source: str) -> set[str]:
    """The kinds of parts that a browser formats, fetches or links; empty if the page only shows text and code."""
    parts = tokens(source)
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in parts}
    addresses = {"address" for token in parts if token.type == "text" and _BARE_ADDRESS.search(token.content)}
    return (kinds - _INERT) | addresses


def shown(source: str) -> str:
    """The text of a page."""
    return "".join(token.content for token in tokens(source))
