"""Reads untrusted files in child processes with limits; any thread may call it.

Plain text is read in the worker itself: decoding and finding empty lines is bounded, linear and
ours, and a copy through two pipes would cost more memory than it saves.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pipelines
from pipelines.errors import Permanent, Transient
from pipelines.knowledge import sniff
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract, find_format
from pipelines.knowledge.label import make_label
from pipelines.knowledge.sandbox_frames import (
    OUT_OF_MEMORY_STATUS,
    Frame,
    FrameError,
    read_frame,
    unpack_document,
    write_frame,
)

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
CHILD_MODULE = "pipelines.knowledge.sandbox_child"
# A child is retired after so many documents, or when it once grew so large.
DOCUMENTS_MAX = 200
RETIRE_BYTES = 250 * MEGABYTE
END_S_MAX = 5.0
BUSY_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost, and how many are read at a time."""

    memory_bytes_max: int = 512 * MEGABYTE
    cpu_s_max: int = 40
    wall_s_max: float = 60.0
    queue_s_max: float = 60.0
    children_max: int = 2

    @property
    def memory(self) -> str:
        return f"memory limit {self.memory_bytes_max // MEGABYTE} MB"

    @property
    def time(self) -> str:
        return f"time limit {self.wall_s_max:g} s, {self.cpu_s_max} s of computing"


class ChildEndedError(Exception):
    """The child ended before it answered; `status` is Popen's returncode."""

    def __init__(self, status: int, *, is_expired: bool) -> None:
        super().__init__(status)
        self.status = status
        self.is_expired = is_expired


class ChildFailedError(Exception):
    """The child met an error that no reader foresaw; the message is its trace."""


class Parser:
    """Reads documents; keeps up to `children_max` children warm until close()."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._places = threading.BoundedSemaphore(self._limits.children_max)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._owner = os.getpid()

    def parse(
        self,
        body: bytes,
        *,
        content_type: str | None,
        url: str | None = None,
        name: str | None = None,
    ) -> Document:
        """Read a file or page like extract(), within the limits.

        Raises Permanent, also where reading takes too much; Transient when no child can be had.
        """
        mime = find_format(body, content_type=content_type, url=url, name=name)
        if mime == sniff.PLAIN:
            return extract(body, content_type=content_type, url=url, name=name)
        request = Frame({"content_type": content_type, "url": url, "name": name}, body)
        with self._take_place():
            return self._read(request, label=make_label(name or url))

    def close(self) -> None:
        """End the idle children; the parser can still be used."""
        with self._lock:
            children, self._idle = self._idle, []
        for child in children:
            child.end()

    @contextmanager
    def _take_place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._limits.queue_s_max):
            raise Transient("all document readers are busy", retry_after_s=BUSY_RETRY_S)
        try:
            yield
        finally:
            self._places.release()

    def _read(self, request: Frame, *, label: str) -> Document:
        """Ask a warm child; what a child that served others before did not survive, a fresh one."""
        child = self._take_idle() or self._start()
        try:
            return self._ask(child, request, label)
        except ChildEndedError as ended:
            if _is_final(ended, documents=child.documents):
                raise self._refuse(ended, label) from ended
        except ChildFailedError as failure:
            # Memory that others left full fails in any line, even in that of an import.
            if child.documents == 1:
                raise _refuse_failed(failure, label) from failure
        try:
            return self._ask(self._start(), request, label)
        except ChildEndedError as ended:
            raise self._refuse(ended, label) from ended
        except ChildFailedError as failure:
            raise _refuse_failed(failure, label) from failure

    def _take_idle(self) -> "_Child | None":
        with self._lock:
            if self._owner != os.getpid():
                # A forked worker must not share its parent's pipes.
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.is_alive():
                    return child
        return None

    def _start(self) -> "_Child":
        try:
            return _Child(self._limits)
        except OSError as error:
            raise Transient(f"no process could be started to read documents: {error}") from error

    def _ask(self, child: "_Child", request: Frame, label: str) -> Document:
        answer = child.ask(request)
        if "failed" in answer.header:
            child.end()
            raise ChildFailedError(str(answer.header["failed"]))
        document = None if "refused" in answer.header else child.unpack(answer)
        if int(answer.header.get("memory_bytes", 0)) > RETIRE_BYTES:
            child.end()
        else:
            self._put_back(child)
        if document is None:
            raise Permanent(str(answer.header["refused"]))
        return document

    def _put_back(self, child: "_Child") -> None:
        if child.documents >= DOCUMENTS_MAX:
            child.end()
            return
        with self._lock:
            self._idle.append(child)

    def _refuse(self, ended: ChildEndedError, label: str) -> Permanent:
        limits, cause = self._limits, f"{label} could not be read within the limits"
        if ended.is_expired or ended.status == -signal.SIGXCPU:
            return Permanent(f"{cause}: it took too long ({limits.time})")
        if ended.status == OUT_OF_MEMORY_STATUS:
            return Permanent(f"{cause}: it took too much memory ({limits.memory})")
        # Libraries that are not Python's end the process where memory ends.
        return Permanent(
            f"{cause}: its reader broke down, most often for lack of memory "
            f"({limits.memory}, {limits.time})"
        )


def _refuse_failed(failure: ChildFailedError, label: str) -> Permanent:
    log.error("reading %s failed:\n%s", label, failure)
    return Permanent(f"{label} could not be read: it is damaged, or not what it says it is")


def _is_final(ended: ChildEndedError, *, documents: int) -> bool:
    """Time is counted by the document; memory may have been filled by those before."""
    if ended.is_expired or ended.status == -signal.SIGXCPU:
        return True
    return ended.status == OUT_OF_MEMORY_STATUS and documents == 0


class _Child:
    """One reading process; used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self.documents = 0
        self._limits = limits
        self._is_expired = False
        root = str(Path(pipelines.__file__).parents[1])
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-s", "-P", "-m", CHILD_MODULE),
                *(str(limits.memory_bytes_max), str(limits.cpu_s_max)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # Nothing of the worker's environment, which holds its secrets.
            env={"PYTHONPATH": root, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"},
        )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Frame) -> Frame:
        """Send a request and wait for its answer; raises ChildEndedError for a lost child."""
        clock = threading.Timer(self._limits.wall_s_max, self._expire)
        clock.daemon = True
        clock.start()
        try:
            write_frame(self._requests, request)
            answer = read_frame(self._answers)
        except (FrameError, OSError) as error:
            raise self._find_end() from error
        finally:
            clock.cancel()
        self.documents += 1
        return answer

    def unpack(self, answer: Frame) -> Document:
        try:
            return unpack_document(answer)
        except FrameError as error:
            raise self._find_end() from error

    def _expire(self) -> None:
        self._is_expired = True
        self._process.kill()

    def _find_end(self) -> ChildEndedError:
        return ChildEndedError(self.end(), is_expired=self._is_expired)

    def end(self) -> int:
        """Close the pipes, which ends the child; kill it when it lingers."""
        for stream in (self._requests, self._answers):
            try:
                stream.close()
            except OSError:
                # The request that it did not read cannot be flushed any more.
                continue
        try:
            return self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
