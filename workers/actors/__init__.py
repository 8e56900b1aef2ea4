"""One doorway per job kind: each file decodes its job and calls the pipeline of its name."""

import importlib
from collections.abc import Callable, Collection, Coroutine
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from db.jobs import Claimed
from workers.jobs import KINDS, LOOP_QUEUES, QUEUES, Payload
from workers.payloads import decode
from workers.tools import Toolbox, Tools

P = TypeVar("P", bound=Payload)
# What a doorway returns, at once or as a coroutine.
R = TypeVar("R", None, dict[str, Any], Coroutine[Any, Any, dict[str, Any] | None])
Result = dict[str, Any] | None
Doorway = Callable[[Any, Tools], Any]

DOORWAYS: dict[str, Doorway] = {}


def works(payload: type[P]) -> Callable[[Callable[[P, Tools], R]], Callable[[P, Tools], R]]:
    """Make the function the doorway of the kind that carries this payload.

    What it returns, a small JSON object or None, is the `result` on the job's row. Doorways of
    LOOP_QUEUES, and they alone, are `async def`: raises TypeError otherwise.
    """

    def register(doorway: Callable[[P, Tools], R]) -> Callable[[P, Tools], R]:
        kind = next(kind for kind in KINDS.values() if kind.payload is payload)
        if iscoroutinefunction(doorway) != (kind.queue in LOOP_QUEUES):
            wanted = "async def" if kind.queue in LOOP_QUEUES else "def"
            raise TypeError(f'doorway of "{kind.name}": queue {kind.queue} takes `{wanted}`')
        DOORWAYS[kind.name] = doorway
        return doorway

    return register


def load_doorways(queues: Collection[str] = frozenset(QUEUES)) -> None:
    """Load what the kinds of these queues need: the rest would cost memory and a slow start."""
    for kind in KINDS.values():
        if kind.queue in queues:
            load_doorway(kind.name)


def load_doorway(name: str) -> Doorway:
    if name not in DOORWAYS:
        importlib.import_module(f"workers.actors.{name}")
    return DOORWAYS[name]


def run_job(job: Claimed, toolbox: Toolbox) -> Result:
    """Do the work of a claimed job: its result. Raises what went wrong."""
    payload = decode(KINDS[job.kind].payload, job.args)
    result: Result = load_doorway(job.kind)(payload, toolbox.for_job(job))
    return result


async def run_on_loop(job: Claimed, toolbox: Toolbox) -> Result:
    """As run_job, for a doorway that is `async def`."""
    payload = decode(KINDS[job.kind].payload, job.args)
    result: Result = await load_doorway(job.kind)(payload, toolbox.for_job(job))
    return result
