"""Secrets Manager: the URL of the ledger's database, so that no setting has to hold its password."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lake_pipeline.aws.calls import call_or_none
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.errors import SettingsError
from lake_pipeline.model.json_document import parse_document

SETTING = "LAKE_LEDGER_SECRET"


def database_url(secret: str, *, region: str | None) -> str:
    """`postgresql://…` from the secret with this name or ARN. Its value is such a URL, or the JSON that RDS writes.

    Raises `SettingsError` if there is no such secret or its value is neither. No message contains the value, nor the
    name: it may be a password, set in the wrong variable.
    """
    client = make_client("secretsmanager", AwsAccess(region=region))
    answer = call_or_none(
        SETTING,
        "read this secret",
        client.get_secret_value,
        absent=("ResourceNotFoundException",),
        SecretId=secret,
    )
    if answer is None:
        raise SettingsError(SETTING, "there is no such secret in this account and region")
    text = str(answer.get("SecretString") or "").strip()
    return text if text.startswith(("postgresql", "postgres")) else _url_from_json(text)


def _url_from_json(text: str) -> str:
    try:
        fields: dict[str, Any] = parse_document(text)
        user, password = (quote(str(fields[name]), safe="") for name in ("username", "password"))
        host, database = fields["host"], quote(str(fields.get("dbname") or "postgres"), safe="")
        return f"postgresql://{user}:{password}@{host}:{int(fields.get('port') or 5432)}/{database}"
    except (ValueError, TypeError, KeyError, AttributeError):
        # Neither quoted nor chained: a JSON error may contain part of the password.
        raise SettingsError(
            SETTING,
            "the secret holds neither a URL postgresql://… nor JSON with username, password, host, port and dbname",
        ) from None
