"""Messages of chat tools: Slack's format, which others read as Markdown."""

from __future__ import annotations

import re

from lake_pipeline.escaping.lines import one_line


def chat_message(subject: str, text: str, link: str | None = None) -> str:
    """A bold subject, the lines of the text as preformatted text, then a link.

    In preformatted text nothing is formatted, fetched or turned into a link. Entities keep Slack from reading
    `<!channel>`.
    """
    body = "\n".join(_inert(line) for line in text.split("\n"))
    return "\n".join([f"*{_inert(subject).replace('*', '')}*", "```", body, "```", *([link] if link else [])])


def _inert(line: str) -> str:
    shown = re.sub("`{3,}", lambda run: "'" * len(run[0]), one_line(line))
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
