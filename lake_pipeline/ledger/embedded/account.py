"""The account that creates the embedded server's data. It needs a name: `initdb` looks it up and ends without one."""

from __future__ import annotations

import os
import pwd

from lake_pipeline.errors import SettingsError
from lake_pipeline.ledger.embedded.home import EmbeddedHome


def check_account(files: EmbeddedHome) -> None:
    """Raises `SettingsError` if the data must be created and the user id of this process has no name."""
    user_id = os.geteuid()
    if (files.data / "PG_VERSION").exists():
        return
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        raise SettingsError(
            "LAKE_LEDGER_URL",
            f"not set, and the embedded PostgreSQL can't be created by the user id {user_id}, which has no name here. "
            "Set it to a PostgreSQL database, or give the id a name: a line in /etc/passwd of the image, or the "
            "runAsUser of a user that is listed there.",
        ) from None
