"""The ledger's URL from AWS Secrets Manager: accepted forms, and that no error shows the value."""

from __future__ import annotations

import json

import pytest

from lake_pipeline.aws.secrets import database_url
from lake_pipeline.composition import ledger_url
from lake_pipeline.errors import SettingsError, StorageUnavailable
from lake_pipeline.settings import load_settings
from local_aws.server import REGION, AwsServer


@pytest.fixture(autouse=True)
def _endpoint(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.endpoint)


def kept(aws: AwsServer, name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    arn: str = aws.client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"]
    return arn


def test_a_secret_that_is_a_url_is_used_unchanged(aws: AwsServer) -> None:
    kept(aws, "lake/url", "postgresql://u:p@h:5432/d\n")
    assert ledger_url(load_settings(ledger_secret="lake/url")) == "postgresql://u:p@h:5432/d"


def test_the_fields_of_an_rds_secret_become_an_escaped_url(aws: AwsServer) -> None:
    fields = {"username": "lake", "password": "p@s/s:w", "host": "db.internal", "port": 6543, "dbname": "lake"}
    arn = kept(aws, "lake/fields", fields)
    assert database_url(arn, region=REGION) == "postgresql://lake:p%40s%2Fs%3Aw@db.internal:6543/lake"


@pytest.mark.parametrize("value", ["hunter2", {"password": "hunter2"}, '["hunter2"]', '{"password": "hunter2'])
def test_an_invalid_secret_is_rejected_without_showing_its_value(value: object, aws: AwsServer) -> None:
    name = f"lake/bad-{abs(hash(str(value)))}"
    kept(aws, name, value)
    with pytest.raises(SettingsError, match=r"LAKE_LEDGER_SECRET.*neither a URL") as raised:
        database_url(name, region=REGION)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_missing_secret_is_reported_without_its_name_which_may_be_a_password() -> None:
    with pytest.raises(SettingsError, match="there is no such secret") as raised:
        database_url("hunter2", region=REGION)
    assert "hunter2" not in str(raised.value)


def test_an_unreachable_secrets_manager_is_reported_without_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StorageUnavailable, match="LAKE_LEDGER_SECRET: no answer") as raised:
        database_url("hunter2", region=REGION)
    assert "hunter2" not in str(raised.value)


def test_a_ledger_url_and_a_ledger_secret_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="LAKE_LEDGER_URL is set too"):
        load_settings(ledger_secret="lake/url", ledger_url="postgresql://u:p@h/d")
