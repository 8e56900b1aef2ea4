"""Keys whose time is over stop to work, and their owners hear of it."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from db import housekeeping
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import expire_api_keys
from pipelines.expire_api_keys import run
from tests.housekeeping import Customer, column, customer, held, lose, told

KIND = "expire_api_keys"


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def make_key(
    conn: Connection, owner: Customer, *, ends_in_h: float | None, name: str = "Export"
) -> UUID:
    key_id = uuid4()
    conn.execute(
        "INSERT INTO api_keys (id, user_id, agent_id, name, key_hash, key_prefix, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, 'avk_1234', now() + make_interval(secs => %s))",
        (
            key_id,
            owner.id,
            owner.agent_id,
            name,
            key_id.hex * 2,
            None if ends_in_h is None else ends_in_h * 3600,
        ),
    )
    return key_id


def active(conn: Connection) -> set[UUID]:
    return set(column(conn, "SELECT id FROM api_keys WHERE is_active"))


def test_a_key_is_switched_off_when_its_time_is_over(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    make_key(conn, owner, ends_in_h=-1)
    kept = {make_key(conn, owner, ends_in_h=1), make_key(conn, owner, ends_in_h=None)}

    result = run(fence)

    assert (result, active(conn)) == ({"expired": 1}, kept)
    assert column(conn, "SELECT count(*) FROM api_keys") == [3]
    (notification,) = told(conn, "api_key_expired")
    assert notification["user_id"] == str(owner.id)
    assert "Export (avk_1234...)" in notification["message"]
    assert column(
        conn, "SELECT changes #>> '{after,is_active}' FROM activity_logs WHERE action = 'updated'"
    ) == ["false"]


def test_running_twice_changes_nothing(conn: Connection, owner: Customer, fence: Fence) -> None:
    make_key(conn, owner, ends_in_h=-1)
    run(fence)

    result = run(fence)

    assert result == {"expired": 0}
    assert len(told(conn, "api_key_expired")) == 1


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expire_api_keys, "BATCH_ROWS", 2)
    for _ in range(5):
        make_key(conn, owner, ends_in_h=-1)
    with held(conn, database_url, KIND) as first:
        with first.write() as own:
            housekeeping.expire_keys(own, rows_max=2)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first)
    after_the_kill = len(active(conn))

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert (after_the_kill, result) == (3, {"expired": 3})
    assert len(told(conn, "api_key_expired")) == 5


def test_who_asks_with_it_still_hears_that_it_expired(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    key_id = make_key(conn, owner, ends_in_h=-1)
    conn.execute(
        "UPDATE api_keys SET key_hash = encode(sha256('avk_secret'), 'hex') WHERE id = %s",
        (key_id,),
    )

    run(fence)

    assert column(conn, "SELECT reason FROM verify_api_key('avk_secret')") == ["expired"]


def test_a_key_without_a_name_and_one_that_is_switched_off_do_no_harm(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    make_key(conn, owner, ends_in_h=-1, name=" ")
    off = make_key(conn, owner, ends_in_h=-1)
    conn.execute("UPDATE api_keys SET is_active = false WHERE id = %s", (off,))

    assert run(fence) == {"expired": 1}
    assert "The key without a name" in told(conn, "api_key_expired")[0]["message"]


def test_a_key_in_use_by_a_request_waits_for_the_next_run(
    conn: Connection, database_url: str, owner: Customer, fence: Fence
) -> None:
    make_key(conn, owner, ends_in_h=-1)
    with connect(database_url) as request:
        request.execute("SELECT FROM api_keys FOR NO KEY UPDATE")
        first = run(fence)

    assert (first, run(fence)) == ({"expired": 0}, {"expired": 1})


def test_it_finds_its_rows_by_an_index_on_stale_statistics(conn: Connection) -> None:
    with conn.transaction():
        conn.execute(housekeeping.SQL.plan_by_index)
        plan = conn.execute(
            b"EXPLAIN " + housekeeping.SQL.expire_keys, {"rows_max": 500}
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "api_keys_expiring_idx" in text
    assert "Seq Scan" not in text
