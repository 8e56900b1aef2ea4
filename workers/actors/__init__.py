"""One doorway per job kind: each file decodes its job and calls the pipeline of its name."""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from db.jobs import Claimed
from workers.jobs import KINDS, Payload, decode
from workers.tools import Toolbox, Tools

P = TypeVar("P", bound=Payload)
R = TypeVar("R", None, dict[str, Any])
Result = dict[str, Any] | None
Doorway = Callable[[Any, Tools], Result]

DOORWAYS: dict[str, Doorway] = {}


def works(payload: type[P]) -> Callable[[Callable[[P, Tools], R]], Callable[[P, Tools], R]]:
    """Make the function the doorway of the kind that carries this payload.

    What it returns, a small JSON object or None, is the `result` on the job's row.
    """

    def register(doorway: Callable[[P, Tools], R]) -> Callable[[P, Tools], R]:
        name = next(kind.name for kind in KINDS.values() if kind.payload is payload)
        DOORWAYS[name] = doorway
        return doorway

    return register


def load_doorways() -> None:
    for name in KINDS:
        importlib.import_module(f"workers.actors.{name}")


def run_job(job: Claimed, toolbox: Toolbox) -> Result:
    """Do the work of a claimed job: its result. Raises what went wrong."""
    payload = decode(KINDS[job.kind], job.args)
    return DOORWAYS[job.kind](payload, toolbox.for_job(job))
