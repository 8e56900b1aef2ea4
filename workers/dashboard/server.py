"""The dashboard process: serves until told to stop, whether Postgres is there or not."""

import logging
import signal
import socket
import threading
from functools import partial
from types import FrameType
from uuid import uuid4

import uvicorn
from starlette.routing import Route

from db.pool import connect, open_pool
from pipelines.email.keys import parse_keys
from pipelines.email.links import Links
from pipelines.email.signature import parse_secrets
from workers.answering import Borrow
from workers.config import Config, ConfigError
from workers.dashboard import api, app, embeddings, first, mail_events, mail_links, search
from workers.dashboard.mail_recorder import Recorder
from workers.dashboard.readiness import ANSWER_S, Readiness
from workers.dashboard.routes import operator_routes
from workers.dashboard.sessions import Sessions
from workers.dashboard.site import Site
from workers.dashboard.wire import Wire
from workers.exposition import Reader
from workers.lease import Lease
from workers.metrics import Flusher
from workers.tools import embedder_for

# A visitor waits: then words alone answer.
QUESTION_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 8
BACKLOG = 128
# What is being answered at SIGTERM may take this long.
GRACE_S = 3

log = logging.getLogger(__name__)


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError where the port is taken."""
    assert config.database_url is not None
    assert config.redis_url is not None
    pool = open_pool(config.database_url, size_max=CONNECTIONS_MAX, name="avivro dashboard")
    borrow = partial(pool.connection, timeout=ANSWER_S)
    lease = Lease(
        partial(connect, config.database_url, name="avivro lease"),
        process_id=uuid4(),
        role="dashboard",
        describe=dict,
    )
    flusher = Flusher(borrow)
    recorder = Recorder(partial(connect, config.database_url, name="avivro mail events"))
    with listen(config.dashboard_host, config.dashboard_port) as listening:
        lease.start()
        flusher.start()
        # Without these nobody can tell anything of mails: then it needs no connection.
        if config.link_signing_key or config.email_webhook_secret:
            recorder.start()
        readiness = Readiness(pool, config.redis_url)
        site = Site(borrow, Sessions(borrow, config), config)
        routes = [*operator_routes(site), *open_api(config, borrow), *open_mail(config, recorder)]
        threading.Thread(target=site.warm_up, name="warm-up", daemon=True).start()
        first.begin(borrow, site.passwords, address=address_of(listening))
        serve(app.create(Reader(borrow), readiness, site, routes), listening)
    recorder.close(GRACE_S)
    flusher.close()
    lease.resign()
    pool.close()


def open_api(config: Config, borrow: Borrow) -> list[Route]:
    """Everything under /v1; the models are loaded when they are first asked for."""
    find = partial(embedder_for, config)
    return api.routes(
        {
            "/v1/embeddings": embeddings.handler(config, borrow, find),
            "/v1/search": search.handler(borrow, partial(find, timeout_s=QUESTION_TIMEOUT_S)),
        },
        key=config.service_api_key,
    )


def open_mail(config: Config, recorder: Recorder) -> list[Route]:
    """What mails lead to, and where providers tell of them; both answer that they are closed."""
    links = Links(config.public_url or "", parse_keys(config.link_signing_key or ""))
    secrets = parse_secrets(config.email_webhook_secret or "")
    return [*mail_links.routes(links, recorder), *mail_events.routes(recorder, secrets=secrets)]


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"DASHBOARD_HOST={host} DASHBOARD_PORT={port}: cannot listen there: {error.strerror}"
        ) from error
    # asyncio sets it on sockets of its own alone. Without it, what follows an answer's headers
    # waits 40 ms until the browser has told that these came.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return listening


def serve(application: object, listening: socket.socket) -> None:
    server = uvicorn.Server(configure(application))
    # Uvicorn raises the signal again when it has ended; ours then lets the process end in order.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, ignore)
    log.info("dashboard ready: %s", address_of(listening))
    server.run(sockets=[listening])


def configure(application: object) -> uvicorn.Config:
    return uvicorn.Config(
        application,  # type: ignore[arg-type]
        http=Wire,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        # Uvicorn would believe any X-Forwarded-For that comes from this machine.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ignore(number: int, frame: FrameType | None) -> None:
    """Told already."""
