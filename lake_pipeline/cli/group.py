"""How a command ends: what the project raises on purpose is one line on stderr and exit code 1, no traceback."""

from __future__ import annotations

from typing import Any

import click

from lake_pipeline.errors import LakeError


class LakeGroup(click.Group):
    """A group whose commands keep the order they were added in and end clearly. Usage errors exit with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LakeError as error:
            raise click.ClickException(" ".join(str(error).split())) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)
