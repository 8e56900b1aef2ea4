"""What stands still instead of dying: frozen processes, cut cables, servers away, wrong clocks."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
import pytest
import redis

from db import jobs, processes
from db.embedded import Services
from db.pool import Connection
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.gaps import Gaps
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.world import NOTES, World, world
from tests.integration.embedded_home import new_home
from tests.processes import ROOT, children, wait_until
from workers import chains
from workers.jobs import Probe

# Of tests/crashing: where locks are held, or an answer is on its way.
DISPATCHER_GAPS = ("promoted", "settled", "marked", "rescued")
WORKER_GAPS = ("claimed", "effect written", "finished", "renewed")
WORKERS = {
    "worker-1": ("worker", "--queue", "default:4"),
    "worker-2": ("worker", "--queue", "default:4"),
}
# Leases of 20 s have to run out in most of these.
DEADLINE_S = 120.0
RESUME_S_MAX = 15.0
STOP = signal.SIGSTOP


@pytest.fixture
def env(database_url: str, redis_url: str, tmp_path: Path, conn: Connection) -> dict[str, str]:
    """Of commands on this test's database, where every end of a job is noted."""
    conn.execute(NOTES)
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "AVIVRO_HOME": str(tmp_path / "home"),
    }


def enqueue(conn: Connection, count: int, **args: object) -> list[int]:
    return [jobs.enqueue(conn, "probe", dict(args)) for _ in range(count)]


def wait_for_workers(conn: Connection, count: int) -> None:
    wait_until(
        lambda: sum(each.role == "worker" for each in processes.list_live(conn)) >= count,
        "workers are there",
    )


def wait_for(conn: Connection, ids: list[int]) -> None:
    def look() -> bool:
        row = conn.execute(
            "SELECT count(*) FROM worker.jobs WHERE id = ANY(%s) AND state = 'completed'", (ids,)
        ).fetchone()
        return row == (len(ids),)

    wait_until(look, "all jobs are completed", deadline_s=DEADLINE_S)


def assert_done_once(conn: Connection, ids: list[int], effect: str) -> None:
    effects = conn.execute(
        "SELECT job_id FROM worker.probe_effects WHERE effect = %s ORDER BY 1", (effect,)
    ).fetchall()
    assert [row[0] for row in effects] == sorted(ids)
    assert list_double_ends(conn) == []
    assert conn.execute("SELECT id FROM worker.jobs WHERE attempt > max_attempts").fetchall() == []


def list_double_ends(conn: Connection) -> list[tuple[object, ...]]:
    """Attempts that left `running` twice, and finished jobs that changed."""
    return conn.execute(
        "SELECT job_id, attempt FROM chaos.ends GROUP BY 1, 2 "
        "HAVING count(*) > 1 OR bool_or(old_state <> 'running')"
    ).fetchall()


@pytest.mark.timeout(300)
def test_dispatchers_frozen_in_their_turns_hold_up_no_other(
    env: dict[str, str], tmp_path: Path, conn: Connection
) -> None:
    gaps = Gaps(tmp_path / "gaps")
    names = [f"dispatcher-{number}" for number in range(len(DISPATCHER_GAPS) + 1)]
    posts = dict.fromkeys(names, ("dispatcher",)) | {"worker-1": WORKERS["worker-1"]}
    with fleet(tmp_path / "run", {**env, **gaps.env}, posts) as running:
        wait_for_workers(conn, 1)
        for gap in DISPATCHER_GAPS:
            gaps.cut(gap, STOP)

        ids = enqueue_all_sorts(conn)
        wait_until(lambda: jobs.list_jobs(conn, state="running"), "jobs run")
        kill_all(running.children())
        wait_until(gaps.are_cut, "a dispatcher freezes at each gap")
        ids += enqueue_all_sorts(conn)
        wait_for(conn, ids)
        frozen = [name for name in names if is_frozen(running, name)]
        for name in frozen:
            os.kill(running.running[name].pid, signal.SIGCONT)
        later = enqueue_all_sorts(conn)
        wait_for(conn, later)

    assert len(frozen) == len(DISPATCHER_GAPS)
    assert_done_once(conn, [*ids, *later], "frozen")


