"""The Glue Data Catalog: the database and the table that Athena reads, derived from contract and ledger.

Partitions are projected: table parameters describe all possible years, months, days and modes and their locations, so
that no partition is registered. The contract defines the columns, the ledger what is published.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from lake_pipeline.aws.calls import call, call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.contract.athena import comment, problems
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.hive_types import hive_type
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.curated import Extent
from lake_pipeline.model.partitions import escape_mode
from lake_pipeline.provision.plan import Resource
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.zones import CURATED, CURATED_NAME
from lake_pipeline.usecases.lake import Lake

ABSENT = ("EntityNotFoundException",)

MAX_ENUMERATED_MODES = 100
"""With more modes a query must name its mode (`injected`). Athena checks every combination that a query does not
exclude, and recommends a few dozen."""

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"

_COMMENTS = {
    "_rescued": "JSON: path and value of what fits no column",
    "_file_id": "The raw file in the ledger",
    "_record": "The record in its file, from 0",
    "_batch_id": "The batch that published the row",
}


@dataclass(frozen=True)
class GlueResource:
    """A resource of Glue, in the region of the bucket."""

    location: S3Location

    @cached_property
    def _client(self) -> Any:
        return make_client("glue", AwsAccess(region=self.location.access.region))


@dataclass(frozen=True)
class Database(GlueResource):
    """The database of the catalog."""

    database: str

    @property
    def name(self) -> str:
        return f"Glue database {self.database}"

    def read(self) -> Any:
        current = call_or_none(self.name, "read it", self._client.get_database, absent=ABSENT, Name=self.database)
        return current and {"Name": current["Database"]["Name"]}

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        return {"Name": self.database}

    def apply(self, desired: Any) -> None:
        call(self.name, "create it", self._client.create_database, DatabaseInput=desired)


@dataclass(frozen=True)
class Table(GlueResource):
    """The curated table. Parameters set by others are kept.

    `extent` is what is published. Without it the table has columns and projects no partitions.
    """

    database: str
    contract: Contract
    extent: Extent | None

    @property
    def name(self) -> str:
        return f"Glue table {self.database}.{CURATED_NAME}"

    def read(self) -> Any:
        current = self._current_table()
        if current is None:
            return None
        storage = current.get("StorageDescriptor", {})
        desired = self.definition
        parameters = current.get("Parameters", {})
        own_parameters = {*desired["Parameters"], *(name for name in parameters if _is_own(name))}
        return {
            "Name": current["Name"],
            "TableType": current.get("TableType"),
            "Parameters": {name: parameters.get(name) for name in own_parameters},
            "PartitionKeys": [_column(key) for key in current.get("PartitionKeys", ())],
            "StorageDescriptor": {
                **{name: storage.get(name) for name in desired["StorageDescriptor"]},
                "Columns": [_column(column) for column in storage.get("Columns", ())],
            },
        }

    def desired(self, current: Any) -> Any:  # noqa: ARG002
        """Raises `PermanentError` if Athena could not read the table."""
        reasons = problems(self.contract, self.database)
        if reasons:
            raise PermanentError(
                f"Athena can't read this table: {'; '.join(reasons)}. Rename or reshape it in LAKE_CONTRACT_FILE."
            )
        return self.definition

    @property
    def definition(self) -> dict[str, Any]:
        """The table as input of Glue's API."""
        return {
            "Name": CURATED_NAME,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE",
                "classification": "parquet",
                "lake_contract_version": str(self.contract.version),
                **(projection(self.location, self.extent) if self.extent else {"projection.enabled": "false"}),
            },
            "PartitionKeys": [
                *({"Name": name, "Type": "int", "Comment": ""} for name in ("year", "month", "day")),
                {"Name": "mode", "Type": "string", "Comment": "Escaped as in paths: url_decode(mode) is the value"},
            ],
            "StorageDescriptor": {
                "Columns": [
                    {"Name": field.name, "Type": hive_type(field.type), "Comment": _comment_of(field)}
                    for field in self.contract.arrow_schema()
                ],
                "Location": f"{self.location}/{CURATED}",
                "InputFormat": f"{PARQUET}.MapredParquetInputFormat",
                "OutputFormat": f"{PARQUET}.MapredParquetOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe",
                    # Columns by name: files written before a column was added lack it.
                    "Parameters": {"serialization.format": "1", "parquet.column.index.access": "false"},
                },
            },
        }

    @property
    def fingerprint(self) -> str:
        """A hash of the definition, which changes with the contract, the modes and the years."""
        return sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()[:16]

    def apply(self, desired: Any) -> None:
        current = self._current_table()
        if current is None:
            call(self.name, "create it", self._client.create_table, DatabaseName=self.database, TableInput=desired)
            return
        others = {name: value for name, value in current.get("Parameters", {}).items() if not _is_own(name)}
        table = {**desired, "Parameters": {**others, **desired["Parameters"]}}
        call(self.name, "update it", self._client.update_table, DatabaseName=self.database, TableInput=table)

    def _current_table(self) -> dict[str, Any] | None:
        current = call_or_none(
            self.name,
            "read it",
            self._client.get_table,
            absent=ABSENT,
            DatabaseName=self.database,
            Name=CURATED_NAME,
        )
        return current and dict(current["Table"])


