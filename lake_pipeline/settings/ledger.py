"""Which PostgreSQL holds the ledger, and how to connect to it. Dagster's own storage is in `dagster`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from lake_pipeline.errors import SettingsError
from lake_pipeline.settings.group import PREFIX, SettingsGroup
from lake_pipeline.settings.value_types import File, PostgresUrl, SecretName


class LedgerSettings(SettingsGroup):
    """Ledger: the PostgreSQL database that tracks every file"""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}LEDGER_")

    url: PostgresUrl | None = Field(default=None, repr=False)
    """The ledger's PostgreSQL, `postgresql://user:password@host:5432/database`. Only `lake ledger migrate` changes the
    schema of a database given here."""

    secret: SecretName | None = None
    """The name or ARN of a secret in AWS Secrets Manager. It holds the ledger's URL, or the fields that RDS writes
    (host, port, username, password, dbname). Use it instead of `LAKE_LEDGER_URL` to keep the password out of variables
    and arguments."""

    auth: Literal["password", "iam"] = "password"
    """Authentication for `LAKE_LEDGER_URL`: the `password` in the URL, or an AWS `iam` token created for each
    connection. Tokens are only sent encrypted, to a server with a verified certificate."""

    ca: File | None = None
    """A CA bundle that verifies the ledger's certificate (for RDS: `global-bundle.pem`). If set, every connection is
    encrypted and verified (`sslmode=verify-full`)."""

    @property
    def is_embedded(self) -> bool:
        """Whether the ledger is in the embedded PostgreSQL."""
        return self.url is None and self.secret is None

    @model_validator(mode="after")
    def _one_ledger(self) -> Self:
        if self.url is not None and self.secret is not None:
            raise SettingsError(self.variable("secret"), f"{self.variable('url')} is set too; unset one of them")
        return self
