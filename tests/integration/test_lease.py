"""A lease is held by the clock, whatever the connection does."""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest

from db import processes
from db.pool import Connection, connect
from tests.processes import wait_until
from workers import lease as leases
from workers.lease import Lease


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 1.0)
    monkeypatch.setattr(leases, "RENEW_S", 0.1)


def make(
    database_url: str, process_id: UUID, *, on_lost: Callable[[], None] = lambda: None
) -> Lease:
    return Lease(
        partial(connect, database_url),
        process_id=process_id,
        role="worker",
        describe=dict,
        stats=lambda: {"running": [1]},
        on_lost=on_lost,
    )


@pytest.mark.usefixtures("quick")
def test_a_lease_is_not_held_while_its_renewal_hangs(database_url: str) -> None:
    process_id = uuid4()
    lease = make(database_url, process_id)
    lease.register()

    with connect(database_url) as blocking:
        # What a half-open connection does, too: the renewal is sent, and no answer comes.
        blocking.execute("LOCK TABLE worker.processes IN ACCESS EXCLUSIVE MODE")
        held_at_first = lease.held
        lease.start()
        wait_until(lease.ran_out, "the lease runs out by the clock")
        held_at_last, is_hanging = lease.held, lease.is_alive()

    lease.resign()
    assert (held_at_first, held_at_last, is_hanging) == (True, False, True)


@pytest.mark.usefixtures("quick")
def test_a_lease_that_was_rescued_from_is_lost(database_url: str, conn: Connection) -> None:
    process_id = uuid4()
    lost: list[bool] = []
    lease = make(database_url, process_id, on_lost=lambda: lost.append(True))
    lease.register()

    processes.expire(conn, id=process_id, started=[])
    lease.start()

    wait_until(lambda: lost, "it is told")
    assert not lease.held


def test_a_resigned_worker_leaves_no_suspects(database_url: str, conn: Connection) -> None:
    process_id = uuid4()
    lease = make(database_url, process_id)
    lease.register()

    lease.resign()

    row = conn.execute(
        "SELECT started, expires_at < clock_timestamp() FROM worker.processes WHERE id = %s",
        (process_id,),
    ).fetchone()
    assert row == ([], True)
