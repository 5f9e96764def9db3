"""docs/benchmarks.md, written by the run that took the figures: no figure in it is typed by hand."""

from __future__ import annotations

from bench.contenders import CONTENDERS
from bench.records import BAD_SHARE, DAYS, MODES
from bench.report import as_markdown, dataset_table, dataset_title, targets_table
from bench.results import Results

_OPENING = """\
# Benchmarks

Written by `{command}`; don't edit it, run it. The conversion kernel and its peers convert the same generated
files on the same machine in the same run, and write the same thing: one column for each leaf of the nested records,
lists as lists (and lake_pipeline its four columns of provenance), Hive folders `year=/month=/day=/mode=`, Parquet
with zstd.

`make bench` prints the same tables for your machine in about ten minutes, `make bench-quick` compares the fast
contenders on one data set in about one. `make bench-docs` writes this page.
"""

_METHOD = """\
## How it is measured

- Each run is a process of its own with an empty folder. The contenders take turns, every other
  round backwards, so a machine that gets slower is slower for all. Rounds: {rounds}; times are medians, *from – to* are
  the extremes.
- *our speed* is that of lake_pipeline, as a multiple of the contender's.
- *seconds* is the conversion, from listing the files to the last file written; *start* is what comes before it:
  importing the packages (and pandas, which pyarrow imports for its first array where a peer has it installed) and, for
  Spark, starting the session. *MB/s* is JSON text (not compressed) by *seconds*.
- *peak MB* is the resident memory of the process and everything it started (the JVM, worker processes): the sum
  sampled ten times a second, and at least what the kernel says the largest process had.
- The raw files are in the page cache; written data is flushed between the runs, outside of the measured time.
- The rows, partitions and the sum of a column are read back from the Parquet files of every run and compared:
  what was found is at the end of the results.
- Every contender is told to use all cores that the process may use.

The records are generated, the same ones each time: order events of about 720 bytes with ids, texts, numbers, nested
objects and a list of objects; telemetry of about 3 KB for the wide set. {days} days and {modes} modes
({partitions} partitions) are mixed within every file. In the dirty set {bad} of the records are bad by turns:
cut off, another format, or a wrong character; and with a text where a number was, an object where a number was, or a
text where a list was. The clean and the dirty set hold the same records otherwise.
"""

_STAGES = """\
Processor time of both workers and the thread that reads, in a run of its own (`bench/stages.py`); waiting is not in it.
JSON must be read, parsed, ordered by partition, encoded, compressed and written; that is done in machine code and the
kernel, and a stage of it gains by being quicker only. What could be done without is the Python between them and around
them, the headers and the handing over: about a fifth. Against DuckDB 2 is the floor of what is wanted, 2.5 the aim.
"""


def write_page(
    results: Results,
    command: str,
    rounds: int,
    machine: dict[str, str],
    versions: dict[str, str],
    stages: dict[str, float],
) -> str:
    """The whole page as Markdown. `stages` are the core seconds of the kernel's parts, the most first."""
    parts = [_OPENING.format(command=command), _targets(results), _machine(machine, versions), _results(results)]
    parts += [_stages(stages), _method(rounds), _contenders(results)]
    return "\n".join(parts)


def _targets(results: Results) -> str:
    return f"## The targets\n\n{as_markdown(targets_table(results))}\n"


def _machine(machine: dict[str, str], versions: dict[str, str]) -> str:
    told = [f"- {name}: {value}" for name, value in machine.items()]
    ran = ", ".join(f"{name} {value}" for name, value in versions.items())
    return "## The machine\n\n" + "\n".join([*told, f"- Versions: {ran}"]) + "\n"


def _results(results: Results) -> str:
    sections = [
        f"### {dataset_title(about)}\n\n{as_markdown(dataset_table(results, name))}\n"
        for name, about in results.abouts.items()
    ]
    problems = results.problems()
    checked = (
        "Reading back what was written found this:\n\n" + "\n".join(f"- {problem}" for problem in problems)
        if problems
        else "What was read back differs in nothing but the missing records: neither in rows nor in partitions or sums."
    )
    return "\n".join(["## Results\n", *sections, checked + "\n"])


def _stages(stages: dict[str, float]) -> str:
    whole = sum(stages.values())
    rows = [[stage, f"{seconds:.2f}", f"{seconds / whole:.0%}"] for stage, seconds in stages.items()]
    table = as_markdown([["lake_pipeline, large NDJSON files", "core seconds", "share"], *rows])
    return f"## Where the time goes\n\n{_STAGES}\n{table}\n"


def _method(rounds: int) -> str:
    each = [f"{contender.title} {min(rounds, contender.rounds)}" for contender in CONTENDERS.values()]
    return _METHOD.format(
        rounds=", ".join(each),
        days=DAYS,
        modes=len(MODES),
        partitions=DAYS * len(MODES),
        bad=f"{BAD_SHARE:.0%}",
    )


def _contenders(results: Results) -> str:
    asked = dict.fromkeys(run.contender for run in results.runs)
    sections = [
        f"### {CONTENDERS[name].title}\n\n{CONTENDERS[name].does}\n\nSpared: {CONTENDERS[name].spared}\n"
        for name in asked
    ]
    return (
        "\n".join(
            [
                "## What each contender does\n",
                "The code is in [bench/contenders](../bench/contenders): one module each, about fifty lines.\n",
                *sections,
            ]
        ).rstrip("\n")
        + "\n"
    )
