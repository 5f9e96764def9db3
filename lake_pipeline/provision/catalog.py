"""The Glue Data Catalog: the database and the table that Athena reads, in step with contract and ledger.

Partitions are projected: the table says which years, months, days and modes there may be and where they stand, so none
is ever registered. What the columns are is the contract's business, what is published the ledger's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import ask, tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.contract.athena import comment, problems
from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.hive_types import hive_type
from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.views import Extent
from lake_pipeline.model.partitions import escape_mode
from lake_pipeline.provision.plan import Resource
from lake_pipeline.storage.places import S3Place
from lake_pipeline.storage.zones import CURATED, CURATED_NAME

ABSENT = ("EntityNotFoundException",)

MOST_MODES = 100
"""Modes that are enumerated. Athena looks at every combination that a query does not rule out, and advises a few dozen;
above this a query has to name its mode (`injected`)."""

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"

_COMMENTS = {
    "_rescued": "JSON: path and value of what fits no column",
    "_file_id": "The raw file in the ledger",
    "_record": "The record in its file, from 0",
    "_batch_id": "The batch that published the row",
}


@dataclass(frozen=True)
class OfGlue:
    """What is made in Glue, in the region of the bucket."""

    place: S3Place

    @cached_property
    def _client(self) -> Any:
        return make_client("glue", AwsAccess(region=self.place.access.region))


@dataclass(frozen=True)
class Database(OfGlue):
    """The database of the catalog."""

    database: str

    @property
    def name(self) -> str:
        return f"Glue database {self.database}"

    def read(self) -> Any:
        found = ask(self.name, "read it", self._client.get_database, absent=ABSENT, Name=self.database)
        return found and {"Name": found["Database"]["Name"]}

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        return {"Name": self.database}

    def apply(self, wanted: Any) -> None:
        tell(self.name, "make it", self._client.create_database, DatabaseInput=wanted)


@dataclass(frozen=True)
class Table(OfGlue):
    """The curated table. Parameters and partitions that others set stay.

    `extent` is what is published; where nothing is, the table has columns and projects nothing yet.
    """

    database: str
    contract: Contract
    extent: Extent | None

    @property
    def name(self) -> str:
        return f"Glue table {self.database}.{CURATED_NAME}"

    def read(self) -> Any:
        found = self._found()
        if found is None:
            return None
        storage = found.get("StorageDescriptor", {})
        wanted = self.definition
        set_ = found.get("Parameters", {})
        ours = {*wanted["Parameters"], *(name for name in set_ if _is_ours(name))}
        return {
            "Name": found["Name"],
            "TableType": found.get("TableType"),
            "Parameters": {name: set_.get(name) for name in ours},
            "PartitionKeys": [_column(each) for each in found.get("PartitionKeys", ())],
            "StorageDescriptor": {
                **{name: storage.get(name) for name in wanted["StorageDescriptor"]},
                "Columns": [_column(each) for each in storage.get("Columns", ())],
            },
        }

    def wanted(self, found: Any) -> Any:  # noqa: ARG002
        """Raises `PermanentError` where Athena could not read it."""
        wrong = problems(self.contract, self.database)
        if wrong:
            raise PermanentError(
                f"Athena can't read this table: {'; '.join(wrong)}. Rename or reshape it in LAKE_CONTRACT_FILE."
            )
        return self.definition

    @property
    def definition(self) -> dict[str, Any]:
        """The table as Glue's API takes it."""
        return {
            "Name": CURATED_NAME,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE",
                "classification": "parquet",
                "lake_contract_version": str(self.contract.version),
                **(projection(self.place, self.extent) if self.extent else {"projection.enabled": "false"}),
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
                "Location": f"{self.place}/{CURATED}",
                "InputFormat": f"{PARQUET}.MapredParquetInputFormat",
                "OutputFormat": f"{PARQUET}.MapredParquetOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe",
                    # By name: files that were written before a column came lack it.
                    "Parameters": {"serialization.format": "1", "parquet.column.index.access": "false"},
                },
            },
        }

    @property
    def fingerprint(self) -> str:
        """Another one whenever the definition is another one: with the contract, the modes, the years."""
        return sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()[:16]

    def apply(self, wanted: Any) -> None:
        found = self._found()
        if found is None:
            tell(self.name, "make it", self._client.create_table, DatabaseName=self.database, TableInput=wanted)
            return
        theirs = {name: value for name, value in found.get("Parameters", {}).items() if not _is_ours(name)}
        table = {**wanted, "Parameters": {**theirs, **wanted["Parameters"]}}
        tell(self.name, "change it", self._client.update_table, DatabaseName=self.database, TableInput=table)

    def _found(self) -> dict[str, Any] | None:
        found = ask(
            self.name,
            "read it",
            self._client.get_table,
            absent=ABSENT,
            DatabaseName=self.database,
            Name=CURATED_NAME,
        )
        return found and dict(found["Table"])


def curated_table(lake: Lake, place: S3Place, database: str) -> Table | None:
    """The table as contract and ledger have it now; None before the first batch, which brings its columns."""
    contract = lake.ledger.contract()
    return Table(place, database, contract, lake.ledger.extent()) if contract else None


def required_table(lake: Lake, place: S3Place, database: str) -> Table:
    """The same; raises `PermanentError` before the first batch."""
    table = curated_table(lake, place, database)
    if table is None:
        raise PermanentError("There is no table yet: its columns come with the first batch. Run `lake ingest`.")
    return table


def catalog(table: Table) -> list[Resource]:
    """Database and table, in the order in which they are made."""
    return [Database(table.place, table.database), table]


def projection(place: S3Place, extent: Extent, *, today: datetime | None = None) -> dict[str, str]:
    """The table's parameters from which Athena makes the partitions.

    Years go on to the next one, so that a new day is seen without a change of the table. A mode is projected as it is
    escaped in paths, because Athena puts the value into the location as it stands.
    """
    this_year = (today or datetime.now(UTC)).year
    modes = sorted(map(escape_mode, extent.modes))
    enumerated = {"projection.mode.type": "enum", "projection.mode.values": ",".join(modes)}
    return {
        "projection.enabled": "true",
        **_integers("year", extent.first.year, max(extent.last.year, this_year + 1), digits=4),
        **_integers("month", 1, 12, digits=2),
        **_integers("day", 1, 31, digits=2),
        **(enumerated if len(modes) <= MOST_MODES else {"projection.mode.type": "injected"}),
        "storage.location.template": f"{place}/{CURATED}year=${{year}}/month=${{month}}/day=${{day}}/mode=${{mode}}",
    }


def _integers(column: str, first: int, last: int, *, digits: int) -> dict[str, str]:
    return {
        f"projection.{column}.type": "integer",
        f"projection.{column}.range": f"{first},{last}",
        # Without it the location of the third day ends in day=3, where nothing stands.
        f"projection.{column}.digits": str(digits),
    }


def _is_ours(parameter: str) -> bool:
    """Whether no person but only this module sets it: what is left of an older projection must go."""
    return parameter.startswith("projection.") or parameter == "storage.location.template"


def _comment_of(field: Any) -> str:
    if field.name in _COMMENTS:
        return _COMMENTS[field.name]
    return comment(f"JSON path: {field.metadata[b'json_path'].decode('utf-8', 'surrogatepass')}")


def _column(found: dict[str, Any]) -> dict[str, Any]:
    return {"Name": found["Name"], "Type": found["Type"], "Comment": found.get("Comment", "")}
