"""docs/settings.md, generated from the settings: `make docs` writes it, a test compares it."""

from __future__ import annotations

from inspect import getdoc
from pathlib import Path

from pydantic.fields import FieldInfo

from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.settings import settings_groups
from lake_pipeline.settings.value_types import GlobList

PAGE = """\
# Settings

Every setting is an environment variable. All have a default, so a laptop needs none of them. If a value is wrong or
a name is misspelled, a command ends at its start with one line that names the variable.

{sections}

This page is generated from `lake_pipeline/settings/` by `make docs`.
"""

DEFAULTS_IN_WORDS = {
    "LAKE_HOME": "`./.lake` for `./lake`",
    "LAKE_LEDGER_URL": "an embedded PostgreSQL under `LAKE_HOME`",
    "LAKE_DAGSTER_URL": "an embedded PostgreSQL under `LAKE_HOME`",
    "LAKE_LEDGER_CA": "as in the URL",
    "LAKE_DATE_FORMATS": "the unambiguous ones",
    "LAKE_DEFAULT_DATE": "none",
    "LAKE_CONTRACT_FILE": "no rules",
    "LAKE_INCLUDE": "all",
    "LAKE_MIN_AGE_SECONDS": "`10` in a directory, `0` in a bucket",
    "LAKE_S3_ENDPOINT_URL": "AWS",
    "LAKE_EVENTS_QUEUE_URL": "no queue",
    "LAKE_QUARANTINE_DAYS": "never",
    "LAKE_GLUE_ROLE": "no job",
    "LAKE_LEDGER_SECRET": "none",
    "LAKE_AWS_REGION": "that of the AWS SDK",
    "LAKE_ATHENA_OUTPUT": "that of the workgroup",
    "LAKE_LAST_DATE": "tomorrow (UTC)",
    "LAKE_MAX_BLANK_BYTES": "`256MiB`",
    "LAKE_WORKERS": "all cores, fewer if the memory limit is low",
    "LAKE_ALERTS": "the log only",
    "LAKE_UI_URL": "no links",
    "LAKE_BATCH_BYTES": "`2GB`",
    "LAKE_REWRITE_BYTES": "`1GiB`",
    "LAKE_MAX_RECORD_BYTES": "`32MiB`",
    "LAKE_PART_BYTES": "`512MiB`",
    "LAKE_MEMORY_BYTES": "`256MiB`, or an eighth of the memory limit",
}


def settings_page() -> str:
    """The whole page, with a section for each group."""
    return PAGE.format(sections="\n\n".join(_section(group) for _, group in settings_groups()))


def _section(group: type[SettingsGroup]) -> str:
    rows = [_row(group.variable(name), field) for name, field in group.model_fields.items()]
    return "\n".join([f"## {getdoc(group)}", "", "| variable | default | meaning |", "|---|---|---|", *rows])


def _row(variable: str, field: FieldInfo) -> str:
    default = DEFAULTS_IN_WORDS.get(variable) or _cell(f"`{_default(field)}`")
    return f"| `{variable}` | {default} | {_cell(field.description or '')} |"


def _default(field: FieldInfo) -> str:
    if isinstance(field.default, tuple):
        return str(GlobList(field.default))
    return f"./{field.default}" if isinstance(field.default, Path) else str(field.default)


def _cell(text: str) -> str:
    """On one line, without a bar that would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(settings_page(), end="")
