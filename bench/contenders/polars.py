"""Polars: `scan_ndjson`, unnested, into a partitioned sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bench.task import PARTITIONS, Account, Contender, Run, Task, column

if TYPE_CHECKING:
    import polars
    from polars.datatypes import DataTypeClass

OUTPUT = "polars"
INFERRED_FROM = 10_000
"""Records from which the schema is inferred; the default of 100 misses a rare field."""


def prepare(task: Task) -> Run:
    import polars as pl

    def run() -> Account:
        frame = pl.scan_ndjson(task.paths, infer_schema_length=INFERRED_FROM, ignore_errors=task.dirty)
        flat = frame.select(
            _value(path).alias(column(path)) for path in _leaves(dict(frame.collect_schema()), pl.Struct)
        )
        time, mode = pl.col("event_time"), pl.col("mode_field")
        days = [time.str.slice(at - 1, length).alias(name) for name, (at, length) in PARTITIONS.items()]
        target = pl.PartitionBy(task.work / OUTPUT, key=[*days, mode.alias("mode")], include_key=False)
        # The order of rows is irrelevant here. No difference in time on 64 MB.
        flat.sink_parquet(target, compression="zstd", mkdir=True, maintain_order=False)
        return Account(folder=OUTPUT)

    return run


def _value(path: tuple[str, ...]) -> polars.Expr:
    import polars as pl

    value = pl.col(path[0])
    for key in path[1:]:
        value = value.struct.field(key)
    return value


def _leaves(
    columns: Mapping[str, polars.DataType | DataTypeClass], struct: type[polars.Struct]
) -> Iterator[tuple[str, ...]]:
    for name, kind in columns.items():
        if isinstance(kind, struct):
            fields = {field.name: field.dtype for field in kind.fields}
            yield from ((name, *rest) for rest in _leaves(fields, struct))
        else:
            yield (name,)


CONTENDER = Contender(
    name="polars",
    title="Polars",
    packages=("polars",),
    prepare=prepare,
    rounds=3,
    does=f"""\
`scan_ndjson(files, infer_schema_length={INFERRED_FROM})`, a `select` of every leaf of every struct, and
`sink_parquet(PartitionBy(…, key=[year, month, day, mode]), compression="zstd", maintain_order=False)`: the streaming
engine, on all cores. On dirty records `ignore_errors=True`.""",
    omits="Validation of dates (they are cut out of the text), provenance, quarantine, account.",
)
