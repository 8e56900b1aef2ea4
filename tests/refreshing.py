"""Refreshes of a source, run in the test's own process, and what they leave behind."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from db.fence import Fence
from pipelines.errors import Permanent, Transient
from pipelines.index_source import Desk
from pipelines.readers.tools import ReadingTools
from pipelines.resync_source import run
from tests.knowledge import Indexing
from workers.jobs import ResyncSource, enqueue


def age(knowledge: Indexing, source_id: UUID) -> None:
    knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET last_synced_at = last_synced_at - interval '1 hour',"
        " updated_at = updated_at - interval '1 hour' WHERE id = %s",
        (source_id,),
    )


def resync(knowledge: Indexing, source_id: UUID, *, attempts_max: int = 3) -> dict[str, Any]:
    """Ask for a refresh and run it; what it raised is raised."""
    job_id = enqueue(knowledge.conn, ResyncSource(source_id))
    knowledge.conn.execute(
        "UPDATE worker.jobs SET max_attempts = %s WHERE id = %s", (attempts_max, job_id)
    )
    with knowledge.attempt() as fence:
        return work(knowledge, fence, source_id)


def work(knowledge: Indexing, fence: Fence, source_id: UUID) -> dict[str, Any]:
    reading = ReadingTools(fence, knowledge.client, knowledge.parser, knowledge.files)
    desk = Desk(fence, reading, lambda model: knowledge.embedder)
    return run(desk, source_id=source_id, crawl=lambda conn, crawled: crawls.append(crawled))


crawls: list[UUID] = []


def fail(knowledge: Indexing, source_id: UUID, *, attempts_max: int = 3) -> None:
    with suppress(Permanent, Transient):
        resync(knowledge, source_id, attempts_max=attempts_max)


def sync(knowledge: Indexing, source_id: UUID) -> dict[str, Any]:
    return knowledge.row(
        "SELECT *, due_at - now() AS wait FROM worker.source_syncs WHERE source_id = %s", source_id
    )


def events(knowledge: Indexing) -> list[str]:
    rows = knowledge.rows("SELECT event_type FROM public.webhook_deliveries ORDER BY created_at")
    return [row["event_type"] for row in rows]


def listen(knowledge: Indexing) -> None:
    knowledge.conn.execute(
        "INSERT INTO public.webhooks (user_id, name, url, events, secret)"
        " SELECT user_id, 'all', 'https://example.com', '{*}', 'whsec' FROM public.agents"
    )


def watch_writes(knowledge: Indexing) -> Callable[[], list[set[str]]]:
    """Which columns of the sources each update changes, as a trigger sees them."""
    knowledge.conn.execute(
        "CREATE TABLE public.writes (id int GENERATED ALWAYS AS IDENTITY, columns text[]);"
        "CREATE FUNCTION public.note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.writes (columns) SELECT coalesce(array_agg(n.key), '{}')"
        " FROM jsonb_each(to_jsonb(NEW)) AS n JOIN jsonb_each(to_jsonb(OLD)) AS o USING (key)"
        " WHERE n.value <> o.value; RETURN NULL; END $$;"
        "CREATE TRIGGER zz_note_write AFTER UPDATE ON public.knowledge_sources"
        " FOR EACH ROW EXECUTE FUNCTION public.note_write()"
    )
    return lambda: [
        set(row["columns"])
        for row in knowledge.rows("SELECT columns FROM public.writes ORDER BY id")
    ]
