"""Settings of a test, with some of them changed."""

from __future__ import annotations

from lake_pipeline.settings import Settings
from lake_pipeline.settings.group import PREFIX
from lake_pipeline.settings.settings import setting_fields


def changed_settings(settings: Settings, **values: object) -> Settings:
    """A copy with `values`, named as in `load_settings`. They are not validated."""
    fields = setting_fields()
    for name, value in values.items():
        group, field = fields[PREFIX + name.upper()]
        changed = getattr(settings, group).model_copy(update={field: value})
        settings = settings.model_copy(update={group: changed})
    return settings
