"""A Dagster run that converts on Spark, and its log."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from lake_pipeline.composition import open_lake
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.dagster.conftest import Platform, records
from lake_pipeline_tests.support.dagster_instances import dagster_instance
from lake_pipeline_tests.support.lakes import is_sound

LOGS = {"python_logs": {"managed_python_loggers": ["lake_pipeline"], "python_log_level": "INFO"}}
"""As in dagster.yaml."""


def test_a_dagster_run_converts_on_spark_and_logs_finished_tasks_and_throughput(
    spark: SparkSession, tmp_path: Path, ledger_url: str
) -> None:
    settings = load_settings(
        root=tmp_path / "lake",
        home=tmp_path / "home",
        ledger_url=ledger_url,
        engine="spark",
        spark_master="local[2]",
        first_date=date(2026, 1, 1),
    )
    with open_lake(settings) as lake, dagster_instance(overrides=LOGS) as instance:
        platform = Platform(settings=settings, lake=lake, instance=instance)
        platform.land({f"2026/week05/{mode}.json": records("2026-02-03", mode, 50) for mode in ("live", "test")})
        result = platform.run_batch()
        assert result.success
        assert platform.materialized() == {"2026-02-03|live", "2026-02-03|test"}
        assert is_sound(lake)
        log = "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))
    assert re.search(r"converting, 1 of 1 tasks done, \d+ MB/s", log)
