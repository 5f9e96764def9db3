"""Settings: accepted values, and errors of one line that name the variable."""

from __future__ import annotations

import os
import traceback
from datetime import date
from pathlib import Path

import pytest

from lake_pipeline.errors import SettingsError
from lake_pipeline.settings import load_settings
from lake_pipeline.settings.docs_page import settings_page
from lake_pipeline.settings.settings import settings_groups
from lake_pipeline.settings.value_types import S3Root
from lake_pipeline_tests.support.repository import REPOSITORY


@pytest.fixture(autouse=True)
def no_lake_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)


def test_a_laptop_needs_no_setting() -> None:
    settings = load_settings()

    assert settings.storage.root == Path.cwd() / "lake"
    assert settings.storage.home == Path.cwd() / ".lake"
    assert settings.ledger.url is None
    assert settings.conversion.engine == "in_process"
    assert settings.records.first_date == date(2010, 1, 1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LAKE_ROOT", "s3:/bucket/lake", "s3://bucket/prefix"),
        ("LAKE_ROOT", "s3://Bucket", "no valid bucket name"),
        ("LAKE_ROOT", "s3://bucket/a//b", "without empty segments"),
        ("LAKE_ROOT", "s3://bucket/" + "x" * 101, "100 bytes"),
        ("LAKE_ROOT", "gs://bucket", "not a valid location"),
        ("LAKE_S3_ENDPOINT_URL", "minio:9000", "http://host:port"),
        ("LAKE_AWS_REGION", "Frankfurt am Main", "pattern"),
        ("LAKE_HOME", "~nobody-by-this-name/x", "home"),
        ("LAKE_LEDGER_URL", "mysql://user:hunter2@host/db", "not a PostgreSQL URL"),
        ("LAKE_LEDGER_URL", "localhost:5432/db", "not a PostgreSQL URL"),
        ("LAKE_LEDGER_URL", "postgresql://user:hunter2@host:port/db", "invalid host or port"),
        ("LAKE_LEDGER_URL", "postgresql://user:hunter2@host", "no database name"),
        ("LAKE_DAGSTER_URL", "sqlite:///dagster.db", "not a PostgreSQL URL"),
        ("LAKE_ENGINE", "flink", "'flink' is not an engine; use in_process, spark or glue"),
        ("LAKE_ENGINE", "fast", "is not an engine"),
        ("LAKE_SPARK_MASTER", "localhost:7077", "spark://host:7077"),
        ("LAKE_DATE_FIELD", "a..b", "not a valid field path"),
        ("LAKE_DATE_FIELD", ".a", "not a valid field path"),
        ("LAKE_DATE_FIELD", "$.a.b", "a.b"),
        ("LAKE_MODE_FIELD", "items[0].mode", "not a valid field path"),
        ("LAKE_DEFAULT_MODE", "x" * 129, "not a valid mode"),
        ("LAKE_KEY_PATTERN", "(", "not a valid regular expression"),
        ("LAKE_KEY_PATTERN", "date", "no named group"),
        ("LAKE_KEY_PATTERN", r"(?P<datum>\d+)", "datum"),
        ("LAKE_FIRST_DATE", "2026-13-01", "month"),
        ("LAKE_LAST_DATE", "2001-01-01", "LAKE_FIRST_DATE"),
        ("LAKE_MAX_BAD_SHARE", "1.5", "less than or equal to 1"),
        ("LAKE_MAX_BAD_SHARE", "nan", "finite"),
        ("LAKE_TIME_ZONE", "Mars/Olympus", "not a time zone"),
        ("LAKE_TIME_ZONE", "Europe", "not a time zone"),
        ("LAKE_TIME_ZONE", "../etc/passwd", "not a time zone"),
        ("LAKE_TRUNCATED", "drop", "'refuse' or 'keep'"),
        ("LAKE_MAX_RECORD_BYTES", "0", "greater than or equal to 1024"),
        ("LAKE_MAX_UNPACKED_RATIO", "1", "greater than or equal to 10"),
        ("LAKE_MAX_BLANK_BYTES", "1KB", "greater than or equal to 1048576"),
        ("LAKE_BATCH_FILES", "0", "greater than or equal to 1"),
        ("LAKE_BATCH_FILES", "many", "integer"),
        ("LAKE_BATCH_BYTES", "lots", "500MB, 2GB"),
        ("LAKE_LISTING_CRON", "0 25 * * *", "not a valid schedule"),
        ("LAKE_LISTING_CRON", "@weekly", "not a valid schedule"),
        ("LAKE_WORKERS", "0", "greater than or equal to 1"),
        ("LAKE_DATE_FEILD", "published", "LAKE_DATE_FIELD"),
        ("LAKE_LEDGER_URI", "postgresql://host/db", "LAKE_LEDGER_URL"),
    ],
)
def test_an_invalid_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert refused.value.setting == name
    assert str(refused.value).startswith(f"{name}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_message_and_no_repr_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:x/d", "postgresql://u:hunter2@[h/d", "hunter2"):
        monkeypatch.setenv("LAKE_LEDGER_URL", url)
        with pytest.raises(SettingsError) as refused:
            load_settings()
        assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("LAKE_LEDGER_URL", "postgresql://u:hunter2@h/d")
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_every_form_of_a_postgresql_url_uses_psycopg2(scheme: str) -> None:
    assert load_settings(ledger_url=f"{scheme}://u@h:5432/d").ledger.url == "postgresql+psycopg2://u@h:5432/d"


