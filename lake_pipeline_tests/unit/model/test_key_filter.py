"""Which names in the landing zones are data."""

from __future__ import annotations

import pytest

from lake_pipeline.model.key_filter import KeyFilter
from lake_pipeline.model.skipped import SkipReason

ZONE = "2026/week05/"


@pytest.mark.parametrize(
    "key",
    [
        "export/_temporary/0/attempt_1/part-0.json",
        ".git/config.json",
        "_delta_log/0.json",
        "a/.hidden/b/c.json",
        ".part",
        "..data/a.json",
    ],
)
def test_everything_below_a_hidden_folder_is_hidden(key: str) -> None:
    assert KeyFilter(exclude=()).skip_reason(ZONE + key) is SkipReason.HIDDEN


@pytest.mark.parametrize("key", ["a_b.json", "a.b/c_d", "../a.json", "./a.json", "//a.json", "a\nb.json"])
def test_dots_and_underscores_elsewhere_hide_nothing(key: str) -> None:
    assert KeyFilter().skip_reason(ZONE + key) is None


@pytest.mark.parametrize(
    "name",
    [
        "a.json.tmp",
        "a.part",
        "a.json.filepart",
        "b.json._COPYING_",
        "a.json.crc",
        "a.json.md5",
        "manifest.json",
        "manifest.checksum",
        "manifest-files.json",
        "manifest-summary.json",
        "export_info_orders.json",
    ],
)
def test_unfinished_files_checksums_and_manifests_are_excluded_by_default(name: str) -> None:
    assert KeyFilter().skip_reason(f"{ZONE}x/{name}") is SkipReason.EXCLUDED


def test_a_pattern_without_a_slash_is_for_names_and_one_with_a_slash_for_keys() -> None:
    names = KeyFilter(include=("o*.json",))
    assert names.skip_reason(f"{ZONE}orders/x.json") is SkipReason.NOT_INCLUDED
    assert names.skip_reason(f"{ZONE}x/orders.json") is None

    keys = KeyFilter(include=("*/orders/*", "*.gz"), exclude=("2026/week06/*",))
    assert keys.skip_reason(f"{ZONE}orders/x.json") is None
    assert keys.skip_reason(f"{ZONE}users/x.gz") is None
    assert keys.skip_reason(f"{ZONE}users/x.json") is SkipReason.NOT_INCLUDED
    assert keys.skip_reason("2026/week06/orders/x.json") is SkipReason.EXCLUDED
