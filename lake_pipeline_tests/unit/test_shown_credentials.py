"""No credential in what is shown about a connection: ledger, alerts, command line, Spark."""

from __future__ import annotations

import logging
import traceback
import urllib.error
from http.client import InvalidURL

import click
import pytest
from click.testing import CliRunner
from psycopg2 import OperationalError as DriverError
from sqlalchemy.exc import OperationalError

from lake_pipeline.cli.group import LakeGroup
from lake_pipeline.cli.output import log_to_stderr
from lake_pipeline.defs.alerts.sinks import Alert, send, sink_of
from lake_pipeline.errors import LedgerUnavailable, PermanentError, SettingsError
from lake_pipeline.ledger.connection import Database

LOG = logging.getLogger("lake_pipeline.test")

URLS = [
    "postgresql://lake:hunter2@127.0.0.1:9/lake",
    "postgresql://127.0.0.1:9/lake?user=lake&password=hunter2&sslpassword=hunter2",
]


@pytest.mark.parametrize("url", URLS)
def test_an_unreachable_ledger_is_shown_without_its_password(url: str) -> None:
    database = Database(url)

    assert "hunter2" not in database.display_url
    assert "127.0.0.1:9/lake" in database.display_url
    with pytest.raises(LedgerUnavailable) as unreachable, database.transaction():
        pass
    assert "hunter2" not in "".join(traceback.format_exception(unreachable.value))


@pytest.mark.parametrize("url", URLS)
def test_a_driver_that_repeats_the_password_is_not_quoted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(url)

    def fail() -> None:
        raise OperationalError("connect", {}, DriverError("could not translate host name 'hunter2'"))

    monkeypatch.setattr(database._engine, "connect", fail)
    with pytest.raises(LedgerUnavailable, match="could not translate host name") as unreachable, database.transaction():
        pass
    assert "hunter2" not in str(unreachable.value)


def test_a_password_that_would_become_a_host_is_refused_without_repeating_it() -> None:
    with pytest.raises(SettingsError, match="%40") as refused:
        Database("postgresql://lake:a@hunter2@db/lake")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "error",
    [
        InvalidURL("URL can't contain control characters. '/services/hunter2 x'"),
        urllib.error.HTTPError("https://hooks.example.com/hunter2", 404, "hunter2", {}, None),  # type: ignore[arg-type]
        urllib.error.URLError("unknown url type: hunter2"),
        OSError(None, None, "hunter2"),
    ],
)
def test_an_alert_that_fails_does_not_log_the_webhook(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def post(_alert: Alert) -> None:
        raise error

    assert not send(post, Alert(subject="Lake: a run failed", text="why"), LOG)
    assert "could not be sent" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_unreachable_webhook_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    assert not send(
        sink_of("http://127.0.0.1:9/hunter2"),
        Alert(subject="Lake", text="why"),
        logging.getLogger("lake_pipeline.test"),
    )
    assert "refused" in caplog.text
    assert "hunter2" not in caplog.text


def test_alerts_are_sent_without_credentials_of_the_errors_in_them() -> None:
    sent: list[str] = []
    text = "psycopg2: postgresql://lake:hunter2@db/lake\nretry"

    send(
        lambda alert: sent.extend((alert.subject, alert.text)),
        Alert(subject="Lake", text=text),
        logging.getLogger("lake_pipeline.test"),
    )

    assert sent == ["Lake", "psycopg2: postgresql://lake:***@db/lake\nretry"]


def test_a_command_prints_errors_and_log_lines_without_credentials() -> None:
    @click.command()
    def fail() -> None:
        logging.getLogger("lake_pipeline.test").warning("trying %s", URLS[0])
        raise PermanentError(f"can't connect to {URLS[1]}")

    group = LakeGroup(commands=[fail])
    loggers = logging.getLogger("lake_pipeline")
    before = loggers.handlers[:], loggers.propagate, loggers.level
    log_to_stderr(verbose=False)
    try:
        result = CliRunner().invoke(group, ["fail"])
    finally:
        loggers.handlers[:], loggers.propagate = before[0], before[1]
        loggers.setLevel(before[2])
    assert result.exit_code == 1
    assert "can't connect to postgresql://127.0.0.1:9/lake" in result.output
    assert "trying postgresql://lake:***@127.0.0.1:9/lake" in result.output
    assert "hunter2" not in result.output
