"""Whether work can flow: what is missing, and what to do about it."""

import logging
from dataclasses import dataclass

import psycopg
import redis

from db import migrate
from db.pool import Pool
from workers import runway

ANSWER_S = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and what to do."""

    what: str
    do: str


class Readiness:
    """Asks Postgres and Redis each time."""

    def __init__(self, pool: Pool, redis_url: str) -> None:
        self._pool = pool
        self._redis = runway.connect(redis_url, timeout_s=ANSWER_S)

    def problems(self) -> list[Problem]:
        """None: ready."""
        return [*self._of_postgres(), *self._of_redis()]

    def _of_postgres(self) -> list[Problem]:
        try:
            with self._pool.connection(timeout=ANSWER_S) as conn:
                applied = {version for version, _ in migrate.load_applied(conn)}
        except psycopg.OperationalError as error:
            return [away("Postgres", error, "start it, or check DATABASE_URL")]
        known = migrate.read_folder(migrate.MIGRATIONS)
        missing = [each.name for each in known if each.version not in applied]
        if not missing:
            return []
        return [Problem(f"migrations are missing: {', '.join(missing)}", "run `avivro migrate`")]

    def _of_redis(self) -> list[Problem]:
        try:
            self._redis.ping()
        except (redis.RedisError, OSError) as error:
            return [away("Redis", error, "start it, or check REDIS_URL; no job is lost meanwhile")]
        return []


def away(what: str, error: Exception, do: str) -> Problem:
    """Strangers may ask: addresses, names and paths that an error holds are for the log alone."""
    log.warning("%s does not answer: %s", what, first_line(error))
    return Problem(f"{what} does not answer", do)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
