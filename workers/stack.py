"""Everything that runs beside the databases: the long-running commands of the Procfile."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from workers.config import Config
from workers.supervisor import Command, Supervisor

# The Procfile says the same to process managers; a test compares.
RELEASE = ("migrate",)
PROCESSES: Mapping[str, tuple[str, ...]] = {
    name: (name,) for name in ("worker", "dispatcher", "scheduler", "dashboard")
}
# What a command needs that waits for its own jobs alone.
ENGINE = ("worker", "dispatcher")


def supervise(config: Config) -> Supervisor:
    """One of each process, on the servers of this configuration."""
    posts = [Command(name, arguments) for name, arguments in PROCESSES.items()]
    return Supervisor(posts, environment(config))


@contextmanager
def running(config: Config) -> Iterator[None]:
    """What runs jobs, for the length of the block; ends it in order, waiting for it."""
    posts = [Command(name, PROCESSES[name]) for name in ENGINE]
    # A person waits for this command, wherever its standard error goes.
    supervisor = Supervisor(
        posts, {**environment(config), "LOG_FORMAT": config.log_format or "text"}
    )
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        supervisor.stop()
        thread.join()


def environment(config: Config) -> dict[str, str]:
    """For child processes: they use the servers that run already."""
    return {
        "DATABASE_URL": config.database_url or "",
        "DATABASE_DIRECT_URL": config.database_direct_url or "",
        "REDIS_URL": config.redis_url or "",
        "AVIVRO_HOME": str(config.home),
        "EGRESS_ALLOW": config.egress_allow,
    }