def curated_table(lake: Lake, location: S3Location, database: str) -> Table | None:
    """The table for the current contract and ledger. None before the first batch, which defines the columns."""
    contract = lake.ledger.contracts.latest()
    return Table(location, database, contract, lake.ledger.curated.extent()) if contract else None


def required_table(lake: Lake, location: S3Location, database: str) -> Table:
    """Like `curated_table`, but raises `PermanentError` before the first batch."""
    table = curated_table(lake, location, database)
    if table is None:
        raise PermanentError("There is no table yet: the first batch defines its columns. Run `lake ingest`.")
    return table


def catalog(table: Table) -> list[Resource]:
    """Database and table, in the order of their creation."""
    return [Database(table.location, table.database), table]


def projection(location: S3Location, extent: Extent, *, today: datetime | None = None) -> dict[str, str]:
    """The table parameters from which Athena derives the partitions.

    Years include the next one, so that a new day needs no change of the table. A mode has the escaped form of paths,
    because Athena inserts the value into the location unchanged.
    """
    this_year = (today or datetime.now(UTC)).year
    modes = sorted(map(escape_mode, extent.modes))
    enumerated = {"projection.mode.type": "enum", "projection.mode.values": ",".join(modes)}
    return {
        "projection.enabled": "true",
        **_integers("year", extent.first.year, max(extent.last.year, this_year + 1), digits=4),
        **_integers("month", 1, 12, digits=2),
        **_integers("day", 1, 31, digits=2),
        **(enumerated if len(modes) <= MAX_ENUMERATED_MODES else {"projection.mode.type": "injected"}),
        "storage.location.template": f"{location}/{CURATED}year=${{year}}/month=${{month}}/day=${{day}}/mode=${{mode}}",
    }


def _integers(column: str, first: int, last: int, *, digits: int) -> dict[str, str]:
    return {
        f"projection.{column}.type": "integer",
        f"projection.{column}.range": f"{first},{last}",
        # Without it the location of the third day would end in day=3; the folder is day=03.
        f"projection.{column}.digits": str(digits),
    }


def _is_own(parameter: str) -> bool:
    """Whether only this module sets the parameter, so that leftovers of an earlier projection are removed."""
    return parameter.startswith("projection.") or parameter == "storage.location.template"


def _comment_of(field: Any) -> str:
    if field.name in _COMMENTS:
        return _COMMENTS[field.name]
    return comment(f"JSON path: {field.metadata[b'json_path'].decode('utf-8', 'surrogatepass')}")


def _column(column: dict[str, Any]) -> dict[str, Any]:
    return {"Name": column["Name"], "Type": column["Type"], "Comment": column.get("Comment", "")}
