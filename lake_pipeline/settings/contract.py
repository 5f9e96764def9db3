"""The rules of the curated schema and the limit on its evolution. The contract itself is in the ledger."""

from __future__ import annotations

from pydantic import Field

from lake_pipeline.model import defaults
from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.value_types import File, Size


class ContractSettings(SettingsGroup):
    """Contract: the curated schema"""

    contract_file: File | None = None
    """A TOML file with rules for the contract: policies, types, names, excluded fields. See docs/contract.md."""

    rewrite_bytes: Size = Field(default=defaults.REWRITE_BYTES, ge=0)
    """The limit on published bytes that a batch rewrites if fractions appear in a column of integers. Above it the
    fractions are kept in `_rescued`, and `lake status` recommends `lake contract widen`."""
