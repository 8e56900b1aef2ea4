"""The `avivro` command. Answers go to standard output, logs and progress to standard error.

Exit codes: 0 done, 1 the work failed, 2 the command was wrong, 3 something needed is missing.
"""

import sys

import psycopg
import typer

from db.embedded import EmbeddedError
from db.migrate import MigrationError
from workers import log
from workers.cli import (
    alerts,
    billing,
    console,
    credentials,
    dashboard,
    demo,
    emails,
    jobs,
    knowledge,
    models,
    operations,
    operators,
    prices,
    processes,
    queues,
    schedules,
    search,
    seeding,
    sentiment,
    sources,
    stats,
    tenants,
    top,
    types,
    visitors,
    webhooks,
    workers,
)
from workers.config import ConfigError
from workers.runway import RunwayDown

app = typer.Typer(
    name="avivro",
    help="Avivro's background half: workers, dispatcher, knowledge ingestion and search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def begin(verbose: bool = typer.Option(False, "--verbose", "-v", help="Log in detail.")) -> None:
    log.begin(verbose=verbose)


operations.register(app)
processes.register(app)
dashboard.register(app)
knowledge.register(app)
search.register(app)
demo.register(app)
seeding.register(app)
types.register(app)
app.command("top")(top.top)
app.add_typer(jobs.app, name="jobs", help="List, show, retry, cancel and enqueue jobs.")
app.add_typer(queues.app, name="queues", help="List, pause and resume queues.")
app.add_typer(workers.app, name="workers", help="List live processes; drain one.")
app.add_typer(credentials.app, name="credentials", help="Seal what customers sign in with.")
app.add_typer(sources.app, name="sources", help="List sources, their runs; refresh one now.")
app.add_typer(models.app, name="models", help="An agent's embedding model: change, estimate.")
app.add_typer(tenants.app, name="tenants", help="What tenants spend on embedding, and may.")
app.add_typer(prices.app, name="prices", help="What models cost; price usage that has no cost.")
app.add_typer(emails.app, name="emails", help="Look at mails: what was sent, and samples.")
app.add_typer(webhooks.app, name="webhooks", help="List webhooks, what arrived; send again.")
app.add_typer(billing.app, name="billing", help="Periods, what they cost, prices, terms.")
app.add_typer(visitors.app, name="visitors", help="Erase a visitor; list such requests.")
app.add_typer(stats.app, name="stats", help="Daily figures: show them, compute them anew.")
app.add_typer(sentiment.app, name="sentiment", help="Score what came before; show scores.")
app.add_typer(operators.app, name="operators", help="Who may use the dashboard, and as what.")
app.add_typer(alerts.app, name="alerts", help="What stands, what was; send a test message.")
app.add_typer(schedules.app, name="schedules", help="List, run, pause and resume schedules.")


def main() -> None:
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
    except KeyboardInterrupt:
        sys.exit(130)
