"""Secrets Manager: the URL of a database whose password nobody should have to write down."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import ask
from lake_pipeline.aws.clients import make_client
from lake_pipeline.errors import SettingsError

SETTING = "LAKE_LEDGER_SECRET"


def database_url(secret: str, *, region: str | None) -> str:
    """`postgresql://…` from the secret of that name or ARN, which is such a URL, or has the fields that RDS writes.

    Raises `SettingsError` where it is neither, or is not there; what it holds is in no message.
    """
    client = make_client("secretsmanager", AwsAccess(region=region))
    found = ask(
        f"secret {secret}",
        "read it",
        client.get_secret_value,
        absent=("ResourceNotFoundException",),
        SecretId=secret,
    )
    if found is None:
        raise SettingsError(SETTING, f"there is no secret {secret} in this account and region")
    text = str(found.get("SecretString") or "").strip()
    return text if text.startswith(("postgresql", "postgres")) else _of_fields(secret, text)


def _of_fields(secret: str, text: str) -> str:
    try:
        fields: dict[str, Any] = json.loads(text)
        user, password = (quote(str(fields[name]), safe="") for name in ("username", "password"))
        host, database = fields["host"], quote(str(fields.get("dbname") or "postgres"), safe="")
        return f"postgresql://{user}:{password}@{host}:{int(fields.get('port') or 5432)}/{database}"
    except (ValueError, TypeError, KeyError, AttributeError):
        # Neither quoted nor chained: what JSON says may hold a piece of the password.
        raise SettingsError(
            SETTING,
            f"{secret} holds neither a URL postgresql://… nor JSON with username, password, host, port and dbname",
        ) from None
