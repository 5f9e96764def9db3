"""docs/settings.md, made from the settings themselves: `make docs` writes it, a test compares it."""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from lake_pipeline.settings.settings import PREFIX, Settings

PAGE = """\
# Settings

Every setting is an environment variable. All have a default, so a laptop needs none of them. A wrong value
ends a command at its start with one line that names the variable; so does a misspelled name.

{table}

This page is made from `lake_pipeline/settings/settings.py` by `make docs`.
"""

DEFAULTS_IN_WORDS = {
    "ledger_url": "an embedded PostgreSQL under `LAKE_HOME`",
    "dagster_url": "an embedded PostgreSQL under `LAKE_HOME`",
    "ledger_ca": "as the URL says",
    "contract_file": "no rules",
    "s3_endpoint_url": "AWS",
    "events_queue_url": "no queue",
    "quarantine_days": "never",
    "glue_role": "no job",
    "ledger_secret": "none",
    "aws_region": "that of the AWS SDK",
    "last_date": "tomorrow (UTC)",
    "workers": "all cores",
    "alerts": "the log alone",
    "ui_url": "no links",
    "batch_bytes": "`2GB`",
    "rewrite_bytes": "`1GiB`",
    "max_record_bytes": "`32MiB`",
    "part_bytes": "`512MiB`",
    "memory_bytes": "`256MiB`",
}


def settings_table() -> str:
    """A Markdown table with a row for each setting: variable, default, meaning."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(name, field)} | {_cell(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def settings_page() -> str:
    """The whole page, ending in a newline."""
    return PAGE.format(table=settings_table())


def _default(name: str, field: FieldInfo) -> str:
    if name in DEFAULTS_IN_WORDS:
        return DEFAULTS_IN_WORDS[name]
    default = f"./{field.default}" if isinstance(field.default, Path) else str(field.default)
    return _cell(f"`{default}`")


def _cell(text: str) -> str:
    """One line; a bar would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(settings_page(), end="")
