"""Makes probes misbehave as none of their arguments can.

Python imports a module of this name at its start, so every command of a test that puts this
folder on PYTHONPATH does. The probe's `effect` says how.
"""

import ctypes
import os
import time
from dataclasses import replace
from typing import Any

import pipelines.probe
from workers.jobs import KINDS

MEGABYTE = 1_000_000
BLOCKED_S = 100
LEAKED: list[bytes] = []
original = pipelines.probe.run


def run(db: Any, *, effect: str | None, **rest: Any) -> Any:
    match effect:
        case "block in C":
            ctypes.CDLL(None).sleep(BLOCKED_S)
        case "hold the interpreter":
            ctypes.PyDLL(None).sleep(BLOCKED_S)
        case "hog memory":
            hog()
        case "leak memory":
            LEAKED.append(b"x" * (60 * MEGABYTE))
    return original(db, effect=effect, **rest)


def hog() -> None:
    """Grow past any ceiling of a test, in steps that can be seen, and never end."""
    kept = []
    while True:
        kept.append(b"x" * (20 * MEGABYTE))
        time.sleep(0.05 if len(kept) < 100 else 1000)


pipelines.probe.run = run
if "PATCH_LIMIT_S" in os.environ:
    KINDS["probe"] = replace(KINDS["probe"], time_limit_s=int(os.environ["PATCH_LIMIT_S"]))
