"""The errors of the lake, and whether trying again helps.

Every error that a person or the ledger may see derives from `LakeError`. Its class decides what happens
next: a `TransientError` backs off and is tried again, a `PermanentError` is not, and after an
`OutcomeUnknown` the truth is looked up before anything else is done. The message is written for the
operator: what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Collection


class LakeError(Exception):
    """Base of everything this project raises on purpose."""


class TransientError(LakeError):
    """The same call may succeed later; the ledger backs off and tries again."""


class PermanentError(LakeError):
    """The same call fails again until somebody changes the input or the settings."""


class OutcomeUnknown(LakeError):
    """The call may or may not have taken effect; look it up before deciding."""


class SettingsError(PermanentError):
    """A setting is missing or wrong. `setting` is its environment name, e.g. `LAKE_ROOT`."""

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        super().__init__(f"{setting}: {problem}")


class LedgerUnavailable(TransientError):
    """PostgreSQL can't be reached or dropped the connection."""


class LedgerOutdated(PermanentError):
    """The ledger's schema is not the one this version needs; `lake ledger migrate` brings it there."""


class LeaseLost(LakeError):
    """This worker no longer holds the claim: somebody else owns the work now, so nothing may be written."""

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        super().__init__(
            f"The claim on batch {batch_id} is no longer held by this worker (its lease ran out and the files "
            "were given to another one). Nothing of this attempt was published; there is nothing to do."
        )


class ContractMoved(TransientError):
    """Another batch changed the contract in a way that this conversion's parts do not fit; convert again."""


class FilesMoved(TransientError):
    """Other batches publish files at this moment that a widening has to rewrite first; look at them and try again."""


class VersionsMoved(TransientError):
    """Another version of a file in this batch came, or was published, meanwhile; claim and look at them again."""


class SnapshotsHold(PermanentError):
    """Rows of a file that should be forgotten are held by `snapshots`, and would stay readable through them."""

    def __init__(self, file: str, snapshots: Collection[str]) -> None:
        self.snapshots = tuple(snapshots)
        commands = " and ".join(f"`lake snapshot drop {name}`" for name in self.snapshots)
        super().__init__(
            f"Rows of {file} are held by {len(self.snapshots)} snapshots and would stay readable through them, so "
            f"nothing was forgotten. Run {commands}, then forget it."
        )


class StorageUnavailable(TransientError):
    """The object store did not answer, or answered that it is busy."""


class StorageRefused(StorageUnavailable):
    """The object store refuses: credentials, access or the bucket itself are wrong.

    Somebody has to act. Nothing is wrong with the files that met it, so they wait like after any other outage.
    """


class ObjectFrozen(StorageUnavailable):
    """The object stands in an archive storage class and can't be read before it is restored."""

    reason = "archived_storage_class"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"{key} is in an archive storage class (Glacier). Restore it (S3 console, or `aws s3api restore-object`); "
            "the next `lake discover` after that finds it readable."
        )


class ObjectMissing(PermanentError):
    """No object stands under this key (any more)."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"No object at {key}: it was moved or deleted after it was listed. Run `lake discover`.")


class ObjectChanged(PermanentError):
    """The object under this key is no longer the version that was registered."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        self.key = key
        super().__init__(
            f"{key} changed after it was registered (version {expected}, now {found}). "
            "Run `lake discover` to register the new version."
        )


class BadInput(PermanentError):
    """A raw file can't be converted as a whole. `reason` is a short code, `offset` a byte position if known."""

    def __init__(self, reason: str, detail: str, *, offset: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(detail)
