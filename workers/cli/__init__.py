"""The `avivro` command. Answers go to standard output, logs and progress to standard error.

Exit codes: 0 done, 1 the work failed, 2 the command was wrong, 3 something needed is missing.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import psycopg
import typer
from typer.core import TyperGroup

from db.embedded import EmbeddedError
from db.migrate import MigrationError
from db.pool import UNMIGRATED
from workers import log
from workers.cli import console
from workers.config import ConfigError
from workers.runway_errors import RunwayDown

# The module that registers a command, and of a group what it is for as well.
COMMANDS = {
    "up": "operations",
    "migrate": "operations",
    "doctor": "operations",
    "worker": "processes",
    "worker-child": "processes",
    "dispatcher": "processes",
    "scheduler": "processes",
    "dashboard": "dashboard",
    "ingest": "knowledge",
    "reindex": "knowledge",
    "search": "search",
    "demo": "demo",
    "seed": "seeding",
    "types": "types",
    "top": "top",
}
GROUPS = {
    "jobs": "List, show, retry, cancel and enqueue jobs.",
    "queues": "List, pause and resume queues.",
    "workers": "List live processes; drain one.",
    "credentials": "Seal what customers sign in with.",
    "sources": "List sources, their runs; refresh one now.",
    "models": "An agent's embedding model: change, estimate.",
    "tenants": "What tenants spend on embedding, and may.",
    "prices": "What models cost; price usage that has no cost.",
    "emails": "Look at mails: what was sent, and samples.",
    "webhooks": "List webhooks, what arrived; send again.",
    "billing": "Periods, what they cost, prices, terms.",
    "visitors": "Erase a visitor; list such requests.",
    "stats": "Daily figures: show them, compute them anew.",
    "sentiment": "Score what came before; show scores.",
    "operators": "Who may use the dashboard, and as what.",
    "alerts": "What stands, what was; send a test message.",
    "schedules": "List, run, pause and resume schedules.",
}


class Commands(Mapping[str, Any]):
    """Commands by name, each loaded when it is asked for.

    A process needs one of them: loading all costs each start half a second of a processor.
    """

    def __getitem__(self, name: str) -> Any:
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter((*COMMANDS, *GROUPS))

    def __len__(self) -> int:
        return len(COMMANDS) + len(GROUPS)


@cache
def load(name: str) -> Any:
    """The command or group of commands. Raises KeyError when there is none."""
    part = typer.Typer()
    if name in GROUPS:
        module = import_module(f"workers.cli.{name}")
        part.add_typer(module.app, name=name, help=GROUPS[name])
    else:
        import_module(f"workers.cli.{COMMANDS[name]}").register(part)
    return typer.main.get_group(part).commands[name]


class OnDemand(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = Commands()


app = typer.Typer(
    name="avivro",
    cls=OnDemand,
    help="Avivro's background half: workers, dispatcher, knowledge ingestion and search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def begin(verbose: bool = typer.Option(False, "--verbose", "-v", help="Log in detail.")) -> None:
    log.begin(verbose=verbose)


def main() -> None:
    # Bytes that are no UTF-8 arrive as lone surrogates, which nothing can store.
    if any("\ud800" <= character <= "\udfff" for text in sys.argv for character in text):
        console.fail("an argument is not UTF-8", code=2)
    try:
        app()
    except (ConfigError, EmbeddedError) as error:
        console.fail(str(error), code=3)
    except MigrationError as error:
        console.fail(f"migration failed: {error}", code=1)
    except RunwayDown as error:
        console.fail(f"Redis does not answer: {error}", code=3)
    except psycopg.OperationalError as error:
        console.fail(f"Postgres does not answer: {str(error).strip()}", code=3)
    except psycopg.DataError as error:
        console.fail(f"Postgres refuses a value: {error.diag.message_primary}", code=2)
    except UNMIGRATED as error:
        console.fail(f"{error.diag.message_primary}: run avivro migrate", code=3)
    except KeyboardInterrupt:
        sys.exit(130)
