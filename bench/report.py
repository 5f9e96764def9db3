"""Tables for each data set and for the targets, as text for a terminal or as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from bench.contenders import CONTENDERS
from bench.datasets import DATA_SETS, About
from bench.results import US, Results, Summary

Table = list[list[str]]
"""Rows of cells; the first row is the header, the first column is text and the others are figures."""

HEADER = [
    "",
    "MB/s",
    "our speed",
    "seconds",
    "from – to",
    "start s",
    "peak MB",
    "output MB",
    "files",
    "rows",
    "missing",
]


def dataset_title(about: About) -> str:
    size = f"{about.json_bytes / 1e6:.0f} MB of JSON"
    if about.stored_bytes != about.json_bytes:
        size += f", {about.stored_bytes / 1e6:.0f} MB stored"
    return f"{DATA_SETS[about.name].title}: {size}, {about.records:,} records, {about.files:,} files"


def dataset_table(results: Results, dataset: str) -> Table:
    """The contenders on one data set, followed by those that failed."""
    about, summaries = results.abouts[dataset], results.summaries(dataset)
    ours = summaries.get(US)
    rows = [_row(about, name, summary, ours) for name, summary in summaries.items()]
    failures = [
        [CONTENDERS[failure.contender].title, "failed", *[""] * (len(HEADER) - 3), failure.reason]
        for failure in results.failures(dataset)
    ]
    return [HEADER, *rows, *failures]


def targets_table(results: Results) -> Table:
    rows = [
        [
            target.sentence,
            target.goal,
            "–" if target.measured is None else f"{target.measured:.2f}",
            "not measured" if target.measured is None else "met" if target.met else "NOT met",
        ]
        for target in results.targets()
    ]
    return [["target", "goal", "measured", ""], *rows]


def as_text(table: Table) -> str:
    widths = [max(len(row[number]) for row in table) for number in range(len(table[0]))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_markdown(table: Table) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in table]
    last = "---" if table[0][-1] else "---:"
    ruler = f"|---|{'---:|' * (len(table[0]) - 2)}{last}|"
    return "\n".join([lines[0], ruler, *lines[1:]])


def as_json(results: Results, machine: dict[str, str], versions: dict[str, str]) -> str:
    """All runs, not only the medians."""
    return json.dumps(
        {
            "machine": machine,
            "versions": versions,
            "datasets": [asdict(about) for about in results.abouts.values()],
            "runs": [asdict(run) for run in results.runs],
            "targets": [asdict(target) for target in results.targets()],
            "problems": results.problems(),
        },
        indent=2,
        ensure_ascii=False,
    )


def _row(about: About, name: str, summary: Summary, ours: Summary | None) -> list[str]:
    run = summary.last
    return [
        CONTENDERS[name].title,
        f"{about.json_bytes / 1e6 / summary.seconds:.0f}",
        f"{summary.seconds / ours.seconds:.2f} ×" if ours and name != US else "",
        f"{summary.seconds:.2f}",
        f"{summary.fastest:.2f} – {summary.slowest:.2f}",
        f"{summary.start_seconds:.2f}",
        f"{summary.peak_bytes / 1e6:.0f}",
        f"{run.output_bytes / 1e6:.1f}",
        f"{run.files:,}",
        f"{run.rows:,}",
        _missing(about, run.rows, run.quarantined, run.rescued),
    ]


def _missing(about: About, rows: int, quarantined: int | None, rescued: int | None) -> str:
    """Records that are not in the rows, and whether the contender counted them."""
    missing = about.records - rows
    if quarantined is None:
        return f"{missing:,} records dropped, no account" if missing else ""
    counts = [f"{quarantined:,} records in quarantine"] if quarantined else []
    counts += [f"{rescued:,} rows with a rescued value"] if rescued else []
    return ", ".join(counts) + (f", {missing - quarantined:,} LOST" if missing != quarantined else "")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    last = len(row) - 1
    return [
        cell.ljust(width) if number in (0, last) else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
