"""docs/consuming.md and the example do what they say, on the lake of the demo."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyspark.sql import SparkSession

from lake_pipeline.cli import main
from lake_pipeline.demo_data import ensure_landing_zone
from lake_pipeline_tests.aws.server import AwsServer

REPOSITORY = Path(__file__).parents[2]


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
    """The arguments of each command in a snippet for the shell."""
    lines = [shlex.split(line) for line in block.splitlines()]
    assert all(name == "lake" for name, *_ in lines)
    return [arguments for _, *arguments in lines]


def do_as_said_on_aws(snippet: list[list[str]], aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the table and ask Athena, as if the lake stood in a bucket. The server computes no rows: those that DuckDB
    finds in the files by the same statement are queued in it."""
    make_table, (*ask, sql) = snippet
    rows = run("query", sql, "--json")
    values = [[str(value) for value in json.loads(line).values()] for line in rows.splitlines()]
    assert len(values) > 1
    bucket = aws.new_bucket()
    with monkeypatch.context() as on_aws:
        for service in ("GLUE", "ATHENA"):
            on_aws.setenv(f"AWS_ENDPOINT_URL_{service}", aws.endpoint)
        on_aws.setenv("LAKE_S3_ENDPOINT_URL", aws.endpoint)
        on_aws.setenv("LAKE_ROOT", f"s3://{bucket}/lake")
        on_aws.setenv("LAKE_ATHENA_OUTPUT", f"s3://{bucket}/results/")
        on_aws.setenv("LAKE_GLUE_DATABASE", "of_the_page")
        run(*make_table)
        aws.seed_athena({"mode": "varchar", "rows": "bigint"}, values)
        told = run(*ask, sql, "--json")
    assert told.startswith(f"{rows}Athena read ")

    (query_id,) = re.findall(r"query ([\w-]+),", told)
    asked = aws.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
    assert (asked["Query"], asked["QueryExecutionContext"]["Database"]) == (sql, "of_the_page")
    table = aws.client("glue").get_table(DatabaseName="of_the_page", Name="json_parsed_parquet")["Table"]
    assert {"year", "mode"} <= {key["Name"] for key in table["PartitionKeys"]}
    assert table["StorageDescriptor"]["Location"].startswith(f"s3://{bucket}/lake/")


@pytest.mark.usefixtures("_demo")
def test_the_page_and_the_example_do_what_they_say(
    spark: SparkSession, aws: AwsServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs/consuming.md").read_text(encoding="utf-8")
    on_disk, on_aws, snapshots = (
        commands(block) for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    )
    for arguments in (*on_disk, *snapshots):
        assert run(*arguments), arguments
    do_as_said_on_aws(on_aws, aws, monkeypatch)

    snippets = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    plain, with_torch = snippets[:-1], snippets[-1]
    assert len(plain) == 2
    names: dict[str, object] = {}
    for snippet in plain:
        exec(snippet, names)
    dataset = names["dataset"]
    told = capsys.readouterr().out
    assert "live" in told

    pytest.importorskip("torch", reason="PyTorch is not installed: `make install-torch`")
    # Workers of a loader are forks, and Spark's threads do not survive that; here the loader does without.
    exec(with_torch.replace("num_workers=2", "num_workers=0"), names)
    wanted = sum(batch.num_rows for batch in dataset.batches())  # type: ignore[attr-defined]
    assert int(capsys.readouterr().out) == wanted > 10_000

    score = runpy.run_path(str(REPOSITORY / "examples/train_country.py"))["main"]()
    assert score > 0.9, "guessing gives a fifth"
    assert f"{score:.1%} of the orders" in capsys.readouterr().out
