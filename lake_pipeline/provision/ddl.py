"""The table as Athena's DDL: for people who keep their catalog by hand, or in another account.

It is written from the definition that Glue is given, so that both are the same table.
"""

from __future__ import annotations

from lake_pipeline.provision.catalog import Table


def create_table(table: Table) -> str:
    """`CREATE EXTERNAL TABLE …`, as Athena takes it. Raises `PermanentError` where it could not read the table."""
    wanted = table.wanted(None)
    storage, serde = wanted["StorageDescriptor"], wanted["StorageDescriptor"]["SerdeInfo"]
    # EXTERNAL is in the statement itself, and Athena refuses it as a property.
    parameters = {name: value for name, value in wanted["Parameters"].items() if name != "EXTERNAL"}
    return "\n".join(
        [
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {_name(table.database)}.{_name(wanted['Name'])} (",
            _columns(storage["Columns"]),
            ")",
            "PARTITIONED BY (",
            _columns(wanted["PartitionKeys"]),
            ")",
            f"ROW FORMAT SERDE {_text(serde['SerializationLibrary'])}",
            f"WITH SERDEPROPERTIES ({_properties(serde['Parameters'])})",
            "STORED AS",
            f"  INPUTFORMAT {_text(storage['InputFormat'])}",
            f"  OUTPUTFORMAT {_text(storage['OutputFormat'])}",
            f"LOCATION {_text(storage['Location'])}",
            f"TBLPROPERTIES (\n  {_properties(parameters, between=',' + chr(10) + '  ')}\n);",
        ]
    )


def _columns(columns: list[dict[str, str]]) -> str:
    return ",\n".join(
        f"  {_name(column['Name'])} {column['Type']}"
        + (f" COMMENT {_text(column['Comment'])}" if column["Comment"] else "")
        for column in columns
    )


def _properties(values: dict[str, str], between: str = ", ") -> str:
    return between.join(f"{_text(name)}={_text(value)}" for name, value in sorted(values.items()))


def _name(name: str) -> str:
    """Quoted, whatever it is: reserved words and names that begin with an underscore need it."""
    return f"`{name}`"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
