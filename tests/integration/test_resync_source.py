"""A source that is refreshed: what an unchanged one costs, what a failing one says and does."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db import jobs
from db.fence import LeaseLost
from pipelines import embedding, index_source
from pipelines.errors import Misconfigured, Permanent, Snooze, Transient
from pipelines.resync_source import OPERATOR_WAIT_S
from tests.fakes import Site, site
from tests.knowledge import Indexing
from tests.refreshing import age, crawls, events, fail, listen, resync, sync, watch_writes, work
from workers.jobs import IndexSource, ResyncSource, enqueue

ARTICLE = "<html><head><title>Shop</title></head><body><main><h1>Shop</h1><p>{}</p></main></body>"
FIRST, SECOND = (
    ARTICLE.format("You may send anything back within thirty days of delivery, free of charge."),
    ARTICLE.format("You may send anything back within ninety days of delivery, free of charge."),
)


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def page(knowledge: Indexing, web: Site) -> UUID:
    """A page that was indexed an hour ago and refreshes itself daily."""
    url = web.page("/", FIRST, headers={"ETag": '"1"'})
    source_id = knowledge.insert("url", url=url, auto_sync=True)
    knowledge.run()
    age(knowledge, source_id)
    web.hits.clear()
    return source_id


def test_an_unchanged_page_costs_one_conditional_request_and_writes_only_its_time(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    before, chunks = knowledge.source(page), knowledge.chunks(page)
    writes = watch_writes(knowledge)

    result = resync(knowledge, page)

    after = knowledge.source(page)
    assert result["unchanged"]
    assert [hit.headers.get("if-none-match") for hit in web.hits if hit.path == "/"] == ['"1"']
    assert writes() == [{"last_synced_at"}]
    assert after["last_synced_at"] > before["last_synced_at"]
    assert after["updated_at"] == before["updated_at"]
    assert knowledge.chunks(page) == chunks


def test_what_the_operator_has_to_mend_is_tried_again_and_no_refusal_of_the_page(
    knowledge: Indexing, web: Site, page: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise Misconfigured("the embedding provider does not accept the API key")

    web.page("/", SECOND, headers={"ETag": '"2"'})
    monkeypatch.setattr(index_source, "embed", refuse)

    with pytest.raises(Transient, match="API key") as caught:
        resync(knowledge, page)

    assert caught.value.retry_after_s == OPERATOR_WAIT_S


def test_a_page_whose_text_is_the_same_writes_only_its_time(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    web.page("/", FIRST + "<!-- built at another time -->", headers={"ETag": '"2"'})
    writes = watch_writes(knowledge)

    result = resync(knowledge, page)
    again = resync(knowledge, page)

    assert [result["unchanged"], again["unchanged"]] == [True, True]
    assert writes() == [{"last_synced_at"}] * 2
    assert [hit.headers.get("if-none-match") for hit in web.hits if hit.path == "/"] == [
        '"1"',
        '"2"',
    ]


def test_a_changed_page_is_indexed(knowledge: Indexing, web: Site, page: UUID) -> None:
    web.page("/", SECOND, headers={"ETag": '"2"'})

    result = resync(knowledge, page)

    (chunk,) = knowledge.chunks(page)
    run = knowledge.row("SELECT * FROM worker.sync_runs WHERE kind = 'resync_source'")
    assert "ninety days" in chunk["content"]
    assert (result["chunks_added"], result["chunks_removed"]) == (1, 1)
    assert (run["status"], run["report"]["chunks_added"]) == ("completed", 1)
    assert knowledge.source(page)["status"] == "completed"


def test_running_twice_changes_nothing(knowledge: Indexing, web: Site, page: UUID) -> None:
    web.page("/", SECOND, headers={"ETag": '"2"'})
    resync(knowledge, page)
    before = knowledge.chunks(page)

    resync(knowledge, page)

    assert knowledge.chunks(page) == before


def test_killed_midway_it_stores_nothing_and_the_next_attempt_all(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    web.page("/", SECOND, headers={"ETag": '"2"'})
    enqueue(knowledge.conn, ResyncSource(page))
    with suppress(LeaseLost), knowledge.attempt() as fence:
        knowledge.conn.execute(
            "UPDATE worker.jobs SET state = 'available', max_attempts = max_attempts + 1"
            " WHERE id = %s",
            (fence.job_id,),
        )
        work(knowledge, fence, page)
    killed = knowledge.chunks(page)

    with knowledge.attempt() as fence:
        work(knowledge, fence, page)

    assert ["thirty days" in chunk["content"] for chunk in killed] == [True]
    assert ["ninety days" in chunk["content"] for chunk in knowledge.chunks(page)] == [True]
    assert knowledge.source(page)["status"] == "completed"


def test_an_unchanged_page_is_no_event(knowledge: Indexing, page: UUID) -> None:
    listen(knowledge)

    resync(knowledge, page)

    assert events(knowledge) == []


def test_a_source_that_is_being_indexed_is_left_alone(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    enqueue(knowledge.conn, ResyncSource(page), priority=-1)
    enqueue(knowledge.conn, IndexSource(page))

    with knowledge.attempt() as fence:
        result = work(knowledge, fence, page)

    assert result == {"left_to": "index_source"}
    assert web.hits == []


def test_an_edit_while_it_runs_wins(
    knowledge: Indexing, web: Site, page: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.page("/", SECOND, headers={"ETag": '"2"'})
    other = web.page("/other", ARTICLE.format("Deliveries leave our warehouse every working day."))

    def edit(*arguments: object) -> Any:
        knowledge.conn.execute("UPDATE public.knowledge_sources SET url = %s", (other,))
        return embed(*arguments)

    embed: Any = embedding.embed
    monkeypatch.setattr(index_source, "embed", edit)
    result = resync(knowledge, page)
    monkeypatch.undo()
    knowledge.run()

    (chunk,) = knowledge.chunks(page)
    assert result == {"left_to": "index_source"}
    assert "warehouse" in chunk["content"]
    assert knowledge.source(page)["status"] == "completed"


def test_two_runs_of_one_source_never_mix_what_they_stored(
    knowledge: Indexing, web: Site, page: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed: Any = embedding.embed
    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")

    def overtake(*arguments: object) -> Any:
        monkeypatch.undo()
        knowledge.conn.execute("UPDATE worker.source_states SET updated_at = now()")
        return embed(*arguments)

    monkeypatch.setattr(index_source, "embed", overtake)
    with pytest.raises(Snooze):
        knowledge.run()
    knowledge.conn.execute("UPDATE worker.jobs SET state = 'available' WHERE state = 'scheduled'")
    knowledge.run()

    assert knowledge.source(page)["status"] == "completed"


def test_a_failed_refresh_leaves_the_source_serving_and_says_since_when(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    listen(knowledge)
    web.page("/", "", status=503)
    before = knowledge.chunks(page)

    fail(knowledge, page, attempts_max=1)
    fail(knowledge, page, attempts_max=1)

    row = knowledge.source(page)
    runs = knowledge.rows("SELECT status, error_message FROM worker.sync_runs ORDER BY id")
    assert row["status"] == "completed"
    assert row["error_message"].startswith("Could not be refreshed since ")
    assert "the site is unavailable at the moment (HTTP 503)" in row["error_message"]
    assert knowledge.chunks(page) == before
    assert [run["status"] for run in runs] == ["completed", "failed", "failed"]
    assert events(knowledge) == []


def test_each_failure_doubles_the_wait_up_to_the_sources_own_interval(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    knowledge.conn.execute("UPDATE public.knowledge_sources SET sync_frequency = 'weekly'")
    web.page("/", "", status=503)

    waits = []
    for _ in range(4):
        fail(knowledge, page, attempts_max=1)
        waits.append(sync(knowledge, page)["wait"])

    hour = timedelta(hours=1)
    assert [round(wait / hour) for wait in waits] == [1, 2, 4, 8]


def test_an_hourly_source_never_waits_longer_than_an_hour(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    knowledge.conn.execute("UPDATE public.knowledge_sources SET sync_frequency = 'hourly'")
    web.page("/", "", status=503)

    for _ in range(4):
        fail(knowledge, page, attempts_max=1)

    assert sync(knowledge, page)["wait"] <= timedelta(hours=1)


@pytest.mark.parametrize(("status", "tries"), [(503, 5), (404, 3), (410, 3)])
def test_repeated_failure_pauses_and_tells_the_owner_once(
    knowledge: Indexing, web: Site, page: UUID, status: int, tries: int
) -> None:
    web.page("/", "", status=status)

    for _ in range(tries - 1):
        fail(knowledge, page, attempts_max=1 if status == 503 else 3)
    early = sync(knowledge, page)["paused_at"]
    for _ in range(2):
        fail(knowledge, page, attempts_max=1 if status == 503 else 3)

    notices = knowledge.rows("SELECT type, message FROM public.notifications")
    paused = sync(knowledge, page)
    assert early is None
    assert paused["paused_at"] is not None
    assert paused["due_at"] is None
    assert "Automatic refreshing is paused after" in knowledge.source(page)["error_message"]
    assert [notice["type"] for notice in notices] == ["knowledge_sync_paused"]
    assert "Could not be refreshed since" in notices[0]["message"]


@pytest.mark.parametrize(
    "resume",
    [
        "UPDATE public.knowledge_sources SET auto_sync = true",
        "UPDATE public.knowledge_sources SET sync_frequency = 'hourly'",
        "UPDATE public.knowledge_sources SET url = url || '?'",
        "SELECT public.retry_knowledge_source(id) FROM public.knowledge_sources",
        "INSERT INTO worker.source_credentials (source_id, credentials)"
        " SELECT id, '{}' FROM public.knowledge_sources",
    ],
)
def test_the_web_tier_resumes_what_was_paused(
    knowledge: Indexing, web: Site, page: UUID, resume: str
) -> None:
    web.page("/", "", status=404)
    for _ in range(3):
        fail(knowledge, page)

    knowledge.conn.execute(resume.encode())

    resumed = sync(knowledge, page)
    assert (resumed["paused_at"], resumed["failures"]) == (None, 0)
    assert resumed["due_at"] is not None
    assert knowledge.source(page)["error_message"] is None


def test_a_source_that_never_worked_may_be_resumed_too(knowledge: Indexing, web: Site) -> None:
    source_id = knowledge.insert("url", url=web.url("/none"), auto_sync=True)
    with suppress(Permanent):
        knowledge.run()
    for _ in range(3):
        fail(knowledge, source_id)
    paused = knowledge.source(source_id)["error_message"]

    knowledge.conn.execute("UPDATE public.knowledge_sources SET auto_sync = true")

    resumed = knowledge.source(source_id)["error_message"]
    assert "is paused after 3 failed tries" in paused
    assert "(HTTP 404)" in resumed
    assert "paused" not in resumed


def test_success_forgets_the_failures(knowledge: Indexing, web: Site, page: UUID) -> None:
    web.page("/", "", status=503)
    fail(knowledge, page, attempts_max=1)
    web.page("/", FIRST, headers={"ETag": '"1"'})

    resync(knowledge, page)

    row = knowledge.source(page)
    assert (row["status"], row["error_message"]) == ("completed", None)
    assert sync(knowledge, page)["failures"] == 0
    assert sync(knowledge, page)["failing_since"] is None


def test_a_source_that_never_worked_stays_failed(knowledge: Indexing, web: Site) -> None:
    source_id = knowledge.insert("url", url=web.url("/none"), auto_sync=True)
    with suppress(Permanent):
        knowledge.run()

    fail(knowledge, source_id)

    row = knowledge.source(source_id)
    assert row["status"] == "failed"
    assert "it was not found (HTTP 404)" in row["error_message"]
    assert "since" not in row["error_message"]


def test_a_source_that_failed_is_good_again_when_its_page_is(
    knowledge: Indexing, web: Site, page: UUID
) -> None:
    web.page("/", "", status=404)
    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    with suppress(Permanent):
        knowledge.run()
    web.page("/", FIRST, headers={"ETag": '"1"'})

    resync(knowledge, page)

    row = knowledge.source(page)
    assert (row["status"], row["error_message"]) == ("completed", None)


def test_a_cancelled_refresh_leaves_the_source_as_it_was(knowledge: Indexing, page: UUID) -> None:
    job_id = enqueue(knowledge.conn, ResyncSource(page))

    jobs.cancel_jobs(knowledge.conn, [job_id], reason="by hand")

    row = knowledge.source(page)
    assert (row["status"], row["error_message"]) == ("completed", None)


def test_a_whole_site_is_crawled_again(knowledge: Indexing, web: Site, page: UUID) -> None:
    knowledge.conn.execute("UPDATE public.knowledge_sources SET settings = '{\"crawl\": {}}'")
    knowledge.conn.execute("DELETE FROM worker.jobs")

    result = resync(knowledge, page)

    assert result == {"left_to": "crawl_site"}
    assert crawls.pop() == page
    assert web.hits == []


def test_a_source_that_is_gone_is_named(knowledge: Indexing) -> None:
    source_id = uuid4()

    with pytest.raises(Permanent, match=str(source_id)):
        resync(knowledge, source_id)


@pytest.mark.parametrize("frequency", ["61 * * * *", "fortnightly", ""])
def test_a_frequency_that_is_not_understood_is_said_on_the_row(
    knowledge: Indexing, web: Site, page: UUID, frequency: str
) -> None:
    knowledge.conn.execute("UPDATE public.knowledge_sources SET sync_frequency = %s", (frequency,))
    resync(knowledge, page)

    said = knowledge.source(page)
    knowledge.conn.execute("UPDATE public.knowledge_sources SET sync_frequency = 'weekly'")

    assert "cannot be understood" in said["error_message"]
    assert said["status"] == "completed"
    assert knowledge.source(page)["error_message"] is None
    assert sync(knowledge, page)["due_at"] is not None


def test_a_text_never_refreshes_itself(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content="One text.", auto_sync=True)
    knowledge.run()

    with pytest.raises(ValueError, match="not enough values"):
        sync(knowledge, source_id)


def test_pausing_is_no_crash_when_the_agent_is_gone(knowledge: Indexing, page: UUID) -> None:
    enqueue(knowledge.conn, ResyncSource(page))
    with knowledge.attempt() as fence, suppress(psycopg.Error, Permanent):
        knowledge.conn.execute("DELETE FROM public.agents")
        work(knowledge, fence, page)

    assert knowledge.rows("SELECT * FROM worker.source_syncs") == []
