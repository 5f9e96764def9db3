"""Steps of a recovery: what is done about one commit or object, with the reason. They are printed before they are done.

Which steps are needed is decided by the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """The kind of a step."""

    BIND = "BIND"
    """The ledger takes the place of the one that the root belonged to."""
    TAKE_BACK = "TAKE_BACK"
    """A batch that published nothing and can't any more is removed; its files are converted again."""
    STORE = "STORE"
    """A commit of the ledger is written to the store again."""
    FINISH = "FINISH"
    """A half published batch is rolled forward."""
    REPLAY = "REPLAY"
    """Commits of the store are applied to the ledger."""
    DELETE = "DELETE"
    """A data file that a later commit replaced or removed is deleted."""
    SET_ASIDE = "SET_ASIDE"
    """A file that no commit explains is moved out of the zone that readers see."""
    CONVERT_AGAIN = "CONVERT_AGAIN"
    """A partition is rebuilt from its originals, because published rows are missing."""
    RETURN = "RETURN"
    """An original that no commit explains is moved back to the landing zone."""
    ARCHIVE = "ARCHIVE"
    """An original that was converted is moved to the archive again."""
    ADOPT = "ADOPT"
    """Originals in the archive are registered as archived; snapshots of the store are added."""
    DROP = "DROP"
    """A snapshot that was dropped after the ledger's state is dropped again."""
    ABORT = "ABORT"
    """A pending object that no commit publishes is removed."""
    REGISTER = "REGISTER"
    """Files in the landing zones are registered."""
    LEFT = "LEFT"
    """An inconsistency that a person has to look at."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done about `key` (an object, a partition, or a range of commits), and why.

    `run` does it, and can be repeated; the default does nothing.
    """

    action: Action
    key: str
    reason: str
    run: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
