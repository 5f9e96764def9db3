"""Words of shell commands that are shown to people, who copy and run them."""

from __future__ import annotations

import shlex

from lake_pipeline.escaping.lines import escape_unsafe, one_line


def shell_word(value: str) -> str:
    """`value` as one word for bash and zsh, on one line, even if it has control characters."""
    if one_line(value) == value:
        return shlex.quote(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{escape_unsafe(escaped, _bytes)}'"


def _bytes(character: str) -> str:
    # Bytes of a file name that are not UTF-8 are lone surrogates in Python.
    is_byte = "\udc80" <= character <= "\udcff"
    encoded = character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in encoded)