@pytest.mark.parametrize(
    ("text", "value"), [("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1GiB", 1 << 30), ("4096", 4096)]
)
def test_sizes_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, value: int) -> None:
    monkeypatch.setenv("LAKE_BATCH_BYTES", text)
    assert load_settings().batches.batch_bytes == value


@pytest.mark.parametrize("path", ["published", "database_specific.review_status", "@timestamp", "a.$date", "a b.c"])
def test_field_paths_may_have_any_json_key(path: str) -> None:
    assert load_settings(date_field=path).records.date_field == path


@pytest.mark.parametrize("schedule", ["0 6 * * 1", "*/15 8-18 1,15 * 1-5"])
def test_schedules_are_cron_lines(schedule: str) -> None:
    assert load_settings(listing_cron=schedule).dagster.listing_cron == schedule


@pytest.mark.parametrize("written", ["s3://bucket/a b/ü", "s3://bucket/a b/ü/", "S3://bucket/a b/ü"])
def test_a_lake_on_s3_is_a_bucket_and_a_prefix(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("LAKE_ROOT", written)
    root = load_settings().storage.root
    assert root == S3Root("bucket", "a b/ü/")
    assert str(root) == "s3://bucket/a b/ü"
    with pytest.raises(SettingsError, match="demo needs a directory"):
        _ = load_settings().storage.directory


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", "")
    assert load_settings().ledger.url is None


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SUPERIOR", "1")
    load_settings()


def test_directories_are_absolute_so_that_every_process_uses_the_same_ones() -> None:
    settings = load_settings(root="somewhere", home="~/there")
    assert settings.storage.root == Path.cwd() / "somewhere"
    assert settings.storage.home == Path.home() / "there"


def test_every_setting_is_described() -> None:
    fields = {(group, name): field for group, model in settings_groups() for name, field in model.model_fields.items()}
    assert [name for name, field in fields.items() if not field.description] == []


def test_the_page_in_docs_is_generated_from_the_settings() -> None:
    assert (REPOSITORY / "docs/settings.md").read_text() == settings_page(), (
        "docs/settings.md is outdated: run `make docs`"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAKE_LEDGER_SECRET", "postgresql://lake:hunter2@db/lake"),
        ("LAKE_LEDGER_SECRET", "hunter2 and a space"),
        ("LAKE_LEDGER_URL", "mysql://db/lake?user=lake&password=hunter2"),
        ("LAKE_LEDGER_URL", "postgresql://lake:a/hunter2@db/lake"),
        ("LAKE_LEDGER_URL", "postgresql://lake:12/hunter2@db/lake"),
        ("LAKE_LEDGER_URL", "postgresql://lake:a@hunter2@db/lake"),
        ("LAKE_LEDGER_URL", "postgresql://lake@db?password=hunter2"),
        ("LAKE_DAGSTER_URL", "sqlite:///x?password=hunter2"),
        ("LAKE_ROOT", "s3://AKIAIOSFODNN7EXAMPLE:hunter2@bucket/lake"),
        ("LAKE_ROOT", "https://lake:hunter2@minio/bucket"),
        ("LAKE_HOME", "~nobody-by-this-name/postgresql://lake:hunter2@db/lake"),
        ("LAKE_S3_ENDPOINT_URL", "http://lake:hunter2@minio:9000"),
        ("LAKE_S3_ENDPOINT_URL", "http://:hunter2@minio:9000"),
        ("LAKE_S3_ENDPOINT_URL", "http://minio:9000#hunter2"),
        ("LAKE_ALERTS", "https://hunter2@hooks.example.com/services"),
        ("LAKE_ALERTS", "hooks.example.com/services/hunter2"),
        ("LAKE_ALERTS", "https://hooks.example.com/hunter2\u00fc"),
        ("LAKE_SPARK_MASTER", "k8s:https://lake:hunter2@cluster"),
        ("LAKE_BATCH_BYTES", "password=hunter2"),
        ("LAKE_TIME_ZONE", "postgresql://lake:hunter2@db/lake"),
        ("LAKE_LEDGER_URI", "postgresql://lake:hunter2@db/lake"),
        ("LAKE_AWS_REGION", "aws_secret_access_key=hunter2"),
        # A path would take these, and lose one slash of the URL, which is then no URL that could be masked.
        ("LAKE_HOME", "postgresql://lake:hunter2@db/lake"),
        ("LAKE_HOME", "s3://bucket/hunter2"),
        ("LAKE_CONTRACT_FILE", "postgresql://lake:hunter2@db/lake"),
        ("LAKE_LEDGER_CA", "postgresql://db/lake?password=hunter2"),
        # The path of a webhook is its password.
        ("LAKE_ROOT", "https://hooks.example.com/services/hunter2"),
        ("LAKE_MIN_AGE_SECONDS", "https://hooks.example.com/services/hunter2"),
        ("LAKE_OWNER", "HTTPS://hooks.example.com/hunter2"),
    ],
)
def test_no_message_repeats_a_value_that_may_be_a_credential(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    assert str(refused.value).startswith(f"{name}: ")


def test_settings_with_credentials_are_not_in_their_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", "postgresql://db/lake?password=hunter2")
    monkeypatch.setenv("LAKE_DAGSTER_URL", "postgresql://db/dagster?password=hunter2")
    monkeypatch.setenv("LAKE_ALERTS", "https://hooks.example.com/services/hunter2")

    settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings}"
    assert settings.dagster.alerts == "https://hooks.example.com/services/hunter2"


def test_patterns_of_names_are_lists_that_child_processes_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "*.md5" in load_settings().storage.exclude
    monkeypatch.setenv("LAKE_INCLUDE", "*.json,*.json.gz")
    monkeypatch.setenv("LAKE_EXCLUDE", "none")
    settings = load_settings()
    assert (settings.storage.include, settings.storage.exclude) == (("*.json", "*.json.gz"), ())
    for variable in ("LAKE_INCLUDE", "LAKE_EXCLUDE"):
        monkeypatch.setenv(variable, settings.variables()[variable])
    assert load_settings() == settings
    monkeypatch.setenv("LAKE_INCLUDE", "*.json,,x")
    with pytest.raises(SettingsError, match="LAKE_INCLUDE"):
        load_settings()
