"""Medians, problems and targets of all runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.datasets import About
from bench.rounds import Failed, Measured

US = "lake"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A contender on a data set: the median of its times, the highest of its peaks, the rest from its last run."""

    seconds: float
    fastest: float
    slowest: float
    start_seconds: float
    peak_bytes: int
    last: Measured


@dataclass(frozen=True, kw_only=True)
class Target:
    """`measured` is None if a contender or data set that it needs was not run."""

    sentence: str
    goal: str
    measured: float | None
    met: bool


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of one benchmark, by data set."""

    abouts: dict[str, About]
    runs: Sequence[Measured | Failed]

    def summaries(self, dataset: str) -> dict[str, Summary]:
        """By contender, in the order of a round."""
        runs = [run for run in self.runs if isinstance(run, Measured) and run.dataset == dataset]
        names = dict.fromkeys(run.contender for run in runs)
        return {name: _summary([run for run in runs if run.contender == name]) for name in names}

    def failures(self, dataset: str) -> list[Failed]:
        return [run for run in self.runs if isinstance(run, Failed) and run.dataset == dataset]

    def speed(self, dataset: str, contender: str) -> float | None:
        """Bytes of JSON per second."""
        summary = self.summaries(dataset).get(contender) if dataset in self.abouts else None
        return self.abouts[dataset].json_bytes / summary.seconds if summary else None

    def targets(self) -> list[Target]:
        return [
            self._times("DuckDB", "duckdb", 2.5),
            self._times("Polars", "polars", 2.5),
            self._times("plain Spark, without its start", "spark", 5),
            self._times("dlt", "dlt", 20),
            _at_most(
                "Time of dirty records, as a multiple of clean ones",
                _ratio(self.speed("lines", US), self.speed("dirty", US)),
                1.5,
            ),
            _at_most("Size of the output, as a multiple of DuckDB's", self._size_ratio(), 1.1),
        ]

    def problems(self) -> list[str]:
        """Differences that make a comparison unfair or our own account wrong; empty if there are none."""
        return [
            problem
            for dataset, about in self.abouts.items()
            for name, summary in self.summaries(dataset).items()
            for problem in (
                _own_problems(about, summary.last)
                if name == US
                else _peer_problems(about, summary.last, self.summaries(dataset).get(US))
            )
        ]

    def _times(self, title: str, peer: str, goal: float) -> Target:
        ratio = _ratio(self.speed("lines", US), self.speed("lines", peer))
        return Target(
            sentence=f"Speed on large NDJSON files, as a multiple of {title}",
            goal=f"at least {goal:g}",
            measured=ratio,
            met=ratio is not None and ratio >= goal,
        )

    def _size_ratio(self) -> float | None:
        summaries = self.summaries("lines")
        if US not in summaries or "duckdb" not in summaries:
            return None
        return summaries[US].last.output_bytes / summaries["duckdb"].last.output_bytes


def _summary(runs: Sequence[Measured]) -> Summary:
    return Summary(
        seconds=statistics.median(run.seconds for run in runs),
        fastest=min(run.seconds for run in runs),
        slowest=max(run.seconds for run in runs),
        start_seconds=statistics.median(run.start_seconds for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        last=runs[-1],
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs is not None else None


def _at_most(sentence: str, measured: float | None, goal: float) -> Target:
    return Target(
        sentence=sentence,
        goal=f"at most {goal:g}",
        measured=measured,
        met=measured is not None and measured <= goal,
    )


def _own_problems(about: About, run: Measured) -> list[str]:
    """Conservation: read = published + quarantined, counted from the output."""
    problems = []
    if run.read != about.records:
        problems.append(f"{about.name}: {US} read {run.read} of {about.records} records")
    if run.read != run.rows + (run.quarantined or 0):
        problems.append(f"{about.name}: {US} read {run.read}, published {run.rows}, quarantined {run.quarantined}")
    if run.quarantined != about.malformed:
        problems.append(f"{about.name}: {US} quarantined {run.quarantined} records, {about.malformed} are malformed")
    return problems


def _peer_problems(about: About, run: Measured, ours: Summary | None) -> list[str]:
    """On clean data all contenders must write the same."""
    problems = []
    if run.rows != about.records - about.malformed:
        problems.append(f"{about.name}: {run.contender} wrote {run.rows} rows of {about.records - about.malformed}")
    if ours is None:
        return problems
    if run.partitions and run.partitions != ours.last.partitions:
        problems.append(f"{about.name}: {run.contender} wrote other partitions than {US}")
    sums = (run.amount, ours.last.amount)
    if not about.misfits and (None in sums or not math.isclose(sums[0] or 0, sums[1] or 0, rel_tol=1e-9)):
        problems.append(f"{about.name}: the amounts of {run.contender} add up to {sums[0]}, those of {US} to {sums[1]}")
    return problems
