"""The Glue Data Catalog: it follows contract and ledger, projects partitions, and is readable by Athena."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession

from lake_pipeline.cli import main
from lake_pipeline.contract.athena import MAX_COMMENT, comment, problems
from lake_pipeline.contract.contract import Contract
from lake_pipeline.defs.build import build_defs
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.ledger.curated import Extent
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.provision.catalog import MAX_ENUMERATED_MODES, Table, projection
from lake_pipeline.provision.ddl import create_table
from lake_pipeline.settings import load_settings
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.zones import CURATED
from lake_pipeline_tests.support.factories import ndjson
from local_aws.server import AwsServer

RECORD = {"event_time": "2026-02-03T10:00:00Z", "mode": "live", "user": {"id": 1}, "tags": [{"k": "a"}], "order": "x"}

Land = Callable[..., None]


@pytest.fixture
def database(aws: AwsServer, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a database that does not exist, and settings for a lake in a bucket."""
    bucket = aws.new_bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", aws.endpoint)
    monkeypatch.setenv("LAKE_ROOT", f"s3://{bucket}/lake")
    monkeypatch.setenv("LAKE_S3_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("LAKE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_GLUE_DATABASE", bucket.replace("-", "_"))
    return bucket.replace("-", "_")


@pytest.fixture
def land(aws: AwsServer, database: str) -> Land:
    def put(number: int, *records: dict[str, Any]) -> None:
        key = f"lake/2026/week05/{number}.json"
        aws.client().put_object(Bucket=database.replace("_", "-"), Key=key, Body=ndjson(*records))
        lake("discover")
        lake("ingest")

    return put


def lake(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def table_of(aws: AwsServer, database: str) -> dict[str, Any]:
    found: dict[str, Any] = aws.client("glue").get_table(DatabaseName=database, Name="json_parsed_parquet")["Table"]
    return found


def test_the_catalog_follows_contract_and_ledger(aws: AwsServer, database: str, land: Land) -> None:
    assert "no table yet" in lake("catalog", "sync", code=1).output
    land(0, RECORD)
    dry = lake("catalog", "sync", "--dry-run", "--json").output
    assert dry == lake("catalog", "sync", "--json").output
    assert lake("catalog", "sync").output == "The catalog is up to date.\n"
    before = table_of(aws, database)

    land(1, {**RECORD, "event_time": "2024-12-31T10:00:00Z", "mode": "a b", "late": 1.5})
    shown = lake("catalog", "sync", "--dry-run").output
    assert '+        "Name": "late",' in shown
    assert table_of(aws, database)["Parameters"] == before["Parameters"]
    lake("catalog", "sync")

    table = table_of(aws, database)
    columns = {column["Name"]: (column["Type"], column["Comment"]) for column in table["StorageDescriptor"]["Columns"]}
    assert columns["user_id"] == ("bigint", "JSON path: user.id")
    assert columns["late"] == ("double", "JSON path: late")
    this_year = datetime.now(UTC).year
    assert {name: value for name, value in table["Parameters"].items() if "projection" in name} == {
        "projection.enabled": "true",
        "projection.year.type": "integer",
        "projection.year.range": f"2024,{max(this_year + 1, 2026)}",
        "projection.year.digits": "4",
        "projection.month.type": "integer",
        "projection.month.range": "1,12",
        "projection.month.digits": "2",
        "projection.day.type": "integer",
        "projection.day.range": "1,31",
        "projection.day.digits": "2",
        "projection.mode.type": "enum",
        "projection.mode.values": "a%20b,live",
    }
    assert aws.client("glue").get_partitions(DatabaseName=database, TableName="json_parsed_parquet")["Partitions"] == []


def test_every_published_file_is_at_the_location_of_a_projected_partition(
    aws: AwsServer, database: str, land: Land
) -> None:
    modes = ["live", "a b/c=d", "ünï", "100%", "1.5", "..", "a,b"]
    land(0, *({**RECORD, "mode": mode, "event_time": f"2026-0{1 + n}-03"} for n, mode in enumerate(modes)))
    lake("catalog", "sync")

    parameters = table_of(aws, database)["Parameters"]
    looked_at = set(projected(parameters))
    bucket = database.replace("_", "-")
    keys = aws.client().list_objects_v2(Bucket=bucket, Prefix=f"lake/{CURATED}")["Contents"]
    folders = {f"s3://{bucket}/{item['Key'].rpartition('/')[0]}" for item in keys}
    assert len(folders) == len(modes)
    assert folders <= looked_at


def test_the_table_reads_parquet_by_column_name_with_the_codec_of_each_file(
    aws: AwsServer, database: str, land: Land
) -> None:
    land(0, RECORD)
    lake("catalog", "sync")

    table = table_of(aws, database)
    parquet = "org.apache.hadoop.hive.ql.io.parquet"
    assert table["TableType"] == "EXTERNAL_TABLE"
    others = {
        name: value for name, value in table["Parameters"].items() if not name.startswith(("projection.", "storage."))
    }
    assert others == {"EXTERNAL": "TRUE", "classification": "parquet", "lake_contract_version": "1"}
    storage = {name: value for name, value in table["StorageDescriptor"].items() if name != "Columns"}
    # No codec: each file names the codec of its columns; one in the table would only apply to writers.
    assert storage == {
        "Location": f"s3://{database.replace('_', '-')}/lake/{CURATED}",
        "InputFormat": f"{parquet}.MapredParquetInputFormat",
        "OutputFormat": f"{parquet}.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": f"{parquet}.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1", "parquet.column.index.access": "false"},
        },
    }


