"""Settings: what is accepted, and that a wrong one ends in one line that names its variable."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from lake_pipeline.errors import SettingsError
from lake_pipeline.settings import Settings, load_settings
from lake_pipeline.settings.kinds import S3Root
from lake_pipeline.settings.page import settings_page

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_lake_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("LAKE_")]:
        monkeypatch.delenv(name)


def test_a_laptop_needs_no_setting() -> None:
    settings = load_settings()

    assert settings.root == Path.cwd() / "lake"
    assert settings.home == Path.cwd() / ".lake"
    assert settings.ledger_url is None
    assert settings.engine == "in_process"
    assert settings.first_date == date(2010, 1, 1)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LAKE_ROOT", "s3:/bucket/lake", "s3://bucket/prefix"),
        ("LAKE_ROOT", "s3://Bucket", "names no bucket"),
        ("LAKE_ROOT", "s3://bucket/a//b", "without empty parts"),
        ("LAKE_ROOT", "s3://bucket/" + "x" * 101, "100 bytes"),
        ("LAKE_ROOT", "gs://bucket", "no place for a lake"),
        ("LAKE_S3_ENDPOINT_URL", "minio:9000", "http://host:port"),
        ("LAKE_AWS_REGION", "Frankfurt am Main", "pattern"),
        ("LAKE_HOME", "~nobody-by-this-name/x", "home"),
        ("LAKE_LEDGER_URL", "mysql://user:hunter2@host/db", "not a PostgreSQL URL"),
        ("LAKE_LEDGER_URL", "localhost:5432/db", "not a PostgreSQL URL"),
        ("LAKE_LEDGER_URL", "postgresql://user:hunter2@host:port/db", "can't be read"),
        ("LAKE_LEDGER_URL", "postgresql://user:hunter2@host", "names no database"),
        ("LAKE_DAGSTER_URL", "sqlite:///dagster.db", "not a PostgreSQL URL"),
        ("LAKE_ENGINE", "flink", "'flink' is no engine; use in_process, spark or glue"),
        ("LAKE_ENGINE", "fast", "is no engine"),
        ("LAKE_SPARK_MASTER", "localhost:7077", "spark://host:7077"),
        ("LAKE_DATE_FIELD", "a..b", "no field path"),
        ("LAKE_DATE_FIELD", ".a", "no field path"),
        ("LAKE_DATE_FIELD", "$.a.b", "a.b"),
        ("LAKE_MODE_FIELD", "items[0].mode", "no field path"),
        ("LAKE_DEFAULT_MODE", "x" * 129, "no mode"),
        ("LAKE_KEY_PATTERN", "(", "no regular expression"),
        ("LAKE_KEY_PATTERN", "date", "no named group"),
        ("LAKE_KEY_PATTERN", r"(?P<datum>\d+)", "datum"),
        ("LAKE_FIRST_DATE", "2026-13-01", "month"),
        ("LAKE_LAST_DATE", "2001-01-01", "LAKE_FIRST_DATE"),
        ("LAKE_MAX_BAD_SHARE", "1.5", "less than or equal to 1"),
        ("LAKE_MAX_BAD_SHARE", "nan", "finite"),
        ("LAKE_TIME_ZONE", "Mars/Olympus", "no time zone"),
        ("LAKE_TIME_ZONE", "Europe", "no time zone"),
        ("LAKE_TIME_ZONE", "../etc/passwd", "no time zone"),
        ("LAKE_TRUNCATED", "drop", "'refuse' or 'keep'"),
        ("LAKE_MAX_RECORD_BYTES", "0", "greater than or equal to 1024"),
        ("LAKE_BATCH_FILES", "0", "greater than or equal to 1"),
        ("LAKE_BATCH_FILES", "many", "integer"),
        ("LAKE_BATCH_BYTES", "lots", "500MB, 2GB"),
        ("LAKE_LISTING_CRON", "0 25 * * *", "no schedule"),
        ("LAKE_LISTING_CRON", "@weekly", "no schedule"),
        ("LAKE_WORKERS", "0", "greater than or equal to 1"),
        ("LAKE_DATE_FEILD", "published", "LAKE_DATE_FIELD"),
        ("LAKE_LEDGER_URI", "postgresql://host/db", "LAKE_LEDGER_URL"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert refused.value.setting == name
    assert str(refused.value).startswith(f"{name}: ")
    assert told in str(refused.value)
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
def test_every_spelling_of_a_postgresql_url_means_psycopg2(scheme: str) -> None:
    assert load_settings(ledger_url=f"{scheme}://u@h:5432/d").ledger_url == "postgresql+psycopg2://u@h:5432/d"


@pytest.mark.parametrize(
    ("written", "meant"), [("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1GiB", 1 << 30), ("4096", 4096)]
)
def test_sizes_are_written_as_people_write_them(monkeypatch: pytest.MonkeyPatch, written: str, meant: int) -> None:
    monkeypatch.setenv("LAKE_BATCH_BYTES", written)
    assert load_settings().batch_bytes == meant


@pytest.mark.parametrize("path", ["published", "database_specific.review_status", "@timestamp", "a.$date", "a b.c"])
def test_field_paths_may_name_what_json_names(path: str) -> None:
    assert load_settings(date_field=path).date_field == path


@pytest.mark.parametrize("schedule", ["0 6 * * 1", "*/15 8-18 1,15 * 1-5"])
def test_schedules_are_cron_lines(schedule: str) -> None:
    assert load_settings(listing_cron=schedule).listing_cron == schedule


@pytest.mark.parametrize("written", ["s3://bucket/a b/ü", "s3://bucket/a b/ü/", "S3://bucket/a b/ü"])
def test_a_lake_on_s3_is_a_bucket_and_a_prefix(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("LAKE_ROOT", written)
    root = load_settings().root
    assert root == S3Root("bucket", "a b/ü/")
    assert str(root) == "s3://bucket/a b/ü"
    with pytest.raises(SettingsError, match="demo needs a directory"):
        _ = load_settings().directory


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_LEDGER_URL", "")
    assert load_settings().ledger_url is None


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SUPERIOR", "1")
    load_settings()


def test_places_are_absolute_so_that_every_process_means_the_same() -> None:
    settings = load_settings(root="somewhere", home="~/there")
    assert settings.root == Path.cwd() / "somewhere"
    assert settings.home == Path.home() / "there"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_page_in_docs_is_made_from_the_settings() -> None:
    assert (REPOSITORY / "docs/settings.md").read_text() == settings_page(), "docs/settings.md is old: run make docs"
