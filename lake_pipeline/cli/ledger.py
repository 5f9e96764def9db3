"""`lake ledger …`: maintenance of the ledger's database."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, waiting


@click.group()
def ledger() -> None:
    """Maintain the ledger's database."""


@ledger.command()
@as_json
def migrate(json_: bool) -> None:
    """Upgrade the ledger's schema to this version.

    Only needed with LAKE_LEDGER_URL or LAKE_LEDGER_SECRET: every command upgrades the embedded ledger.
    """
    from lake_pipeline.composition import connection_options, ledger_url
    from lake_pipeline.ledger.migrate import migrate as migrate_schema
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    before, after = migrate_schema(ledger_url(settings), connection_options(settings))
    if json_:
        print_json({"before": before, "after": after})
    elif before == after:
        print_line(f"The ledger is up to date, at revision {after}.")
    else:
        print_line(f"The ledger is now at revision {after} (before: {before or 'no ledger'}).")


@ledger.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def export(file: Path, json_: bool) -> None:
    """Write the whole ledger to FILE, which must not exist, to move it to another server.

    It is the state of one moment; workers may go on. `lake ledger restore FILE` reads it.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    if file.exists():
        raise click.ClickException(f"{file} exists already. Choose another name.")
    partial = file.with_name(f"{file.name}.partial")
    try:
        with open_lake(settings, reading=True) as lake, waiting("Exporting the ledger"):
            # Keys of files may be confidential: only this user may read them.
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as target:
                rows = lake.ledger.transfer.export(target, lake.ledger.identity.read().lake_id)
                target.flush()
                os.fsync(target.fileno())
        os.replace(partial, file)
    except OSError as error:
        raise click.ClickException(f"{file} can't be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    _print_transfer(file, rows, "written to", json_)


@ledger.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def restore(file: Path, json_: bool) -> None:
    """Fill an empty ledger from FILE, written by `lake ledger export`.

    If the lake was used after the export, run `lake recover` next.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.recovery.export import check_export

    settings = load_settings()
    try:
        with file.open("rb") as source, open_lake(settings, reading=True) as lake, waiting("Restoring the ledger"):
            check_export(lake, source)
            rows = lake.ledger.transfer.restore(source)
    except OSError as error:
        raise click.ClickException(f"{file} can't be read: {error.strerror}.") from error
    _print_transfer(file, rows, "restored from", json_)


def _print_transfer(file: Path, rows: int, done: str, json_: bool) -> None:
    if json_:
        print_json({"file": str(file), "rows": rows, "bytes": file.stat().st_size})
    else:
        print_line(f"{rows:,} rows of the ledger were {done} {file}.")


@ledger.command("adopt-root")
@click.option("--new-id", is_flag=True, help="Even if they belong together: for a copy of a lake with its ledger.")
@as_json
def adopt_root(new_id: bool, json_: bool) -> None:
    """Bind the ledger and LAKE_ROOT to each other, with a new identity.

    Use it if `_lake.json` was deleted, after a lake was copied on purpose, or if this ledger replaces another one. The
    root must have files of this ledger. Other ledgers and roots with the old identity are refused after that.
    """
    from lake_pipeline.composition import note_home, open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.identity.adopt import adopt_root as adopt

    settings = load_settings()
    with open_lake(settings, reading=True) as lake:
        adoption = adopt(lake, new_id=new_id)
        note_home(settings)
        root, location = lake.store.uri, lake.ledger.location
    if json_:
        print_json(asdict(adoption))
    elif adoption.is_changed:
        print_line(f"{root} and the ledger ({location}) are the lake {adoption.lake_id} now.")
    else:
        print_line(f"{root} and the ledger ({location}) belong together already: lake {adoption.lake_id}.")
