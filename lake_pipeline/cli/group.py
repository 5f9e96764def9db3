"""Exit of a command: an error is one line on stderr and exit code 1, without a traceback or control characters.

A closed stdout (`lake … | head`) ends the command without a message; click does that.
"""

from __future__ import annotations

import logging
from typing import Any

import click

from lake_pipeline.consume.address_space import COMMAND_BYTES, check_address_space
from lake_pipeline.errors import LakeError
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.model.redaction import without_credentials

log = logging.getLogger("lake_pipeline.cli")


class LakeGroup(click.Group):
    """A group that lists its commands in the order they were added. Usage errors exit with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            check_address_space(COMMAND_BYTES)
            return super().invoke(ctx)
        except LakeError as error:
            raise click.ClickException(one_line(without_credentials(" ".join(str(error).split())))) from error
        except click.ClickException as error:
            error.message = one_line(without_credentials(error.message))  # type: ignore[misc]  # final only for types
            raise
        except (click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            from lake_pipeline.usecases.reports.failures import failure_text

            log.info("The traceback of the next line:", exc_info=error)
            raise click.ClickException(one_line(without_credentials(failure_text(error)))) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)
