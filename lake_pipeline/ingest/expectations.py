"""Expectations: has a partition got what the keys of raw files promised to it, in time and fit to be read?

What is missing may still come and what was refused is known, so nothing here fails: it warns, and says what to do.
"""

from __future__ import annotations

from datetime import UTC, timedelta

from lake_pipeline.ingest.verdicts import Verdict
from lake_pipeline.ledger.promises import PartitionPromise

HOUR = timedelta(hours=1)


def check_completeness(promise: PartitionPromise, raw_files: int) -> Verdict:
    """Warns where files that promise the partition are not published; `raw_files` gave it rows."""
    facts = {
        "published_files": raw_files,
        "pending_files": promise.pending,
        "failed_files": promise.failed,
        "quarantined_files": promise.refused,
    }
    missing = [
        *([f"{promise.pending} are pending and converted by themselves"] if promise.pending else []),
        *([f"{promise.failed} failed and are tried again by themselves"] if promise.failed else []),
        *([f"{promise.refused} are quarantined: `lake retry --dry-run` says why"] if promise.refused else []),
    ]
    if not missing:
        return Verdict(passed=True, text=f"{raw_files} raw files gave rows, and no other promises any", facts=facts)
    text = f"Of the files that promise this partition {'; '.join(missing)}. {raw_files} raw files gave rows"
    return Verdict(passed=True, warns=True, text=text, facts=facts)


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
