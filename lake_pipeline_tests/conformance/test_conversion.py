"""The promises of the kernel for every file, checked in published Parquet."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from lake_pipeline.contract.exact_json import MAX_NESTING
from lake_pipeline.convert.input.reader import SMALL_BYTES
from lake_pipeline.convert.request import ConversionRequest
from lake_pipeline.engines.in_process import InProcessEngine
from lake_pipeline.errors import ContractMoved
from lake_pipeline.model.manifest import Outcome
from lake_pipeline_tests.support.factories import LakeOnDisk, ndjson, values

DAY = "2026-02-03T10:00:00Z"
KEY = "2026/week06/a.json"


@pytest.fixture
def lake(tmp_path: Path) -> LakeOnDisk:
    return LakeOnDisk(tmp_path)


def record(**fields: object) -> dict[str, object]:
    return {"event_time": DAY, "mode": "live", **fields}


LAYOUTS = {
    "lines": ndjson(record(n=1), record(n=2)),
    "lines without a last newline": ndjson(record(n=1), record(n=2)).rstrip(),
    "lines ended by CRLF": ndjson(record(n=1), record(n=2)).replace(b"\n", b"\r\n"),
    "lines with blank ones between": b"\n" + ndjson(record(n=1)) + b"  \n\n" + ndjson(record(n=2)) + b"\n",
    "byte order mark": b"\xef\xbb\xbf" + ndjson(record(n=1), record(n=2)),
    "array": json.dumps([record(n=1), record(n=2)]).encode(),
    "pretty-printed array": json.dumps([record(n=1), record(n=2)], indent=2).encode(),
    "pretty-printed documents": b"\n".join(json.dumps(record(n=n), indent=2).encode() for n in (1, 2)),
    "documents on one line": json.dumps(record(n=1)).encode() + json.dumps(record(n=2)).encode(),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(lake: LakeOnDisk, layout: str, compressed: bool) -> None:
    content = gzip.compress(LAYOUTS[layout]) if compressed else LAYOUTS[layout]
    converted = lake.convert({KEY: content})
    assert values(converted.rows(), "n", "_record", "partition") == [
        (1, 0, "2026-02-03 live"),
        (2, 1, "2026-02-03 live"),
    ]
    assert converted.outcome(KEY).read == converted.outcome(KEY).published == 2


def test_a_single_pretty_printed_document_is_one_row(lake: LakeOnDisk) -> None:
    converted = lake.convert({KEY: json.dumps(record(a={"b": [1, {"c": "}"}]}, t='quo"te'), indent=4).encode()})
    assert values(converted.rows(), "t", "_record") == [('quo"te', 0)]


def test_an_empty_file_is_converted_to_nothing(lake: LakeOnDisk) -> None:
    converted = lake.convert({KEY: b"", "2026/week06/b.json": b" \n", "2026/week06/c.json": b"[]"})
    assert [file.outcome for file in converted.report.manifest.files] == [Outcome.CONVERTED] * 3
    assert converted.rows() == converted.quarantined() == []


def test_nested_objects_become_columns_and_lists_stay_lists(lake: LakeOnDisk) -> None:
    converted = lake.convert(
        {KEY: ndjson(record(user={"Name": "Ann", "geo": {"lat": 1.5}}, tags=["a"], items=[{"Id": 1}]))}
    )
    row = converted.rows()[0]
    assert (row["user_name"], row["user_geo_lat"], row["tags"], row["items"]) == ("Ann", 1.5, ["a"], [{"id": 1}])
    assert row["mode_field"] == "live", "the record's own mode beside the partition column"


def test_a_malformed_record_is_quarantined_with_its_bytes_and_the_rest_is_published(lake: LakeOnDisk) -> None:
    lines = [json.dumps(record(n=n)).encode() for n in range(20)]
    lines[7] = b'{"n": 7, "oops'
    offset = sum(len(line) + 1 for line in lines[:7])
    converted = lake.convert({KEY: b"\n".join(lines)})
    assert [row["n"] for row in converted.rows()] == [n for n in range(20) if n != 7]
    assert values(converted.quarantined(), "s3_key", "record", "offset", "reason", "raw") == [
        (KEY, 7, offset, "invalid_json", lines[7])
    ]
    outcome = converted.outcome(KEY)
    assert (outcome.read, outcome.published, outcome.quarantined) == (20, 19, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"17", "not_an_object"),
        (b'{"a":1}}', "invalid_json"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deep"),
        (b'{"a":1,}', "invalid_json"),
        (b'{"a":"tab\there"}', "invalid_json"),
        (b'{"a":1}{"event_time":"2026-02-03","x":', "invalid_json"),
    ],
)
def test_a_record_that_is_not_a_json_object_is_malformed(lake: LakeOnDisk, line: bytes, reason: str) -> None:
    good = ndjson(*[record(n=n) for n in range(10)])
    converted = lake.convert({KEY: good + line + b"\n" + good})
    assert values(converted.quarantined(), "record", "reason", "raw") == [(10, reason, line)]
    assert len(converted.rows()) == 20


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":0,"a":', "}")])
def test_a_value_that_no_column_holds_is_rescued_at_any_depth(lake: LakeOnDisk, opens: str, closes: str) -> None:
    levels = (MAX_NESTING - 2) // len(closes)
    deep = opens * levels + "1e400" + closes * levels
    line = f'{{"event_time":"2026-02-03","n":{deep}}}\n'.encode()
    twice = f'{{"event_time":"2026-02-03","n":5,"n":{deep}}}\n'.encode()
    converted = lake.convert({KEY: ndjson(*[record(n=n) for n in range(10)]) + line + twice})
    outcome = converted.outcome(KEY)
    assert (outcome.outcome, outcome.published, outcome.rescued) == (Outcome.CONVERTED, 12, 2)
    rescued = [row["_rescued"] for row in converted.rows()[-2:]]
    assert all(deep in text for text in rescued)


def test_a_file_with_too_many_malformed_records_is_refused_as_a_whole(lake: LakeOnDisk) -> None:
    good = "2026/week06/good.json"
    converted = lake.convert({KEY: ndjson(record(n=1)) + b"{broken\n", good: ndjson(record(n=2))})
    outcome = converted.outcome(KEY)
    assert (outcome.outcome, outcome.reason, outcome.published) == (Outcome.REFUSED, "too_many_broken", 0)
    assert outcome.error is not None
    assert "1 of 2 records are malformed" in outcome.error
    assert values(converted.rows(), "n") == [(2,)]


def test_a_large_refused_file_leaves_no_pending_parts(lake: LakeOnDisk) -> None:
    line = json.dumps(record(text="x" * 1000)).encode()
    converted = lake.convert({KEY: b"\n".join([line, b"{broken"] * 5000)}, memory_bytes=1 << 20)
    assert converted.outcome(KEY).outcome is Outcome.REFUSED
    assert converted.report.manifest.objects == ()
    assert lake.pending() == []


def test_a_large_file_gives_the_same_rows_as_many_small_ones(lake: LakeOnDisk, tmp_path: Path) -> None:
    records = [record(n=n, text="x" * 900, event_time=f"2026-02-{1 + n % 20:02d}") for n in range(12_000)]
    records[5000]["late"] = "field"
    large = lake.convert({KEY: ndjson(*records)}, memory_bytes=2 << 20)
    small = LakeOnDisk(tmp_path / "small").convert(
        {f"2026/week06/{part:03d}.json": ndjson(*records[part * 100 : part * 100 + 100]) for part in range(120)}
    )
    columns = ("n", "text", "late", "partition")
    assert values(large.rows(), *columns) == values(small.rows(), *columns)
    assert [row["_record"] for row in large.rows()] == list(range(12_000))


def test_a_large_file_that_fails_does_not_affect_others(lake: LakeOnDisk) -> None:
    noise = random.Random(20260201)
    keys = [f"2026/week06/{name}.json" for name in ("first", "damaged", "hopeless", "last")]
    good = ndjson(*[record(n=n, text=noise.randbytes(2000).hex()) for n in range(1200)])
    packed = gzip.compress(good + good, compresslevel=1)
    contents = [good, packed[: len(packed) * 3 // 4], b'{"event_time": "never"}\n' * 200_000, good]
    converted = lake.convert(dict(zip(keys, contents, strict=True)))
    assert min(map(len, contents)) > SMALL_BYTES
    reasons = [converted.outcome(key).reason for key in keys]
    assert reasons == [None, "truncated", "nothing_to_publish", None]
    assert [converted.outcome(key).published for key in keys] == [1200, 0, 0, 1200]
    assert sorted(values(converted.rows(), "n")) == sorted((n,) for n in [*range(1200)] * 2)
    assert lake.pending() == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(lambda data: data[:-12], "truncated"), (lambda data: data[:30] + b"????" + data[34:], "corrupt")],
)
def test_damaged_gzip_is_refused_and_nothing_of_it_is_published(lake: LakeOnDisk, damage: object, reason: str) -> None:
    content = gzip.compress(ndjson(*[record(n=n, text=f"text {n * 7919}") for n in range(500)]))
    assert callable(damage)
    converted = lake.convert({KEY: damage(content)})
    assert (converted.outcome(KEY).outcome, converted.outcome(KEY).reason) == (Outcome.REFUSED, reason)
    assert converted.rows() == []


def test_an_array_that_is_never_closed_shows_its_loss(lake: LakeOnDisk) -> None:
    records = [record(n=n) for n in range(30)]
    whole = json.dumps(records).encode()
    converted = lake.convert({KEY: whole[:-1], "2026/week06/cut.json": whole[:-10]})
    assert converted.outcome(KEY).quarantined == 1
    assert converted.outcome("2026/week06/cut.json").published == 29
    assert values(converted.quarantined(), "record", "reason", "raw")[0] == (30, "truncated", b"")


def test_the_record_determines_its_partition_then_the_key_then_the_default(lake: LakeOnDisk) -> None:
    key = "2026/week06/date=2026-02-05/mode=batch/a.json"
    converted = lake.convert(
        {
            key: ndjson(record(), {"mode": "test"}, {"event_time": "2026-02-01"}),
            KEY: ndjson({"event_time": "2026-02-02"}),
        }
    )
    assert [row["partition"] for row in converted.rows()] == [
        "2026-02-03 live",
        "2026-02-05 test",
        "2026-02-01 batch",
        "2026-02-02 unknown",
    ]


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-02-03", "2026-02-03"),
        ("2026-02-03T23:59:59Z", "2026-02-03"),
        ("2026-02-03 23:59:59.123456789", "2026-02-03"),
        ("2026-02-03T23:30:00-02:00", "2026-02-04"),
        ("2026-02-03T00:30:00+0200", "2026-02-02"),
        ("2024-02-29T12:00:00Z", "2024-02-29"),
        (1770076800, "2026-02-03"),
        (1770076800123, "2026-02-03"),
        (1770076800.5, "2026-02-03"),
    ],
)
def test_a_day_is_a_utc_day_in_every_spelling(lake: LakeOnDisk, moment: object, day: str) -> None:
    converted = lake.convert({KEY: ndjson(record(event_time=moment))})
    assert [row["partition"] for row in converted.rows()] == [f"{day} live"]


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (None, "no_date"),
        ("", "no_date"),
        ("yesterday", "invalid_date"),
        ("2026-02-30", "invalid_date"),
        ("2026-02-03T25:00:00Z", "invalid_date"),
        ("0001-01-01T00:00:00Z", "date_out_of_range"),
        ("2031-01-01", "date_out_of_range"),
        (True, "invalid_date"),
        ({"$date": "soon"}, "invalid_date"),
        ({"date": "2026-02-03"}, "invalid_date"),
        (10**30, "date_out_of_range"),
    ],
)
def test_a_record_without_a_valid_date_is_quarantined_never_guessed(
    lake: LakeOnDisk, moment: object, reason: str
) -> None:
    converted = lake.convert({KEY: ndjson(record(n=1), record(n=2, event_time=moment))})
    assert values(converted.quarantined(), "record", "reason") == [(1, reason)]
    assert values(converted.rows(), "n") == [(1,)]
    outcome = converted.outcome(KEY)
    assert (outcome.outcome, outcome.read, outcome.published) == (Outcome.CONVERTED, 2, 1)


@pytest.mark.parametrize("mode", ["../../x", "a=b", "Ünïcode ☃", "a/b", ".hidden", "100%", "CON|x", "-", "~"])
def test_a_mode_never_leaves_its_folder_and_reads_back_unchanged(lake: LakeOnDisk, mode: str) -> None:
    converted = lake.convert({KEY: ndjson(record(mode=mode))})
    key = converted.report.manifest.curated[0].object.key
    assert key.count("/") == 5
    assert not {".", ".."} & set(key.split("/"))
    assert lake.table().to_table().column("mode").to_pylist() == [mode]


def test_a_mode_too_long_for_a_path_is_quarantined(lake: LakeOnDisk) -> None:
    converted = lake.convert({KEY: ndjson(record(), record(mode="m" * 10_000))})
    assert values(converted.quarantined(), "reason") == [("invalid_mode",)]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("n", "seven", '{"n":"seven"}'),
        ("n", 2**63, '{"n":9223372036854775808}'),
        ("n", True, '{"n":true}'),
        ("n", {"a": 1}, '{"n":{"a":1}}'),
        ("x", 2**53 + 1, '{"x":9007199254740993}'),
        ("s", 5, '{"s":5}'),
        ("s", "\ud800", '{"s":"\\ud800"}'),
        ("o", [1], '{"o":[1]}'),
        ("l", ["a"], '{"l":["a"]}'),
        ("l", 3, '{"l":3}'),
        ("fresh", [], '{"fresh":[]}'),
        ("fresh", {}, '{"fresh":{}}'),
        ("x", float("nan"), '{"x":"NaN"}'),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_rescued(
    lake: LakeOnDisk, field: str, value: object, text: str
) -> None:
    usual = {"n": 1, "x": 0.5, "s": "text", "o": {"k": 1}, "l": [1]}
    converted = lake.convert({KEY: ndjson(*[record(**usual)] * 9, record(**{**usual, field: value}))})
    last_row = converted.rows()[9]
    assert last_row["_rescued"] == text
    assert last_row.get(field) is None
    assert converted.outcome(KEY).rescued == 1
    assert [row["_rescued"] for row in converted.rows()[:9]] == [None] * 9


@pytest.mark.parametrize("first", [True, False], ids=["first contract", "later batch"])
def test_only_records_that_are_published_give_columns(lake: LakeOnDisk, first: bool) -> None:
    """Fields of undated records, of those with an unusable date or mode, and of a whole file of them."""
    files = {
        KEY: ndjson(record(n=1), {"mode": "live", "a": 1}, record(event_time="never", b=1), record(mode=["x"], c=1)),
        "2026/week06/manifest.json": ndjson({"version": "2020-06-30", "k1": {"a": 1}}),
    }
    contract = None if first else lake.convert({KEY: ndjson(record(n=1))}).contract.with_version(1)
    converted = lake.convert(files, contract=contract)
    assert [column.name for column in converted.contract.columns] == ["event_time", "mode_field", "n"]
    assert sum(file.quarantined for file in converted.report.manifest.files) == 4


def test_a_lake_that_could_publish_nothing_so_far_infers_its_columns_from_a_sample(lake: LakeOnDisk) -> None:
    nothing = lake.convert({KEY: ndjson({"n": 0.5})}).contract.with_version(1)
    assert nothing.columns == ()
    converted = lake.convert({KEY: ndjson(*[record(n=1)] * 3, record(n="text"))}, contract=nothing)
    assert {column.name: str(column.type) for column in converted.contract.columns}["n"] == "int64"


def test_integers_and_fractions_together_are_doubles(lake: LakeOnDisk) -> None:
    converted = lake.convert({KEY: ndjson(record(n=1), record(n=1.5))})
    assert values(converted.rows(), "n", "_rescued") == [(1.0, None), (1.5, None)]


def test_a_fraction_in_a_column_that_must_stay_integer_is_rescued(lake: LakeOnDisk) -> None:
    contract = lake.convert({KEY: ndjson(record(n=1))}).contract.with_version(1)
    converted = lake.convert({KEY: ndjson(record(n=1.5))}, contract=contract, widens_from=2)
    assert values(converted.rows(), "n", "_rescued") == [(None, '{"n":1.5}')]
    assert {path: shape.kind for path, shape in converted.report.evidence.wanted_widenings.items()} == {"n": "double"}


def test_a_number_is_rescued_exactly_as_written(lake: LakeOnDisk) -> None:
    line = b'{"event_time":"2026-02-03","mode":"live","n":1e400,"m":' + b"1" * 5000 + b"}\n"
    row = lake.convert({KEY: line}).rows()[0]
    assert row["_rescued"] == '{"m":' + "1" * 5000 + ',"n":1e400}'


def test_the_last_of_repeated_keys_counts_and_the_earlier_are_rescued(lake: LakeOnDisk) -> None:
    line = b'{"event_time":"2026-02-03","mode":"live","n":1,"n":2,"n":3}\n'
    row = lake.convert({KEY: line}).rows()[0]
    assert (row["n"], row["_rescued"]) == (3, '{"n[earlier]":[1,2]}')


def test_a_field_that_appears_late_becomes_a_column_and_earlier_rows_are_null(lake: LakeOnDisk) -> None:
    first = lake.convert({KEY: ndjson(record(n=1))})
    later = lake.convert(
        {"2026/week07/b.json": ndjson(record(n=2, extra={"deep": "x"}))},
        contract=first.contract.with_version(1),
        batch_id="0b8f1a52-4a8c-4a58-9f6e-1f4e7d0d9a12",
    )
    assert [column.name for column in later.contract.columns] == ["event_time", "mode_field", "n", "extra_deep"]
    assert [column.since for column in later.contract.columns] == [1, 1, 1, 2]
    table = lake.table().to_table(columns=["n"])
    assert sorted(table.column("n").to_pylist()) == [1, 2]


def test_the_first_contract_follows_the_majority(lake: LakeOnDisk) -> None:
    converted = lake.convert({KEY: ndjson(record(n="odd"), *[record(n=n) for n in range(9)])})
    assert converted.contract.arrow_schema().field("n").type == "int64"
    assert converted.rows()[0]["_rescued"] == '{"n":"odd"}'


def test_two_batches_that_evolve_one_contract_end_in_the_union(lake: LakeOnDisk) -> None:
    base = lake.convert({KEY: ndjson(record(n=1))}).contract.with_version(1)
    one = lake.convert({KEY: ndjson(record(a=1))}, contract=base).contract
    two = lake.convert({KEY: ndjson(record(b=1))}, contract=base).contract
    in_force = base.merged(one).with_version(2)
    assert [column.name for column in in_force.merged(two).columns][-2:] == ["a", "b"]
    three = lake.convert({KEY: ndjson(record(a="text"))}, contract=base).contract
    with pytest.raises(ContractMoved):
        in_force.merged(three)


def test_colliding_names_stay_separate(lake: LakeOnDisk) -> None:
    converted = lake.convert(
        {KEY: ndjson(record(**{"a b": 1, "A_B": 2, "a": {"b": 3}, "year": 4, "_record": 5, "1st": 6, "": 7}))}
    )
    row = converted.rows()[0]
    names = {column.path: column.name for column in converted.contract.columns}
    assert len({name.lower() for name in names.values()}) == len(names)
    paths = [("a b",), ("A_B",), ("a", "b"), ("year",), ("_record",), ("1st",), ("",)]
    assert [row[names[path]] for path in paths] == [1, 2, 3, 4, 5, 6, 7]
    assert row["_record"] == 0


def test_a_file_that_changed_after_it_was_registered_is_not_converted(lake: LakeOnDisk) -> None:
    (file,) = lake.put({KEY: ndjson(record(n=1))})
    lake.put({KEY: ndjson(record(n=2), record(n=3))})
    report = InProcessEngine(lake.store).convert(ConversionRequest(batch_id="b", files=(file,), contract=None))
    assert (report.manifest.files[0].outcome, report.manifest.files[0].reason) == (Outcome.REFUSED, "changed")


def test_the_size_limit_of_a_record_does_not_apply_to_files(lake: LakeOnDisk) -> None:
    """Each line is measured by itself, at any position in a block."""
    short, long = record(text="x" * 500), record(text="x" * 2000)
    files = {"2026/week06/short.json": ndjson(*[short] * 50), "2026/week06/long.json": ndjson(*[short, long, short])}
    converted = lake.convert(files, max_record_bytes=1024)
    assert converted.outcome("2026/week06/short.json").published == 50
    assert converted.outcome("2026/week06/long.json").reason == "record_too_large"
