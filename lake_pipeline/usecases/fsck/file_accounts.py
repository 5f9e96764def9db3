"""The account of each raw file: the ledger's counts, its lineage, and its records in the published files.

The published files were read before, in the order of their keys; here their counts are merged by raw file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from lake_pipeline.ledger.audit import FileAccount
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.fsck.contents import MASK, FileCount, Reader, checksum_of_first
from lake_pipeline.usecases.fsck.external_sort import merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.fsck.published import may_be_expired
from lake_pipeline.usecases.lake import Lake


def accounts(lake: Lake, file_counts: Iterable[FileCount] | None) -> Iterator[Finding]:
    """Check every raw file against its `file_counts`, sorted by file_id; only against the ledger if they are None."""
    file_accounts = lake.ledger.audit.accounts_by_id()
    for _, own, account in merge_by_key(
        file_counts or (), lambda count: count.file_id, file_accounts, lambda account: account.file_id
    ):
        # Rows of a raw file that is not in the ledger were reported with their data file.
        if account and any(_compare(lake, account[0], own if file_counts is not None else None)):
            yield from _recheck(lake, account[0].file_id, own, deep=file_counts is not None)


def _recheck(lake: Lake, file_id: int, seen: list[FileCount], *, deep: bool) -> Iterator[Finding]:
    """Read its published files again, all at once; a damaged one was reported already."""
    account = lake.ledger.audit.account_of_id(file_id)
    if account is None:
        return
    file_counts = _file_counts_of(lake, account, seen) if deep else None
    if deep and file_counts is None:
        return
    partitions = tuple(sorted({link.partition for link in lake.ledger.lineage.links([file_id])}))
    again = partial(_recheck, lake, file_id, seen, deep=deep)
    for finding in _compare(lake, account, file_counts):
        yield replace(finding, partitions=partitions, recheck=again)


def _file_counts_of(lake: Lake, account: FileAccount, seen: list[FileCount]) -> list[FileCount] | None:
    file_counts: list[FileCount] = []
    reader = Reader(lake, lambda count: file_counts.append(count) if count.file_id == account.file_id else None)
    for part in lake.ledger.audit.curated_of_file(account.file_id):
        if any(reader.curated(part)):
            return None
    batches = {batch_id for batch_id in (account.batch_id, *(count.batch_id for count in seen)) if batch_id}
    for part in (part for batch_id in sorted(batches) for part in lake.ledger.audit.quarantine_of_batch(batch_id)):
        if any(reader.quarantine(part)):
            return None
    return file_counts


def _compare(lake: Lake, account: FileAccount, file_counts: list[FileCount] | None) -> Iterator[Finding]:
    expected = account.published or 0 if account.state is FileState.SUCCEEDED else 0
    if account.lineage != expected:
        yield _finding(
            account,
            Problem.DOUBLED if account.lineage > expected else Problem.WRONG_ROWS,
            f"{expected} of its rows should be published, and by lineage {account.lineage} are",
        )
    elif file_counts is not None and account.state is FileState.SUCCEEDED:
        yield from _judge_records(account, file_counts, may_expire=may_be_expired(lake, account.age or 0))
    elif remaining := sum(count.records for count in file_counts or () if count.batch_id):
        yield _finding(account, Problem.ORPHANED, f"none of its records should be in quarantine, and {remaining} are")


def _judge_records(account: FileAccount, file_counts: list[FileCount], *, may_expire: bool) -> Iterator[Finding]:
    published = [count for count in file_counts if count.batch_id is None]
    quarantined = [count for count in file_counts if count.batch_id is not None]
    actual = sum(count.records for count in published), sum(count.records for count in quarantined)
    expected = account.published or 0, account.quarantined or 0
    if may_expire and actual[0] == expected[0] and actual[1] < expected[1]:
        return
    if actual != expected:
        yield _finding(
            account,
            Problem.DOUBLED if sum(actual) > sum(expected) else Problem.WRONG_ROWS,
            f"{expected[0]} records were published and {expected[1]} quarantined, and {actual[0]} and {actual[1]} "
            "are there",
        )
    elif sum(count.checksum for count in published + quarantined) & MASK != checksum_of_first(account.read or 0):
        yield _finding(account, Problem.DOUBLED, "some of its records are there twice, and as many are missing")


def _finding(account: FileAccount, problem: Problem, what: str) -> Finding:
    return Finding(
        problem=problem,
        key=account.key,
        text=f"{account.key} (_file_id {account.file_id}, {account.state}): {what}. Rebuild the partitions that it "
        "gave rows to.",
    )
