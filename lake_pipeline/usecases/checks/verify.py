"""Verification: whether a partition has exactly the rows that the ledger says.

It compares Parquet footers with the ledger's sums, and changes nothing. `expectations` compares the ledger's account
with what was promised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.contract.compatibility import can_read
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import show_path
from lake_pipeline.errors import LakeError
from lake_pipeline.ledger.curated import CuratedFile, PartitionAccount
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.checks.expectations import expectations
from lake_pipeline.usecases.checks.verdicts import PartitionVerdicts, Verdict
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.reports.widening import why_narrow


@dataclass(frozen=True, kw_only=True)
class _Footer:
    """The content of a Parquet footer, or why it can't be read."""

    file: CuratedFile
    rows: int = 0
    schema: pa.Schema | None = None
    problem: str | None = None


def verify(lake: Lake, partitions: Collection[PartitionKey]) -> list[PartitionVerdicts]:
    """Check each of `partitions` (sorted); one footer read per curated file."""
    accounts = lake.ledger.curated.accounts(partitions)
    expected = expectations(lake, accounts)
    contract = lake.ledger.contracts.latest()
    lossy = lake.ledger.contracts.lossy_widenings()
    requested = {path: path in lossy for path in lake.ledger.contracts.requested_widenings()}
    files: dict[PartitionKey, list[CuratedFile]] = {partition: [] for partition in partitions}
    for file in lake.ledger.curated.files(partitions):
        files[file.partition].append(file)
    return [
        _verify_partition(
            lake, partition, accounts[partition], expected[partition], files[partition], contract, requested
        )
        for partition in sorted(files)
        if partition in accounts
    ]


def _verify_partition(
    lake: Lake,
    partition: PartitionKey,
    account: PartitionAccount,
    expected: Mapping[str, Verdict],
    files: list[CuratedFile],
    contract: Contract | None,
    requested: Mapping[str, bool],
) -> PartitionVerdicts:
    footers = [_read_footer(lake, file) for file in files]
    return PartitionVerdicts(
        partition=partition,
        account=account,
        row_count=_check_row_count(footers),
        schema=_check_schema(footers, contract, requested),
        conservation=_check_conservation(footers, account),
        **expected,
    )


def _read_footer(lake: Lake, file: CuratedFile) -> _Footer:
    try:
        with lake.store.open(file.key) as stream, pq.ParquetFile(stream) as parquet:
            return _Footer(file=file, rows=parquet.metadata.num_rows, schema=parquet.schema_arrow)
    except (LakeError, pa.ArrowException, OSError) as error:
        return _Footer(file=file, problem=str(error))


def _check_row_count(footers: list[_Footer]) -> Verdict:
    wrong = [
        f"{footer.file.key}: {footer.problem or f'{footer.rows} rows, the ledger says {footer.file.rows}'}"
        for footer in footers
        if footer.problem or footer.rows != footer.file.rows
    ]
    rows = sum(footer.rows for footer in footers)
    text = f"{rows} rows in {len(footers)} Parquet footers, as the ledger says" if not wrong else "; ".join(wrong[:5])
    return Verdict(passed=not wrong, text=text, facts={"footer_rows": rows, "files": len(footers)})


def _check_schema(footers: list[_Footer], contract: Contract | None, requested: Mapping[str, bool]) -> Verdict:
    """`requested` are the paths of columns that got fractions and were not widened → whether doubles would round."""
    if contract is None:
        return Verdict(passed=not footers, text="There is no contract yet")
    expected = contract.arrow_schema()
    wrong = [
        f"{footer.file.key}: column {field.name} is {field.type}"
        for footer in footers
        if footer.schema is not None
        for field in footer.schema
        if not _fits(field, expected)
    ]
    facts = {"contract_version": contract.version, "misfits": len(wrong)}
    if wrong:
        return Verdict(passed=False, text="; ".join(wrong[:5]), facts=facts)
    text = f"Every column fits contract version {contract.version}"
    narrow = _narrow(footers, contract, requested)
    if not narrow:
        return Verdict(passed=True, text=text, facts=facts)
    return Verdict(
        passed=True,
        warns=True,
        text=f"{text}. {' '.join(why_narrow(path, is_lossy=requested[path]) for path in narrow)}",
        facts={**facts, "wanted_widenings": ", ".join(narrow)},
    )


def _narrow(footers: list[_Footer], contract: Contract, requested: Collection[str]) -> list[str]:
    """The requested paths whose columns these files have."""
    stored = {name for footer in footers if footer.schema is not None for name in footer.schema.names}
    names_by_path = ((show_path(column.path), column.name) for column in contract.columns)
    return [path for path, name in names_by_path if path in requested and name in stored]


def _fits(field: pa.Field, expected: pa.Schema) -> bool:
    """A file may lack columns and struct fields that came later; the ones it has must be of the contract's type."""
    position = expected.get_field_index(field.name)
    return position >= 0 and can_read(field.type, expected.field(position).type)


def _check_conservation(footers: list[_Footer], account: PartitionAccount) -> Verdict:
    """Rows that raw files gave to this partition (lineage) = rows in its Parquet footers."""
    rows = sum(footer.rows for footer in footers)
    passed = rows == account.lineage_rows
    text = (
        f"{account.raw_files} raw files gave {account.lineage_rows} rows, and {rows} are published"
        if passed
        else f"{account.raw_files} raw files gave {account.lineage_rows} rows, but {rows} are published"
    )
    return Verdict(passed=passed, text=text, facts={"lineage_rows": account.lineage_rows, "footer_rows": rows})
