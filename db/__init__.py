"""The data layer: `with db.acting_as(conn, user_id): db.agents.create(conn, ...)`.

Areas are imported when they are first named, so that `import db` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db import agents, auth, conversations, knowledge, leads, messages, realtime, webhooks
    from db.acting import BadTokenError, acting_as, acting_as_anon, acting_as_claims
    from db.rows import UnknownColumnError

AREAS = {"agents", "auth", "conversations", "knowledge", "leads", "messages", "realtime",
         "webhooks"}  # fmt: skip
NAMES = {"BadTokenError": "acting", "acting_as": "acting", "acting_as_anon": "acting",
         "acting_as_claims": "acting", "UnknownColumnError": "rows"}  # fmt: skip

__all__ = [
    "BadTokenError",
    "UnknownColumnError",
    "acting_as",
    "acting_as_anon",
    "acting_as_claims",
    "agents",
    "auth",
    "conversations",
    "knowledge",
    "leads",
    "messages",
    "realtime",
    "webhooks",
]


def __getattr__(name: str) -> Any:
    if name in AREAS:
        return import_module(f"db.{name}")
    if name in NAMES:
        return getattr(import_module(f"db.{NAMES[name]}"), name)
    raise AttributeError(f"module 'db' has no attribute {name!r}")
