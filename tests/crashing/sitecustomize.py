"""Ends or stops a process at a named gap, once: what a power cut in that very moment would do.

Python imports a module of this name at its start, so every command of a test that puts this
folder on PYTHONPATH does. A file in CRASH_FOLDER bears the name of a gap and holds the signal;
whoever removes it is the one that gets it. A negative signal goes to its whole command. Without
a file everything runs as ever.
"""

import functools
import inspect
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["CRASH_FOLDER"])


def reach(gap: str) -> None:
    """End here when this gap is asked for."""
    try:
        number = int((FOLDER / gap).read_text())
        (FOLDER / gap).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid() if number > 0 else 0, abs(number))
    if number == signal.SIGTERM:
        # The handler runs in the main thread; let it be asked to end before this one goes on.
        time.sleep(0.3)


def wrap(place: str, *, before: str | None = None, after: str | None = None) -> None:
    """Reach a gap before a call of the function at `place`, or after one that did something."""
    module_name, _, path = place.partition(":")
    owner: Any = import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    if not hasattr(owner, name):
        # Python would go on without this file, and the tests would prove nothing.
        sys.stderr.write(f"there is no {place} to wrap\n")
        os._exit(1)
    setattr(owner, name, crashing(getattr(owner, name), before=before, after=after))


def crashing(
    original: Callable[..., Any], *, before: str | None, after: str | None
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):
        return crashing_later(original, before=before, after=after)

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        if before is not None:
            reach(before)
        result = original(*args, **options)
        if after is not None and (result is None or result):
            reach(after)
        return result

    return wrapped


def crashing_later(
    original: Callable[..., Awaitable[Any]], *, before: str | None, after: str | None
) -> Callable[..., Awaitable[Any]]:
    """As `crashing`, of a coroutine function: after is when it has ended."""

    @functools.wraps(original)
    async def wrapped(*args: Any, **options: Any) -> Any:
        if before is not None:
            reach(before)
        result = await original(*args, **options)
        if after is not None:
            reach(after)
        return result

    return wrapped


def refuse_push() -> None:
    """Redis goes away before a push, so that what was marked is recalled."""
    runway = import_module("workers.runway")
    original = runway.Runway.push

    def push(self: Any, *args: Any, **options: Any) -> None:
        if (FOLDER / "recalled").exists():
            raise runway.RunwayDown("asked to be away")
        original(self, *args, **options)

    runway.Runway.push = push


# fmt: off
wrap("db.lanes:dispatch_jobs", after="marked")
wrap("workers.runway:Runway.push", before="mark committed", after="pushed")
refuse_push()
wrap("db.jobs:recall_jobs", after="recalled")
wrap("db.jobs:promote_due", after="promoted")
wrap("db.waits:settle", after="settled")
wrap("db.jobs:rescue_running", after="rescued")
wrap("workers.runway:Runway.pop", after="popped")
wrap("db.jobs:claim_jobs", after="claimed")
wrap("workers.broker:RunwayConsumer._claim", after="held")
wrap("pipelines.probe:sleep", after="working")
wrap("db.jobs:append_effect", after="effect written")
wrap("pipelines.probe:run", after="effect committed")
wrap("db.jobs:finish_jobs", before="finish due", after="finished")
wrap("workers.ledger:Ledger._commit", after="finish told")
wrap("db.processes:renew", before="before renewal", after="renewed")
wrap("workers.child:Child.drain", before="drain begins")
wrap("workers.child:Child.stop_fetching", after="fetching stopped")
wrap("workers.child:Child.give_back_running", before="drained")
wrap("workers.crew:WorkerHand.look", before="parent looks")
wrap("workers.crew:WorkerHand.ended", before="child buried")
# fmt: on

# Imports what the other tests' commands do without.
if os.environ.get("CRASH_EMBEDDING"):
    # fmt: off
    wrap("pipelines.index_source:begin", before="source due", after="source begun")
    wrap("pipelines.readers:read", after="source read")
    wrap("pipelines.index_source:split", before="split due", after="source split")
    wrap("pipelines.vectors.buying:Buying._plan", after="vectors planned")
    wrap("pipelines.gateways.openai:OpenAIEmbedder.embed", before="request due", after="answered")
    wrap("db.chunks:remember_vectors", after="vectors written")
    wrap("db.sources:log_embedding", after="cost logged")
    wrap("pipelines.vectors.buying:Buying._store", after="request paid")
    wrap("db.chunks:copy_chunks", before="copy due", after="chunks copied")
    wrap("db.sources:complete_indexing", after="source completed")
    wrap("pipelines.index_source:store", after="source stored")
    wrap("pipelines.change_model:begin", after="change begun")
    wrap("pipelines.embed_again:add", before="twins due", after="twins stored")
    wrap("pipelines.switch_model:switch", before="switch due", after="switched")
    wrap("pipelines.switch_model:retire", before="retire due")
    # fmt: on

if os.environ.get("CRASH_DELIVERIES"):
    # fmt: off
    wrap("pipelines.deliveries:load", before="letters due", after="letters loaded")
    wrap("pipelines.deliver_webhook:send", before="post due", after="posted")
    wrap("pipelines.deliveries:store", before="results due", after="results stored")
    wrap("pipelines.deliver_webhook:conclude", before="results told")
    # fmt: on

if os.environ.get("CRASH_MAILS"):
    # fmt: off
    wrap("db.emails:load_email", after="mail loaded")
    wrap("db.emails:begin_sending", after="mail begun")
    wrap("pipelines.gateways.mail_smtp:SmtpTransport._write", before="mail due", after="mail out")
    wrap("db.emails:mark_handed", after="mark written")
    wrap("pipelines.gateways.mail_smtp:SmtpTransport._finish", before="dot due", after="mail taken")
    wrap("db.emails:mark_sent", after="sent written")
    wrap("pipelines.send_email:store", after="sent stored")
    # fmt: on
