"""pyarrow: `read_json`, flattened, `write_dataset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.task import PARTITIONS, Account, Contender, Run, Task, column

if TYPE_CHECKING:
    import pyarrow

OUTPUT = "pyarrow"


def prepare(task: Task) -> Run:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    import pyarrow.json as pj

    pa.set_cpu_count(task.cores)

    def run() -> Account:
        if task.dirty:
            raise RuntimeError("pyarrow can't leave out malformed lines")
        options = pj.ReadOptions(block_size=8 << 20)
        texts = pa.field("event_time", pa.string())
        parse = pj.ParseOptions(explicit_schema=pa.schema([texts]))
        tables = [_flat(pj.read_json(path, read_options=options, parse_options=parse)) for path in task.paths]
        table = pa.concat_tables(tables, promote_options="permissive")
        for name, (at, length) in PARTITIONS.items():
            day = pc.utf8_slice_codeunits(table.column("event_time"), at - 1, at - 1 + length)
            table = table.append_column(name, day)
        table = table.append_column("mode", table.column("mode_field"))
        ds.write_dataset(
            table,
            task.work / OUTPUT,
            format="parquet",
            partitioning=ds.partitioning(
                pa.schema([table.schema.field(name) for name in (*PARTITIONS, "mode")]), flavor="hive"
            ),
            file_options=ds.ParquetFileFormat().make_write_options(compression="zstd"),
        )
        return Account(folder=OUTPUT)

    return run


def _flat(table: pyarrow.Table) -> pyarrow.Table:
    """The table with a column for each leaf of each struct."""
    while any(field.type.num_fields and not _is_list(field.type) for field in table.schema):
        table = table.flatten()
    return table.rename_columns([column(name.split(".")) for name in table.column_names])


def _is_list(kind: pyarrow.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind))


CONTENDER = Contender(
    name="pyarrow",
    title="pyarrow",
    packages=("pyarrow",),
    prepare=prepare,
    rounds=3,
    does="""\
`pyarrow.json.read_json` of each file with blocks of 8 MB, `Table.flatten` until no struct is left, and one
`write_dataset` with Hive partitions and zstd, on all cores. `event_time` is read as text.""",
    omits="Malformed records (it refuses the dirty set), validation of dates, provenance, quarantine, account.",
)
