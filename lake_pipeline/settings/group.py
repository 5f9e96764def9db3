"""What all groups of settings share: where values come from, and the name of a field's variable.

A group is a small frozen model with one prefix; the variable of a field is that prefix and the field's name. The text
under a field is its documentation, from which docs/settings.md is made. No setting is declared here.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "LAKE_"


class SettingsGroup(BaseSettings):
    """Settings that belong together, read from the environment if they are not given."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of `field`."""
        return f"{cls.model_config['env_prefix']}{field}".upper()
