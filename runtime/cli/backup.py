"""`masthead backup` and `masthead restore`."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.errors import CommandFailed, UserError
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from runtime.stack.home import Home

if TYPE_CHECKING:
    from runtime.backup.archive import Manifest


def backup(
    place: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help="A folder, or a file that is not there yet.")
    ],
) -> None:
    """Write a backup of the database and, where it is the embedded one, of Temporal: one file, readable by you alone.

    Everything goes on running meanwhile. MASTHEAD_SECRET_KEY and MASTHEAD_PAYLOAD_KEY are not in it: keep them
    elsewhere, since without them what they encrypt cannot be read.
    """
    from runtime.backup.taking import Source, take_backup, target_of

    settings = load_settings()
    with _told():
        file = target_of(place, datetime.now(UTC))
        with ensure_stack(settings, workers=False) as stack:
            own = settings.temporal_address is None
            source = Source(
                database_url=stack.database_url,
                temporal_file=Home(settings.home).temporal_file if own else None,
                namespace=stack.namespace,
            )
            manifest = take_backup(source, file)
    print(f"backup    {file}, {file.stat().st_size / 1e6:,.1f} MB, of {_when(manifest)}")
    for name, part in manifest.parts.items():
        print(f"          {name}  {part.size:,} bytes  sha256 {part.sha256}")
    if manifest.temporal is None:
        print(
            "          Temporal is not in it: TEMPORAL_ADDRESS names one that is backed up with its own tools"
        )


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `masthead backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there, for good.")] = False,
    actor: Annotated[str, typer.Option(help="Who; your login name by default.")] = "",
) -> None:
    """Bring a backup back, into an empty MASTHEAD_HOME or the empty database of DATABASE_URL.

    From then on external writes are held: nothing is charged, sent or written elsewhere until `masthead reconcile` has
    asked the payment gateways what happened since the backup was taken.
    """
    from runtime.backup.restoring import restore_backup

    settings = load_settings()
    with _told():
        done = restore_backup(settings, file, actor=actor or getpass.getuser(), force=force)
    print(f"restored  {_when(done.manifest)}, schema {done.manifest.schema_revision}")
    if done.temporal:
        print("          with the workflows of that time")
    elif settings.temporal_address is not None:
        print(
            f"          Temporal at {settings.temporal_address} was left alone: what its workflows have done since is "
            "not in the rows. Name a new TEMPORAL_NAMESPACE, unless it was restored to the same time."
        )
    else:
        print("          without workflows: the sweep opens them again")
    print("held      nothing is written to other systems. Next: `masthead up`, then `masthead reconcile`")


def _when(manifest: Manifest) -> str:
    return f"{manifest.taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _told() -> Iterator[None]:
    from runtime.backup.errors import BackupError

    try:
        yield
    except BackupError as error:
        kind = UserError if error.refused else CommandFailed
        raise kind(error.message, remedy=error.remedy) from None
