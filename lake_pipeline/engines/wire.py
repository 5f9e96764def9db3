"""Requests, reports and errors as JSON, for an engine in another process.

The values are defined in `convert.request`; where the JSON is stored is up to the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date
from typing import Any

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.rules import Rules
from lake_pipeline.convert.request import ConversionOptions, ConversionReport, ConversionRequest, Truncated
from lake_pipeline.errors import (
    EngineUnavailable,
    LakeError,
    LedgerOutdated,
    PermanentError,
    SettingsError,
    StorageUnavailable,
    TransientError,
    WorkersLost,
)
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import Manifest


def request_to_json(request: ConversionRequest) -> dict[str, Any]:
    """A JSON object for `request_from_json`, with the fields of files that a conversion needs."""
    return {
        "batch_id": request.batch_id,
        "files": [[file.file_id, file.key, file.etag, file.size, file.archive_key] for file in request.files],
        "contract": request.contract.to_json() if request.contract is not None else None,
        "options": options_to_json(request.options),
        "widens_from": request.widens_from,
        "kept": sorted(request.kept),
        "shard": request.shard,
        "lake_id": request.lake_id,
    }


def request_from_json(data: Mapping[str, Any]) -> ConversionRequest:
    """The inverse of `request_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    return ConversionRequest(
        batch_id=data["batch_id"],
        files=tuple(
            RawFile(file_id=file_id, key=key, etag=etag, size=size, archive_key=archive_key)
            for file_id, key, etag, size, archive_key in data["files"]
        ),
        contract=Contract.from_json(data["contract"]) if data["contract"] is not None else None,
        options=options_from_json(data["options"]),
        widens_from=data["widens_from"],
        kept=frozenset(data["kept"]),
        shard=data["shard"],
        lake_id=data["lake_id"],
    )


def options_to_json(options: ConversionOptions) -> dict[str, Any]:
    """A JSON object for `options_from_json`."""
    plain = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        **plain,
        "first_date": options.first_date.isoformat(),
        "last_date": options.last_date.isoformat(),
        "rules": options.rules.to_json(),
        "truncated": options.truncated.value,
    }


def options_from_json(data: Mapping[str, Any]) -> ConversionOptions:
    """The inverse of `options_to_json`; missing options have their defaults."""
    readers: dict[str, Callable[[Any], Any]] = {
        "first_date": date.fromisoformat,
        "last_date": date.fromisoformat,
        "rules": Rules.from_json,
        "truncated": Truncated,
    }
    return ConversionOptions(**{name: readers.get(name, lambda value: value)(value) for name, value in data.items()})


def report_to_json(report: ConversionReport) -> dict[str, Any]:
    """A JSON object for `report_from_json`."""
    return {
        **{field.name: getattr(report, field.name) for field in fields(report)},
        "manifest": report.manifest.to_json(),
        "contract": report.contract.to_json(),
        "evidence": report.evidence.to_json(),
    }


def report_from_json(data: Mapping[str, Any]) -> ConversionReport:
    """The inverse of `report_to_json`, except for the rules of the contract, which the caller has."""
    return ConversionReport(
        **{
            **data,
            "manifest": Manifest.from_json(data["manifest"]),
            "contract": Contract.from_json(data["contract"]),
            "evidence": Evidence.from_json(data["evidence"]),
        }
    )


_ERRORS: dict[str, type[LakeError]] = {
    kind.__name__: kind for kind in (StorageUnavailable, EngineUnavailable, WorkersLost, TransientError, PermanentError)
}
"""What an error that crosses processes can be, the most special first."""


def error_to_json(error: Exception) -> dict[str, str]:
    """A JSON object for `error_from_json`. For an unforeseen error the log of its process says more."""
    text = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
    special = SettingsError | LedgerOutdated
    kind = EngineUnavailable if isinstance(error, special) else _kind(error)
    return {"kind": kind.__name__, "text": text}


def error_from_json(data: Mapping[str, str]) -> LakeError:
    """An error with the same text that decides the same about retries. Raises KeyError for anything else."""
    return _ERRORS[data["kind"]](data["text"])


def _kind(error: Exception) -> type[LakeError]:
    return next((kind for kind in _ERRORS.values() if isinstance(error, kind)), TransientError)
