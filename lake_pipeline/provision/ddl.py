"""The table as Athena DDL, for catalogs that are maintained by hand or in another account.

It is generated from the definition for Glue, so that both define the same table.
"""

from __future__ import annotations

from lake_pipeline.escaping.sql import hive_identifier, hive_text
from lake_pipeline.provision.catalog import Table


def create_table(table: Table) -> str:
    """`CREATE EXTERNAL TABLE …` for Athena. Raises `PermanentError` if Athena could not read the table."""
    desired = table.desired(None)
    storage, serde = desired["StorageDescriptor"], desired["StorageDescriptor"]["SerdeInfo"]
    # The statement says EXTERNAL, and Athena rejects it as a property.
    parameters = {name: value for name, value in desired["Parameters"].items() if name != "EXTERNAL"}
    name = f"{hive_identifier(table.database)}.{hive_identifier(desired['Name'])}"
    return "\n".join(
        [
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {name} (",
            _columns(storage["Columns"]),
            ")",
            "PARTITIONED BY (",
            _columns(desired["PartitionKeys"]),
            ")",
            f"ROW FORMAT SERDE {hive_text(serde['SerializationLibrary'])}",
            f"WITH SERDEPROPERTIES ({_properties(serde['Parameters'])})",
            "STORED AS",
            f"  INPUTFORMAT {hive_text(storage['InputFormat'])}",
            f"  OUTPUTFORMAT {hive_text(storage['OutputFormat'])}",
            f"LOCATION {hive_text(storage['Location'])}",
            f"TBLPROPERTIES (\n  {_properties(parameters, between=',' + chr(10) + '  ')}\n);",
        ]
    )


def _columns(columns: list[dict[str, str]]) -> str:
    return ",\n".join(
        f"  {hive_identifier(column['Name'])} {column['Type']}"
        + (f" COMMENT {hive_text(column['Comment'])}" if column["Comment"] else "")
        for column in columns
    )


def _properties(values: dict[str, str], between: str = ", ") -> str:
    return between.join(f"{hive_text(name)}={hive_text(value)}" for name, value in sorted(values.items()))
