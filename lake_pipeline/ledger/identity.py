"""The identity of the ledger: an id of its own, and the id of the lake whose root it is bound to."""

from __future__ import annotations

from sqlalchemy import Connection

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.identity import LedgerIdentity

EXPECTED_KEYS = 5
"""Keys of each kind (data files, archived originals, others) that are looked up as evidence: one of them is enough."""


class Identity(Component):
    """The one row of `lake_identity`, and what this ledger expects to be in its root."""

    def read(self) -> LedgerIdentity:
        """The identity; the row is created at the first call."""
        with self._database.transaction() as connection:
            identity = _identity(connection)
            if identity is None:
                connection.execute(query("create_ledger_identity"))
                identity = _identity(connection)
        assert identity is not None, "the row was created, here or by another writer"
        return identity

    def bind(self, lake_id: str) -> str:
        """Bind the ledger to a lake unless it is bound; returns the lake it is bound to. Exact under races."""
        with self._database.transaction() as connection:
            connection.execute(query("bind_lake"), {"lake_id": lake_id})
            identity = _identity(connection)
        assert identity is not None, "`read` has created the row"
        assert identity.lake_id is not None, "it is bound, here or by another writer"
        return identity.lake_id

    def rebind(self, lake_id: str) -> None:
        """Bind the ledger to another lake, whatever it was bound to."""
        with self._database.transaction() as connection:
            connection.execute(query("rebind_lake"), {"lake_id": lake_id})

    def has_files(self) -> bool:
        """Whether any raw file is registered."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(query("has_files")))

    def expected_keys(self) -> list[str]:
        """Up to fifteen keys that the root should contain: data files, archived originals, other originals."""
        with self._database.transaction() as connection:
            return list(connection.scalars(query("expected_keys"), {"limit": EXPECTED_KEYS}))


def _identity(connection: Connection) -> LedgerIdentity | None:
    row = connection.execute(query("ledger_identity")).one_or_none()
    return None if row is None else LedgerIdentity(ledger_id=row.ledger_id, lake_id=row.lake_id)
