"""The reading child: `python -m pipelines.knowledge.sandbox_child`, started by sandbox.py.

It reads untrusted bytes, so it is poor: no secrets in its environment, little memory, little
time, no files to write. It ends with its worker, and by itself when it has nothing to do.
"""

import errno
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import Permanent
from pipelines.knowledge.extract import extract
from pipelines.knowledge.sandbox_frames import (
    OUT_OF_MEMORY_STATUS,
    Frame,
    FrameError,
    pack_document,
    read_frame,
    write_frame,
)

IDLE_S_MAX = 120
ORPHAN_CHECK_S = 0.5
FILES_MAX = 64
KILOBYTE = 1024


def main() -> None:
    memory_bytes_max, cpu_s_max = map(int, sys.argv[1:3])
    requests, answers = _take_over_streams()
    _outlive_no_worker()
    _limit(memory_bytes_max)
    while select.select([requests], [], [], IDLE_S_MAX)[0]:
        try:
            request = read_frame(requests)
        except FrameError:
            return
        _grant_cpu(cpu_s_max)
        write_frame(answers, _answer(request))


def _take_over_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for frames alone: what a library prints must not get between."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    return requests, answers


def _outlive_no_worker() -> None:
    """Ctrl-C and a deploy's SIGTERM are for the worker: it closes the pipe when it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)


def _limit(memory_bytes_max: int) -> None:
    """Not every system knows every limit; the worker's clock is the last resort."""
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes_max),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def _grant_cpu(cpu_s_max: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + cpu_s_max + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _answer(request: Frame) -> Frame:
    header = request.header
    try:
        document = extract(
            request.body,
            content_type=header.get("content_type"),
            url=header.get("url"),
            name=header.get("name"),
        )
        frame = pack_document(document)
    except Permanent as error:
        frame = Frame({"refused": str(error)}, b"")
    except Exception as error:  # noqa: BLE001 - what a hostile file provokes, the worker is told
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            # What is left of the heap is not to be trusted with another answer.
            os._exit(OUT_OF_MEMORY_STATUS)
        return Frame({"failed": traceback.format_exc()}, b"")
    return Frame({**frame.header, "memory_bytes": _measure_memory()}, frame.body)


def _measure_memory() -> int:
    """The most memory that this process has held.

    Linux' own peak, because `ru_maxrss` begins with what the worker held when it started us: each
    child of a large worker would be retired after its first document.
    """
    with suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * KILOBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KILOBYTE


if __name__ == "__main__":
    main()
