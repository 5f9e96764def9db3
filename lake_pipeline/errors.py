"""The errors of the lake, and whether a retry helps.

Every error that a person or the ledger may see derives from `LakeError`. Its class decides what happens next: a
`TransientError` is retried after a backoff, a `PermanentError` is not, and after an `OutcomeUnknown` the state is
looked up first. An `Outage` never costs a file an attempt. The message is for the operator: what is wrong, where, and
what to do. The ledger stores the name of the class as `error_class`, for queries.
"""

from __future__ import annotations

from collections.abc import Collection

from lake_pipeline.escaping.lines import one_line
from lake_pipeline.escaping.shell import shell_word


class LakeError(Exception):
    """Base of everything this project raises on purpose. As text it is one line: data in it can't forge another."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class TransientError(LakeError):
    """The same call may succeed later; the ledger retries it after a backoff."""


class Outage(TransientError):
    """The store, the ledger, the engine, credentials or the network fail. No file is the cause."""


class PermanentError(LakeError):
    """The same call fails again until the input or the settings change."""


class OutcomeUnknown(LakeError):
    """The call may or may not have taken effect; look it up before deciding."""


class SettingsError(PermanentError):
    """A setting is missing or wrong. `setting` is its environment name, e.g. `LAKE_ROOT`."""

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        super().__init__(f"{setting}: {problem}")


class LedgerUnavailable(Outage):
    """PostgreSQL can't be reached or dropped the connection."""


class LedgerRefused(LedgerUnavailable):
    """The server answers and refuses: the user has no right, or the database is read-only or full.

    An operator has to act. The files themselves are fine, so they wait as after any other outage.
    """


class LedgerOutdated(PermanentError):
    """The ledger's schema is not the one this version needs; `lake ledger migrate` upgrades it."""


class LedgerBehind(PermanentError):
    """The store has commits that the ledger does not have: the ledger is new, or was restored from an old dump."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"The store has a commit with number {number} that this ledger does not have: the ledger is older than the "
            "lake, or is another one. Nothing was published. Stop all workers and run `lake recover`, which prints "
            "what it would do, then `lake recover --apply`."
        )


class LeaseLost(LakeError):
    """This worker no longer holds the claim: another worker owns the files now, so nothing may be written."""

    def __init__(self, batch_id: str) -> None:
        self.batch_id = batch_id
        super().__init__(
            f"The claim on batch {batch_id} is no longer held by this worker (its lease ran out and the files "
            "were given to another one). Nothing of this attempt was published; there is nothing to do."
        )


class ContractMoved(TransientError):
    """Another batch changed the contract, and the parts of this conversion do not fit it; convert again."""


class FilesMoved(TransientError):
    """Other batches are publishing data files that this one has to read or replace; look again and retry."""


class WideningRefused(TransientError):
    """A published column at one of `paths` has integers that no double holds: it must keep its type; convert again."""

    def __init__(self, paths: Collection[str]) -> None:
        self.paths = frozenset(paths)
        named = ", ".join(sorted(self.paths))
        super().__init__(f"{named}: published integers beyond 2^53 would be rounded, so the column keeps its type.")


class VersionsMoved(TransientError):
    """Meanwhile another version of a file in this batch was registered or published; claim again."""


class RetainedBySnapshots(PermanentError):
    """Rows of a file to forget are in `snapshots`, and would stay readable through them."""

    def __init__(self, file: str, snapshots: Collection[str]) -> None:
        self.snapshots = tuple(snapshots)
        commands = " and ".join(f"`lake snapshot drop {shell_word(name)}`" for name in self.snapshots)
        super().__init__(
            f"Rows of {file} are in {len(self.snapshots)} snapshots and would stay readable through them, so "
            f"nothing was forgotten. Run {commands}, then forget it."
        )


class StorageUnavailable(Outage):
    """The object store did not answer, or answered that it is busy."""


class StorageRefused(StorageUnavailable):
    """The object store refuses: credentials, access or the bucket itself are wrong.

    An operator has to act. The files themselves are fine, so they wait as after any other outage.
    """


class LakeNotThere(StorageUnavailable):
    """The root is not there: it has no `_lake.json`, although its ledger is bound to a lake. Nothing was written.

    Usually a volume is not mounted, or LAKE_ROOT names another bucket or directory. The files are fine and wait.
    """


class LakeMismatch(StorageRefused):
    """Root and ledger belong to different lakes; nothing was written. An operator has to act, the files wait."""


class EngineUnavailable(Outage):
    """The engine can't be started, or can't convert anything at this time."""


class WorkersLost(TransientError):
    """The workers of the engine died while they converted a batch; a file may be the cause, or the machines.

    As for any lost worker, the attempt does not count and the next batches are smaller (docs/decisions/0010).
    """


class LakePaused(Outage):
    """No file is claimed now: the store or the engine of this lake failed before, and is probed later."""


class ObjectUnreadable(TransientError):
    """One object can't be read although the store answers: access to it is denied, or its bytes are damaged."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"{key} can't be read: {problem}")


class KeyTaken(PermanentError):
    """No object can have this key: a file has the name of one of its folders, or a folder has its name."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"{key} can't be used: a file and a folder would have the same name.")


class DataFileLost(TransientError):
    """A published file is gone, or another object is at its key, and no batch is replacing it.

    No raw file is at fault; an operator has to act. The store works, so batches that don't need this file go on.
    """

    def __init__(self, key: str, partition: str | None, problem: str) -> None:
        self.key = key
        rebuild = f"`lake rebuild '{partition}'` makes it again from the originals" if partition else ""
        repair = rebuild or "`lake fsck` shows what is left of its records"
        super().__init__(
            f"The published file {key} {problem}, and no batch is replacing it. Restore it from a backup or an older "
            f"version of the object, or: {repair}."
        )


class ObjectArchived(TransientError):
    """The object is in an archived storage class and can't be read until it is restored."""

    reason = "archived_storage_class"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"{key} is in an archived storage class (Glacier). Restore it (S3 console, or `aws s3api restore-object`); "
            "the next `lake discover` after that registers it as readable."
        )


class ObjectMissing(PermanentError):
    """There is no object at this key (any more)."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"No object at {key}: it was moved or deleted after it was listed. Run `lake discover`.")


class ObjectChanged(PermanentError):
    """The object at this key is no longer the version that was registered."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        self.key = key
        super().__init__(
            f"{key} changed after it was registered (version {expected}, now {found}). "
            "Run `lake discover` to register the new version."
        )


class NothingToInspect(LakeError):
    """There is no file with this name, and none below it."""


class BadInput(PermanentError):
    """A raw file can't be converted as a whole. `reason` is a short code, `offset` a byte position if known."""

    def __init__(self, reason: str, detail: str, *, offset: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(detail)


def is_outage(error: BaseException) -> bool:
    """Whether `error` ends a batch without an attempt of its files: an `Outage`, or a setting that is wrong."""
    return isinstance(error, Outage | SettingsError | LedgerOutdated)
