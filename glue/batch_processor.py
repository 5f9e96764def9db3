"""The Glue job that converts: arguments, a Spark session, one call. Everything else is in lake_pipeline.zip.

Three ways to start it:

    --lake_root s3://bucket/prefix --request KEY              a request that an engine wrote to the lake
    --lake_root s3://bucket/prefix --input_s3_paths A,B,C     these objects; the report lists the pending parts
    --LAKE_ROOT s3://bucket/prefix --LAKE_LEDGER_… …          standalone: claims files in the ledger, publishes them

The first two import neither Dagster nor PostgreSQL. docs/glue.md explains the set-up of the job.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_pipeline.engines.spark import SparkEngine
    from lake_pipeline.storage.object_store import ObjectStore

log = logging.getLogger("lake_pipeline.glue")

VERSION = "0.1.0"
"""The version of lake_pipeline.zip; a test keeps them equal, because they must be uploaded together."""


def main(command_line: list[str]) -> None:
    arguments, others = _parser().parse_known_args(command_line)
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
    logging.getLogger("lake_pipeline").setLevel(logging.INFO)
    _must_match(arguments.lake_version)
    _escape_log_records()
    if arguments.request or arguments.input_s3_paths:
        _convert(arguments)
    else:
        _run_standalone(arguments, others)


def _escape_log_records() -> None:
    from lake_pipeline.escaping.log_records import escape_log_records

    escape_log_records()


def _parser() -> argparse.ArgumentParser:
    """Arguments that Glue adds itself (--JOB_NAME, …) are ignored."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--lake_root", help="the lake: s3://bucket/prefix")
    parser.add_argument("--request", help="the key of a request in the lake")
    parser.add_argument("--input_s3_paths", help="objects of the lake, separated by commas")
    parser.add_argument("--batch_id", default=str(uuid.uuid4()), help="the batch id for --input_s3_paths")
    parser.add_argument(
        "--report", help="the key of the report for --input_s3_paths (default: glue/runs/BATCH/report.json)"
    )
    parser.add_argument("--options", default="{}", help="conversion options as JSON, for --input_s3_paths")
    parser.add_argument("--max_batches", type=int, default=1, help="maximum number of batches, if standalone")
    parser.add_argument("--lake_version", help="the version that starts the run")
    parser.add_argument("--aws_region")
    parser.add_argument("--s3_endpoint_url", help="an S3-compatible store in place of S3")
    parser.add_argument("--spark_cores", type=int, default=0, help="cores of all workers")
    return parser


def _must_match(launcher: str | None) -> None:
    from lake_pipeline import __version__

    if __version__ != VERSION or launcher not in (None, VERSION):
        raise SystemExit(
            f"batch_processor.py is of version {VERSION}, lake_pipeline.zip of {__version__}, and the run was started "
            f"by version {launcher or VERSION}. Run `lake provision` with the version that starts runs."
        )


def _convert(arguments: argparse.Namespace) -> None:
    import json

    from lake_pipeline.aws.connection import AwsAccess
    from lake_pipeline.engines.glue.protocol import convert_requested, read_request, report_key, request_for
    from lake_pipeline.engines.wire import options_from_json
    from lake_pipeline.storage.factory import open_store
    from lake_pipeline.storage.location import parse_location
    from lake_pipeline.storage.zones import RUNS

    access = AwsAccess(region=arguments.aws_region, endpoint_url=arguments.s3_endpoint_url)
    store = open_store(parse_location(arguments.lake_root, access))
    if arguments.request:
        run = read_request(store, arguments.request)
        engine = _engine(open_store(run.location), arguments.spark_cores, run.shard_bytes)
        convert_requested(engine, store, run.request, report_key(arguments.request))
        return
    root = f"{store.uri}/"
    keys = [path.removeprefix(root) for path in arguments.input_s3_paths.split(",")]
    request = request_for(store, keys, arguments.batch_id, options_from_json(json.loads(arguments.options)))
    key = arguments.report or f"{RUNS}{arguments.batch_id}/report.json"
    convert_requested(_engine(store, arguments.spark_cores, None), store, request, key)
    log.info("The report is at %s%s", root, key)


def _engine(store: ObjectStore, cores: int, shard_bytes: int | None) -> SparkEngine:
    """Uses the session of this job: Glue has set up everything before the script begins."""
    from pyspark.sql import SparkSession

    from lake_pipeline.engines.spark import SparkEngine

    session = SparkSession.builder.appName("lake_pipeline").getOrCreate()
    master = str(session.sparkContext.master)
    return SparkEngine(store, master=master, folder=Path(tempfile.gettempdir()), shard_bytes=shard_bytes, cores=cores)


def _run_standalone(arguments: argparse.Namespace, others: list[str]) -> None:
    from dataclasses import replace

    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.settings.arguments import settings_in
    from lake_pipeline.usecases.batches.ingest import ingest_all

    with open_lake(load_settings(**settings_in(others))) as lake:
        lake = replace(lake, engine=_engine(lake.store, arguments.spark_cores, None))
        results = list(ingest_all(lake, max_batches=arguments.max_batches))
    for result in results:
        log.info(
            "Batch %s: %d of %d files published, %d rows", result.batch_id, result.succeeded, result.files,
            result.rows_published,
        )  # fmt: skip
    if failed := [result for result in results if result.error]:
        raise SystemExit(f"Batch {failed[0].batch_id} failed: {failed[0].outage or failed[0].error}")


if __name__ == "__main__":
    main(sys.argv[1:])
