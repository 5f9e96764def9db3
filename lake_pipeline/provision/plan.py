"""A plan: for each resource what is and what should be, and making the one the other.

A resource reads its present state and says what it should become; it never touches what others have set up beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Protocol


class Resource(Protocol):
    """One thing on AWS that the lake needs."""

    @property
    def name(self) -> str:
        """How people call it: "lifecycle of s3://bucket"."""
        ...

    def read(self) -> Any:
        """How it is now, as JSON; None where it is not there. Raises `StorageUnavailable`."""
        ...

    def wanted(self, found: Any) -> Any:
        """How it should be, given what `read` found."""
        ...

    def apply(self, wanted: Any) -> None:
        """Make it so. Raises `StorageUnavailable`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A resource that is not as it should be. `before` is None where it is not there."""

    resource: str
    before: Any
    after: Any

    def lines(self) -> Iterator[str]:
        """What would change, as lines that begin with a space, `-` or `+`."""
        before, after = (_text(state) for state in (self.before, self.after))
        for line in unified_diff(before, after, n=2, lineterm=""):
            if not line.startswith(("---", "+++", "@@")):
                yield line


def differences(resources: Sequence[Resource]) -> Iterator[Difference]:
    """What is not as it should be, in the order in which it would be changed. Changes nothing."""
    for resource in resources:
        before = resource.read()
        after = resource.wanted(before)
        if before != after:
            yield Difference(resource=resource.name, before=before, after=after)


def provision(resources: Sequence[Resource]) -> Iterator[Difference]:
    """Change what is not as it should be; yields each difference once it is gone."""
    for resource in resources:
        # Read only now: what came before may be what this one refers to.
        before = resource.read()
        after = resource.wanted(before)
        if before != after:
            resource.apply(after)
            yield Difference(resource=resource.name, before=before, after=after)


def _text(state: Any) -> list[str]:
    return [] if state is None else json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
