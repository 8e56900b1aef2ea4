"""`avivro up`, `migrate` and `doctor`: what an operator starts with."""

from typing import Annotated

import psycopg
import redis
import typer

from db import jobs, metrics, processes
from db.embedded import describe
from db.migrate import migrate, status
from db.pool import Connection, connect
from pipelines.counting import plural
from workers import config, health, runway, stack
from workers.alert_ways import open_ways
from workers.cli import console, credentials, judge, stats
from workers.cli.services import services
from workers.config import Config
from workers.jobs import KINDS
from workers.payloads import args_schema


def register(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("migrate")(run_migrate)
    app.command("doctor")(doctor)


def up() -> None:
    """Start everything: servers where none are named, migrations, workers. Ctrl-C stops all."""
    with services() as found:
        apply_migrations(found)
        console.err.print(f"[bold]Postgres[/] {found.database_url}", soft_wrap=True)
        console.err.print(f"[bold]Redis[/]    {found.redis_url}", soft_wrap=True)
        console.err.print("Ctrl-C stops everything.")
        stack.supervise(found).run_until_signal()


def apply_migrations(found: Config) -> None:
    assert found.database_direct_url is not None
    for migration in migrate(found.database_direct_url):
        console.err.print(f"migrated {migration.version} {migration.name}", highlight=False)


def run_migrate(
    show_status: Annotated[
        bool, typer.Option("--status", help="List the migrations, change nothing.")
    ] = False,
    as_json: console.JsonOption = False,
) -> None:
    """Bring the database to the current schema; running it again does nothing."""
    with services(redis=False) as found:
        assert found.database_direct_url is not None
        if show_status:
            print_status(found.database_direct_url, as_json=as_json)
            return
        applied = migrate(found.database_direct_url)
    if as_json:
        console.print_json([{"version": m.version, "name": m.name} for m in applied])
        return
    for migration in applied:
        console.out.print(f"applied {migration.version} {migration.name}", highlight=False)
    console.out.print(
        f"{plural(len(applied), 'migration')} applied" if applied else "nothing to migrate"
    )


def print_status(url: str, *, as_json: bool) -> None:
    rows = [
        {"version": migration.version, "name": migration.name, "applied": applied}
        for migration, applied in status(url)
    ]
    if as_json:
        console.print_json(rows)
        return
    console.print_table(
        "migrations",
        ("version", "name", "applied"),
        [(row["version"], row["name"], "yes" if row["applied"] else "no") for row in rows],
    )


def doctor(as_json: console.JsonOption = False) -> None:
    """Check everything the workers need, and say what to do. Exits with 1 on a problem."""
    found = config.load()
    checks = [*check_embedded(found), *check_settings(found)]
    if found.database_url is not None:
        checks += check_postgres(found.database_url, found)
    else:
        with services(redis=False) as served:
            assert served.database_url is not None
            checks += check_postgres(served.database_url, found)
    if found.redis_url is not None:
        checks += check_redis(found.redis_url)
    checks.append(check_alerts(found))
    if as_json:
        console.print_json([{"check": c, "ok": ok, "detail": d} for c, ok, d in checks])
    else:
        for check, ok, detail in checks:
            mark = "[green]ok[/]  " if ok else "[red]FAIL[/]"
            console.out.print(f"{mark} [bold]{check}[/]", end="  ")
            console.out.print(detail, markup=False, highlight=False, soft_wrap=True)
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(1)


Check = tuple[str, bool, str]


def check_embedded(found: Config) -> list[Check]:
    """The embedded servers, where no address of an outside one is given."""
    outside = {"Postgres": found.database_url, "Redis": found.redis_url}
    return [
        (
            f"embedded {server.name}",
            server.problem is None,
            server.problem
            or f"{server.version}, {'running' if server.is_running else 'starts when needed'}, "
            f"data in {server.data}",
        )
        for server in describe(found.home)
        if outside.get(server.name) is None
    ]


def check_settings(found: Config) -> list[Check]:
    model = found.embedding_model
    where = "runs in the worker, no key needed" if model == config.LOCAL else "OpenAI-compatible"
    return [
        ("data folder", True, str(found.home)),
        ("embedding model", True, f"{model} ({where})"),
        judge.check(found),
        check_mail(found),
        ("mail links", True, describe_links(found)),
    ]


def check_mail(found: Config) -> Check:
    """Whether mail could leave now: as far as one can see without sending any."""
    from pipelines.gateways.mail import read_route
    from pipelines.gateways.mail_failures import MailDelayed
    from pipelines.gateways.mail_transports import check_route

    try:
        return ("mail", True, check_route(read_route(found.email_url, home=found.home)))
    except (MailDelayed, OSError) as error:
        return ("mail", False, f"{error}: check EMAIL_URL")


def check_alerts(found: Config) -> Check:
    """Nobody has to be told; who runs it for others should be."""
    ways = [f"{way.name} to {way.target}" for way in open_ways(found)]
    told = "; avivro alerts test sends a message" if ways else "set ALERT_EMAIL to be told"
    return ("alerts", True, f"{' and '.join(ways)}{told}" if ways else f"nobody is told: {told}")


def describe_links(found: Config) -> str:
    if found.public_url is None or found.link_signing_key is None:
        return "none in mails: set PUBLIC_URL and LINK_SIGNING_KEY to follow and unsubscribe"
    return f"lead to {found.public_url}/e/"


def check_postgres(url: str, found: Config) -> list[Check]:
    try:
        with connect(url, name="avivro doctor") as conn:
            return [
                ("Postgres", True, f"{conn.info.host}:{conn.info.port}, version {version(conn)}"),
                *check_schema(conn, url, found),
            ]
    except psycopg.OperationalError as error:
        return [("Postgres", False, f"{str(error).strip()}: check DATABASE_URL")]


def version(conn: Connection) -> str:
    number = conn.info.server_version
    return f"{number // 10000}.{number % 10000}"


def check_schema(conn: Connection, url: str, found: Config) -> list[Check]:
    missing = [migration.name for migration, applied in status(url) if not applied]
    if missing:
        return [
            ("schema", False, f"{plural(len(missing), 'migration')} missing: run `avivro migrate`")
        ]
    return [
        ("schema", True, "all migrations applied"),
        check_kinds(conn),
        check_workers(conn),
        *check_flow(conn),
        stats.check(conn),
        credentials.check(conn, found.credentials_key),
    ]


def check_kinds(conn: Connection) -> Check:
    """Whether SQL callers and this code agree on what may be enqueued."""
    in_database = {row["kind"]: row["args"] for row in jobs.list_kinds(conn)}
    in_code = {name: args_schema(kind.payload) for name, kind in KINDS.items()}
    same = in_database == in_code
    return (
        "job kinds",
        same,
        f"{plural(len(in_code), 'kind')}" if same else "run `avivro migrate`",
    )


def check_workers(conn: Connection) -> Check:
    roles = [process.role for process in processes.list_live(conn)]
    waiting = sum(depth.jobs for depth in metrics.count_jobs(conn) if depth.state == "available")
    detail = f"{roles.count('worker')} workers, {roles.count('dispatcher')} dispatchers live, "
    detail += f"{plural(waiting, 'job waits', 'jobs wait')}"
    stuck = waiting > 0 and not {"worker", "dispatcher"} <= set(roles)
    return ("processes", not stuck, detail + (": start `avivro up`" if stuck else ""))


def check_flow(conn: Connection) -> list[Check]:
    """What a look finds beside missing processes, which are told above."""
    return [
        (finding.runbook, finding.level == "hold", f"{finding.title}. {finding.evidence}")
        for finding in health.look(conn, redis_url=None)
        if finding.runbook not in ("no-worker", "no-dispatcher", "no-scheduler")
    ]


def check_redis(url: str) -> list[Check]:
    try:
        client = runway.connect(url, timeout_s=runway.SOCKET_TIMEOUT_S)
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.ResponseError:
        return [("Redis", True, "answers; its settings are not shown")]
    except (redis.RedisError, OSError) as error:
        return [("Redis", False, f"{error}: check REDIS_URL")]
    good = policy == "noeviction"
    advice = "" if good else ": set maxmemory-policy noeviction, or tickets vanish under pressure"
    return [("Redis", good, f"answers, maxmemory-policy {policy}{advice}")]
