"""The Dagster instance: what it takes from the settings."""

from __future__ import annotations

import pytest

from lake_pipeline.defs.conversion.runs import POOL
from lake_pipeline.defs.instance.instance import lake_instance
from lake_pipeline.settings import Settings
from lake_pipeline_tests.support.settings import changed_settings


@pytest.mark.parametrize("max_runs", [1, 3])
def test_the_limit_of_the_conversion_pool_is_the_setting(settings: Settings, ledger_url: str, max_runs: int) -> None:
    changed = changed_settings(settings, dagster_url=ledger_url, max_runs=max_runs)
    for _ in range(2):
        with lake_instance(changed) as instance:
            limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
            assert limits == {POOL: max_runs}
