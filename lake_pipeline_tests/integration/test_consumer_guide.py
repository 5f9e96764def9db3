"""The snippets of docs/consuming.md and the example work on the lake of the demo."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from lake_pipeline.cli import main
from lake_pipeline.demo_data import ensure_landing_zone
from lake_pipeline_tests.support.repository import REPOSITORY
from local_aws.server import AwsServer


@pytest.fixture
def _demo(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's lake, converted."""
    root, home = tmp_path / "lake", tmp_path / "home"
    for name, value in {"ROOT": str(root), "HOME": str(home), "LEDGER_URL": ledger_url}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    ensure_landing_zone(root, home)
    for command in ("discover", "ingest"):
        run(command)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def commands(block: str) -> list[list[str]]:
    """The arguments of each command in a shell snippet."""
    lines = [shlex.split(line) for line in block.splitlines()]
    assert all(name == "lake" for name, *_ in lines)
    return [arguments for _, *arguments in lines]


def run_athena_snippet(
    snippet: list[list[str]], identity: bytes, aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create the table and query Athena, as if the lake with this `identity` were in a bucket. The local server
    computes no rows: it gets those that DuckDB returns for the same statement."""
    create_table, (*query, sql) = snippet
    rows = run("query", sql, "--json")
    values = [[str(value) for value in json.loads(line).values()] for line in rows.splitlines()]
    assert len(values) > 1
    bucket = aws.new_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="lake/_lake.json", Body=identity)
    with monkeypatch.context() as on_aws:
        for service in ("GLUE", "ATHENA"):
            on_aws.setenv(f"AWS_ENDPOINT_URL_{service}", aws.endpoint)
        on_aws.setenv("LAKE_S3_ENDPOINT_URL", aws.endpoint)
        on_aws.setenv("LAKE_ROOT", f"s3://{bucket}/lake")
        on_aws.setenv("LAKE_ATHENA_OUTPUT", f"s3://{bucket}/results/")
        on_aws.setenv("LAKE_GLUE_DATABASE", "of_the_page")
        run(*create_table)
        aws.seed_athena({"mode": "varchar", "rows": "bigint"}, values)
        output = run(*query, sql, "--json")
    assert output.startswith(f"{rows}Athena read ")

    (query_id,) = re.findall(r"query ([\w-]+),", output)
    execution = aws.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
    assert (execution["Query"], execution["QueryExecutionContext"]["Database"]) == (sql, "of_the_page")
    table = aws.client("glue").get_table(DatabaseName="of_the_page", Name="json_parsed_parquet")["Table"]
    assert {"year", "mode"} <= {key["Name"] for key in table["PartitionKeys"]}
    assert table["StorageDescriptor"]["Location"].startswith(f"s3://{bucket}/lake/")


@pytest.mark.usefixtures("_demo")
def test_the_snippets_of_the_page_and_the_example_work(
    spark: SparkSession, aws: AwsServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs/consuming.md").read_text(encoding="utf-8")
    on_disk, on_aws, snapshots = (
        commands(block) for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    )
    for arguments in (*on_disk, *snapshots):
        assert run(*arguments), arguments
    identity = Path(os.environ["LAKE_ROOT"], "_lake.json").read_bytes()
    run_athena_snippet(on_aws, identity, aws, monkeypatch)

    snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    plain, with_torch = snippets[:-1], snippets[-1]
    assert len(plain) == 2
    names: dict[str, object] = {}
    for snippet in plain:
        exec(snippet, names)
    dataset = names["dataset"]
    output = capsys.readouterr().out
    assert "live" in output

    pytest.importorskip("torch", reason="PyTorch is not installed: `make install-torch`")
    # Workers of a loader are forks, which break Spark's threads; so the loader gets none here.
    exec(with_torch.replace("num_workers=2", "num_workers=0"), names)
    rows = sum(batch.num_rows for batch in dataset.batches())  # type: ignore[attr-defined]
    assert int(capsys.readouterr().out) == rows > 10_000

    score = runpy.run_path(str(REPOSITORY / "examples/train_country.py"))["main"]()
    assert score > 0.9, "guessing gives 0.2"
    assert f"{score:.1%} of the orders" in capsys.readouterr().out
