"""Statements about what owners are told; see notifications.sql. No function commits."""

from dataclasses import asdict, dataclass
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("notifications")


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification. `type` is from the open list of the schema, such as `new_lead`."""

    user_id: UUID
    agent_id: UUID | None
    type: str
    title: str
    message: str
    priority: str = "normal"
    action_url: str | None = None
    action_label: str | None = None


def tell(conn: Connection, notice: Notice, *, id: UUID) -> bool:
    """Write the notification; False when one of this id was written before."""
    return conn.execute(SQL.tell, {"id": id, **asdict(notice)}).rowcount == 1
