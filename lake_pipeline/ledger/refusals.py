"""Refusals: a statement that the server does not run for this user, in this state, and what to do about it.

Errors of the connection itself are in `connection`.
"""

from __future__ import annotations

import psycopg2
from sqlalchemy.exc import DBAPIError

from lake_pipeline.errors import LedgerRefused

_NEXT_STEPS = {
    # insufficient_privilege
    "42501": "Run it as another user, or grant this one what it needs: docs/grants.md has the SQL for the roles owner, "
    "worker and reader.",
    # read_only_sql_transaction
    "25006": "It is a standby, a reader endpoint, or has default_transaction_read_only on. Use the URL of the primary "
    "(on RDS the writer endpoint), or turn that setting off for this user.",
    # disk_full
    "53100": "Free space on the disk of the database server, then run the command again.",
    # out_of_memory
    "53200": "The database server is out of memory. Stop other work on it, or run fewer workers.",
}
"""By SQLSTATE, what an operator can do."""


def refusal(error: Exception, where: str) -> LedgerRefused | None:
    """The error for the operator; None if `error` is not a refusal. `where` names the setting and the server."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg2.Error) or cause.pgcode not in _NEXT_STEPS:
        return None
    problem = str(cause).strip().partition("\n")[0]
    return LedgerRefused(f"The ledger refuses ({where}): {problem}. {_NEXT_STEPS[cause.pgcode]}")
