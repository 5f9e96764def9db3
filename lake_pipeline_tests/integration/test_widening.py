"""Widening: a published column of integers gets fractions, and all files stay readable together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lake_pipeline.errors import FilesMoved, PermanentError, StorageUnavailable
from lake_pipeline.ledger.claims import Claims
from lake_pipeline.ledger.publication import Publication
from lake_pipeline.model.manifest import Manifest, PendingObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.usecases.batches.ingest import ingest_all, ingest_batch
from lake_pipeline.usecases.batches.widen import widen_column
from lake_pipeline.usecases.checks.verify import verify
from lake_pipeline.usecases.discovery.discover import discover
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.sweep import sweep_pending
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline.usecases.reports.contract import describe
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, land
from lake_pipeline_tests.support.ledger_builders import run_sql

BIG = 2**53 + 1
DAYS = ("2026-02-03", "2026-02-04", "2026-02-05")


def record(day: str = DAYS[0], **fields: Any) -> dict[str, Any]:
    return {"event_time": day, "mode": "live", **fields}


def file_of(*records: dict[str, Any], name: str = "a") -> dict[str, bytes]:
    return {f"2026/week06/{name}.json": ndjson(*records)}


@pytest.fixture
def lake(empty_lake: Lake) -> Lake:
    return empty_lake


@pytest.fixture
def integers(lake: Lake, root: Path) -> list[dict[str, Any]]:
    """Three published partitions with `n` as integers."""
    records = [record(day, n=n, l=[n], s=[{"x": n, "y-z": "t"}]) for day in DAYS for n in range(5)]
    land(root, file_of(*records))
    ingest(lake)
    return records


def parts(root: Path) -> list[Path]:
    return sorted((root / "json_parsed_parquet").rglob("*.parquet"))


def types_of(root: Path, column: str) -> set[str]:
    """The types of a column in all footers that have it."""
    schemas = [pq.read_schema(path) for path in parts(root)]
    return {str(schema.field(column).type) for schema in schemas if column in schema.names}


def read_by_duckdb(root: Path, sql: str) -> list[tuple[Any, ...]]:
    files = f"read_parquet('{root}/json_parsed_parquet/**/*.parquet', union_by_name = true)"
    return duckdb.connect().execute(sql.format(lake=files)).fetchall()


def read_by_pyarrow(root: Path) -> list[dict[str, Any]]:
    """All rows, read with a schema that is unified without promoting any type."""
    schema = pa.unify_schemas([pq.read_schema(path) for path in parts(root)])
    rows = ds.dataset([str(path) for path in parts(root)], schema=schema).to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["_file_id"], row["_record"]))


def partitions_of(lake: Lake) -> set[PartitionKey]:
    return {file.partition for file in lake.ledger.curated.files()}


def whole(lake: Lake) -> bool:
    """Every partition passes its checks, and nothing is left pending."""
    verified = verify(lake, partitions_of(lake))
    return all(verdicts.passed for verdicts in verified) and list(lake.store.pending()) == []


def test_published_integers_become_doubles_when_fractions_come(lake: Lake, root: Path, integers: list[Any]) -> None:
    land(root, file_of(record(n=0.5), name="b"))
    (result,) = ingest(lake)

    assert result.error is None
    assert types_of(root, "n") == {"double"}
    assert types_of(root, "l") == {"list<element: int64>"}
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(16, 30.5)]
    rows = read_by_pyarrow(root)
    assert [row["n"] for row in rows] == [float(row["n"]) for row in integers] + [0.5]
    assert all(row["_rescued"] is None for row in rows)
    assert whole(lake)
    files = lake.ledger.curated.files()
    assert {lake.store.stat(file.key).etag for file in files} == {file.etag for file in files}  # type: ignore[union-attr]
    assert {file.contract_version for file in files} == {2}


def test_integers_in_lists_and_their_structs_become_doubles_too(lake: Lake, root: Path, integers: list[Any]) -> None:
    land(root, file_of(record(l=[1, 0.5], s=[{"x": 1.5, "new": 1}]), name="b"))
    ingest(lake)

    assert types_of(root, "l") == {"list<element: double>"}
    assert {kind.count("x: double") for kind in types_of(root, "s")} == {1}
    assert types_of(root, "n") == {"int64"}
    assert read_by_duckdb(root, "SELECT sum(list_sum(l)), sum(s[1].x), count(s[1].new) FROM {lake}") == [
        (31.5, 31.5, 1)
    ]
    assert whole(lake)


def test_what_no_double_holds_is_rescued_if_a_person_widens_the_column(lake: Lake, root: Path, ledger_url: str) -> None:
    unusual = record(n=-BIG, l=[1, BIG], s=[{"x": BIG, "y-z": "t"}], o={"k": 1})
    usual = record(n=2**53, l=[1], s=[{"x": 1, "y-z": "t"}], o={"k": 1})
    land(root, file_of(usual, unusual, {**usual, "o": {"k": "text"}}, {**unusual, "o": {"k": "text"}}))
    ingest(lake)
    assert lake.ledger.views.status().rows_rescued == 2

    for path in ("n", "l", "s"):
        done = widen_column(lake, path)
        assert (done.files, done.rescued) == (1, 1 if path == "n" else 0)
    land(root, file_of(record(n=0.5, l=[0.5], s=[{"x": 0.5}]), name="b"))
    ingest(lake)

    rows = read_by_pyarrow(root)
    assert [row["n"] for row in rows] == [2.0**53, None, 2.0**53, None, 0.5]
    assert [row["l"] for row in rows] == [[1.0], None, [1.0], None, [0.5]]
    big = f'"n":-{BIG},"l":[1,{BIG}],"s":[{{"x":{BIG},"y-z":"t"}}]}}'
    assert [row["_rescued"] for row in rows] == [
        None,
        "{" + big,
        '{"o.k":"text"}',
        '{"o.k":"text",' + big,
        None,
    ]
    assert lake.ledger.views.status().rows_rescued == 3
    assert run_sql(ledger_url, "SELECT rows_read, rows_rescued FROM file_processing_status ORDER BY 1") == [
        (1, 0),
        (4, 3),
    ]
    assert whole(lake)


def test_the_batch_that_meets_fractions_late_is_doubles_as_a_whole(lake: Lake, root: Path) -> None:
    lake = replace(lake, options=replace(lake.options, workers=1))
    land(root, file_of(record(n=1)))
    ingest(lake)
    land(root, file_of(*[record(n=2) for _ in range(300)], record(n=0.5), name="b"))
    ingest(lake)

    assert types_of(root, "n") == {"double"}
    rows = read_by_pyarrow(root)
    assert [row["n"] for row in rows] == [1.0, *[2.0] * 300, 0.5]
    assert whole(lake)


@pytest.mark.parametrize("first", [(), (record(id=1, l=[1], n=1),)], ids=["new column", "published column"])
def test_ids_of_the_batch_that_meets_a_fraction_stay_in_their_column(
    lake: Lake, root: Path, first: tuple[dict[str, Any], ...]
) -> None:
    if first:
        land(root, file_of(*first))
        ingest(lake)
    ids = [record(id=BIG + number, l=[BIG], n=1) for number in range(300)]
    land(root, file_of(*ids, record(id=0.5, l=[0.5], n=0.5), record(id=7.0, l=[7.0], n=7.0), name="b"))
    ingest(lake)

    rows = read_by_pyarrow(root)[len(first) :]
    assert [row["id"] for row in rows] == [*range(BIG, BIG + 300), None, 7]
    assert [row["l"] for row in rows] == [*[[BIG]] * 300, None, [7]]
    assert [row["n"] for row in rows] == [*[1.0] * 300, 0.5, 7.0]
    assert [row["_rescued"] for row in rows if row["_rescued"]] == ['{"id":0.5,"l":[0.5]}']
    assert lake.ledger.contracts.lossy_widenings() == {"id", "l"}
    assert whole(lake)


def test_one_fraction_takes_no_published_id_out_of_its_column(
    lake: Lake, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(root, file_of(*[record(day, id=BIG, n=1, l=[{"x": -BIG}]) for day in DAYS]))
    ingest(lake)
    land(root, file_of(record(id=7.0, n=1e2, l=[{"x": 2.0}]), record(id=0.5, n=0.5, l=[{"x": 0.5}]), name="b"))
    ingest(lake)

    assert (types_of(root, "id"), types_of(root, "n")) == ({"int64"}, {"double"})
    rows = read_by_pyarrow(root)
    assert [row["id"] for row in rows] == [BIG, BIG, BIG, 7, None]
    assert [row["n"] for row in rows] == [1.0, 1.0, 1.0, 100.0, 0.5]
    assert rows[-1]["_rescued"] == '{"id":0.5,"l":[{"x":0.5}]}'
    assert lake.ledger.views.status().lossy_widenings == {"id", "l"}
    texts = [verdict.schema.text for verdict in verify(lake, partitions_of(lake))]
    assert all("because it has integers beyond 2^53" in text and "`lake contract widen id`" in text for text in texts)
    facts = {column.path: column for column in describe(lake).columns}
    assert (facts["id"].widening_is_lossy, facts["n"].wants_to_widen) == (True, False)
    assert whole(lake)

    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.usecases.rewrites.widen_columns.rewrite", dies)
        land(root, file_of(record(id=1.5), name="c"))
        ingest(lake)  # It does not look into the published files again.
    assert widen_column(lake, "id").rescued == 3
    assert lake.ledger.contracts.lossy_widenings() == {"l"}
    assert whole(lake)


def test_a_commit_records_which_files_it_replaced(lake: Lake, root: Path, integers: list[Any], ledger_url: str) -> None:
    before = lake.ledger.curated.files()
    land(root, file_of(record(n=0.5), name="b"))
    (result,) = ingest(lake)

    assert run_sql(ledger_url, "SELECT files_added, files_removed, rows_added, rows_removed FROM lake_commit") == [
        (3, 0, 15, 0),
        (4, 3, 16, 15),
    ]
    assert {file.key for file in before} < {file.key for file in lake.ledger.curated.files()}
    assert {file.batch_id for file in lake.ledger.curated.files()} == {result.batch_id}


def dies(*_: object, **__: object) -> None:
    raise SystemExit


def die_before_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publication, "record_manifest", dies)
    # Nor does it release anything.
    monkeypatch.setattr(Claims, "release", lambda *_, **__: None)


def die_after_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", dies)


def die_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(lake: Lake, _batch_id: str, manifest: Manifest) -> None:
        for pending in manifest.objects[:2]:
            lake.store.publish(pending)
        raise SystemExit

    monkeypatch.setattr("lake_pipeline.usecases.publication.transaction.roll_forward", half)


def die_before_the_ledger_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publication, "finish", dies)


@pytest.mark.parametrize(
    "die", [die_before_the_manifest, die_after_the_manifest, die_half_way, die_before_the_ledger_knows]
)
def test_a_crash_while_a_column_widens_leaves_each_record_once(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch, die: Callable[[Any], None]
) -> None:
    land(root, file_of(record(n=0.5), name="b"))
    discover(lake)
    with monkeypatch.context() as patch:
        die(patch)
        with pytest.raises(SystemExit):
            ingest_batch(lake)
        rows = [row["_record"] for path in parts(root) for row in pq.ParquetFile(path).read().to_pylist()]
        assert sorted(rows) in ([*range(15)], [0, *range(15)]), "no row is gone or there twice at any time"
    monkeypatch.setattr("lake_pipeline.usecases.recovery.reconcile.owner_is_dead", bool)
    recover(lake)
    list(ingest_all(lake))

    assert types_of(root, "n") == {"double"}
    assert [row["n"] for row in read_by_pyarrow(root)] == [float(row["n"]) for row in integers] + [0.5]
    recover(lake)
    sweep_pending(lake)
    assert whole(lake)


def test_rewriting_that_fails_leaves_everything_as_it_was(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise StorageUnavailable("the disk went away")

    land(root, file_of(record(n=0.5), name="b"))
    with monkeypatch.context() as patch:
        patch.setattr("lake_pipeline.usecases.rewrites.widen_columns.rewrite", unavailable)
        (result,) = ingest(lake)
    assert result.error == "the disk went away"
    assert types_of(root, "n") == {"int64"}
    assert whole(lake)


def test_batches_that_widen_the_same_column_at_once_end_in_one_contract(
    lake: Lake, root: Path, integers: list[Any]
) -> None:
    lake = replace(lake, batch_files=1)
    fractions = {f"2026/week07/{n}.json": ndjson(record(n=n + 0.5), record(DAYS[1], n=n)) for n in range(8)}
    land(root, fractions)
    discover(lake)
    threads = [threading.Thread(target=lambda: list(ingest_all(lake))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert types_of(root, "n") == {"double"}
    assert lake.ledger.views.status().contract_version == 2
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(31, 30 + 28 + 32)]
    assert whole(lake)


class Paused:
    """An engine that lets something happen between a conversion and its manifest, once."""

    name = "in_process"

    def __init__(self, lake: Lake, meanwhile: Callable[[], object]) -> None:
        self._inner = lake.engine
        self._meanwhile: Callable[[], object] | None = meanwhile

    def convert(self, request: Any, *, on_progress: Any = None) -> Any:
        report = self._inner.convert(request, on_progress=on_progress)
        if self._meanwhile:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return report


def test_a_batch_of_integers_that_is_overtaken_by_a_widening_is_converted_again(
    lake: Lake, root: Path, integers: list[Any]
) -> None:
    land(root, file_of(record(n=7), name="b"))
    discover(lake)

    def widen() -> None:
        land(root, file_of(record(n=0.5), name="c"))
        ingest(lake)

    result = ingest_batch(replace(lake, engine=Paused(lake, widen)))
    assert result is not None
    assert result.error is None
    assert types_of(root, "n") == {"double"}
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(17, 37.5)]
    assert whole(lake)


def test_a_widening_rewrites_what_was_published_while_it_was_converting(
    lake: Lake, root: Path, integers: list[Any]
) -> None:
    land(root, file_of(record(n=0.5), name="b"))
    discover(lake)

    def publish_integers() -> None:
        land(root, file_of(record(n=7), name="c"))
        ingest(lake)

    ingest_batch(replace(lake, engine=Paused(lake, publish_integers)))
    assert types_of(root, "n") == {"double"}
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(17, 37.5)]
    assert whole(lake)


def test_a_widening_waits_for_a_batch_that_is_publishing_integers(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the lake and its manifest another batch passes its point of no return."""
    land(root, file_of(record(n=7), name="b"))
    discover(lake)
    left: list[tuple[str, Manifest]] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "lake_pipeline.usecases.publication.transaction.roll_forward", lambda _, *batch: left.append(batch)
        )
        ingest_batch(lake)

    def publish_the_other(_: float) -> None:
        from lake_pipeline.usecases.publication.publish import roll_forward

        while left:
            roll_forward(lake, *left.pop())

    monkeypatch.setattr("lake_pipeline.usecases.recovery.file_conflicts.time.sleep", publish_the_other)
    land(root, file_of(record(n=0.5), name="c"))
    ingest(lake)

    assert left == []
    assert types_of(root, "n") == {"double"}
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(17, 37.5)]
    assert whole(lake)


