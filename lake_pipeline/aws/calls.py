"""One call of an AWS service: its answer, or an error of the lake."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from lake_pipeline.aws.errors import ClientError, error_code, translate_errors


def call_or_none(
    target: str, action: str, operation: Callable[..., Any], *, absent: Collection[str] = (), **arguments: Any
) -> dict[str, Any] | None:
    """The answer of `operation`, or None if the service answers with one of the error codes `absent`.

    Raises what `translate_errors` makes of any other failure.
    """
    with translate_errors(target, action):
        try:
            answer: dict[str, Any] = operation(**arguments)
        except ClientError as error:
            if error_code(error) in absent:
                return None
            raise
    return answer


def call(target: str, action: str, operation: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The answer of `operation`. Raises what `translate_errors` makes of a failure."""
    answer = call_or_none(target, action, operation, **arguments)
    assert answer is not None, "no error code counts as absent"
    return answer
