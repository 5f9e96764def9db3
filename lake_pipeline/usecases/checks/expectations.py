"""Expectations: whether a partition has what the keys of raw files promise, in time and without many bad records.

Missing files may still arrive and refused ones are reported elsewhere, so these checks only warn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from statistics import median

from lake_pipeline.ledger.curated import PartitionAccount
from lake_pipeline.ledger.expected_rows import PartitionExpectation
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.checks.verdicts import Verdict
from lake_pipeline.usecases.lake import Lake

HOUR = timedelta(hours=1)

MIN_WEEKS = 2
"""Earlier weeks that are needed to say what is usual: a single one may be unusual itself."""


def expectations(
    lake: Lake, accounts: Mapping[PartitionKey, PartitionAccount]
) -> dict[PartitionKey, dict[str, Verdict]]:
    """The verdicts on each partition of `accounts`, by the names of their checks. Only the ledger is read."""
    promises, today = lake.ledger.expected_rows.of_partitions(accounts), datetime.now(UTC).date()
    return {
        partition: {
            "completeness": check_completeness(
                promises[partition], account, is_over=partition.day < today, usual_share=lake.usual_share
            ),
            "quarantine_share": check_quarantine_share(promises[partition], lake.quarantine_warning),
            "freshness": check_freshness(promises[partition], lake.fresh_hours),
        }
        for partition, account in accounts.items()
    }


def check_completeness(
    promise: PartitionExpectation, account: PartitionAccount, *, is_over: bool, usual_share: float
) -> Verdict:
    """Warns if files that promise the partition are not published, or if it has far fewer rows than usual.

    The expected number of files of a day is unknown, so its rows are compared with the same weekday of the four weeks
    before: less than `usual_share` of their median warns, once the day `is_over`.
    """
    raw_files, usual = account.raw_files, _usual_rows(promise)
    facts: dict[str, int | float] = {
        "published_files": raw_files,
        "pending_files": promise.pending,
        "failed_files": promise.failed,
        "quarantined_files": promise.quarantined,
        "weeks_compared": len(promise.rows_of_weeks_before),
        **({"usual_rows": usual} if usual is not None else {}),
    }
    missing = [
        *([f"{promise.pending} are pending and will be converted automatically"] if promise.pending else []),
        *([f"{promise.failed} failed and will be retried automatically"] if promise.failed else []),
        *([f"{promise.quarantined} are quarantined: `lake retry --dry-run` says why"] if promise.quarantined else []),
    ]
    if missing:
        text = f"Of the files that promise this partition {'; '.join(missing)}. {raw_files} raw files gave rows"
        return Verdict(passed=True, warns=True, text=text, facts=facts)
    complete = f"{raw_files} raw files gave {account.rows} rows, and no other known file promises any"
    if usual is None:
        text = f"{complete}. No baseline yet: fewer than {MIN_WEEKS} of the 4 weeks before have this weekday"
        return Verdict(passed=True, text=text, facts=facts)
    text = f"{complete}. Usual for this weekday, in {len(promise.rows_of_weeks_before)} weeks before: {usual:.0f} rows"
    if not is_over or account.rows >= usual_share * usual:
        return Verdict(passed=True, text=text, facts=facts)
    text += (
        f". Less than LAKE_USUAL_SHARE ({usual_share:.0%}) of it came: is the drop complete? `lake discover` finds "
        "what has landed since"
    )
    return Verdict(passed=True, warns=True, text=text, facts=facts)


def _usual_rows(promise: PartitionExpectation) -> float | None:
    weeks = promise.rows_of_weeks_before
    return median(weeks) if len(weeks) >= MIN_WEEKS else None


def check_quarantine_share(promise: PartitionExpectation, tolerated: float) -> Verdict:
    """Warns if more than `tolerated` of the records in the partition's raw files are quarantined."""
    ratio = promise.rows_quarantined / promise.rows_read if promise.rows_read else 0.0
    text = f"{promise.rows_quarantined} of {promise.rows_read} records in its raw files are quarantined ({ratio:.2%})"
    facts = {"quarantined": promise.rows_quarantined, "read": promise.rows_read, "share": ratio}
    if ratio <= tolerated:
        return Verdict(passed=True, text=text, facts=facts)
    text += (
        f", more than LAKE_QUARANTINE_WARNING ({tolerated:.2%}). "
        '`lake query "SELECT reason, count(*) FROM quarantine GROUP BY reason"` says why'
    )
    return Verdict(passed=True, warns=True, text=text, facts=facts)


def check_freshness(promise: PartitionExpectation, hours: float) -> Verdict:
    """Warns if a file that promises the partition waits for longer than `hours`."""
    waiting = promise.waiting_for / HOUR if promise.waiting_for is not None else 0.0
    took = promise.newest_took / HOUR if promise.newest_took is not None else 0.0
    facts = {"hours_waiting": round(waiting, 3), "hours_to_publish": round(took, 3)}
    if waiting > hours:
        text = (
            f"A file that promises this partition waits for {waiting:.1f} hours, more than LAKE_FRESH_HOURS "
            f"({hours:g}). Is pending_files_sensor on, and do its runs succeed?"
        )
        return Verdict(passed=True, warns=True, text=text, facts=facts)
    if promise.newest is None:
        return Verdict(passed=True, text="No raw file gave rows yet", facts=facts)
    discovered = promise.newest.astimezone(UTC)
    text = f"Its newest raw file was discovered at {discovered:%Y-%m-%d %H:%M} UTC and published {_span(took)} later"
    return Verdict(passed=True, text=text, facts=facts)


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
