"""What commands change is in the dashboard's audit log as well, with who and why."""

import getpass
import os
import socket
from typing import Annotated, Any

import typer

from db import audit
from db.pool import Connection
from workers.cli import console

ROLE = "cli"
UNSAID = "from the command line"
TARGET_CHARS_MAX = 300


def read_why(text: str) -> str:
    """Exits with 2 for a reason that cannot be kept as it was given."""
    why = text.strip()
    if not why:
        console.fail("--why says nothing: give a reason, or leave it out", code=2)
    if len(why) > audit.WHY_CHARS_MAX:
        limit = audit.WHY_CHARS_MAX
        console.fail(f"the reason has {len(why)} characters, at most {limit} fit", code=2)
    return why


WHY_HELP = "Kept in the audit log."
WhyOption = Annotated[str, typer.Option("--why", help=WHY_HELP, callback=read_why)]


def note(conn: Connection, action: str, target: str, *, why: str = UNSAID, **details: Any) -> None:
    """In the transaction that does it."""
    audit.append(
        conn,
        operator=f"cli:{user_name()}@{socket.gethostname()}",
        role=ROLE,
        action=action,
        target=target[:TARGET_CHARS_MAX],
        why=why,
        details=details,
    )


def user_name() -> str:
    """Of who is at the terminal; a container may have a number for them and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
