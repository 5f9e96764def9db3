"""What a contender is, what it is given and what it says of its run. Light: the driver imports it too.

To add a peer: a module in `contenders/` with a `prepare` that imports what it needs and returns the run itself,
and a `Contender` in `contenders/__init__`. Only the run is timed as the conversion; preparing is reported beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run. `raw` has the files and nothing else; `work` is an empty folder for everything that is written.

    `dirty` says that records may be broken, so that a peer can be told to go on.
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
    """Where the rows are, below `work`, and what the contender itself says became of the records.

    A peer that keeps no account of what it leaves out has None there.
    """

    folder: str
    read: int | None = None
    quarantined: int | None = None
    rescued: int | None = None


Run = Callable[[], Account]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`packages` are what it needs and whose versions are reported; `rounds` bounds how often a slow one is run.

    `does` tells the reader of docs/benchmarks.md exactly what is run, `spared` what it does not have to do.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    prepare: Callable[[Task], Run]
    rounds: int
    does: str
    spared: str


def column(path: Sequence[str]) -> str:
    """The flat column of a JSON path, named as this project names it."""
    name = "_".join(path).lower()
    return "mode_field" if name == "mode" else name


PARTITIONS = {"year": (1, 4), "month": (6, 2), "day": (9, 2)}
"""Where they stand in `event_time`: first character, counted from 1, and length."""