def test_a_widening_that_is_overtaken_by_another_one_aborts_its_files(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the lake and its manifest another batch makes the same column wider."""
    land(root, file_of(record(n=0.5), name="b"))
    discover(lake)
    real = Publication.record_manifest
    rewritten: list[int] = []

    def late(self: Publication, claim: Any, manifest: Manifest, *rest: Any, **options: Any) -> int:
        rewritten.append(len(manifest.rewritten))
        if len(rewritten) == 1:
            land(root, file_of(record(n=1.5), name="c"))
            ingest(lake)
        return real(self, claim, manifest, *rest, **options)

    monkeypatch.setattr(Publication, "record_manifest", late)
    result = ingest_batch(lake)
    assert result is not None
    assert (result.error, result.rewritten_files) == (None, 0)
    assert rewritten == [3, 3, 0]
    assert read_by_duckdb(root, "SELECT count(*), sum(n) FROM {lake}") == [(17, 32.0)]
    assert whole(lake)


def test_a_lake_that_is_never_quiet_publishes_the_batch_without_widening(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that permanently differs from the ledger."""
    part = parts(root)[0]
    part.write_bytes(part.read_bytes())
    monkeypatch.setattr("lake_pipeline.usecases.recovery.file_conflicts.time.sleep", lambda _: None)
    land(root, file_of(record(n=0.5), name="b"))
    (result,) = ingest(lake)

    assert result.error is None
    assert types_of(root, "n") == {"int64"}
    assert read_by_pyarrow(root)[-1]["_rescued"] == '{"n":0.5}'
    assert list(lake.ledger.contracts.requested_widenings()) == ["n"]
    assert list(lake.store.pending()) == []


def test_pending_rewrites_of_a_live_batch_are_not_swept(lake: Lake, root: Path, integers: list[Any]) -> None:
    class Sweeping(DirectoryStore):
        """Somebody sweeps just before the first object is published."""

        def publish(self, pending: PendingObject) -> None:
            assert sweep_pending(lake) == 0
            super().publish(pending)

    land(root, file_of(record(n=0.5), name="b"))
    (result,) = ingest(replace(lake, store=Sweeping(root)))
    assert result.error is None
    assert types_of(root, "n") == {"double"}
    assert whole(lake)


def test_a_contract_does_not_widen_without_its_published_files(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger itself refuses a wider contract from a batch that did not look for narrow files."""
    seen: list[Exception] = []
    real = Publication.record_manifest

    def without_rewriting(self: Publication, claim: Any, manifest: Manifest, *rest: Any, **options: Any) -> int:
        with pytest.raises(FilesMoved) as refused:
            real(self, claim, replace(manifest, rewritten=(), as_of=None), *rest, **options)
        with pytest.raises(FilesMoved):
            real(self, claim, replace(manifest, rewritten=(), as_of=0), *rest, **options)
        seen.append(refused.value)
        return real(self, claim, manifest, *rest, **options)

    monkeypatch.setattr(Publication, "record_manifest", without_rewriting)
    land(root, file_of(record(n=0.5), name="b"))
    ingest(lake)
    assert len(seen) == 1
    assert types_of(root, "n") == {"double"}


def test_above_the_limit_fractions_are_rescued_and_a_widening_is_requested(
    lake: Lake, root: Path, integers: list[Any]
) -> None:
    small = replace(lake, rewrite_bytes=1)
    land(root, file_of(record(n=0.5, l=[0.5], fresh=1), name="b"))
    land(root, file_of(record(n=1.5), name="c"))
    results = ingest(small)

    assert [result.error for result in results] == [None]
    assert types_of(root, "n") == {"int64"}
    assert lake.ledger.views.status().wanted_widenings == ("l", "n")
    rescued = [json.loads(row["_rescued"]) for row in read_by_pyarrow(root) if row["_rescued"]]
    assert rescued == [{"n": 0.5, "l": [0.5]}, {"n": 1.5}]
    verdicts = {verdict.partition.day.isoformat(): verdict for verdict in verify(lake, partitions_of(lake))}
    assert all(verdict.passed for verdict in verdicts.values())
    assert "lake contract widen n" in verdicts[DAYS[0]].schema.text
    assert verdicts[DAYS[0]].schema.warns

    done = widen_column(small, "n")
    assert (done.before, done.after, done.files) == ("int64", "double", 4)
    assert types_of(root, "n") == {"double"}
    assert lake.ledger.views.status().wanted_widenings == ("l",)
    assert widen_column(small, "l").after == "list<element: double>"
    assert types_of(root, "l") == {"list<element: double>"}
    assert not any(verdict.schema.warns for verdict in verify(lake, partitions_of(lake)))
    assert whole(lake)


def test_a_column_that_only_this_batch_has_is_never_too_large_to_widen(lake: Lake, root: Path) -> None:
    land(root, file_of(record(other=1)))
    ingest(lake)
    land(root, file_of(*[record(n=1) for _ in range(500)], *[record(n=0.5) for _ in range(500)], name="b"))
    (result,) = ingest(replace(lake, rewrite_bytes=0))
    assert result.error is None
    assert lake.ledger.views.status().wanted_widenings == ()
    assert lake.ledger.views.status().rows_rescued == 0


def test_only_the_requested_column_is_widened(lake: Lake, root: Path, integers: list[Any]) -> None:
    land(root, file_of(record(s=[{"x": 1, "id": 5}])))
    ingest(lake)
    with pytest.raises(PermanentError, match="2 kinds of integers"):
        widen_column(lake, "s")
    land(root, file_of(record(s=[{"x": 0.5, "id": 5}]), name="b"))
    ingest(replace(lake, rewrite_bytes=0))
    widen_column(lake, "s")
    assert {"x: double" in kind and "id: double" not in kind for kind in types_of(root, "s")} == {True}
    assert whole(lake)


@pytest.mark.parametrize(
    ("path", "problem"), [("mode", "nothing to widen"), ("nope", "No column comes from nope"), ("a..b", "character")]
)
def test_a_column_that_can_not_be_widened_is_refused_with_the_reason(
    lake: Lake, root: Path, integers: list[Any], path: str, problem: str
) -> None:
    with pytest.raises(PermanentError, match=problem):
        widen_column(lake, path)
    assert whole(lake)


@pytest.mark.parametrize(
    ("function", "widened"),
    [
        ("ledger.publication.Publication.record_manifest", False),
        ("usecases.publication.transaction.roll_forward", True),
    ],
)
def test_a_widening_that_dies_has_happened_or_not(
    lake: Lake, root: Path, integers: list[Any], monkeypatch: pytest.MonkeyPatch, function: str, widened: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"lake_pipeline.{function}", dies)
        if not widened:
            patch.setattr(Claims, "release", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            widen_column(lake, "n")
    assert types_of(root, "n") == {"int64"}
    monkeypatch.setattr("lake_pipeline.usecases.recovery.reconcile.owner_is_dead", bool)
    recover(lake)
    assert types_of(root, "n") == {"double" if widened else "int64"}
    assert whole(lake)
    if not widened:
        assert widen_column(lake, "n").rows == 15
        assert whole(lake)


def test_new_fields_inside_lists_need_no_rewriting(lake: Lake, root: Path, integers: list[Any]) -> None:
    before = {path: path.read_bytes() for path in parts(root)}
    land(root, file_of(record(s=[{"x": 1, "new": "t"}]), name="b"))
    (result,) = ingest(lake)
    assert result.rewritten_files == 0
    assert {path: path.read_bytes() for path in before} == before
    assert read_by_duckdb(root, "SELECT count(*), count(s[1].new) FROM {lake}") == [(16, 1)]
    contract = lake.ledger.contracts.latest()
    assert contract is not None
    table = ds.dataset([str(path) for path in parts(root)], schema=contract.arrow_schema()).to_table()
    assert sum(row["s"][0]["new"] == "t" for row in table.to_pylist() if row["s"]) == 1
    assert whole(lake)


def test_columns_that_two_batches_add_at_the_same_time_end_in_one_contract(
    lake: Lake, root: Path, integers: list[Any]
) -> None:
    def another() -> None:
        land(root, file_of({**record(mine="x"), "A-b": 1}, name="c"))
        ingest(lake)

    land(root, file_of(record(yours=True, a_b=2), name="b"))
    paused = replace(lake, engine=Paused(lake, another))
    results = [*ingest(paused), *ingest_all(paused)]

    assert [result.error for result in results if result.error] == []
    contract = lake.ledger.contracts.latest()
    assert contract is not None
    paths = {column.path: column.name for column in contract.columns}
    assert {("mine",), ("yours",), ("A-b",), ("a_b",)} <= set(paths)
    assert len(set(paths.values())) == len(paths)
    rows = [{key: value for key, value in row.items() if value is not None} for row in read_by_pyarrow(root)]
    rescued_values = [{path: row[name] for path, name in paths.items() if name in row} for row in rows[len(integers) :]]
    assert {("yours",): True, ("a_b",): 2}.items() <= rescued_values[0].items()
    assert {("mine",): "x", ("A-b",): 1}.items() <= rescued_values[1].items()
    assert whole(lake)
