"""The two servers of a command: those the environment names, or embedded ones of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from db.embedded import serve
from db.pool import Connection, connect
from workers import config, log, tracing
from workers.config import Config


@contextmanager
def services(*, redis: bool = True) -> Iterator[Config]:
    """The configuration with both addresses filled in; embedded servers run until the end."""
    found = config.load()
    needs_redis = redis and found.redis_url is None
    if found.database_url is not None and not needs_redis:
        yield found
        return
    with serve(found.home, postgres=found.database_url is None, redis=needs_redis) as served:
        yield replace(
            found,
            database_url=found.database_url or served.database_url,
            database_direct_url=found.database_direct_url or served.database_url,
            redis_url=found.redis_url or served.redis_url,
        )


@contextmanager
def process(role: str, *, redis: bool = True) -> Iterator[Config]:
    """As `services`, for a process that runs for long: its logs and spans say its role."""
    with services(redis=redis) as found:
        log.begin_process(role, chosen=found.log_format)
        tracing.begin(role, endpoint=found.otel_exporter_otlp_endpoint)
        try:
            yield found
        finally:
            tracing.end()


@contextmanager
def database() -> Iterator[Connection]:
    """One connection that commits at the end; for commands that need no Redis."""
    with services(redis=False) as found:
        assert found.database_url is not None
        with connect(found.database_url, name="avivro cli") as conn:
            yield conn
