"""Redaction: no credential is left in a text that is shown, and what helps to find a fault is left."""

from __future__ import annotations

import pytest

from lake_pipeline.model.redaction import (
    looks_like_credential,
    shown_database_url,
    shown_webhook,
    without_credentials,
)

DATABASE_URLS = [
    "postgresql://lake:hunter2@db:5432/lake",
    "postgresql://lake:hun@hunter2@db/lake",
    "postgresql://lake:a/hunter2@db/lake",
    "postgresql://lake:a?hunter2@db/lake",
    "postgresql://lake:@db/lake?password=hunter2",
    "postgresql://db/lake?user=lake&password=hunter2&sslmode=require",
    "postgresql+psycopg2://lake@db/lake?sslmode=verify-full&sslpassword=hunter2",
    "postgresql://lake@db/lake?sslkey=hunter2",
    "postgresql://lake@db/lake?passfile=hunter2",
    "postgresql://lake@db/lake?PASSWORD=hunter2",
    "postgresql://lake@db/lake?oauth_client_secret=hunter2",
]
"""Each has the password hunter2."""

OTHER_TEXTS = [
    "http://minio:hunter2@minio:9000",
    "https://hunter2@example.com/x",
    "https://example.com/?X-Amz-Credential=hunter2/x&X-Amz-Signature=hunter2",
    "https://example.com/hook?token=hunter2#top",
    "https://example.com/?sig=hunter2&api_key=hunter2&access-key=hunter2",
    "jdbc:postgresql://db/lake?user=lake&password=hunter2",
    "jdbc:sqlserver://db:1433;databaseName=lake;user=lake;password=hunter2;encrypt=true",
    "s3://AKIAIOSFODNN7EXAMPLE:hunter2/x@bucket/prefix",
    "could not connect with 'postgresql://lake:hunter2@db/lake': timeout",
    "connection failed: host=db password=hunter2 user=lake",
    "connection failed: host=db password='hun\\'hunter2' user=lake",
    '{"username": "lake", "password": "hunter2", "port": 5432}',
    "{'AWS_SECRET_ACCESS_KEY': 'hunter2'}",
    "aws_session_token = hunter2",
]


@pytest.mark.parametrize("text", [*DATABASE_URLS, *OTHER_TEXTS])
def test_no_credential_is_left(text: str) -> None:
    shown = without_credentials(f"It failed: {text} (3 attempts)")

    assert "hunter2" not in shown
    assert shown.startswith("It failed: ")
    assert shown.endswith("(3 attempts)")
    assert without_credentials(shown) == shown


@pytest.mark.parametrize("url", DATABASE_URLS)
def test_the_url_of_a_database_has_no_credential(url: str) -> None:
    assert "hunter2" not in shown_database_url(url)


def test_what_helps_to_find_a_fault_is_left() -> None:
    url = "postgresql://lake:hunter2@db:5432/lake?sslmode=require&password=hunter2&sslrootcert=/ca.pem"

    assert shown_database_url(url) == (
        "postgresql://lake:***@db:5432/lake?sslmode=require&password=***&sslrootcert=/ca.pem"
    )
    for text in (
        "s3://bucket/a@b:c.json is missing",
        "http://127.0.0.1:3000/runs/1?tab=x",
        "rows: 3, tokens of the key: 7",
        "LAKE_LEDGER_SECRET: there is no such secret in this account and region",
        "the password is wrong",
    ):
        assert without_credentials(text) == text


def test_only_the_host_of_a_webhook_is_shown() -> None:
    for url in ("https://hooks.example.com/services/T0/B0/hunter2", "https://u:hunter2@hooks.example.com?x=hunter2"):
        assert shown_webhook(url) == "https://hooks.example.com/***"


def test_known_secrets_are_removed_from_any_text() -> None:
    assert without_credentials('could not translate host name "ss@db"', ["ss"]) == (
        'could not translate host name "***@db"'
    )


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "s3://key:secret@bucket",
        "https://token@host",
    ],
)
def test_generated_keys_are_recognized(text: str) -> None:
    assert looks_like_credential(text)


@pytest.mark.parametrize("text", ["s3://Bucket", "many", "/data/lake", "meta.created_at", "0 25 * * *", "2026-13-01"])
def test_usual_values_are_no_credentials(text: str) -> None:
    assert not looks_like_credential(text)
