"""The Dagster instance: what it takes over from the settings."""

from __future__ import annotations

import pytest

from lake_pipeline.defs.in_flight import POOL
from lake_pipeline.defs.instance import lake_instance
from lake_pipeline.settings import Settings


@pytest.mark.parametrize("most", [1, 3])
def test_the_pool_of_conversions_is_as_large_as_the_settings_say(
    settings: Settings, ledger_url: str, most: int
) -> None:
    changed = settings.model_copy(update={"dagster_url": ledger_url, "max_runs": most})
    for _ in range(2):
        with lake_instance(changed) as instance:
            limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
            assert limits == {POOL: most}
