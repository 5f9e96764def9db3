"""The probe of a database that is not the ledger's."""

from __future__ import annotations

import socket

import pytest

from lake_pipeline.errors import LedgerUnavailable
from lake_pipeline.ledger.probe import check_database


@pytest.mark.parametrize("place", ["maria:{secret}@127.0.0.1:{port}/runs", "127.0.0.1:{port}/runs?password={secret}"])
def test_a_refusal_names_the_database_and_no_password(place: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(LedgerUnavailable, match="LAKE_DAGSTER_URL") as refused:
            check_database(f"postgresql://{place.format(secret='correcthorse', port=port)}", "LAKE_DAGSTER_URL")
    assert f"127.0.0.1:{port}/runs" in str(refused.value)
    assert "correcthorse" not in str(refused.value)
