"""Turns at a host: what a server sees when several workers want something of it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db import hosts, processes
from db.fence import Cancelled, Fence, LeaseLost
from db.pool import Connection, Pool, open_pool
from pipelines.errors import Snooze
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client, Request
from pipelines.gateways.polite import GAP_S, REQUESTS_MAX, PoliteClient, host_key
from tests.fakes import Hit, Site, Wire, site

ROOT = Path(__file__).parents[2]
# A request may set out that much later than its turn, and the one after it may not.

HAMMER = """
import sys, time
from uuid import UUID
from db.fence import Fence
from db.pool import open_pool
from pipelines.errors import Snooze
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client, Request
from pipelines.gateways.polite import PoliteClient

database, url, job_id = sys.argv[1:]
with open_pool(database, size_max=2) as pool:
    client = PoliteClient(Client(Egress.parse("127.0.0.1")), Fence(pool, int(job_id), 1))
    for _ in range(4):
        while True:
            try:
                client.request(Request(url))
                break
            except Snooze as snooze:
                time.sleep(snooze.delay_s)
"""


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size_max=8) as opened:
        yield opened


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    opened = Client(Egress.parse("127.0.0.1"))
    yield opened
    opened.close()


def running_job(conn: Connection) -> int:
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES ('probe', 'default', 'running', 1, 3, %s) RETURNING id",
        (worker_id,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def timed(web: Site, path: str = "/") -> list[float]:
    """When each request to the path arrived, from now on."""
    arrived: list[float] = []

    def answer(wire: Wire, _: Hit) -> bool:
        arrived.append(time.monotonic())
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    web.raw(path, answer)
    return arrived


def take(conn: Connection, tenant: UUID, *, patience_s: float = 1.0) -> hosts.Turn:
    return hosts.take_turn(
        conn,
        "a.example",
        tenant=tenant,
        gap_s=GAP_S,
        patience_s=patience_s,
        hold_s=30,
        holders_max=100,
    )


def test_two_processes_together_ask_a_host_no_oftener_than_promised(
    conn: Connection, database_url: str, web: Site
) -> None:
    arrived = timed(web)
    command = [sys.executable, "-c", HAMMER, database_url, web.url()]

    hammers = [subprocess.Popen([*command, str(running_job(conn))], cwd=ROOT) for _ in range(2)]

    assert [hammer.wait(60) for hammer in hammers] == [0, 0]
    # Each alone would need three gaps; a busy machine may hold the first request up.
    assert len(arrived) == 8
    assert arrived[-1] - arrived[0] >= 5 * GAP_S


def test_a_turn_that_is_far_away_is_waited_for_without_a_thread(conn: Connection) -> None:
    tenant = uuid4()

    turns = [take(conn, tenant) for _ in range(6)]

    assert [turn.granted for turn in turns] == [True] * 3 + [False] * 3
    waits = [turn.wait_s for turn in turns]
    assert waits == sorted(waits)
    assert all(later - earlier >= GAP_S / 2 for earlier, later in pairwise(waits))


def test_many_pages_of_one_tenant_do_not_put_off_the_only_page_of_another(
    conn: Connection,
) -> None:
    many, one = uuid4(), uuid4()
    for _ in range(100):
        take(conn, many)

    turn = take(conn, one)

    assert take(conn, many).wait_s > 20
    assert turn.granted
    assert turn.wait_s <= 2.0


def test_a_slow_host_gets_only_so_many_requests_at_a_time(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def answer(wire: Wire, _: Hit) -> bool:
        begun.release()
        go_on.wait(30)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    url = web.raw("/", answer)
    asking = [
        threading.Thread(target=polite(conn, pool, client, gap_s=0.01).request, args=[Request(url)])
        for _ in range(REQUESTS_MAX)
    ]
    for thread in asking:
        thread.start()
    for _ in asking:
        assert begun.acquire(timeout=30)

    with pytest.raises(Snooze):
        polite(conn, pool, client, gap_s=0.01).request(Request(url))
    go_on.set()
    for thread in asking:
        thread.join(30)

    polite(conn, pool, client, gap_s=0.01).request(Request(url))
    assert web.count("/") == REQUESTS_MAX + 1


def polite(conn: Connection, pool: Pool, client: Client, *, gap_s: float = GAP_S) -> PoliteClient:
    return PoliteClient(client, Fence(pool, running_job(conn), 1), gap_s=gap_s)


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_a_pause_gets_it_from_everybody(
    conn: Connection, pool: Pool, client: Client, web: Site, status: int
) -> None:
    url = web.page("/", status=status, headers={"Retry-After": "30"})
    polite(conn, pool, client).request(Request(url))

    with pytest.raises(Snooze) as snoozed:
        polite(conn, pool, client).request(Request(url))

    assert snoozed.value.delay_s > 25
    assert web.count("/") == 1


def test_a_job_that_has_fetched_something_waits_rather_than_begin_again(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    url = web.page("/", "ok")
    asking = polite(conn, pool, client, gap_s=1.5)

    asking.request(Request(url))
    asking.request(Request(url))

    assert web.count("/") == 2


def test_a_redirect_to_another_host_counts_there(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    with site() as other:
        url = web.redirect("/", other.page("/", "ok"))
        polite(conn, pool, client, gap_s=30).request(Request(url, redirects_max=1))

        with pytest.raises(Snooze):
            polite(conn, pool, client).request(Request(other.url()))


def test_who_is_cancelled_while_waiting_asks_nothing(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    url = web.page("/", "ok")
    polite(conn, pool, client).request(Request(url))
    asked = iter([False])
    fence = Fence(pool, running_job(conn), 1, lambda: next(asked, True))

    with pytest.raises(Cancelled):
        PoliteClient(client, fence).request(Request(url))

    assert web.count("/") == 1


def test_an_attempt_that_lost_its_job_gets_no_turn(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    fence = Fence(pool, running_job(conn), attempt=7)

    with pytest.raises(LeaseLost):
        PoliteClient(client, fence).request(Request(web.page("/", "ok")))

    assert web.hits == []


def test_no_transaction_is_open_while_a_turn_is_waited_for(
    conn: Connection, pool: Pool, client: Client, web: Site
) -> None:
    url = web.page("/", "ok")
    open_ones: list[int] = []
    polite(conn, pool, client).request(Request(url))

    def look() -> bool:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        ).fetchone()
        open_ones.append(row[0] if row else -1)
        return False

    PoliteClient(client, Fence(pool, running_job(conn), 1, look)).request(Request(url))

    assert len(open_ones) > 1
    assert set(open_ones) == {0}


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://WWW.A.example/x", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example.:443/", "a.example"),
        ("http://a.example:8080/", "a.example:8080"),
        ("http://[::1]:8080/", "::1:8080"),
        ("http://a.example:bad/", ""),
    ],
)
def test_a_host_has_one_gate_however_it_is_written(url: str, key: str) -> None:
    assert host_key(url) == key
