"""A contender, its task and its account. Light, because the driver imports it too.

To add a peer: write a module in `contenders/` with a `Contender` whose `prepare` imports what it needs and returns the
run, and list it in `contenders/__init__`. Only the run counts as conversion; preparing is reported separately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run. `raw` contains only the raw files; `work` is an empty folder for all output.

    If `dirty`, records may be malformed, and a peer can be configured to continue.
    """

    raw: Path
    work: Path
    dirty: bool
    cores: int

    @property
    def paths(self) -> list[str]:
        return [str(path) for path in sorted(self.raw.iterdir())]


@dataclass(frozen=True, kw_only=True)
class Account:
    """The folder of the rows below `work`, and the contender's own counts; None if it keeps none."""

    folder: str
    read: int | None = None
    quarantined: int | None = None
    rescued: int | None = None


Run = Callable[[], Account]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`packages` are required, and their versions are reported; `rounds` bounds the runs of a slow contender.

    `does` says in docs/benchmarks.md exactly what is run, `omits` what it does not do.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    prepare: Callable[[Task], Run]
    rounds: int
    does: str
    omits: str


def column(path: Sequence[str]) -> str:
    """The flat column of a JSON path, named as this project names it."""
    name = "_".join(path).lower()
    return "mode_field" if name == "mode" else name


PARTITIONS = {"year": (1, 4), "month": (6, 2), "day": (9, 2)}
"""Their position in `event_time`: first character, counted from 1, and length."""
