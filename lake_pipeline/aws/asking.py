"""Asking AWS how something is set up, where "it is not there" is an answer and not a failure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from botocore.exceptions import ClientError

from lake_pipeline.aws.errors import code_of, translated


def ask(
    place: str, what: str, call: Callable[..., Any], *, absent: Collection[str] = (), **arguments: Any
) -> dict[str, Any] | None:
    """The answer to a call, or None where the service says one of the codes `absent`.

    Raises what `translated` makes of everything else; `what` goes on "can't …".
    """
    with translated(place, what):
        try:
            answer: dict[str, Any] = call(**arguments)
        except ClientError as error:
            if code_of(error) in absent:
                return None
            raise
    return answer


def tell(place: str, what: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The same for a call that changes something: every refusal is an error."""
    answer = ask(place, what, call, **arguments)
    assert answer is not None, "nothing counts as absent"
    return answer
