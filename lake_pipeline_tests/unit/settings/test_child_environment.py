"""Child processes get the variables that they need, and no others."""

from __future__ import annotations

import pytest

from lake_pipeline.convert.native.environment import compiler_environment
from lake_pipeline.settings.environment import lake_environment, server_environment

CREDENTIALS = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAKE_LEDGER_URL", "LAKE_DAGSTER_URL", "LAKE_ALERTS", "PGPASSWORD",
)  # fmt: skip
OF_OTHERS = ("GITHUB_TOKEN", "OPENAI_API_KEY", "DATABASE_URL", "SSH_AUTH_SOCK", "MY_PASSWORD")


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CREDENTIALS, *OF_OTHERS):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_a_server_and_the_compiler_get_no_credential() -> None:
    for environment in (server_environment(), compiler_environment()):
        assert "hunter2" not in environment.values()
        assert environment["LC_ALL"] == "C.UTF-8"
        assert environment["PYTHONPATH"]
        assert environment["PATH"]


def test_a_process_of_the_lake_gets_its_credentials_and_not_those_of_other_programs() -> None:
    environment = lake_environment(DAGSTER_HOME="/home")

    assert {name for name, value in environment.items() if value == "hunter2"} == set(CREDENTIALS)
    assert environment["DAGSTER_HOME"] == "/home"
