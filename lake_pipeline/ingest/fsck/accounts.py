"""The account of each raw file: what the ledger counted, what lineage says, and what the parts hold of it.

The parts were read before, in the order of their keys; here what they hold comes together file by file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from lake_pipeline.ingest.fsck.contents import MASK, Reader, Share, checksum_of_first
from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.fsck.ordering import side_by_side
from lake_pipeline.ingest.fsck.published import may_be_expired
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.auditing import FileAccount
from lake_pipeline.model.states import FileState


def accounts(lake: Lake, shares: Iterable[Share] | None) -> Iterator[Finding]:
    """Judge every raw file by the `shares` of all parts, sorted by file_id; by the ledger alone where they are None."""
    known = lake.ledger.accounts_by_id()
    for _, own, account in side_by_side(
        shares or (), lambda share: share.file_id, known, lambda account: account.file_id
    ):
        # Rows of a file that the ledger does not know were found in their part already.
        if account and any(_judge(lake, account[0], own if shares is not None else None)):
            yield from _look_again(lake, account[0].file_id, own, deep=shares is not None)


def _look_again(lake: Lake, file_id: int, seen: list[Share], *, deep: bool) -> Iterator[Finding]:
    """Read this file's parts once more, all at one time; where one of them is damaged, that was told already."""
    account = lake.ledger.account_of_id(file_id)
    if account is None:
        return
    shares = _shares_of(lake, account, seen) if deep else None
    if deep and shares is None:
        return
    partitions = tuple(sorted({link.partition for link in lake.ledger.lineage_of([file_id])}))
    again = partial(_look_again, lake, file_id, seen, deep=deep)
    for finding in _judge(lake, account, shares):
        yield replace(finding, partitions=partitions, look_again=again)


def _shares_of(lake: Lake, account: FileAccount, seen: list[Share]) -> list[Share] | None:
    shares: list[Share] = []
    reader = Reader(lake, lambda share: shares.append(share) if share.file_id == account.file_id else None)
    for part in lake.ledger.curated_of_file(account.file_id):
        if any(reader.curated(part)):
            return None
    batches = {batch_id for batch_id in (account.batch_id, *(share.batch_id for share in seen)) if batch_id}
    for part in (part for batch_id in sorted(batches) for part in lake.ledger.quarantine_of_batch(batch_id)):
        if any(reader.quarantine(part)):
            return None
    return shares


def _judge(lake: Lake, account: FileAccount, shares: list[Share] | None) -> Iterator[Finding]:
    expected = account.published or 0 if account.state is FileState.SUCCEEDED else 0
    if account.lineage != expected:
        yield _finding(
            account,
            Problem.DOUBLED if account.lineage > expected else Problem.WRONG_ROWS,
            f"{expected} of its rows should be published, and by lineage {account.lineage} are",
        )
    elif shares is not None and account.state is FileState.SUCCEEDED:
        yield from _judge_records(account, shares, may_expire=may_be_expired(lake, account.age or 0))
    elif left := sum(share.records for share in shares or () if share.batch_id):
        yield _finding(account, Problem.ORPHANED, f"none of its records should be in quarantine, and {left} are")


def _judge_records(account: FileAccount, shares: list[Share], *, may_expire: bool) -> Iterator[Finding]:
    published = [share for share in shares if share.batch_id is None]
    quarantined = [share for share in shares if share.batch_id is not None]
    there = sum(share.records for share in published), sum(share.records for share in quarantined)
    told = account.published or 0, account.quarantined or 0
    if may_expire and there[0] == told[0] and there[1] < told[1]:
        return
    if there != told:
        yield _finding(
            account,
            Problem.DOUBLED if sum(there) > sum(told) else Problem.WRONG_ROWS,
            f"{told[0]} records were published and {told[1]} quarantined, and {there[0]} and {there[1]} are there",
        )
    elif sum(share.checksum for share in published + quarantined) & MASK != checksum_of_first(account.read or 0):
        yield _finding(account, Problem.DOUBLED, "some of its records are there twice, and as many are missing")


def _finding(account: FileAccount, problem: Problem, what: str) -> Finding:
    return Finding(
        problem=problem,
        key=account.key,
        text=f"{account.key} (_file_id {account.file_id}, {account.state}): {what}. Rebuild the partitions that it "
        "gave rows to.",
    )
