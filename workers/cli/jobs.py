"""`avivro jobs`: look at jobs and act on them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import psycopg
import typer

from db import job_logs, jobs, waits
from db.jobs import Job
from db.pool import Connection
from db.waits import Waited
from pipelines.counting import plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.dashboard.bulk import PRIORITY_MAX

# Of many jobs, the audit log names so many.
IDS_NOTED_MAX = 20
# As Postgres keeps them.
ID_MAX = 2**63 - 1

IdArgument = Annotated[int, typer.Argument(min=1, max=ID_MAX, help="A job's id.")]
IdsArgument = Annotated[list[int], typer.Argument(min=1, max=ID_MAX, help="Ids of jobs.")]

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: console.JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with database() as conn:
        found = jobs.list_jobs(conn, state=state, kind=kind, queue=queue, rows_max=limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "jobs",
        ("id", "kind", "state", "attempt", "run at", "last error"),
        [
            (job.id, job.kind, job.state, f"{job.attempt}/{job.max_attempts}",
             f"{job.run_at:%Y-%m-%d %H:%M:%S}", last_error(job)[:80])
            for job in found
        ],
    )  # fmt: skip


@app.command("show")
def show(job_id: IdArgument, as_json: console.JsonOption = False) -> None:
    """Show one job with its attempts, errors and logs."""
    with database() as conn:
        job = jobs.get_job(conn, job_id)
        waited_for = waits.count_waits(conn, job_id)
        logs = job_logs.list_lines(conn, job_id)
    if job is None:
        console.fail(f"there is no job {job_id}", code=1)
    if as_json:
        console.print_json({**asdict(job), "waits": asdict(waited_for), "logs": logs})
        return
    for name in ("kind", "queue", "state", "tenant", "priority", "attempt", "max_attempts",
                 "created_at", "run_at", "dispatched_at", "started_at", "finished_at",
                 "cancel_requested_at", "progress", "result", "args"):  # fmt: skip
        console.out.print(f"[bold]{name:<14}[/] {getattr(job, name)}", highlight=False)
    if waited_for.asked:
        console.out.print(f"[bold]{'waits for':<14}[/] {tell(waited_for)}", highlight=False)
    for error in job.errors:
        console.out.print(f"\n[red]attempt {error['attempt']} at {error['at']}[/]")
        console.out.print(error.get("trace") or error["error"], markup=False, highlight=False)
    if logs:
        console.out.print("\n[bold]log[/]")
    for line in logs:
        told = f"{line.at:%H:%M:%S} attempt {line.attempt} {line.level:<7} {line.message}"
        console.out.print(told, markup=False, highlight=False)


def tell(waited_for: Waited) -> str:
    counts = {name: count for name, count in asdict(waited_for).items() if count}
    return f"{plural(waited_for.asked, 'job')}: " + ", ".join(
        f"{n} {name}" for name, n in counts.items()
    )


@app.command("retry")
def retry(
    job_ids: IdsArgument,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Run finished or waiting jobs again, now."""
    with database() as conn:
        put_back = jobs.retry_jobs(conn, job_ids)
        note(conn, "retry_jobs", put_back, why=why)
    for job_id in put_back:
        console.out.print(f"job {job_id} runs again")
    if left := sorted(set(job_ids) - set(put_back)):
        console.fail(
            f"not retried: {left} (unknown, already on their way, or a twin with the same "
            "unique key is unfinished)",
            code=1,
        )


@app.command("cancel")
def cancel(
    job_ids: IdsArgument,
    reason: Annotated[str, typer.Option(help="Kept with the job.")] = "Cancelled by an operator.",
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Cancel waiting jobs at once; ask running ones to stop, which they may finish before."""
    with database() as conn:
        states = jobs.cancel_jobs(conn, job_ids, reason=reason)
        note(conn, "cancel_jobs", list(states), why=why)
    for job_id, state in sorted(states.items()):
        told = "was asked to stop" if state == "running" else "is cancelled"
        console.out.print(f"job {job_id} {told}")
    if left := sorted(set(job_ids) - set(states)):
        console.fail(f"not cancelled: {left} (unknown, or finished already)", code=1)


@app.command("enqueue")
def enqueue(
    kind: str,
    args: Annotated[str, typer.Argument(help="Arguments, a JSON object.")] = "{}",
    priority: Annotated[
        int, typer.Option(min=-PRIORITY_MAX, max=PRIORITY_MAX, help="Lower runs first.")
    ] = 0,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="That many alike.")] = 1,
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Insert a job; prints its id."""
    try:
        with database() as conn:
            ids = jobs.enqueue_many(conn, kind, [parse_args(args)] * count, priority=priority)
            note(conn, "enqueue_jobs", ids, why=why, kind=kind, priority=priority)
    except psycopg.errors.InvalidParameterValue as error:
        console.fail(f"{error.diag.message_primary}\n{error.diag.message_hint or ''}", code=2)
    if as_json:
        console.print_json({"ids": ids})
        return
    console.out.print(f"job {ids[0]}" if count == 1 else f"jobs {ids[0]} to {ids[-1]}")


def note(
    conn: Connection, action: str, job_ids: Sequence[int], *, why: str, **details: Any
) -> None:
    """For the audit log; many ids are told by the first ones and their number."""
    if job_ids:
        shown = ", ".join(str(each) for each in sorted(job_ids)[:IDS_NOTED_MAX])
        auditing.note(conn, action, f"job {shown}", why=why, jobs=len(job_ids), **details)


def parse_args(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        console.fail(f"the arguments are not JSON: {error}", code=2)
    if not isinstance(parsed, dict):
        console.fail("the arguments must be a JSON object", code=2)
    return parsed


def last_error(job: Job) -> str:
    return str(job.errors[-1]["error"]) if job.errors else ""
