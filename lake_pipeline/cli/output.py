"""Output of commands: JSON, lines or tables on stdout, progress and log lines on stderr.

What a command prints is in its own module. Every command prints through this one, which escapes what may come from
data; `make check` refuses `click.echo` elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lake_pipeline.escaping.lines import json_line, one_line
from lake_pipeline.escaping.log_records import escape_log_records
from lake_pipeline.model.redaction import without_credentials

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")
"""The option that every command takes."""


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout."""
    click.echo(json_line(value))


def print_line(text: str = "", *, err: bool = False, color: str | None = None) -> None:
    """One line on stdout, or on stderr; line ends and other control characters in it are shown as escapes."""
    click.echo(click.style(one_line(text), fg=color), err=err)


def print_lines(text: str) -> None:
    """Lines that a program wrote, for example a statement. Line ends from data must be escaped already."""
    for line in text.split("\n"):
        print_line(line)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout. Numbers are right-aligned, integers with separators: 1,234."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table_rows = [list(row) for row in rows]
    heading = Text(one_line(title))
    table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        right = bool(table_rows) and all(_is_number(row[index]) for row in table_rows)
        table.add_column(Text(one_line(column)), justify="right" if right else "left", overflow="fold")
    for row in table_rows:
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else one_line(value)) for value in row))
    Console().print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of any width on stdout: a table if it fits the terminal, otherwise a block of lines for each row."""
    from rich.console import Console

    columns, width = [one_line(name) for name in columns], Console().width
    table_rows = [[one_line(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in table_rows)]) for index, name in enumerate(columns)]
    if sum(widths) + 2 * len(widths) <= width:
        for row in ([*columns], ["─" * length for length in widths], *table_rows):
            click.echo("  ".join(value.ljust(length) for value, length in zip(row, widths, strict=True)).rstrip())
        return
    longest = max(len(name) for name in columns)
    for number, row in enumerate(table_rows, start=1):
        click.echo(f"─ row {number} ".ljust(width, "─"))
        for name, value in zip(columns, row, strict=True):
            room = max(width - longest - 2, 20)
            click.echo(f"{name.ljust(longest)}  {value if len(value) <= room else value[: room - 1] + '…'}")


def size(count: float) -> str:
    """Bytes in a readable unit, the same as in settings: 1.5 MB is 1,500,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar while the block runs, if stderr is a terminal. Yields a function that sets the progress."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    label = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), label, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(one_line(title), total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """A spinner while the block runs, if stderr is a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(one_line(title))):
        yield


def log_to_stderr(verbose: bool) -> None:
    """Log warnings of the project as plain lines; with `verbose` info messages too."""
    escape_log_records()
    level = logging.INFO if verbose else logging.WARNING
    handler = _Lines(level)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("lake_pipeline")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class _Lines(logging.Handler):
    """Writes through click, which resolves stderr at each call."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(without_credentials(self.format(record)), err=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
