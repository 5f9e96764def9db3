"""Why a column of integers was not widened by itself, and what a person can do: the same words everywhere."""

from __future__ import annotations

from lake_pipeline.escaping.shell import shell_word


def why_narrow(path: str, *, is_lossy: bool) -> str:
    """Sentences about a column at `path` that got fractions; `is_lossy` if doubles would round its integers."""
    command = f"`lake contract widen {shell_word(path)}`"
    if is_lossy:
        return (
            f"{path} is a column of integers; its fractions are kept in _rescued. It is not widened by itself, because "
            f"it has integers beyond 2^53, which no double holds. To move those to _rescued instead, run {command}."
        )
    return (
        f"{path} is a column of integers; its fractions are kept in _rescued. It was not widened by itself, because "
        f"that would rewrite more than LAKE_REWRITE_BYTES, or files that were busy. To widen it, run {command}."
    )
