"""What the runs amount to: medians, what is wrong with them, and whether the targets are met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.datasets import About
from bench.measuring import Failed, Measured

US = "lake"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A contender on a data set: the median of its times, the highest of its peaks, the rest from its last run."""

    seconds: float
    quickest: float
    slowest: float
    start_seconds: float
    peak_bytes: int
    last: Measured


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was set out to be reached. `measured` is None where what it takes was not measured."""

    sentence: str
    wanted: str
    measured: float | None
    met: bool


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything one call of the benchmark found out, by data set."""

    abouts: dict[str, About]
    runs: Sequence[Measured | Failed]

    def standings(self, dataset: str) -> dict[str, Standing]:
        """By contender, in the order in which they took turns."""
        runs = [run for run in self.runs if isinstance(run, Measured) and run.dataset == dataset]
        names = dict.fromkeys(run.contender for run in runs)
        return {name: _standing([run for run in runs if run.contender == name]) for name in names}

    def failures(self, dataset: str) -> list[Failed]:
        return [run for run in self.runs if isinstance(run, Failed) and run.dataset == dataset]

    def speed(self, dataset: str, contender: str) -> float | None:
        """Bytes of JSON in a second."""
        standing = self.standings(dataset).get(contender) if dataset in self.abouts else None
        return self.abouts[dataset].json_bytes / standing.seconds if standing else None

    def targets(self) -> list[Target]:
        return [
            self._times("DuckDB", "duckdb", 2.5),
            self._times("Polars", "polars", 2.5),
            self._times("plain Spark, its start not counted", "spark", 5),
            self._times("dlt", "dlt", 20),
            _at_most(
                "Time of dirty records, as a multiple of clean ones",
                _ratio(self.speed("lines", US), self.speed("dirty", US)),
                1.5,
            ),
            _at_most("Size of the output, as a multiple of DuckDB's", self._size_ratio(), 1.1),
        ]

    def problems(self) -> list[str]:
        """Whatever makes a comparison unfair or our own account wrong; empty when all is well."""
        return [
            problem
            for dataset, about in self.abouts.items()
            for name, standing in self.standings(dataset).items()
            for problem in (
                _own_problems(about, standing.last)
                if name == US
                else _peer_problems(about, standing.last, self.standings(dataset).get(US))
            )
        ]

    def _times(self, title: str, peer: str, wanted: float) -> Target:
        ratio = _ratio(self.speed("lines", US), self.speed("lines", peer))
        return Target(
            sentence=f"Speed on large NDJSON files, as a multiple of {title}",
            wanted=f"at least {wanted:g}",
            measured=ratio,
            met=ratio is not None and ratio >= wanted,
        )

    def _size_ratio(self) -> float | None:
        standings = self.standings("lines")
        if US not in standings or "duckdb" not in standings:
            return None
        return standings[US].last.output_bytes / standings["duckdb"].last.output_bytes


def _standing(runs: Sequence[Measured]) -> Standing:
    return Standing(
        seconds=statistics.median(run.seconds for run in runs),
        quickest=min(run.seconds for run in runs),
        slowest=max(run.seconds for run in runs),
        start_seconds=statistics.median(run.start_seconds for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        last=runs[-1],
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs is not None else None


def _at_most(sentence: str, measured: float | None, wanted: float) -> Target:
    return Target(
        sentence=sentence,
        wanted=f"at most {wanted:g}",
        measured=measured,
        met=measured is not None and measured <= wanted,
    )


def _own_problems(about: About, run: Measured) -> list[str]:
    """Conservation: read = published + quarantined, counted from outside."""
    problems = []
    if run.read != about.records:
        problems.append(f"{about.name}: {US} read {run.read} of {about.records} records")
    if run.read != run.rows + (run.quarantined or 0):
        problems.append(f"{about.name}: {US} read {run.read}, published {run.rows}, quarantined {run.quarantined}")
    if run.quarantined != about.broken:
        problems.append(f"{about.name}: {US} quarantined {run.quarantined} records, {about.broken} are broken")
    return problems


def _peer_problems(about: About, run: Measured, ours: Standing | None) -> list[str]:
    """On clean data everybody must have written the same."""
    problems = []
    if run.rows != about.records - about.broken:
        problems.append(f"{about.name}: {run.contender} wrote {run.rows} rows of {about.records - about.broken}")
    if ours is None:
        return problems
    if run.partitions and run.partitions != ours.last.partitions:
        problems.append(f"{about.name}: {run.contender} wrote other partitions than {US}")
    sums = (run.amount, ours.last.amount)
    if not about.misfits and (None in sums or not math.isclose(sums[0] or 0, sums[1] or 0, rel_tol=1e-9)):
        problems.append(f"{about.name}: the amounts of {run.contender} add up to {sums[0]}, those of {US} to {sums[1]}")
    return problems
