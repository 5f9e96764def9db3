"""Signing in to the ledger with AWS tokens: a fresh one for each connection, and never in clear text."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lake_pipeline.errors import LedgerUnavailable, SettingsError
from lake_pipeline.ledger.connection import Database, Entrance
from lake_pipeline.opening import ledger_entrance
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.aws.server import CREDENTIALS
from lake_pipeline_tests.tls_front import SSL_REQUEST, Listener


class PasswordThief(Listener):
    """A server that speaks PostgreSQL as far as the password, which it writes down; without encryption."""

    def __init__(self) -> None:
        self.passwords: list[str] = []
        super().__init__()

    def enter(self, connection: socket.socket) -> None:
        with connection:
            message = connection.recv(4096)
            if message == SSL_REQUEST:
                connection.sendall(b"N")
                message = connection.recv(4096)
            if not message:
                return
            connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # send the password in clear text
            told = connection.recv(4096)
            self.passwords.append(told[5:].rstrip(b"\0").decode())


@pytest.fixture
def thief() -> Iterator[PasswordThief]:
    server = PasswordThief()
    yield server
    server.close()


def test_each_connection_gets_a_token_of_its_own(thief: PasswordThief, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["first", "second"])
    asked: list[tuple[str, int, str]] = []

    def token(host: str, port: int, user: str) -> str:
        asked.append((host, port, user))
        return next(tokens)

    # The thief can't encrypt, and without that no token is sent (see below); here it is about what would be.
    monkeypatch.setattr(Entrance, "arguments", lambda *_: {"sslmode": "disable"})
    database = Database(f"postgresql://lake@127.0.0.1:{thief.port}/lake", Entrance(token=token))
    for _ in range(2):
        with pytest.raises(LedgerUnavailable), database.transaction():
            pass
    assert thief.passwords == ["first", "second"]
    assert asked == [("127.0.0.1", thief.port, "lake")] * 2


@pytest.mark.parametrize("entrance", [Entrance(token=lambda *_: "secret"), Entrance(ca_file="/etc/ssl/ca.pem")])
def test_nothing_is_sent_to_a_server_that_does_not_encrypt(thief: PasswordThief, entrance: Entrance) -> None:
    database = Database(f"postgresql://lake:secret@127.0.0.1:{thief.port}/lake", entrance)
    with pytest.raises(LedgerUnavailable, match=r"SSL|certificate") as refused, database.transaction():
        pass
    assert thief.passwords == []
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_a_token_needs_a_checked_server(mode: str) -> None:
    with pytest.raises(SettingsError, match="verify-full"):
        Database(f"postgresql://lake@host/lake?sslmode={mode}", Entrance(token=lambda *_: "secret"))


def test_tokens_are_signed_for_host_port_user_and_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    host = "lake.abc.eu-west-3.rds.amazonaws.com"
    settings = load_settings(
        ledger_url=f"postgresql://lake_user@{host}:5433/lake", ledger_auth="iam", ledger_ca=tmp_path / "ca.pem"
    )
    entrance = ledger_entrance(settings)
    assert entrance.ca_file == str(tmp_path / "ca.pem")
    assert entrance.token is not None
    signed = urlsplit("//" + entrance.token(host, 5433, "lake_user"))
    asked = parse_qs(signed.query)
    assert (signed.netloc, asked["Action"], asked["DBUser"]) == (f"{host}:5433", ["connect"], ["lake_user"])
    assert "/eu-west-3/rds-db/" in asked["X-Amz-Credential"][0]
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in signed.geturl()


def test_the_embedded_ledger_needs_neither() -> None:
    assert ledger_entrance(load_settings(ledger_auth="iam")) == Entrance()