def projected(parameters: dict[str, str]) -> Iterator[str]:
    """The locations that Athena derives from the parameters, by its documentation."""

    def numbers(column: str) -> list[str]:
        first, last = map(int, parameters[f"projection.{column}.range"].split(","))
        return [f"{number:0{parameters[f'projection.{column}.digits']}d}" for number in range(first, last + 1)]

    for year in numbers("year"):
        for month in numbers("month"):
            for day in numbers("day"):
                for mode in parameters["projection.mode.values"].split(","):
                    location = parameters["storage.location.template"]
                    for name, value in {"year": year, "month": month, "day": day, "mode": mode}.items():
                        location = location.replace(f"${{{name}}}", value)
                    yield location


def test_parameters_of_others_are_kept_and_an_older_projection_is_removed(
    aws: AwsServer, database: str, land: Land
) -> None:
    land(0, RECORD)
    lake("catalog", "sync")
    table = table_of(aws, database)
    theirs = {**table["Parameters"], "team": "search", "projection.hour.type": "integer"}
    kept = {name: table[name] for name in ("Name", "TableType", "PartitionKeys", "StorageDescriptor")}
    aws.client("glue").update_table(DatabaseName=database, TableInput={**kept, "Parameters": theirs})

    assert "projection.hour.type" in lake("catalog", "sync").output
    parameters = table_of(aws, database)["Parameters"]
    assert parameters == {**table["Parameters"], "team": "search"}


def test_a_hive_parser_accepts_the_create_statement(database: str, land: Land, spark: SparkSession) -> None:
    land(0, {**RECORD, "select": 1, "_id": 2, "it's": {"a\\b": True}, "9": None, "1st": 0.5})
    ddl = json.loads(lake("catalog", "ddl", "--json").output)["ddl"]

    assert lake("catalog", "ddl").output == f"{ddl}\n"
    statement = ddl.removesuffix(";")
    plan = spark._jsparkSession.sessionState().sqlParser().parsePlan(statement).toString()
    assert "json_parsed_parquet" in plan
    for column in ("`order` string", "`select` bigint", "`_id` bigint", "`it_s_a_b` boolean", "`c_1st` double"):
        assert column in ddl
    assert "'JSON path: it\\'s." in ddl
    assert "LOCATION 's3://" in ddl


def test_a_table_that_athena_could_not_read_is_rejected_before_it_is_sent() -> None:
    def with_columns(*fields: pa.Field) -> Contract:
        contract = Contract()
        contract.__dict__["_arrow_schema"] = pa.schema(fields)
        return contract

    wide = pa.struct([pa.field(f"a_field_with_a_long_name_{number}", pa.string()) for number in range(5000)])
    found = problems(
        with_columns(
            pa.field("Upper", pa.int64()),
            pa.field("month", pa.int64()),
            pa.field("x" * 256, pa.int64()),
            pa.field("wide", wide),
            pa.field("twins", pa.struct([pa.field("a", pa.int64()), pa.field("A", pa.int64())])),
            pa.field("span", pa.duration("s")),
            pa.field("huge", pa.decimal256(50, 2)),
        ),
        "my-lake",
    )
    for column in ("my-lake", "Upper", "month", "x" * 256, "wide", "twins", "span", "huge"):
        assert any(column in problem for problem in found), column
    assert problems(with_columns(pa.field("select", pa.int64())), "lake") == []
    assert comment("a\nb" + "c" * 300) == "a\\nb" + "c" * (MAX_COMMENT - 5) + "…"