def enqueue_all_sorts(conn: Connection) -> list[int]:
    """Jobs that are due, one to be promoted, and one that waits for another."""
    soon = datetime.now(UTC) + timedelta(milliseconds=200)
    ids = enqueue(conn, 12, sleep_ms=300, effect="frozen")
    ids.append(jobs.enqueue(conn, "probe", {"effect": "frozen"}, run_at=soon))
    ids.append(chains.enqueue_after(conn, Probe(effect="frozen"), after=[ids[0]]))
    return ids


def kill_all(found: list[psutil.Process]) -> None:
    for each in found:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def is_frozen(running: Fleet, name: str) -> bool:
    return bool(psutil.Process(running.running[name].pid).status() == psutil.STATUS_STOPPED)


@pytest.mark.timeout(300)
def test_jobs_of_commands_that_froze_are_rescued(
    env: dict[str, str], tmp_path: Path, conn: Connection
) -> None:
    """Parent and child at once, as with their machine: nobody is left to end the child."""
    gaps = Gaps(tmp_path / "gaps")
    names = [f"worker-{number}" for number in range(len(WORKER_GAPS) + 1)]
    posts = dict.fromkeys(names, WORKERS["worker-1"]) | {"dispatcher-1": ("dispatcher",)}
    with fleet(tmp_path / "run", {**env, **gaps.env}, posts) as running:
        wait_for_workers(conn, len(names))
        ids = enqueue(conn, 60, sleep_ms=500, effect="frozen")
        for gap in WORKER_GAPS:
            gaps.cut(gap, -STOP)

        wait_until(gaps.are_cut, "a worker command freezes at each gap")
        ids += enqueue(conn, 10, effect="frozen")
        wait_for(conn, ids)
        frozen = [name for name in names if is_frozen(running, name)]
        thawed = [child for name in frozen for child in children(running.running[name])]
        for name in frozen:
            os.killpg(running.running[name].pid, signal.SIGCONT)
        wait_until(lambda: not psutil.wait_procs(thawed, timeout=0)[1], "what thaws ends")
        wait_for_workers(conn, len(names))

    assert len(frozen) == len(WORKER_GAPS)
    assert_done_once(conn, ids, "frozen")


@pytest.fixture
def cut_postgres(database_url: str) -> Iterator[tuple[Proxy, str]]:
    """A cable to Postgres, and the address at its end."""
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    with proxy((parts.hostname, parts.port)) as cable:
        host = f"{parts.username}:{parts.password}@127.0.0.1:{cable.port}"
        yield cable, parts._replace(netloc=host).geturl()


@pytest.fixture
def cut_redis(services: Services, redis_url: str) -> Iterator[tuple[Proxy, str]]:
    with proxy(Path(unquote(urlsplit(redis_url).path))) as cable:
        yield cable, f"redis://127.0.0.1:{cable.port}/0"


def test_a_half_open_cable_to_postgres_costs_no_job(
    env: dict[str, str], tmp_path: Path, conn: Connection, cut_postgres: tuple[Proxy, str]
) -> None:
    cable, cut_url = cut_postgres
    cut_posts = {"worker-1": WORKERS["worker-1"], "dispatcher-1": ("dispatcher",)}
    posts = {"worker-2": WORKERS["worker-2"], "dispatcher-2": ("dispatcher",)}
    cut_env = {**env, "DATABASE_URL": cut_url}
    with (
        fleet(tmp_path / "run", env, posts),
        fleet(tmp_path / "cut", cut_env, cut_posts) as cut,
    ):
        wait_for_workers(conn, 2)
        ids = enqueue(conn, 60, sleep_ms=400, effect="cut")
        wait_until(lambda: count_running_on(conn, cut) >= 2, "the worker to be cut runs jobs")
        family = cut.children()

        cable.hold()
        wait_for(conn, ids)
        wait_until(lambda: not psutil.wait_procs(family, timeout=0)[1], "the cut one ends")
        cable.let_go()
        wait_for_workers(conn, 2)
        later = enqueue(conn, 40, sleep_ms=200, effect="cut")
        wait_until(lambda: count_running_on(conn, cut) >= 1, "it works again")
        wait_for(conn, later)

    assert_done_once(conn, [*ids, *later], "cut")


