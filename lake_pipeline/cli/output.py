"""How commands show things: JSON on stdout, tables for people, progress and log lines on stderr.

Nothing here knows what is shown.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")
"""The option that every command takes."""


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout. Numbers stand right, whole ones with separators: 1,234."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        right = bool(shown) and all(_is_number(row[index]) for row in shown)
        table.add_column(Text(column), justify="right" if right else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in row))
    Console().print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of any width on stdout: a table where it fits the terminal, else a block of lines for each row."""
    from rich.console import Console

    shown, width = [list(row) for row in rows], Console().width
    widths = [max([len(name), *(len(row[index]) for row in shown)]) for index, name in enumerate(columns)]
    if sum(widths) + 2 * len(widths) <= width:
        for row in ([*columns], ["─" * each for each in widths], *shown):
            click.echo("  ".join(value.ljust(each) for value, each in zip(row, widths, strict=True)).rstrip())
        return
    longest = max(len(name) for name in columns)
    for number, row in enumerate(shown, start=1):
        click.echo(f"─ row {number} ".ljust(width, "─"))
        for name, value in zip(columns, row, strict=True):
            room = max(width - longest - 2, 20)
            click.echo(f"{name.ljust(longest)}  {value if len(value) <= room else value[: room - 1] + '…'}")


def size(count: float) -> str:
    """Bytes for people, in the units of settings: 1.5 MB is 1,500,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while the block runs, where stderr is a terminal; yields how to tell what is done so far."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A line on stderr that moves while the block runs, where stderr is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def log_to_stderr(verbose: bool) -> None:
    """Warnings of the project, or with `verbose` what it does, as plain lines."""
    level = logging.INFO if verbose else logging.WARNING
    handler = _Lines(level)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("lake_pipeline")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class _Lines(logging.Handler):
    """Writes through click, which finds the stderr of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
