"""Evidence that a root and a ledger without an identity belong together: what the ledger expects is in the root.

It is looked up only at the first use, and if an operator adopts a root.
"""

from __future__ import annotations

from lake_pipeline.errors import LakeMismatch, LakeNotThere
from lake_pipeline.storage.zones import CURATED
from lake_pipeline.usecases.lake import Lake


def check_unclaimed(lake: Lake) -> None:
    """Check that the ledger may use this root, which has no usable identity.

    Raises `LakeNotThere` if the ledger has files and none of them is in the root, and `LakeMismatch` if the root has
    data files although the ledger has no files.
    """
    if lake.ledger.identity.has_files():
        _check_expected(lake)
    elif next(iter(lake.store.objects(CURATED)), None) is not None:
        raise LakeMismatch(
            f"{lake.store.uri} already has data files in {CURATED}, but this ledger ({lake.ledger.location}) is empty: "
            "it would publish their rows again, so nothing was written. Use the ledger that published them "
            "(LAKE_LEDGER_URL, or LAKE_HOME for an embedded one). If it is lost, run `lake recover`."
        )


def _check_expected(lake: Lake) -> None:
    keys = lake.ledger.identity.expected_keys()
    if keys and not any(lake.store.stat(key) for key in keys):
        raise LakeNotThere(
            f"{lake.store.uri} has none of the files that this ledger ({lake.ledger.location}) was asked for, for "
            f"example {keys[0]}. Nothing was written. Check that the volume is mounted and that LAKE_ROOT is right."
        )
