"""The Glue job that converts: arguments, a Spark session, one call. Everything else is in lake_pipeline.zip.

Three ways to ask for work:

    --lake_root s3://bucket/prefix --request KEY              what a launcher has left in the lake
    --lake_root s3://bucket/prefix --input_s3_paths A,B,C     these objects; the report says which parts are pending
    --LAKE_ROOT s3://bucket/prefix --LAKE_LEDGER_… …          on its own: claims files in the ledger, publishes them

The first two import neither Dagster nor PostgreSQL. docs/glue.md says how the job is set up.
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
    from lake_pipeline.convert.spark import SparkEngine
    from lake_pipeline.storage.objects import ObjectStore

log = logging.getLogger("lake_pipeline.glue")

VERSION = "0.1.0"
"""That of lake_pipeline.zip, which a test keeps equal: what is uploaded must belong together."""


def main(given: list[str]) -> None:
    arguments, others = _parser().parse_known_args(given)
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
    logging.getLogger("lake_pipeline").setLevel(logging.INFO)
    _must_match(arguments.lake_version)
    if arguments.request or arguments.input_s3_paths:
        _convert(arguments)
    else:
        _work_alone(arguments, others)


def _parser() -> argparse.ArgumentParser:
    """Arguments that Glue adds of its own (--JOB_NAME, …) are left alone."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--lake_root", help="the lake: s3://bucket/prefix")
    parser.add_argument("--request", help="the key of a request in the lake")
    parser.add_argument("--input_s3_paths", help="objects of the lake, with commas between")
    parser.add_argument("--batch_id", default=str(uuid.uuid4()), help="of what --input_s3_paths names")
    parser.add_argument("--report", help="the key of its report (default: glue/runs/BATCH/report.json)")
    parser.add_argument("--options", default="{}", help="its conversion options, as JSON")
    parser.add_argument("--max_batches", type=int, default=1, help="batches taken on its own")
    parser.add_argument("--lake_version", help="the version of whoever asks")
    parser.add_argument("--aws_region")
    parser.add_argument("--s3_endpoint_url", help="an S3-compatible store in place of S3")
    parser.add_argument("--spark_cores", type=int, default=0, help="cores of all workers")
    return parser


def _must_match(asking: str | None) -> None:
    from lake_pipeline import __version__

    if __version__ != VERSION or asking not in (None, VERSION):
        raise SystemExit(
            f"batch_processor.py is of version {VERSION}, lake_pipeline.zip of {__version__}, and whoever started this "
            f"run of {asking or VERSION}. Run `lake provision` with the version that starts runs."
        )


def _convert(arguments: argparse.Namespace) -> None:
    import json

    from lake_pipeline.aws.access import AwsAccess
    from lake_pipeline.convert.glue_run import asked_at, convert_asked, report_key, request_for
    from lake_pipeline.convert.travelling import options_from_json
    from lake_pipeline.storage.opening import open_store
    from lake_pipeline.storage.places import place_at
    from lake_pipeline.storage.zones import RUNS

    access = AwsAccess(region=arguments.aws_region, endpoint_url=arguments.s3_endpoint_url)
    store = open_store(place_at(arguments.lake_root, access))
    if arguments.request:
        asked = asked_at(store, arguments.request)
        engine = _engine(open_store(asked.place), arguments.spark_cores, asked.share_bytes)
        convert_asked(engine, store, asked.request, report_key(arguments.request))
        return
    root = f"{store.uri}/"
    keys = [path.removeprefix(root) for path in arguments.input_s3_paths.split(",")]
    request = request_for(store, keys, arguments.batch_id, options_from_json(json.loads(arguments.options)))
    key = arguments.report or f"{RUNS}{arguments.batch_id}/report.json"
    convert_asked(_engine(store, arguments.spark_cores, None), store, request, key)
    log.info("The report is at %s%s", root, key)


def _engine(store: ObjectStore, cores: int, share_bytes: int | None) -> SparkEngine:
    """On the session of this job: Glue has set up everything that it needs before the script begins."""
    from pyspark.sql import SparkSession

    from lake_pipeline.convert.spark import SparkEngine

    session = SparkSession.builder.appName("lake_pipeline").getOrCreate()
    master = str(session.sparkContext.master)
    return SparkEngine(store, master=master, folder=Path(tempfile.gettempdir()), share_bytes=share_bytes, cores=cores)


def _work_alone(arguments: argparse.Namespace, others: list[str]) -> None:
    from dataclasses import replace

    from lake_pipeline.ingest.batch import ingest_all
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.settings.arguments import settings_in

    with open_lake(load_settings(**settings_in(others))) as lake:
        lake = replace(lake, engine=_engine(lake.store, arguments.spark_cores, None))
        results = list(ingest_all(lake, max_batches=arguments.max_batches))
    for result in results:
        log.info(
            "Batch %s: %d of %d files published, %d rows", result.batch_id, result.succeeded, result.files,
            result.rows_published,
        )  # fmt: skip
    if failed := [result for result in results if result.error]:
        raise SystemExit(f"Batch {failed[0].batch_id} failed, its files are tried again: {failed[0].error}")


if __name__ == "__main__":
    main(sys.argv[1:])
