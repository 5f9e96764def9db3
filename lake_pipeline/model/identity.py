"""The identity of a lake: what its root and its ledger share, so that no other root or ledger is used with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RootIdentity:
    """The identity that a root contains.

    `lake_id` and `ledger_id` are UUIDs; `ledger_id` identifies the ledger that created the object. `created` is an ISO
    time in UTC. `ledger_location` says where that ledger was, for people; it contains no user and no password.
    """

    lake_id: str
    ledger_id: str
    created: str
    ledger_location: str


@dataclass(frozen=True, kw_only=True)
class LedgerIdentity:
    """The identity that a ledger contains. `ledger_id` never changes; `lake_id` is None until it is bound to a root."""

    ledger_id: str
    lake_id: str | None