def test_many_modes_must_be_named_by_the_query() -> None:
    extent = Extent(
        first=date(2026, 1, 1), last=date(2026, 1, 2), modes=tuple(map(str, range(MAX_ENUMERATED_MODES + 1)))
    )
    parameters = projection(S3Location(bucket="b"), extent)
    assert parameters["projection.mode.type"] == "injected"
    assert "projection.mode.values" not in parameters


def test_the_next_year_is_projected_in_advance() -> None:
    extent = Extent(first=date(2019, 5, 1), last=date(2020, 5, 1), modes=("live",))
    new_year = datetime(2026, 12, 31, tzinfo=UTC)
    assert projection(S3Location(bucket="b"), extent, today=new_year)["projection.year.range"] == "2019,2027"
    assert PartitionKey(date(2027, 1, 1), "live").path.startswith("year=2027/")


def test_nothing_is_projected_while_nothing_is_published() -> None:
    table = Table(S3Location(bucket="b"), "lake", Contract(version=1), None)
    assert "'projection.enabled'='false'" in create_table(table)


def test_the_asset_does_the_same_as_the_command(aws: AwsServer, database: str, land: Land) -> None:
    land(0, RECORD)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_catalog_job(instance)
        (made,) = result.asset_materializations_for_node("curated_catalog")
    assert made.metadata["changes"].value == 2
    assert lake("catalog", "sync").output == "The catalog is up to date.\n"


def run_catalog_job(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs(load_settings()).resolve_job_def("curated_catalog_job")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def tick(instance: dg.DagsterInstance) -> tuple[int, str]:
    """The number of runs that the sensor requests, and its skip message."""
    repository = build_defs(load_settings()).get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, repository_def=repository, resources={"lake": LakeResource(load_settings())}
    )
    tick_result = repository.get_sensor_def("catalog_sensor").evaluate_tick(context)
    return len(tick_result.run_requests or ()), tick_result.skip_message or ""


def test_the_sensor_requests_an_update_only_if_the_table_is_outdated(aws: AwsServer, database: str, land: Land) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(instance) == (0, "There is no table yet: the first batch creates its columns.")
        land(0, RECORD)
        news: list[dict[str, Any]] = [{"late": 1.5}, {"mode": "second"}, {"event_time": "2019-05-01"}]
        for number, new in enumerate(news, start=1):
            assert tick(instance)[0] == 1
            assert run_catalog_job(instance).success
            assert tick(instance) == (0, "The table matches contract and ledger.")
            land(number, {**RECORD, **new})
        assert tick(instance)[0] == 1
        assert run_catalog_job(instance).success
        # Another day of a known mode changes nothing: it is projected already.
        land(4, {**RECORD, "event_time": "2026-03-03"})
        assert tick(instance)[0] == 0
    parameters = table_of(aws, database)["Parameters"]
    assert parameters["projection.mode.values"] == "live,second"
    assert parameters["projection.year.range"].startswith("2019,")
    assert "late" in {column["Name"] for column in table_of(aws, database)["StorageDescriptor"]["Columns"]}


def test_an_unreachable_catalog_fails_its_own_run_and_no_ingest(
    aws: AwsServer, database: str, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake_pipeline.aws.clients.MAX_ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:9")
    with dg.DagsterInstance.ephemeral() as instance:
        land(0, RECORD)
        assert tick(instance)[0] == 1
        assert not run_catalog_job(instance).success
        requested, tick_result = tick(instance)
        assert requested == 0
        assert "failed to update it" in tick_result
        land(1, {**RECORD, "mode": "second"})
        assert json.loads(lake("status", "--json").output)["files"]["SUCCEEDED"] == 2

        monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", aws.endpoint)
        monkeypatch.setattr("lake_pipeline.defs.consumers.catalog_sensor.RETRY_PAUSE", timedelta(0))
        assert tick(instance)[0] == 1
        assert run_catalog_job(instance).success
        assert tick(instance)[0] == 0
    assert table_of(aws, database)["Parameters"]["projection.mode.values"] == "live,second"


def test_the_sensor_is_on_by_default_only_if_glue_is_configured(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def status() -> dg.DefaultSensorStatus:
        definitions = build_defs(load_settings()).get_repository_def()
        return definitions.get_sensor_def("catalog_sensor").default_status

    assert status() is dg.DefaultSensorStatus.STOPPED, "a store that is none of AWS"
    monkeypatch.delenv("LAKE_S3_ENDPOINT_URL")
    assert status() is dg.DefaultSensorStatus.RUNNING
    monkeypatch.setenv("LAKE_ROOT", "a-directory")
    assert "catalog_sensor" not in {sensor.name for sensor in build_defs(load_settings()).sensors or ()}
