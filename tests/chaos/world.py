"""Servers, database and commands of one chaos run, and what is noted of every job in them.

Triggers of the run's own note each way out of `running`, each change of a finished job and each
attempt to leave an effect: the engine cannot leave out what would speak against it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from db.embedded import Services, serve
from db.migrate import migrate
from db.pool import Connection, connect
from tests.chaos.fleet import Fleet, fleet
from tests.integration.embedded_home import find_keepers, server_pid

AWAY_S_MAX = 60.0
RETRY_S = 0.1
CONNECTIONS_MAX = 450

NOTES = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.ends (
    job_id bigint, attempt int, old_state text, new_state text,
    at timestamptz DEFAULT clock_timestamp());
CREATE INDEX ON chaos.ends (job_id, attempt);
CREATE INDEX ON chaos.ends (at);
CREATE TABLE chaos.effects (
    job_id bigint, attempt int, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE chaos.cargo (job_id bigint PRIMARY KEY, has_effect boolean);
CREATE TABLE chaos.batches (callback_id bigint, job_ids bigint[]);
CREATE TABLE chaos.parcels (number int PRIMARY KEY);

CREATE FUNCTION chaos.note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.ends VALUES (OLD.id, OLD.attempt, OLD.state, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER note_end AFTER UPDATE OF state ON worker.jobs FOR EACH ROW
    WHEN (OLD.state IN ('running', 'completed', 'discarded', 'cancelled')
          AND NEW.state <> OLD.state)
    EXECUTE FUNCTION chaos.note_end();

-- Fires for a row that is there already, too.
CREATE FUNCTION chaos.note_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.effects VALUES (NEW.job_id, NEW.attempt);
    RETURN NEW;
END $$;
CREATE TRIGGER note_effect BEFORE INSERT ON worker.probe_effects FOR EACH ROW
    EXECUTE FUNCTION chaos.note_effect();
"""


@dataclass(frozen=True)
class World:
    """One home with servers of its own, and the commands that run on them."""

    home: Path
    services: Services
    fleet: Fleet

    @property
    def database_url(self) -> str:
        assert self.services.database_url is not None
        return self.services.database_url

    @property
    def redis_url(self) -> str:
        assert self.services.redis_url is not None
        return self.services.redis_url

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows, as soon as Postgres answers. For statements that may run twice."""
        until = time.monotonic() + AWAY_S_MAX
        while True:
            try:
                with connect(self.database_url, autocommit=True, name="chaos") as conn:
                    cursor = conn.execute(statement, values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(RETRY_S)

    def server(self, name: str) -> psutil.Process:
        """The process of `postgres` or `redis`, as soon as it runs."""
        until = time.monotonic() + AWAY_S_MAX
        while time.monotonic() < until:
            pid = server_pid(self.home, name)
            with suppress(psutil.NoSuchProcess):
                if pid is not None:
                    return psutil.Process(pid)
            time.sleep(RETRY_S)
        raise AssertionError(f"{name} did not come back within {AWAY_S_MAX:.0f} s")

    def keeper(self, name: str) -> psutil.Process:
        """What starts that server again when it died."""
        return next(each for each in find_keepers(self.home) if name in each.cmdline())


@contextmanager
def world(
    home: Path, posts: Mapping[str, Sequence[str]], *, connections_max: int | None = None
) -> Iterator[World]:
    with serve(home) as services:
        assert services.database_url is not None
        assert services.redis_url is not None
        migrate(services.database_url)
        with connect(services.database_url, autocommit=True) as conn:
            conn.execute(NOTES)
            if connections_max is not None:
                raise_connections(conn, connections_max)
        env = {
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "AVIVRO_HOME": str(home),
        }
        with fleet(home / "logs", env, posts) as running:
            made = World(home, services, running)
            if connections_max is not None:
                made.server("postgres").kill()
            yield made


def raise_connections(conn: Connection, connections_max: int) -> None:
    """From the next start of the server on."""
    conn.execute(f"ALTER SYSTEM SET max_connections = {connections_max:d}")
