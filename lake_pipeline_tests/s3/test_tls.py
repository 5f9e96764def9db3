"""A ledger like one on RDS, over TLS: who is let in, who is refused and what they are told, and tokens that expire."""

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
from lake_pipeline.ledger.connection import Database, Entrance
from lake_pipeline_tests.aws.server import CREDENTIALS, REGION
from lake_pipeline_tests.tls_front import Authority, TlsFront, tls_front

HOST = "127.0.0.1"
USER = "lake_user"

WHO = text("SELECT current_user")

VALID_SECONDS = 1
"""Of a token; AWS says 15 minutes."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.new(tmp_path_factory.mktemp("authority"), "ours")


Front = Callable[..., AbstractContextManager[TlsFront]]


@pytest.fixture
def front(ledger_url: str, authority: Authority) -> Front:
    """Makes a front to this test's ledger, with a certificate for `host`."""

    def made(host: str = HOST, *, expired: bool = False) -> AbstractContextManager[TlsFront]:
        url = make_url(ledger_url)
        return tls_front((url.host or "", url.port or 0), authority.server(host, expired=expired))

    return made


def trusting(authority: Authority, **more: Any) -> Entrance:
    return Entrance(ca_file=str(authority.file), **more)


def through(front: TlsFront, ledger_url: str) -> str:
    """The URL of the same ledger behind its front."""
    return make_url(ledger_url).set(port=front.port).render_as_string(hide_password=False)


def enter(url: str, entrance: Entrance) -> str:
    """Whom the ledger takes us for."""
    database = Database(url, entrance)
    try:
        with database.transaction() as connection:
            return str(connection.scalar(WHO))
    finally:
        database.close()


def test_a_server_with_the_right_certificate_and_name_is_entered(
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


def test_a_certificate_of_somebody_else_is_refused_with_what_to_set(
    front: Front, ledger_url: str, tmp_path: Path
) -> None:
    other = Authority.new(tmp_path, "somebody-else")
    with front() as door, pytest.raises(LedgerUnavailable, match=r"certificate verify failed.*LAKE_LEDGER_CA"):
        enter(through(door, ledger_url), trusting(other))


def test_a_certificate_that_has_expired_is_refused(front: Front, ledger_url: str, authority: Authority) -> None:
    with front(expired=True) as door, pytest.raises(LedgerUnavailable, match="certificate"):
        enter(through(door, ledger_url), trusting(authority))


def test_a_certificate_for_another_name_is_refused_with_what_to_write(
    front: Front, ledger_url: str, authority: Authority
) -> None:
    with front("lake.example") as door, pytest.raises(LedgerUnavailable, match=r"lake\.example.*LAKE_LEDGER_URL"):
        enter(through(door, ledger_url), trusting(authority))


def test_a_server_without_tls_is_refused_with_what_to_do(ledger_url: str, authority: Authority) -> None:
    with pytest.raises(LedgerUnavailable, match=r"does not support SSL.*LAKE_LEDGER_CA"):
        enter(ledger_url, trusting(authority))


@dataclass(frozen=True)
class Tokens:
    """Signs tokens, and lets the database take each for a moment only, as RDS does for 15 minutes."""

    admin: str
    signed: list[str]

    def __call__(self, host: str, port: int, user: str) -> str:
        token = rds_token(host=host, port=port, user=user, region=REGION)
        self.signed.append(token)
        self.take(token)
        return token

    def take(self, password: str) -> None:
        """From now on the user has this password, for a moment."""
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


def test_a_token_that_has_expired_is_followed_by_another(
    front: Front, ledger_url: str, authority: Authority, tokens: Tokens
) -> None:
    """A connection stays open for longer than its token is valid; the next one signs in with one of its own."""
    with front() as door:
        url = make_url(through(door, ledger_url)).set(username=USER, password=None).render_as_string()
        database = Database(url, trusting(authority, token=tokens))
        with database.transaction() as first:
            time.sleep(VALID_SECONDS + 0.2)
            with pytest.raises(LedgerUnavailable, match="authentication failed"):
                enter(url, trusting(authority, token=lambda *_: tokens.signed[0]))
            with database.transaction() as second:
                assert [each.scalar(WHO) for each in (first, second)] == [USER] * 2
        database.close()
        assert len(set(tokens.signed)) == 2
        assert not door.plain


def test_a_refused_token_tells_what_the_role_and_the_user_need(
    front: Front, ledger_url: str, authority: Authority, tokens: Tokens
) -> None:
    with front() as door:
        url = make_url(through(door, ledger_url)).set(username=USER, password=None).render_as_string()
        tokens.take("what IAM would never sign")
        with pytest.raises(LedgerUnavailable, match=r"authentication failed.*rds_iam.*rds-db:connect") as refused:
            enter(url, trusting(authority, token=lambda *_: "forged"))
        assert "forged" not in str(refused.value)
