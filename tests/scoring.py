"""One attempt of `analyze_sentiment` in the test's own process, with a real fence and any judge."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import dict_row

from db import processes
from db.fence import Fence
from db.pool import Connection, open_pool
from pipelines.analyze_sentiment import Desk, run
from pipelines.errors import JobError
from pipelines.sentiment.judgement import EMOTIONS, Judgement, Label
from pipelines.sentiment.verdict import Call, Judged, SentimentJudge, Verdict
from tests.integration.people import sign_up

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = "acme/judge-1"
WORDS: tuple[tuple[str, Label, float], ...] = (
    ("bad", "negative", -0.8),
    ("good", "positive", 0.6),
)
CALM: tuple[str, Label, float] = ("", "neutral", 0.0)


def judged(text: str, judge: str) -> Judged:
    """By one word, so that a test can say what comes out."""
    _, label, score = next((each for each in WORDS if each[0] in text), CALM)
    judgement = Judgement(
        score=score,
        label=label,
        confidence=0.9,
        emotions={**dict.fromkeys(EMOTIONS, 0.0), "anger": 0.5},
        topics=("delivery",),
        keywords=(text[:20],),
        language="en",
    )
    return Judged(judgement, judge)


@dataclass
class WordJudge:
    """As strict as a provider: each batch is one billed call. `answers` limits how many texts it
    answers before `failure`; `meanwhile` runs while it is asked.
    """

    name: str = MODEL
    bills: bool = True
    failure: JobError | None = None
    answers: int | None = None
    meanwhile: Callable[[], object] = lambda: None
    asked: list[list[str]] = field(default_factory=list)

    def judge(self, texts: Sequence[str]) -> Verdict:
        assert texts, "a provider refuses an empty request"
        self.asked.append([*texts])
        self.meanwhile()
        if self.failure is not None and self.answers is None:
            raise self.failure
        answered = [judged(text, self.name) for text in texts[: self.answers]]
        calls = [Call(self.name, 10 * len(texts), len(texts))] if self.bills else []
        return Verdict(answered, calls, self.failure)

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.asked for text in batch]


@dataclass
class Scoring:
    """An owner with an agent that wants scores; minutes pass between messages."""

    conn: Connection
    url: str
    user_id: UUID
    agent_id: UUID
    judge: WordJudge = field(default_factory=WordJudge)
    local: WordJudge = field(default_factory=lambda: WordJudge("local", bills=False))
    said: int = 0

    def add_agent(self, *, enabled: bool = True) -> UUID:
        return UUID(
            str(
                self.one(
                    "INSERT INTO agents (user_id, name, system_prompt, is_published,"
                    " enable_sentiment_analysis) VALUES (%s, 'Ada', 's', true, %s) RETURNING id",
                    self.user_id,
                    enabled,
                )
            )
        )

    def converse(self, *texts: str, agent_id: UUID | None = None, name: str | None = None) -> UUID:
        """A new conversation in which a visitor says these; its id."""
        conversation_id = uuid4()
        self.conn.execute(
            "INSERT INTO conversations (id, agent_id, visitor_name, created_at)"
            " VALUES (%s, %s, %s, %s)",
            (conversation_id, agent_id or self.agent_id, name, self.now()),
        )
        for text in texts:
            self.say(conversation_id, text)
        return conversation_id

    def say(self, conversation_id: UUID, text: str, role: str = "user") -> UUID:
        self.said += 1
        message_id = uuid4()
        self.conn.execute(
            "INSERT INTO messages (id, conversation_id, role, content, created_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            (message_id, conversation_id, role, text, self.now()),
        )
        return message_id

    def now(self) -> datetime:
        return BEGIN + timedelta(minutes=self.said)

    def run(self, *, is_last_try: bool = False, **bounds: Any) -> dict[str, Any]:
        with self.attempt() as fence:
            return self.work(fence, is_last_try=is_last_try, **bounds)

    def work(
        self,
        fence: Fence,
        *,
        is_last_try: bool = False,
        judge: SentimentJudge | None = None,
        **bounds: Any,
    ) -> dict[str, Any]:
        desk = Desk(fence, judge or self.judge, self.local, is_last_try)
        return run(desk, agent_id=self.agent_id, **bounds)

    @contextmanager
    def attempt(self) -> Iterator[Fence]:
        """A job of the agent as its worker holds it."""
        worker_id = uuid4()
        processes.register(self.conn, id=worker_id, role="worker", host="here", pid=1, queues={})
        job_id = self.one(
            "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
            " VALUES ('analyze_sentiment', 'sentiment', 'running', 1, 4, %s) RETURNING id",
            worker_id,
        )
        with open_pool(self.url, size_max=3) as pool:
            yield Fence(pool, job_id, 1)

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row."""
        found = self.conn.execute(query.encode(), values).fetchone()
        return None if found is None else found[0]

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.conn.cursor(row_factory=dict_row)
        return cursor.execute(query.encode(), values).fetchall()

    def count(self, table: str) -> int:
        return int(self.one(f"SELECT count(*) FROM {table}"))

    def scores(self, conversation_id: UUID) -> list[float | None]:
        """Of its messages, oldest first."""
        rows = self.rows(
            "SELECT sentiment_score::float8 AS score FROM messages WHERE conversation_id = %s"
            " ORDER BY created_at",
            conversation_id,
        )
        return [row["score"] for row in rows]

    def whole(self, conversation_id: UUID) -> tuple[Any, str | None]:
        """The score and the label of a conversation."""
        (row,) = self.rows(
            "SELECT sentiment_score::float8 AS score, sentiment_label AS label"
            " FROM conversations WHERE id = %s",
            conversation_id,
        )
        return row["score"], row["label"]


@contextmanager
def scoring(conn: Connection, url: str) -> Iterator[Scoring]:
    user_id = sign_up(conn, "owner")
    world = Scoring(conn, url, user_id, agent_id=user_id)
    world.agent_id = world.add_agent()
    yield world
