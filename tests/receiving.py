"""A receiver of webhooks that keeps what came; how it answers is in the path it is called at.

`/ok` takes all, `/dead` never answers, `/slow/5-10` answers after so many seconds, `/status/410`
with that status, `/flaky/2` fails the first two posts of each id, `/held` answers when released.
"""

import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BACKLOG = 4096


@dataclass(frozen=True)
class Post:
    """A request that arrived whole; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass
class Receiver:
    """What came to it. Of posts outside `kept` only the number is known."""

    kept: str = "/"
    origin: str = ""
    posts: list[Post] = field(default_factory=list)
    count: int = 0
    released: bool = False
    _times: Counter[str] = field(default_factory=Counter)
    _waiting: list["Line"] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None

    def on(self, path: str) -> list[Post]:
        return [post for post in self.posts if post.path.startswith(path)]

    def release(self) -> None:
        """Answer all that is held, and what comes to be held later at once."""
        self.released = True
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._answer_waiting)

    def _answer_waiting(self) -> None:
        for line in self._waiting:
            line.answer(200)
        self._waiting.clear()

    def take(self, post: Post, line: "Line") -> None:
        self.count += 1
        if post.path.startswith(self.kept):
            self.posts.append(post)
        _, manner, *details = post.path.split("/")
        match manner:
            case "dead":
                return
            case "slow":
                least_s, _, most_s = details[0].partition("-")
                wait_s = random.uniform(float(least_s), float(most_s or least_s))
                asyncio.get_running_loop().call_later(wait_s, line.answer, 200)
            case "held" if not self.released:
                self._waiting.append(line)
            case "status":
                line.answer(int(details[0]))
            case "flaky":
                self._times[post.id] += 1
                line.answer(500 if self._times[post.id] <= int(details[0]) else 200)
            case _:
                line.answer(200)

    async def serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: Line(self), "127.0.0.1", 0, backlog=BACKLOG)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await server.serve_forever()


class Line(asyncio.Protocol):
    """A connection, kept alive; requests with Content-Length, one after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (o.partition(":") for o in lines)
            }
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            method, path, _ = first.split(" ")
            if method == "GET":
                self.tell()
            else:
                self._receiver.take(Post(path, headers, body, time.time()), self)

    def tell(self) -> None:
        """The number of posts, and id and time of each that was kept."""
        kept = [[post.id, post.at] for post in self._receiver.posts]
        self.answer(200, json.dumps({"count": self._receiver.count, "kept": kept}).encode())

    def answer(self, status: int, body: bytes = b"ok") -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} Said\r\nLocation: /ok\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Receives in a thread of this process until the block ends."""
    taking = Receiver()
    started = threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=run, args=(loop, taking, started), daemon=True)
    thread.start()
    started.wait()
    try:
        yield taking
    finally:
        loop.call_soon_threadsafe(stop, loop)
        thread.join(5)


def run(loop: asyncio.AbstractEventLoop, taking: Receiver, started: threading.Event) -> None:
    try:
        loop.run_until_complete(taking.serve(started))
    except asyncio.CancelledError:
        return


def stop(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


class Announced(threading.Event):
    """Says where the receiver is on the first line of the output."""

    def __init__(self, taking: Receiver) -> None:
        super().__init__()
        self._taking = taking

    def set(self) -> None:
        print(self._taking.origin, flush=True)
        super().set()


if __name__ == "__main__":
    # As a process of its own it keeps what comes to the path that it was started with.
    alone = Receiver(kept=sys.argv[1])
    asyncio.run(alone.serve(Announced(alone)))
