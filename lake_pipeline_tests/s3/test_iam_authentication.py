"""IAM authentication of the ledger: a new token for each connection, and never in clear text."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from lake_pipeline.composition import connection_options
from lake_pipeline.errors import LedgerUnavailable, SettingsError
from lake_pipeline.ledger.connection import ConnectionOptions, Database
from lake_pipeline.settings import load_settings
from lake_pipeline_tests.support.tls_front import SSL_REQUEST, Listener
from local_aws.server import CREDENTIALS


class PasswordThief(Listener):
    """A server without encryption that speaks PostgreSQL up to the password, and records it."""

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
            connection.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # AuthenticationCleartextPassword
            password_message = connection.recv(4096)
            self.passwords.append(password_message[5:].rstrip(b"\0").decode())


@pytest.fixture
def thief() -> Iterator[PasswordThief]:
    server = PasswordThief()
    yield server
    server.close()


def test_each_connection_gets_a_new_token(thief: PasswordThief, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["first", "second"])
    requests: list[tuple[str, int, str]] = []

    def token(host: str, port: int, user: str) -> str:
        requests.append((host, port, user))
        return next(tokens)

    # Without TLS no token is sent (see below); this test checks the token itself.
    monkeypatch.setattr(ConnectionOptions, "driver_arguments", lambda *_: {"sslmode": "disable"})
    database = Database(f"postgresql://lake@127.0.0.1:{thief.port}/lake", ConnectionOptions(token=token))
    for _ in range(2):
        with pytest.raises(LedgerUnavailable), database.transaction():
            pass
    assert thief.passwords == ["first", "second"]
    assert requests == [("127.0.0.1", thief.port, "lake")] * 2


@pytest.mark.parametrize(
    "entrance", [ConnectionOptions(token=lambda *_: "secret"), ConnectionOptions(ca_file="/etc/ssl/ca.pem")]
)
def test_nothing_is_sent_to_a_server_that_does_not_encrypt(thief: PasswordThief, entrance: ConnectionOptions) -> None:
    database = Database(f"postgresql://lake:secret@127.0.0.1:{thief.port}/lake", entrance)
    with pytest.raises(LedgerUnavailable, match=r"SSL|certificate") as refused, database.transaction():
        pass
    assert thief.passwords == []
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_a_token_needs_a_verified_server(mode: str) -> None:
    with pytest.raises(SettingsError, match="verify-full"):
        Database(f"postgresql://lake@host/lake?sslmode={mode}", ConnectionOptions(token=lambda *_: "secret"))


def test_tokens_are_signed_for_host_port_user_and_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    host = "lake.abc.eu-west-3.rds.amazonaws.com"
    settings = load_settings(
        ledger_url=f"postgresql://lake_user@{host}:5433/lake", ledger_auth="iam", ledger_ca=tmp_path / "ca.pem"
    )
    entrance = connection_options(settings)
    assert entrance.ca_file == str(tmp_path / "ca.pem")
    assert entrance.token is not None
    signed = urlsplit("//" + entrance.token(host, 5433, "lake_user"))
    requests = parse_qs(signed.query)
    assert (signed.netloc, requests["Action"], requests["DBUser"]) == (f"{host}:5433", ["connect"], ["lake_user"])
    assert "/eu-west-3/rds-db/" in requests["X-Amz-Credential"][0]
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in signed.geturl()


def test_the_embedded_ledger_needs_neither_certificate_nor_token() -> None:
    assert connection_options(load_settings(ledger_auth="iam")) == ConnectionOptions()
