"""Rules: what a person decides about the contract, path by path.

A rule shapes columns that are born after it; a column that exists keeps its name and type. `rules_file` says how
rules are written; what they do to what was seen is decided in `admission`.
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
    """What becomes of what the contract does not know.

    EVOLVE gives it a column, RESCUE keeps it in `_rescued`, FREEZE quarantines its record.
    """

    EVOLVE = "evolve"
    RESCUE = "rescue"
    FREEZE = "freeze"


@dataclass(frozen=True, kw_only=True)
class PathRule:
    """The rule for one path. `pin` is the shape of its column; `policy` holds for everything inside too."""

    policy: Policy | None = None
    pin: Shape | None = None
    rename: str | None = None
    exclude: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the value is taken as one, whatever is inside."""
        return self.exclude or self.pin is not None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "policy": self.policy,
            "pin": self.pin.to_json() if self.pin is not None else None,
            "rename": self.rename,
            "exclude": self.exclude,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PathRule:
        """The inverse of `to_json`."""
        return cls(
            policy=Policy(data["policy"]) if data["policy"] is not None else None,
            pin=Shape.from_json(data["pin"]) if data["pin"] is not None else None,
            rename=data["rename"],
            exclude=data["exclude"],
        )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All rules. `max_depth` counts levels of objects and lists below the record, `max_columns` the columns of the
    table, `max_fields` the fields of one object; see docs/contract.md for what lies beyond them.
    """

    policy: Policy = Policy.EVOLVE
    max_depth: int = 16
    max_columns: int = 2000
    max_fields: int = 300
    paths: Mapping[Path, PathRule] = field(default_factory=dict)

    @cached_property
    def renamed(self) -> dict[Path, str]:
        """The names that paths are given."""
        return {path: rule.rename for path, rule in self.paths.items() if rule.rename is not None}

    @cached_property
    def excluded(self) -> tuple[Path, ...]:
        """The paths whose values are stored nowhere."""
        return tuple(path for path, rule in self.paths.items() if rule.exclude)

    @cached_property
    def deepest(self) -> int:
        """The level down to which values are looked at: the limit, or the deepest path that has a rule."""
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
        """Whether a rule names something inside `path`, which then stays an object."""
        return path in self._above

    def policy_at(self, path: Path, *, is_first: bool = False) -> Policy:
        """The policy of the nearest path around `path` that has one.

        A contract that `is_first` is just being born, and everything is new to it: only a `rescue` that names a path
        holds then.
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
