"""Embedding through a strict and faulty provider, by real worker processes; losses first.

Three runs: 5,000 chunks of usual size of two tenants through 10 % random faults, at a rate that is
the wall; in the same run a single page of a third tenant; and 50,000 small chunks in one source,
for the memory that they take.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from db.embedded import Services, serve
from db.migrate import migrate
from tests.conftest import TEMPLATE, administer, with_database
from tests.e2e.embedding_runs import Run, passages, repeats, running
from tests.e2e.test_embedding_faults import POSTS, faults
from tests.processes import ROOT, wait_until

CHUNKS = 5_000
CHUNK_TOKENS = 400
TOKENS_PER_MINUTE = 3_000_000
MANY_CHUNKS = 50_000
SEED = int(os.environ.get("SEED", "1"))
DEADLINE_S = 600.0
SHARE_MIN = 0.9
GROWTH_MB_MAX = 60
PAGE_S_MAX = 5.0


def main() -> None:
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        with administer(services) as admin:
            admin.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        migrate(with_database(services.database_url, TEMPLATE))
        lines = [*through_faults(services, Path(home)), *one_large_source(services, Path(home))]
    for is_loss in (True, False):
        for loss, line in lines:
            if loss == is_loss:
                print(f"{'LOST  ' if loss else 'held  '}{line}")


def through_faults(services: Services, home: Path) -> Iterator[tuple[bool, str]]:
    with started(services, home / "faults") as run:
        coming = faults(SEED)
        run.fake.choose_fault = lambda: next(coming)
        run.fake.limit(tokens=TOKENS_PER_MINUTE, full=False)
        texts = {
            run.insert(run.add_tenant(name), text, tokens_max=CHUNK_TOKENS + 8): text
            for name in ("one", "two")
            if (text := passages(CHUNKS // 2, words=CHUNK_TOKENS - 10, mark=name))
        }
        wait_until(lambda: len(run.fake.admitted) > 10, "texts are bought", deadline_s=DEADLINE_S)
        page_s = index_page(run)
        run.wait_for(list(texts), deadline_s=DEADLINE_S)
        yield from judge(run, texts, page_s)


def index_page(run: Run) -> float:
    """Of another tenant: how long it takes from its row to its completion."""
    began_at = time.monotonic()
    page = run.insert(run.add_tenant("three"), "We deliver on Tuesdays.", tokens_max=512)
    run.wait_for([page], deadline_s=DEADLINE_S)
    return time.monotonic() - began_at


def judge(run: Run, texts: dict[UUID, str], page_s: float) -> Iterator[tuple[bool, str]]:
    stored = sum(len(run.contents(source_id)) for source_id in texts)
    whole = all("".join(run.contents(source_id)) == text for source_id, text in texts.items())
    fake, again = run.fake, repeats(run.fake)
    share = fake.share_used()
    unlogged = fake.tokens_billed - fake.tokens_lost - run.logged_tokens()
    yield not whole or stored != CHUNKS, f"{stored:,} chunks stored of {CHUNKS:,}, each once"
    yield (
        again != Counter(fake.lost),
        (f"{again.total():,} texts billed again, {len(fake.lost):,} billed and lost on their way"),
    )
    yield unlogged != 0, f"{unlogged:,} tokens billed and answered, and not in the logs once"
    yield (
        share < SHARE_MIN,
        (
            f"{share:.3f} of {TOKENS_PER_MINUTE:,} tokens a minute used; {fake.limited} of "
            f"{len(fake.requests):,} requests refused by the rate"
        ),
    )
    yield page_s > PAGE_S_MAX, f"{page_s:.1f} s for another tenant's page meanwhile"


def one_large_source(services: Services, home: Path) -> Iterator[tuple[bool, str]]:
    with started(services, home / "large") as run:
        text = passages(MANY_CHUNKS, words=10, mark="m")
        source_id = run.insert(run.add_tenant("large"), text, tokens_max=16)
        wait_until(lambda: run.fake.billed, "texts are bought", deadline_s=DEADLINE_S)
        sizes_mb, began_at = [run.rss_mb()], time.monotonic()
        while not run.rows(
            "SELECT FROM public.knowledge_sources WHERE id = %s AND status = 'completed'", source_id
        ):
            sizes_mb.append(run.rss_mb())
            time.sleep(0.5)
            if time.monotonic() - began_at > DEADLINE_S:
                raise AssertionError("the large source does not end")
        stored = len(run.contents(source_id))
    grown = max(sizes_mb) - sizes_mb[0]
    yield (
        grown > GROWTH_MB_MAX,
        (
            f"{grown:.0f} MB that a worker grew while it bought and stored {stored:,} vectors, "
            f"from {sizes_mb[0]:.0f} MB at the first; the vectors are {stored * 6 // 1024:,} MB"
        ),
    )


@contextmanager
def started(services: Services, folder: Path) -> Iterator[Run]:
    env = {"PYTHONPATH": f"{ROOT / 'tests' / 'hasty'}:{ROOT}"}
    folder.mkdir(parents=True)
    # A thread more than the giant sources take: how threads are dealt is another benchmark's.
    posts = {**POSTS, "worker-3": POSTS["worker-1"]}
    with running(services, TEMPLATE, folder, posts, **env) as run:
        yield run
