"""Documents that are nested too deep are damaged documents, wherever they are read."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.secrets import _url_from_json
from lake_pipeline.errors import LakeError, LakeMismatch, PermanentError, SettingsError
from lake_pipeline.ledger.transfer import HEADER, read_header
from lake_pipeline.model.commit import Commit
from lake_pipeline.model.json_document import parse_document
from lake_pipeline.model.snapshot_record import SnapshotRecord
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.identity import read_identity
from lake_pipeline.storage.location import S3Location
from lake_pipeline.storage.s3.events import _parsed
from lake_pipeline.storage.s3.inventory import BadInventory, _read_manifest
from lake_pipeline.storage.zones import IDENTITY

DEEP = b"[" * 200_000


@pytest.mark.parametrize("read", [parse_document, lambda text: parse_document(text.decode())])
def test_a_document_that_is_nested_too_deep_is_no_json(read: Callable[[bytes], object]) -> None:
    with pytest.raises(ValueError, match="too deep"):
        read(DEEP)


@pytest.mark.parametrize("record", [Commit, SnapshotRecord])
def test_a_commit_and_a_snapshot_that_are_nested_too_deep_are_damaged(record: type[Commit | SnapshotRecord]) -> None:
    with pytest.raises(ValueError, match="too deep"):
        record.from_bytes(gzip.compress(DEEP))


def test_an_identity_and_an_inventory_that_are_nested_too_deep_are_damaged(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    (tmp_path / IDENTITY).write_bytes(DEEP)
    with pytest.raises(LakeMismatch, match="damaged"):
        read_identity(store)
    with pytest.raises(BadInventory, match="too deep"):
        _read_manifest(store, IDENTITY)  # type: ignore[arg-type]  # it only opens the object


def test_a_message_that_is_nested_too_deep_is_left_to_the_dead_letter_queue() -> None:
    location = S3Location(bucket="bucket", prefix="", access=AwsAccess())
    message = _parsed({"ReceiptHandle": "1", "Body": DEEP.decode()}, location)
    assert not message.understood


def test_an_export_and_a_secret_that_are_nested_too_deep_are_refused() -> None:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(HEADER, DEEP)
    refused: list[tuple[type[LakeError], Callable[[], object]]] = [
        (PermanentError, lambda: read_header(file)),
        (SettingsError, lambda: _url_from_json(DEEP.decode())),
    ]
    for error, read in refused:
        with pytest.raises(error):
            read()
