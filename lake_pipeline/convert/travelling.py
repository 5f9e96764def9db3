"""Requests and reports as JSON: how they travel to an engine that is no process of ours, and back.

The values themselves are in `request`; where the JSON is kept and who reads it is for the engine.
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
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.manifest import Manifest


def request_to_json(request: ConversionRequest) -> dict[str, Any]:
    """A JSON object that `request_from_json` reads back. Of the files, only what converting needs travels."""
    return {
        "batch_id": request.batch_id,
        "files": [[file.file_id, file.key, file.etag, file.size, file.archived_at] for file in request.files],
        "contract": request.contract.to_json() if request.contract is not None else None,
        "options": options_to_json(request.options),
        "widens_from": request.widens_from,
        "share": request.share,
    }


def request_from_json(data: Mapping[str, Any]) -> ConversionRequest:
    """The inverse of `request_to_json`. Raises KeyError, TypeError or ValueError for anything else."""
    return ConversionRequest(
        batch_id=data["batch_id"],
        files=tuple(
            RawFile(file_id=file_id, key=key, etag=etag, size=size, archived_at=archived_at)
            for file_id, key, etag, size, archived_at in data["files"]
        ),
        contract=Contract.from_json(data["contract"]) if data["contract"] is not None else None,
        options=options_from_json(data["options"]),
        widens_from=data["widens_from"],
        share=data["share"],
    )


def options_to_json(options: ConversionOptions) -> dict[str, Any]:
    """A JSON object that `options_from_json` reads back."""
    plain = {each.name: getattr(options, each.name) for each in fields(options)}
    return {
        **plain,
        "first_date": options.first_date.isoformat(),
        "last_date": options.last_date.isoformat(),
        "rules": options.rules.to_json(),
        "truncated": options.truncated.value,
    }


def options_from_json(data: Mapping[str, Any]) -> ConversionOptions:
    """The inverse of `options_to_json`; what is left out has its default."""
    meanings: dict[str, Callable[[Any], Any]] = {
        "first_date": date.fromisoformat,
        "last_date": date.fromisoformat,
        "rules": Rules.from_json,
        "truncated": Truncated,
    }
    return ConversionOptions(**{name: meanings.get(name, lambda value: value)(value) for name, value in data.items()})


def report_to_json(report: ConversionReport) -> dict[str, Any]:
    """A JSON object that `report_from_json` reads back."""
    return {
        **{each.name: getattr(report, each.name) for each in fields(report)},
        "manifest": report.manifest.to_json(),
        "contract": report.contract.to_json(),
        "evidence": report.evidence.to_json(),
    }


def report_from_json(data: Mapping[str, Any]) -> ConversionReport:
    """The inverse of `report_to_json`, but for the rules of the contract, which whoever asked has."""
    return ConversionReport(
        **{
            **data,
            "manifest": Manifest.from_json(data["manifest"]),
            "contract": Contract.from_json(data["contract"]),
            "evidence": Evidence.from_json(data["evidence"]),
        }
    )
