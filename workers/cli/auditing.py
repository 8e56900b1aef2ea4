"""What commands change is in the dashboard's audit log as well, with who and why."""

import getpass
import os
import socket
from typing import Annotated, Any

import typer

from db import audit
from db.pool import Connection

ROLE = "cli"
UNSAID = "from the command line"

WhyOption = Annotated[str, typer.Option("--why", help="Kept in the audit log.")]


def note(conn: Connection, action: str, target: str, *, why: str = UNSAID, **details: Any) -> None:
    """In the transaction that does it."""
    audit.append(
        conn,
        operator=f"cli:{user_name()}@{socket.gethostname()}",
        role=ROLE,
        action=action,
        target=target,
        why=why.strip().replace("\0", "")[: audit.WHY_CHARS_MAX] or UNSAID,
        details=details,
    )


def user_name() -> str:
    """Of who is at the terminal; a container may have a number for them and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
