"""Failures of runs: an error of the lake fails the step with its message, without the inside of the program.

Only ops and assets: a sensor that fails is evaluated again, and its tick has the error. Nothing is handled or retried.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import dagster as dg

from lake_pipeline.errors import LakeError

Body = TypeVar("Body", bound=Callable[..., Any])


def clear_failures(body: Body) -> Body:
    """The body of an op or asset, function or generator, with `dg.Failure` in place of a `LakeError`.

    Dagster does not retry it: the ledger owns retries.
    """

    @functools.wraps(body)
    def function(*arguments: Any, **named: Any) -> Any:
        with _as_failure():
            return body(*arguments, **named)

    @functools.wraps(body)
    def generator(*arguments: Any, **named: Any) -> Iterator[Any]:
        with _as_failure():
            yield from body(*arguments, **named)

    return cast(Body, generator if inspect.isgeneratorfunction(body) else function)


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except LakeError as error:
        metadata = {"error_class": type(error).__name__}
        raise dg.Failure(description=str(error), metadata=metadata, allow_retries=False) from None
    except (OSError, MemoryError) as error:
        from lake_pipeline.usecases.reports.failures import failure_text

        raise dg.Failure(description=failure_text(error), allow_retries=False) from error
