"""Plans: compare the current and the desired state of each resource, and update what differs.

A resource reads its current state and computes the desired one. It keeps what others have configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Protocol


class Resource(Protocol):
    """One AWS resource, or one part of its configuration, that the lake needs."""

    @property
    def name(self) -> str:
        """For output: "lifecycle of s3://bucket"."""
        ...

    def read(self) -> Any:
        """The current state as JSON, or None if the resource does not exist. Raises `StorageUnavailable`."""
        ...

    def desired(self, current: Any) -> Any:
        """The desired state, given the current one."""
        ...

    def apply(self, desired: Any) -> None:
        """Create or update the resource. Raises `StorageUnavailable`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A resource that is not in its desired state. `before` is None if it does not exist."""

    resource: str
    before: Any
    after: Any

    def lines(self) -> Iterator[str]:
        """The change as lines of a diff, which begin with a space, `-` or `+`."""
        before, after = (_text(state) for state in (self.before, self.after))
        for line in unified_diff(before, after, n=2, lineterm=""):
            if not line.startswith(("---", "+++", "@@")):
                yield line


def differences(resources: Sequence[Resource]) -> Iterator[Difference]:
    """Resources not in their desired state, in the order of their update. Changes nothing."""
    for resource in resources:
        before = resource.read()
        after = resource.desired(before)
        if before != after:
            yield Difference(resource=resource.name, before=before, after=after)


def provision(resources: Sequence[Resource]) -> Iterator[Difference]:
    """Update the resources that are not in their desired state; yields each difference after its update."""
    for resource in resources:
        # Read only now, because a resource may refer to one that was created before it.
        before = resource.read()
        after = resource.desired(before)
        if before != after:
            resource.apply(after)
            yield Difference(resource=resource.name, before=before, after=after)


def _text(state: Any) -> list[str]:
    return [] if state is None else json.dumps(state, indent=2, sort_keys=True, ensure_ascii=False).split("\n")
