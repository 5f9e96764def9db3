"""The key filter: which names in the landing zones are data.

Writers leave other files beside their data: folders of unfinished jobs, checksums, manifests. They are named by
convention, and often contain valid JSON, so that only the name tells them from data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from lake_pipeline.model.skipped import SkipReason, is_hidden

EXCLUDED = (
    # Files that are still being written: rsync and browsers, WinSCP, Hadoop.
    "*.tmp",
    "*.part",
    "*.filepart",
    "*._COPYING_",
    # Checksums and markers.
    "*.crc",
    "*.md5",
    "_SUCCESS",
    # Manifests of AWS exports: S3 Inventory, DynamoDB, RDS snapshots.
    "manifest.json",
    "manifest.checksum",
    "manifest-files.json",
    "manifest-summary.json",
    "export_info_*.json",
    "export_tables_info_*.json",
)
"""The patterns that are excluded by default."""


@dataclass(frozen=True, kw_only=True)
class KeyFilter:
    """Globs of keys: `*` is any text, `?` one character, `[ab]` one of some. Upper and lower case differ.

    A pattern without a slash is compared with the name of a file, one with a slash with its whole key. A file must
    match one of `include`, unless that is empty, and none of `exclude`.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = EXCLUDED

    def skip_reason(self, key: str) -> SkipReason | None:
        """Why the file `key` is no data; None if it is."""
        if is_hidden(key):
            return SkipReason.HIDDEN
        if self._excluded.match(key):
            return SkipReason.EXCLUDED
        if self.include and not self._included.match(key):
            return SkipReason.NOT_INCLUDED
        return None

    @cached_property
    def _excluded(self) -> _Globs:
        return _globs(self.exclude)

    @cached_property
    def _included(self) -> _Globs:
        return _globs(self.include)


@dataclass(frozen=True)
class _Globs:
    """One expression for all patterns of names, and one for those of keys: a listing has millions of keys."""

    names: re.Pattern[str]
    keys: re.Pattern[str]

    def match(self, key: str) -> bool:
        return bool(self.names.match(key.rpartition("/")[2]) or self.keys.match(key))


def _globs(patterns: Iterable[str]) -> _Globs:
    of_keys = [pattern for pattern in patterns if "/" in pattern]
    return _Globs(_any_of(set(patterns).difference(of_keys)), _any_of(of_keys))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Matches nothing without patterns."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
