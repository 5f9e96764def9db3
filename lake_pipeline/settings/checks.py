"""When the checks of a partition warn in Dagster. Limits that refuse a file are in `records`."""

from __future__ import annotations

from pydantic import Field

from lake_pipeline.model import defaults
from lake_pipeline.settings.group import SettingsGroup


class CheckSettings(SettingsGroup):
    """Checks: when a partition warns in Dagster"""

    quarantine_warning: float = Field(default=defaults.QUARANTINE_WARNING, ge=0, le=1, allow_inf_nan=False)
    """The ratio of quarantined records, 0 to 1, above which the check of a partition warns."""

    usual_share: float = Field(default=defaults.USUAL_SHARE, ge=0, le=1, allow_inf_nan=False)
    """The ratio to the usual number of rows of the same weekday, 0 to 1, below which the completeness check of a
    partition warns. With 0 this rule is off."""

    fresh_hours: float = Field(default=defaults.FRESH_HOURS, gt=0, le=8_760, allow_inf_nan=False)
    """How long a file may wait, in hours, before the check of its partition warns."""
