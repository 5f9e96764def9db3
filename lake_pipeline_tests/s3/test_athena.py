"""`lake query --engine athena`: paging, scanned bytes and cost, errors with the next step, and cancellation."""

from __future__ import annotations

import json
import re
import signal
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_pipeline.cli import main
from lake_pipeline.composition import athena
from lake_pipeline.consume.athena import PAGE_ROWS, query_athena
from lake_pipeline.settings import load_settings
from local_aws.server import AwsServer


@pytest.fixture(autouse=True)
def _settings(aws: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = aws.new_bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", aws.endpoint)
    monkeypatch.setenv("LAKE_ROOT", f"s3://{bucket}/lake")
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_ATHENA_OUTPUT", f"s3://{bucket}/results/")


def query(sql: str, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["query", sql, "--engine", "athena", *options])
    assert result.exit_code == code, result.output
    return result


def test_every_page_is_fetched_and_values_have_their_types(aws: AwsServer) -> None:
    types = {"n": "bigint", "x": "double", "ok": "boolean", "price": "decimal", "at": "timestamp"}
    rows: list[list[str | None]] = [[str(n), "0.5", "true", "1.10", "2026-02-03 10:00:00.000"] for n in range(2500)]
    rows[7] = [None] * 5
    aws.seed_athena(types, rows)
    with aws.athena(scanned=2_000_000_000), aws.recorded() as calls:
        result = query_athena(athena(load_settings()), "SELECT * FROM t")
        values = list(result.rows)
    assert result.columns == tuple(types)
    assert len(values) == 2500
    assert values[0] == (0, 0.5, True, Decimal("1.10"), "2026-02-03 10:00:00.000")
    assert values[7] == (None,) * 5
    pages = sum(call["count"] for call in calls if call["operation"] == "GetQueryResults")
    assert pages == -(-2501 // PAGE_ROWS)
    assert (result.bytes_scanned, result.seconds, result.dollars) == (2_000_000_000, 1.5, 0.01)


def test_scanned_bytes_and_cost_are_printed_with_the_rows(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ATHENA_PRICE", "6.25")
    aws.seed_athena({"mode": "varchar", "rows": "bigint"}, [["live", "3"]])
    with aws.athena(scanned=1_000):
        result = query("SELECT mode, count(*) AS rows FROM json_parsed_parquet GROUP BY mode", "--json")
    assert json.loads(result.stdout) == {"mode": "live", "rows": 3}
    assert "Athena read 1.0 kB in 1.5 s, about $0.0001" in result.stderr


def test_a_query_uses_the_configured_workgroup_and_location_of_results(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = aws.client("athena")
    client.create_work_group(Name="analysts")
    monkeypatch.setenv("LAKE_ATHENA_WORKGROUP", "analysts")
    monkeypatch.setenv("LAKE_GLUE_DATABASE", "orders")
    settings = load_settings()
    aws.seed_athena({"n": "bigint"}, [["1"]])
    begun = client.get_query_execution(QueryExecutionId=query_athena(athena(settings), "SELECT 1").query_id)
    assert begun["QueryExecution"]["WorkGroup"] == "analysts"
    assert begun["QueryExecution"]["QueryExecutionContext"]["Database"] == "orders"
    output: str = begun["QueryExecution"]["ResultConfiguration"]["OutputLocation"]
    assert output.startswith(str(settings.athena.output))


def test_the_summary_of_a_query_names_workgroup_and_location_of_the_results(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.client("athena").create_work_group(Name="reports")
    monkeypatch.setenv("LAKE_ATHENA_WORKGROUP", "reports")
    folder = str(load_settings().athena.output)
    aws.seed_athena({"n": "bigint"}, [["1"]])
    output = query("SELECT 1 AS n").stderr
    line = re.fullmatch(r"Athena read .* \(workgroup (\S+), query (\S+), results in (\S+)\)\.\n", output)
    assert line, output
    assert line.groups() == ("reports", line[2], f"{folder}{line[2]}.csv")

    monkeypatch.delenv("LAKE_ATHENA_OUTPUT")
    aws.seed_athena({"n": "bigint"}, [["1"]])
    assert query("SELECT 1 AS n").stderr.endswith(", results in the location of the workgroup).\n")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.lake.t' does not exist", "lake catalog sync"),
        ("CONSTRAINT_VIOLATION: For the injected projected partition column mode", "WHERE mode"),
        ("COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved", "lake contract show"),
        ("SYNTAX_ERROR: line 1:8", "SYNTAX_ERROR: line 1:8"),
    ],
)
def test_a_failed_query_names_the_reason_and_the_next_step(aws: AwsServer, reason: str, advice: str) -> None:
    with aws.athena(reason=reason):
        output = query("SELECT x FROM t", code=1).output
    assert reason in output
    assert advice in output


def test_a_rejected_query_names_the_missing_setting(aws: AwsServer) -> None:
    with aws.athena(refusal="No output location provided. An output location is required"):
        assert "LAKE_ATHENA_OUTPUT" in query("SELECT 1", code=1).output


def test_a_query_is_stopped_if_its_caller_is_interrupted(aws: AwsServer) -> None:
    begun = threading.Event()

    def interrupt(state: str) -> None:
        if state == "RUNNING" and not begun.is_set():
            begun.set()
            signal.raise_signal(signal.SIGINT)

    with aws.athena(endless=True), aws.recorded() as calls, pytest.raises(KeyboardInterrupt):
        query_athena(athena(load_settings()), "SELECT 1", on_state=interrupt)
    assert [call["count"] for call in calls if call["operation"] == "StopQueryExecution"] == [1]


def test_a_lake_in_a_directory_has_no_athena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path))
    assert "needs a lake in a bucket" in query("SELECT 1", code=1).output


@pytest.mark.parametrize(
    "sql",
    ["DROP TABLE t", "UNLOAD (SELECT 1) TO 's3://b/x'", "CREATE TABLE c AS SELECT 1", "/* SELECT */ INSERT INTO t"],
)
def test_a_statement_that_is_no_query_is_not_sent(aws: AwsServer, sql: str) -> None:
    with aws.athena(), aws.recorded() as calls:
        assert "only runs queries" in query(sql, code=1).output
    assert not list(calls)


def test_comments_and_parentheses_may_come_before_a_query(aws: AwsServer) -> None:
    aws.seed_athena({"n": "bigint"}, [["1"]])
    with aws.athena():
        assert query("/* a */ -- b\n (with t as (SELECT 1) SELECT 1 AS n)", "--json").stdout == '{"n":1}\n'
