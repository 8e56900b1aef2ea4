"""New messages and notifications, as they are committed, to whoever may read them.

One thread and one direct connection a process and address; LISTEN does not pass a transaction
pooler, so the address is DATABASE_DIRECT_URL. Callbacks run in that thread, one after another:
hand over, do not work there.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from db.acting import claims_of_user
from db.realtime_hub import Change, Hub, Subscription
from db.types.database_types import MessagesRow, NotificationsRow

READY_S = 15.0

__all__ = [
    "Change",
    "Subscription",
    "subscribe_to_messages",
    "subscribe_to_notifications",
    "unsubscribe",
]

# By process, because a fork takes the dictionary along but not the threads.
hubs: dict[tuple[int, str], Hub] = {}
hubs_lock = threading.Lock()


def subscribe_to_messages(
    database_url: str,
    conversation_id: UUID,
    callback: Callable[[Change[MessagesRow]], object],
    *,
    user_id: UUID | None = None,
    claims: Mapping[str, Any] | None = None,
) -> Subscription:
    """Call back with each new message of a conversation, if this reader may see it.

    The reader is a user, or the verified claims of a token, and then only until it expires.
    Messages committed after the return come exactly once, in whatever way Postgres goes away and
    comes back meanwhile. Raises TimeoutError when it does not answer.
    """
    reader = reader_of(user_id, claims)
    return subscribe(database_url, Subscription("messages", conversation_id, reader, callback))


def subscribe_to_notifications(
    database_url: str, user_id: UUID, callback: Callable[[Change[NotificationsRow]], object]
) -> Subscription:
    """Call back with each new notification of this user, who is the reader too."""
    reader = claims_of_user(user_id)
    return subscribe(database_url, Subscription("notifications", user_id, reader, callback))


def unsubscribe(subscription: Subscription) -> None:
    """End it: no call begins after the return. Twice is once."""
    subscription.close()
    with hubs_lock:
        for (process, _), hub in hubs.items():
            if process == os.getpid():
                hub.forget(subscription)


def reader_of(user_id: UUID | None, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if (user_id is None) == (claims is None):
        raise ValueError("a reader is named by either user_id or claims")
    return claims if claims is not None else claims_of_user(str(user_id))


def subscribe(database_url: str, subscription: Subscription) -> Subscription:
    with hubs_lock:
        key = (os.getpid(), database_url)
        hub = hubs.get(key)
        if hub is None:
            hub = hubs[key] = Hub(database_url, leave=lambda idle: leave(key, idle))
            hub.start()
        ready = hub.enter(subscription)
    try:
        ready.result(READY_S)
    except TimeoutError:
        unsubscribe(subscription)
        raise TimeoutError(f"Postgres does not answer: {hub.trouble}") from None
    return subscription


def leave(key: tuple[int, str], is_idle: Callable[[], bool]) -> bool:
    """Drop a hub that has nothing to do; False when somebody has just given it something."""
    with hubs_lock:
        if not is_idle():
            return False
        hubs.pop(key, None)
        return True
