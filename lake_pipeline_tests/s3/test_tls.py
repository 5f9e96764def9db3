"""A ledger over TLS, like on RDS: accepted and rejected certificates, error messages, and expiring tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner
from psycopg2 import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url

from lake_pipeline.aws.database import rds_token
from lake_pipeline.cli import main
from lake_pipeline.errors import LedgerUnavailable
from lake_pipeline.ledger.connection import ConnectionOptions, Database
from lake_pipeline_tests.support.tls_front import Authority, TlsFront, tls_front
from local_aws.server import CREDENTIALS, REGION

HOST = "127.0.0.1"
USER = "lake_user"

WHO = text("SELECT current_user")

VALID_SECONDS = 1
"""Validity of a token; on AWS 15 minutes."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority"), "ours")


Front = Callable[..., AbstractContextManager[TlsFront]]


@pytest.fixture
def front(ledger_url: str, authority: Authority) -> Front:
    """Starts a TLS proxy for this test's ledger, with a certificate for `host`."""

    def made(host: str = HOST, *, expired: bool = False) -> AbstractContextManager[TlsFront]:
        url = make_url(ledger_url)
        return tls_front((url.host or "", url.port or 0), authority.server(host, expired=expired))

    return made


def trusting(authority: Authority, **more: Any) -> ConnectionOptions:
    return ConnectionOptions(ca_file=str(authority.file), **more)


def through(front: TlsFront, ledger_url: str) -> str:
    """The URL of the ledger through its TLS proxy."""
    return make_url(ledger_url).set(port=front.port).render_as_string(hide_password=False)


def enter(url: str, entrance: ConnectionOptions) -> str:
    """The user of the connection."""
    database = Database(url, entrance)
    try:
        with database.transaction() as connection:
            return str(connection.scalar(WHO))
    finally:
        database.close()


def test_a_server_with_a_valid_certificate_and_name_is_accepted(
    front: Front, ledger_url: str, authority: Authority
) -> None:
    with front() as door:
        assert enter(through(door, ledger_url), trusting(authority)) == make_url(ledger_url).username
        assert (door.encrypted, door.plain) == (1, 0)


def test_a_command_works_over_tls_from_its_settings(
    front: Front, ledger_url: str, authority: Authority, tmp_path: Path
) -> None:
    with front() as door:
        environment = {
            "LAKE_ROOT": str(tmp_path / "lake"),
            "LAKE_HOME": str(tmp_path / "home"),
            "LAKE_LEDGER_URL": through(door, ledger_url),
            "LAKE_LEDGER_CA": str(authority.file),
        }
        result = CliRunner().invoke(main, ["status", "--json"], env=environment)
        assert result.exit_code == 0, result.output
        assert door.encrypted
        assert not door.plain


def test_a_certificate_of_another_authority_is_rejected_with_the_setting(
    front: Front, ledger_url: str, tmp_path: Path
) -> None:
    other = Authority.new(tmp_path, "somebody-else")
    with front() as door, pytest.raises(LedgerUnavailable, match=r"certificate verify failed.*LAKE_LEDGER_CA"):
        enter(through(door, ledger_url), trusting(other))


def test_an_expired_certificate_is_rejected(front: Front, ledger_url: str, authority: Authority) -> None:
    with front(expired=True) as door, pytest.raises(LedgerUnavailable, match="certificate"):
        enter(through(door, ledger_url), trusting(authority))


def test_a_certificate_for_another_name_is_rejected_with_the_right_name(
    front: Front, ledger_url: str, authority: Authority
) -> None:
    with front("lake.example") as door, pytest.raises(LedgerUnavailable, match=r"lake\.example.*LAKE_LEDGER_URL"):
        enter(through(door, ledger_url), trusting(authority))


def test_a_server_without_tls_is_rejected_with_the_next_step(ledger_url: str, authority: Authority) -> None:
    with pytest.raises(LedgerUnavailable, match=r"does not support SSL.*LAKE_LEDGER_CA"):
        enter(ledger_url, trusting(authority))


@dataclass(frozen=True)
class Tokens:
    """Signs tokens that the database accepts for a moment only, as RDS does for 15 minutes."""

    admin: str
    signed: list[str]

    def __call__(self, host: str, port: int, user: str) -> str:
        token = rds_token(host=host, port=port, user=user, region=REGION)
        self.signed.append(token)
        self.take(token)
        return token

    def take(self, password: str) -> None:
        """Sets the password of the user for a moment."""
        with psycopg2.connect(self.admin) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT (now() + make_interval(secs => %s))::text", (VALID_SECONDS,))
            ((until,),) = cursor.fetchall()
            change = sql.SQL("ALTER ROLE {} PASSWORD {} VALID UNTIL {}")
            cursor.execute(change.format(sql.Identifier(USER), sql.Literal(password), sql.Literal(until)))
        connection.close()


@pytest.fixture
def tokens(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tokens]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    admin = make_url(ledger_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(admin)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {USER} LOGIN")
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER}")
        yield Tokens(admin, [])
        cursor.execute(f"DROP OWNED BY {USER}")
        cursor.execute(f"DROP ROLE {USER}")
    connection.close()


def test_an_expired_token_is_replaced_by_a_new_one(
    front: Front, ledger_url: str, authority: Authority, tokens: Tokens
) -> None:
    """A connection outlives its token; the next one signs in with a new token."""
    with front() as door:
        url = make_url(through(door, ledger_url)).set(username=USER, password=None).render_as_string()
        database = Database(url, trusting(authority, token=tokens))
        with database.transaction() as first:
            time.sleep(VALID_SECONDS + 0.2)
            with pytest.raises(LedgerUnavailable, match="authentication failed"):
                enter(url, trusting(authority, token=lambda *_: tokens.signed[0]))
            with database.transaction() as second:
                assert [connection.scalar(WHO) for connection in (first, second)] == [USER] * 2
        database.close()
        assert len(set(tokens.signed)) == 2
        assert not door.plain


def test_a_rejected_token_names_the_permissions_of_role_and_user(
    front: Front, ledger_url: str, authority: Authority, tokens: Tokens
) -> None:
    with front() as door:
        url = make_url(through(door, ledger_url)).set(username=USER, password=None).render_as_string()
        tokens.take("what IAM would never sign")
        with pytest.raises(LedgerUnavailable, match=r"authentication failed.*rds_iam.*rds-db:connect") as refused:
            enter(url, trusting(authority, token=lambda *_: "forged"))
        assert "forged" not in str(refused.value)
