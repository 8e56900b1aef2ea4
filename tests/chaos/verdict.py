"""What must hold after a chaos run, asked of the notes of the run and of the jobs themselves."""

from dataclasses import dataclass
from datetime import datetime

from tests.chaos.world import World

# Each statement lists what breaks its claim.
CLAIMS = {
    "lost: enqueued and not completed": """
        SELECT c.job_id, coalesce(j.state, 'gone'), j.attempt, j.errors -> -1 ->> 'error'
        FROM chaos.cargo AS c LEFT JOIN worker.jobs AS j ON j.id = c.job_id
        WHERE j.state IS DISTINCT FROM 'completed' ORDER BY 1""",
    "an attempt that ended twice": """
        SELECT job_id, attempt, array_agg(new_state ORDER BY at) FROM chaos.ends
        WHERE old_state = 'running' GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1""",
    "a job that finished twice": """
        SELECT job_id, array_agg(attempt ORDER BY at) FROM chaos.ends
        WHERE new_state IN ('completed', 'discarded', 'cancelled')
        GROUP BY 1 HAVING count(*) > 1 ORDER BY 1""",
    "a finished job that changed": """
        SELECT job_id, attempt, old_state, new_state FROM chaos.ends
        WHERE old_state <> 'running' ORDER BY 1""",
    "an effect that is missing": """
        SELECT c.job_id FROM chaos.cargo AS c LEFT JOIN worker.probe_effects AS e USING (job_id)
        WHERE c.has_effect AND e.job_id IS NULL ORDER BY 1""",
    "an effect twice": """
        SELECT job_id, count(*) FROM worker.probe_effects GROUP BY 1 HAVING count(*) > 1""",
    "more attempts than allowed": """
        SELECT id, attempt, max_attempts FROM worker.jobs WHERE attempt > max_attempts""",
    "a callback before its members": """
        SELECT b.callback_id, c.waited FROM chaos.batches AS b
        JOIN worker.jobs AS c ON c.id = b.callback_id
        WHERE (c.waited ->> 'completed')::int IS DISTINCT FROM cardinality(b.job_ids)
           OR c.started_at < (SELECT max(m.finished_at) FROM worker.jobs AS m
                              WHERE m.id = ANY(b.job_ids))""",
}
ROWS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it happened; `held` are (id, attempt) of the jobs that ran then."""

    name: str
    began_at: datetime
    counts_from: datetime
    held: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds to the first job that was completed afterwards, and until every job that ran when
    the fault began was finished or given back; None: never.
    """

    struck: Struck
    first_finish_s: float | None
    all_free_s: float | None

    @property
    def worst_s(self) -> float:
        times_s = (self.first_finish_s, self.all_free_s)
        return max((float("inf") if each is None else each) for each in times_s)


def violations(world: World) -> list[str]:
    """One line for each claim that does not hold, with its first cases."""
    found = []
    for claim, statement in CLAIMS.items():
        rows = world.ask(statement)
        if rows:
            cases = "; ".join(str(row) for row in rows[:ROWS_SHOWN])
            found.append(f"{claim}: {len(rows)} cases: {cases}")
    return found


def recovery(world: World, struck: Struck) -> Recovery:
    ((first_s,),) = world.ask(
        "SELECT extract(epoch FROM min(at) - %s::timestamptz)::float8 FROM chaos.ends "
        "WHERE new_state = 'completed' AND at > %s::timestamptz",
        struck.counts_from,
        struck.counts_from,
    )
    return Recovery(struck, first_s, all_free_s(world, struck))


def all_free_s(world: World, struck: Struck) -> float | None:
    """0 when all had ended before the fault was over; None while one has not."""
    ((open_jobs, last_s),) = world.ask(
        """
        SELECT count(*) FILTER (WHERE e.at IS NULL),
               extract(epoch FROM max(e.at) - %s::timestamptz)::float8
        FROM unnest(%s::bigint[], %s::int[]) AS h (job_id, attempt)
        LEFT JOIN LATERAL (
            SELECT min(at) AS at FROM chaos.ends AS n
            WHERE n.job_id = h.job_id AND n.attempt = h.attempt AND n.old_state = 'running'
        ) AS e ON true""",
        struck.counts_from,
        [job_id for job_id, _ in struck.held],
        [attempt for _, attempt in struck.held],
    )
    return None if open_jobs else max(0.0, last_s or 0.0)
