"""Rules: user decisions about the contract, path by path.

Rules apply only to columns created after them; an existing column keeps its name and type. `rules_file` has the file
format, and `admission` applies the rules to new fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.shapes import Shape


class Policy(StrEnum):
    """What to do with a field that is not in the contract.

    EVOLVE adds a column, RESCUE keeps the value in `_rescued`, FREEZE quarantines the record.
    """

    EVOLVE = "evolve"
    RESCUE = "rescue"
    FREEZE = "freeze"


class Decode(StrEnum):
    """How a value is decoded before anything else: JSON in a text, values of DynamoDB, Extended JSON of MongoDB."""

    JSON = "json"
    DYNAMODB = "dynamodb"
    MONGO = "mongo"


@dataclass(frozen=True, kw_only=True)
class PathRule:
    """The rule for one path. `pin` is the shape of its column; `policy` also applies to everything inside.

    `decode` is applied to the value before it is parsed. With `from_text` the pinned column takes texts too.
    """

    policy: Policy | None = None
    pin: Shape | None = None
    rename: str | None = None
    exclude: bool = False
    decode: Decode | None = None
    from_text: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the value is handled as a whole, so that no rule can apply inside."""
        return self.exclude or self.pin is not None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "policy": self.policy,
            "pin": self.pin.to_json() if self.pin is not None else None,
            "rename": self.rename,
            "exclude": self.exclude,
            "decode": self.decode,
            "from_text": self.from_text,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PathRule:
        """The inverse of `to_json`."""
        return cls(
            policy=Policy(data["policy"]) if data["policy"] is not None else None,
            pin=Shape.from_json(data["pin"]) if data["pin"] is not None else None,
            rename=data["rename"],
            exclude=data["exclude"],
            decode=Decode(data["decode"]) if data["decode"] is not None else None,
            from_text=data["from_text"],
        )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All rules. `max_depth` counts levels of objects and lists below the record, `max_columns` the columns of the
    table, `max_fields` the fields of one object. docs/contract.md says what happens above a limit.
    """

    policy: Policy = Policy.EVOLVE
    max_depth: int = 16
    max_columns: int = 2000
    max_fields: int = 300
    paths: Mapping[Path, PathRule] = field(default_factory=dict)

    @cached_property
    def renamed(self) -> dict[Path, str]:
        """User-defined column names by path."""
        return {path: rule.rename for path, rule in self.paths.items() if rule.rename is not None}

    @cached_property
    def decodes(self) -> bool:
        """Whether any value is decoded before records are parsed."""
        return any(rule.decode is not None or rule.from_text for rule in self.paths.values())

    @cached_property
    def excluded(self) -> tuple[Path, ...]:
        """The paths whose values are not stored."""
        return tuple(path for path, rule in self.paths.items() if rule.exclude)

    def excludes(self, path: Path) -> bool:
        """Whether the value at `path` is not stored, because of a rule for it or for an object around it."""
        return any(path[: len(excluded)] == excluded for excluded in self.excluded)

    @cached_property
    def deepest(self) -> int:
        """The deepest level that inference looks at: the limit, or the deepest path with a rule."""
        return max([self.max_depth, *map(len, self.paths)])

    @cached_property
    def may_freeze(self) -> bool:
        """Whether the policy is FREEZE anywhere."""
        return Policy.FREEZE in {self.policy, *(rule.policy for rule in self.paths.values())}

    @cached_property
    def _above(self) -> frozenset[Path]:
        return frozenset(path[:size] for path in self.paths for size in range(1, len(path)))

    def pin_at(self, path: Path) -> Shape | None:
        """The shape that `path` is pinned to."""
        rule = self.paths.get(path)
        return rule.pin if rule is not None else None

    def is_above(self, path: Path) -> bool:
        """Whether a rule has a path inside `path`, which is then always an object."""
        return path in self._above

    def policy_at(self, path: Path, *, is_first: bool = False) -> Policy:
        """The policy of `path`, or of the nearest outer path that has one.

        If the contract `is_first`, every field is new: then only `rescue` policies of paths apply.
        """
        for size in range(len(path), 0, -1):
            rule = self.paths.get(path[:size])
            if rule is not None and rule.policy is not None:
                return Policy.EVOLVE if is_first and rule.policy is Policy.FREEZE else rule.policy
        return Policy.EVOLVE if is_first else self.policy

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "policy": self.policy,
            "max_depth": self.max_depth,
            "max_columns": self.max_columns,
            "max_fields": self.max_fields,
            "paths": [[list(path), rule.to_json()] for path, rule in self.paths.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rules:
        """The inverse of `to_json`."""
        return cls(
            policy=Policy(data["policy"]),
            max_depth=data["max_depth"],
            max_columns=data["max_columns"],
            max_fields=data["max_fields"],
            paths={tuple(path): PathRule.from_json(rule) for path, rule in data["paths"]},
        )
