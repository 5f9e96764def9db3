"""Inspect raw files: what a conversion with the present settings would do with them, and which settings fit better."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from itertools import chain
from typing import Any

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.inference import infer
from lake_pipeline.contract.paths import Path, parse_path
from lake_pipeline.convert.block_values import ConvertedBlock
from lake_pipeline.convert.kernel.blocks import BlockConverter
from lake_pipeline.convert.kernel.file_outcome import completed_outcome, is_refused
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.errors import NothingToInspect
from lake_pipeline.storage.object_store import ObjectInfo, ObjectStore
from lake_pipeline.usecases.inspection.candidates import date_candidates, mode_candidates
from lake_pipeline.usecases.inspection.cautions import warnings_about
from lake_pipeline.usecases.inspection.fields import Field, fields_of
from lake_pipeline.usecases.inspection.findings import Candidate, ColumnFacts, Inspection, QuarantineFacts
from lake_pipeline.usecases.inspection.sample import FILE_BYTES, SAMPLE_BYTES, Sampled, chosen, listed, sampled

READERS = 8


def inspect(store: ObjectStore, prefix: str, options: ConversionOptions) -> Inspection:
    """Inspect the file at the key `prefix`, or the files below it. Writes nothing.

    Raises `NothingToInspect` if there is none, and `StorageUnavailable`.
    """
    infos, is_partial = _infos(store, prefix)
    if not infos:
        raise NothingToInspect(f"{store.uri}/{prefix}: there is no file with this name, and none below it.")
    samples = _samples(store, infos, options)
    records = [value for sample in samples for value in sample.values]
    contract = EvolvingContract(Contract(rules=options.rules).evolved(infer(records, options.rules)))
    blocks = _converted(samples, contract, options)
    fields = fields_of(records, options.rules.excluded)
    dates = date_candidates(fields, len(records), options)
    modes = mode_candidates(fields, len(records), dates, options)
    read = sum(counts.read for block in blocks for counts in block.counts.values())
    rows = _partitions(blocks)
    return Inspection(
        listed_files=len(infos),
        listed_bytes=sum(info.size for info in infos),
        is_partial=is_partial,
        files=tuple(sample.facts for sample in samples),
        records=read,
        published=rows.total(),
        quarantined=read - rows.total(),
        columns=tuple(_columns(contract.current, fields, len(records))),
        dates=dates,
        modes=modes,
        quarantine=tuple(_quarantine(samples, blocks, options)),
        partitions=rows,
        warnings=tuple(warnings_about(contract.current, fields, len(records))),
        settings=_settings(fields, dates, modes, len(records), options),
    )


def _infos(store: ObjectStore, prefix: str) -> tuple[list[ObjectInfo], bool]:
    info = store.stat(prefix) if prefix and not prefix.endswith("/") else None
    if info is not None:
        return [info], False
    return listed(store.objects(f"{prefix.rstrip('/')}/" if prefix else ""))


def _samples(store: ObjectStore, infos: Sequence[ObjectInfo], options: ConversionOptions) -> list[Sampled]:
    some = chosen(infos)
    size = min(FILE_BYTES, SAMPLE_BYTES // len(some))
    with ThreadPoolExecutor(READERS, thread_name_prefix="inspect") as pool:
        read = partial(sampled, store, options=options, size=size)
        return list(pool.map(read, some, range(1, len(some) + 1)))


def _converted(
    samples: Sequence[Sampled], contract: EvolvingContract, options: ConversionOptions
) -> list[ConvertedBlock]:
    converter = BlockConverter(str(uuid.uuid4()), contract, options)
    return [converter.convert(list(sample.segments), whole_files=True) for sample in samples if sample.segments]


def _partitions(blocks: Sequence[ConvertedBlock]) -> Counter[tuple[date, str]]:
    rows: Counter[tuple[date, str]] = Counter()
    for block in blocks:
        for part in block.rows:
            rows[part.partition.day, part.partition.mode] += part.span.count
    return rows


def _quarantine(
    samples: Sequence[Sampled], blocks: Sequence[ConvertedBlock], options: ConversionOptions
) -> Iterator[QuarantineFacts]:
    """By reason, the most frequent first."""
    first: dict[str, QuarantineFacts] = {}
    counts: Counter[str] = Counter()
    for fact in chain(_refused(samples, blocks, options), _quarantined(blocks)):
        counts[fact.reason] += fact.records
        first.setdefault(fact.reason, fact)
    for reason, number in counts.most_common():
        yield replace(first[reason], records=number)


def _refused(
    samples: Sequence[Sampled], blocks: Sequence[ConvertedBlock], options: ConversionOptions
) -> Iterator[QuarantineFacts]:
    """Files with too many malformed records: each is refused as a whole."""
    keys = {number: sample.facts.key for number, sample in enumerate(samples, start=1)}
    for file_id, counts in chain.from_iterable(block.counts.items() for block in blocks):
        if is_refused(counts, options.max_bad_share):
            outcome = completed_outcome(file_id, counts, options.max_bad_share)
            yield QuarantineFacts(
                reason=str(outcome.reason),
                records=counts.read,
                key=keys[file_id],
                record=0,
                detail=str(outcome.error),
            )


def _quarantined(blocks: Sequence[ConvertedBlock]) -> Iterator[QuarantineFacts]:
    for record in chain.from_iterable(block.quarantined for block in blocks):
        yield QuarantineFacts(
            reason=record.reason, records=1, key=record.file.key, record=record.record, detail=record.detail
        )


def _columns(contract: Contract, fields: Mapping[Path, Field], records: int) -> Iterator[ColumnFacts]:
    for column in contract.columns:
        field = fields.get(column.path)
        yield ColumnFacts(
            name=column.name,
            path=column.path,
            type=str(column.type),
            share=len(field.records) / records if field and records else 0.0,
            examples=field.examples if field else (),
        )


def _settings(
    fields: Mapping[Path, Field],
    dates: Sequence[Candidate],
    modes: Sequence[Candidate],
    records: int,
    options: ConversionOptions,
) -> dict[str, str]:
    """Settings that fit the sample better than the present ones."""
    better: dict[str, str] = {}
    if dates and len(options.date_paths) == 1 and not _fits(options.date_field, dates, dates[0].records):
        better["LAKE_DATE_FIELD"] = dates[0].path
    has_mode = parse_path(options.mode_field) in fields
    if modes and not has_mode and 2 * modes[0].records > records:
        better["LAKE_MODE_FIELD"] = modes[0].path
    return better


def _fits(path: str, candidates: Sequence[Candidate], records: int) -> bool:
    """Whether a field is among the best: as many records have a usable value there."""
    return any(candidate.path == path and candidate.records == records for candidate in candidates)


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """The inspection as a JSON object."""
    partitions = [
        {"day": day.isoformat(), "mode": mode, "rows": rows} for (day, mode), rows in inspection.partitions.items()
    ]
    return {**asdict(inspection), "partitions": partitions}
