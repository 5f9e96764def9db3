"""Expectations: has a partition got what the keys of raw files promised to it, in time and fit to be read?

What is missing may still come and what was refused is known, so nothing here fails: it warns, and says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from statistics import median

from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.verdicts import Verdict
from lake_pipeline.ledger.promises import PartitionPromise
from lake_pipeline.ledger.views import PartitionAccount
from lake_pipeline.model.partitions import PartitionKey

HOUR = timedelta(hours=1)

FEWEST_WEEKS = 2
"""Earlier weeks that are needed to say what is usual: a single one may have been odd itself."""


def expectations(
    lake: Lake, accounts: Mapping[PartitionKey, PartitionAccount]
) -> dict[PartitionKey, dict[str, Verdict]]:
    """The verdicts on each partition of `accounts`, by the names of their checks. Only the ledger is read."""
    promises, today = lake.ledger.partition_promises(accounts), datetime.now(UTC).date()
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
    promise: PartitionPromise, account: PartitionAccount, *, is_over: bool, usual_share: float
) -> Verdict:
    """Warns where files that promise the partition are not published, or where it has far fewer rows than usual.

    Nobody tells how many files a day should have, so what landed is compared with the same weekday of the four weeks
    before: less than `usual_share` of their median warns, once the day `is_over`.
    """
    raw_files, usual = account.raw_files, _usual_rows(promise)
    facts: dict[str, int | float] = {
        "published_files": raw_files,
        "pending_files": promise.pending,
        "failed_files": promise.failed,
        "quarantined_files": promise.refused,
        "weeks_compared": len(promise.rows_of_weeks_before),
        **({"usual_rows": usual} if usual is not None else {}),
    }
    missing = [
        *([f"{promise.pending} are pending and converted by themselves"] if promise.pending else []),
        *([f"{promise.failed} failed and are tried again by themselves"] if promise.failed else []),
        *([f"{promise.refused} are quarantined: `lake retry --dry-run` says why"] if promise.refused else []),
    ]
    if missing:
        text = f"Of the files that promise this partition {'; '.join(missing)}. {raw_files} raw files gave rows"
        return Verdict(passed=True, warns=True, text=text, facts=facts)
    known = f"{raw_files} raw files gave {account.rows} rows, and no other known file promises any"
    if usual is None:
        text = f"{known}. What is usual is not known: fewer than {FEWEST_WEEKS} of the 4 weeks before have this weekday"
        return Verdict(passed=True, text=text, facts=facts)
    text = f"{known}. Usual for this weekday, in {len(promise.rows_of_weeks_before)} weeks before: {usual:.0f} rows"
    if not is_over or account.rows >= usual_share * usual:
        return Verdict(passed=True, text=text, facts=facts)
    text += (
        f". Less than LAKE_USUAL_SHARE ({usual_share:.0%}) of it came: is the drop complete? `lake discover` finds "
        "what has landed since"
    )
    return Verdict(passed=True, warns=True, text=text, facts=facts)


def _usual_rows(promise: PartitionPromise) -> float | None:
    weeks = promise.rows_of_weeks_before
    return median(weeks) if len(weeks) >= FEWEST_WEEKS else None


def check_quarantine_share(promise: PartitionPromise, tolerated: float) -> Verdict:
    """Warns where more than `tolerated` of the records in the partition's raw files are quarantined."""
    share = promise.rows_quarantined / promise.rows_read if promise.rows_read else 0.0
    text = f"{promise.rows_quarantined} of {promise.rows_read} records in its raw files are quarantined ({share:.2%})"
    facts = {"quarantined": promise.rows_quarantined, "read": promise.rows_read, "share": share}
    if share <= tolerated:
        return Verdict(passed=True, text=text, facts=facts)
    text += (
        f", more than LAKE_QUARANTINE_WARNING ({tolerated:.2%}). "
        '`lake query "SELECT reason, count(*) FROM quarantine GROUP BY reason"` says why'
    )
    return Verdict(passed=True, warns=True, text=text, facts=facts)


def check_freshness(promise: PartitionPromise, hours: float) -> Verdict:
    """Warns where a file that promises the partition waits for longer than `hours`."""
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
    found = promise.newest.astimezone(UTC)
    text = f"The newest of its raw files was found at {found:%Y-%m-%d %H:%M} UTC and published {_span(took)} later"
    return Verdict(passed=True, text=text, facts=facts)


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