def count_running_on(conn: Connection, running: Fleet) -> int:
    """Jobs that run in the workers of this fleet."""
    row = conn.execute(
        "SELECT count(*) FROM worker.jobs AS j JOIN worker.processes AS p ON p.id = j.worker_id "
        "WHERE j.state = 'running' AND p.pid = ANY(%s)",
        ([child.pid for child in running.children()],),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_half_open_cable_to_redis_costs_no_job(
    env: dict[str, str], tmp_path: Path, conn: Connection, cut_redis: tuple[Proxy, str]
) -> None:
    """What it had taken from the runway when its cable was cut is sent again."""
    cable, cut_url = cut_redis
    posts = {"worker-2": WORKERS["worker-2"], "dispatcher-2": ("dispatcher",)}
    cut_posts = {"worker-1": WORKERS["worker-1"], "dispatcher-1": ("dispatcher",)}
    with (
        fleet(tmp_path / "run", env, posts),
        fleet(tmp_path / "cut", {**env, "REDIS_URL": cut_url}, cut_posts) as cut,
    ):
        wait_for_workers(conn, 2)
        ids = enqueue(conn, 100, sleep_ms=200, effect="cut")
        wait_until(lambda: count_running_on(conn, cut) >= 2, "the worker to be cut runs jobs")

        cable.hold()
        wait_for(conn, ids)
        cable.let_go()
        later = enqueue(conn, 60, sleep_ms=200, effect="cut")
        wait_until(lambda: count_running_on(conn, cut) >= 1, "it works again")
        wait_for(conn, later)

    assert_done_once(conn, [*ids, *later], "cut")
    assert burnt(conn) == {1}


def burnt(conn: Connection) -> set[int]:
    rows = conn.execute("SELECT DISTINCT 10 - (max_attempts - attempt) FROM worker.jobs")
    return {row[0] for row in rows.fetchall()}


def test_a_wall_clock_that_jumps_by_hours_changes_nothing(
    env: dict[str, str], tmp_path: Path, conn: Connection
) -> None:
    jumping = {**env, "PYTHONPATH": f"{ROOT / 'tests' / 'jumping'}{os.pathsep}{ROOT}"}
    posts = {"worker-1": WORKERS["worker-1"], "dispatcher-1": ("dispatcher",)}
    with fleet(tmp_path / "run", jumping, posts) as running:
        wait_for_workers(conn, 1)
        before = {child.pid for child in running.children()}

        soon = datetime.now(UTC) + timedelta(seconds=2)
        ids = enqueue(conn, 60, sleep_ms=400, effect="jump")
        ids += enqueue(conn, 3, fail_times=1, effect="jump")
        delayed = jobs.enqueue(conn, "probe", {"effect": "jump"}, run_at=soon)
        wait_for(conn, [*ids, delayed])
        after = {child.pid for child in running.children()}

    assert_done_once(conn, [*ids, delayed], "jump")
    assert before == after
    assert burnt(conn) == {1, 2}
    found = jobs.get_job(conn, delayed)
    assert found is not None
    assert found.started_at is not None
    assert found.started_at >= soon


@pytest.fixture
def own_servers() -> Iterator[World]:
    posts = {"worker-1": WORKERS["worker-1"], "dispatcher-1": ("dispatcher",)}
    with new_home() as home, world(home, posts) as made:
        yield made


def test_work_waits_for_a_redis_that_is_down_and_goes_on_when_it_is_back(
    own_servers: World,
) -> None:
    wait_until(lambda: own_servers.ask("SELECT 1 FROM worker.processes"), "processes are there")
    own_servers.ask("SELECT worker.enqueue('probe', '{\"effect\": \"first\"}')")
    done = "SELECT 1 FROM worker.probe_effects WHERE effect = %s"
    wait_until(lambda: own_servers.ask(done, "first"), "a first job ran")
    keeper = own_servers.keeper("redis")
    keeper.suspend()
    own_servers.server("redis").kill()

    own_servers.ask("SELECT worker.enqueue('probe', '{\"effect\": \"waits\"}')")
    time.sleep(5)
    early = own_servers.ask(done, "waits")
    keeper.resume()
    wait_until(lambda: answers(own_servers.redis_url), "Redis is back")
    back_at = time.monotonic()
    wait_until(lambda: own_servers.ask(done, "waits"), "the job that waited")
    took_s = time.monotonic() - back_at

    print(f"resumed {took_s:.2f} s after Redis was back")
    assert early == []
    assert took_s < RESUME_S_MAX
    assert own_servers.ask("SELECT id FROM worker.jobs WHERE errors <> '[]'") == []


def answers(redis_url: str) -> bool:
    with suppress(redis.RedisError), redis.Redis.from_url(redis_url) as client:
        return bool(client.ping())
    return False
