"""`Settings`: all groups of LAKE_* variables, and the way to load them.

A variable is declared in the module of its group. A wrong value ends in one `SettingsError` that names the variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lake_pipeline.errors import SettingsError
from lake_pipeline.model.redaction import is_web_address_with_path, looks_like_credential
from lake_pipeline.settings.athena import AthenaSettings
from lake_pipeline.settings.batches import BatchSettings
from lake_pipeline.settings.checks import CheckSettings
from lake_pipeline.settings.contract import ContractSettings
from lake_pipeline.settings.conversion import ConversionSettings
from lake_pipeline.settings.dagster import DagsterSettings
from lake_pipeline.settings.environment import variable_names
from lake_pipeline.settings.glue import GlueSettings
from lake_pipeline.settings.group import PREFIX, SettingsGroup
from lake_pipeline.settings.ledger import LedgerSettings
from lake_pipeline.settings.records import RecordSettings
from lake_pipeline.settings.storage import StorageSettings


class Settings(BaseModel):
    """The configuration of a lake. Use `load_settings`, which explains errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: StorageSettings
    ledger: LedgerSettings
    records: RecordSettings
    contract: ContractSettings
    conversion: ConversionSettings
    batches: BatchSettings
    checks: CheckSettings
    dagster: DagsterSettings
    glue: GlueSettings
    athena: AthenaSettings

    def variables(self) -> dict[str, str]:
        """Each setting with a value, as environment variables of a child process."""
        values = {
            variable: getattr(getattr(self, group), field) for variable, (group, field) in setting_fields().items()
        }
        return {variable: str(value) for variable, value in values.items() if value is not None}


def settings_groups() -> Iterator[tuple[str, type[SettingsGroup]]]:
    """Each group with its name in `Settings`."""
    for name, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, SettingsGroup)
        yield name, model


def setting_fields() -> dict[str, tuple[str, str]]:
    """Group and field of each variable."""
    return {model.variable(field): (group, field) for group, model in settings_groups() for field in model.model_fields}


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment. `overrides` take precedence, named like the variables: `ledger_url`.

    Raises `SettingsError` for the first wrong value, and for a misspelled variable.
    """
    _refuse_misspelled()
    values = _by_group(overrides)
    return Settings(**{name: _load(model, values[name]) for name, model in settings_groups()})


def _by_group(overrides: dict[str, object]) -> dict[str, dict[str, object]]:
    fields, values = setting_fields(), {name: dict[str, object]() for name, _ in settings_groups()}
    for name, value in overrides.items():
        variable = PREFIX + name.upper()
        if variable not in fields:
            raise SettingsError(variable, "there is no such setting")
        group, field = fields[variable]
        values[group][field] = value
    return values


def _load(model: type[SettingsGroup], values: dict[str, object]) -> Any:
    try:
        return model(**values)  # type: ignore[arg-type]  # checked by pydantic, like the environment
    except ValidationError as error:
        raise _explain(model, error) from None


def _refuse_misspelled() -> None:
    """A typo would silently leave the default in force, and for example quarantine every record.

    Variables that resemble no setting belong to other programs and are ignored.
    """
    settings = [*setting_fields()]
    for name in variable_names():
        if name.startswith(PREFIX) and name not in settings and (close := get_close_matches(name, settings, 1, 0.85)):
            raise SettingsError(name, f"there is no such setting; did you mean {close[0]}?")


def _explain(model: type[SettingsGroup], error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False)[0]
    variable = model.variable(str(first["loc"][0]))
    reason: Any = first.get("ctx", {}).get("error")
    # Validators of secret settings never repeat the value. The others do, and the value may be in the wrong variable.
    value = str(first["input"])
    if (looks_like_credential(value) or _is_repeated_webhook(value, reason)) and not _is_hidden(variable):
        problem = "this value can't be used; it is not shown, because it looks like a credential. See docs/settings.md"
    elif isinstance(reason, ValueError):
        problem = str(reason)
    elif variable in (f"{PREFIX}LEDGER_URL", f"{PREFIX}DAGSTER_URL"):
        problem = "not a PostgreSQL URL"
    else:
        problem = f"{first['input']!r} can't be used: {first['msg'][0].lower()}{first['msg'][1:]}"
    return SettingsError(variable, problem)


def _is_repeated_webhook(value: str, reason: object) -> bool:
    """Whether a message would repeat a value that may be a webhook, whose path is its password."""
    return is_web_address_with_path(value) and not (isinstance(reason, ValueError) and value not in str(reason))


def _is_hidden(variable: str) -> bool:
    """Whether the value of a variable is left out of the representation of the settings, as it may be secret."""
    group, field = setting_fields()[variable]
    return not dict(settings_groups())[group].model_fields[field].repr
