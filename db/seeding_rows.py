"""Seeded rows as lines of COPY's text format. Pure: the same plan gives the same lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from random import Random
from uuid import UUID

from db.seeding_words import (
    ANSWERS,
    CITIES,
    COMPANIES,
    QUESTIONS,
    ROLES,
    person,
    phrases,
)

AGENTS_PER_OWNER = 4
DAYS = 90
DAY_S = 86_400
# Within DAYS nothing runs into the present: a message follows another within this time.
REPLY_S_MAX = 90
LEADS_PER_CONVERSATION = 0.12
MODEL = "anthropic/claude-3.5-sonnet"
INTEREST = ("low", "medium", "high")
UTM_SOURCES = ("google", "newsletter", "linkedin")
UTM_MEDIA = ("cpc", "email", "organic")
TAGS = ("demo", "vip", "partner")
NULL = r"\N"
UUID_FREE_BITS = ~((0xF << 76) | (0x3 << 62))
UUID_FOUR = (0x4 << 76) | (0x2 << 62)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what; times count back from `until`."""

    agents: int
    conversations: int
    messages: int
    seed: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """What messages and leads must know of one."""

    id: str
    agent: str
    begun_s: float
    messages: int
    visitor: str
    email: str


def owner_ids(plan: Plan) -> list[str]:
    random = stream(plan, "owners")
    return [new_id(random) for _ in range(-(-plan.agents // AGENTS_PER_OWNER))]


def agent_ids(plan: Plan) -> list[str]:
    random = stream(plan, "agents")
    return [new_id(random) for _ in range(plan.agents)]


def user_lines(plan: Plan) -> Iterator[str]:
    random = stream(plan, "users")
    joined = moment(plan, -2 * DAYS * DAY_S)
    for number, owner in enumerate(owner_ids(plan)):
        email = f"owner-{number}.seed-{plan.seed}@example.com"
        data = f'{{"full_name": "{person(random)}", "company_name": "{random.choice(COMPANIES)}"}}'
        yield f"{owner}\t{email}\t{data}\t{joined}\t{joined}\n"


def agent_lines(plan: Plan) -> Iterator[str]:
    random, owners = stream(plan, "agent rows"), owner_ids(plan)
    made = moment(plan, -(DAYS + 1) * DAY_S)
    for number, agent in enumerate(agent_ids(plan)):
        name = f"{random.choice(ROLES)} {number + 1}"
        tone = random.choice(("professional", "friendly", "casual", "formal", "empathetic"))
        is_published = "t" if random.random() < 0.9 else "f"
        yield (
            f"{agent}\t{owners[number // AGENTS_PER_OWNER]}\t{name}\tAnswers visitors\t"
            f"You are {name}, a {tone} assistant.\tHi! How can I help?\t{tone}\t{is_published}\t"
            f"{made}\t{made}\n"
        )


def conversations(plan: Plan) -> Iterator[Conversation]:
    """In no order of time. Few agents have most of them, as it is in life."""
    random, agents = stream(plan, "conversations"), agent_ids(plan)
    for count in message_counts(plan):
        agent = agents[int(len(agents) * random.random() ** 2)]
        span_s = DAYS * DAY_S - count * REPLY_S_MAX
        begun_s = -(count * REPLY_S_MAX) - max(span_s, 0) * random.random()
        knows_name = random.random() < 0.5
        visitor = person(random) if knows_name else ""
        email = f"visitor{random.getrandbits(32)}@example.net" if knows_name else ""
        yield Conversation(new_id(random), agent, begun_s, count, visitor, email)


def message_counts(plan: Plan) -> list[int]:
    """Of each conversation; together exactly plan.messages, between none and twice the mean."""
    random = stream(plan, "lengths")
    sums = [0.0, *accumulate(random.random() for _ in range(plan.conversations))]
    bounds = [int(plan.messages * part / sums[-1]) for part in sums[:-1]] + [plan.messages]
    return [after - before for before, after in pairwise(bounds)] if plan.conversations else []


def conversation_lines(plan: Plan) -> Iterator[str]:
    random = stream(plan, "conversation rows")
    for one in conversations(plan):
        source = random.choice(("website", "widget", "widget", "api", "mobile"))
        # A finished one is a day old at least.
        is_over = one.begun_s < -DAY_S and random.random() < 0.95
        status = random.choice(("resolved", "resolved", "archived")) if is_over else "active"
        yield (
            f"{one.id}\t{one.agent}\tv{random.getrandbits(48):x}\t{one.visitor or NULL}\t"
            f"{one.email or NULL}\t{random.choice(CITIES)}\t{source}\t{status}\t"
            f"{moment(plan, one.begun_s)}\n"
        )


def message_lines(plan: Plan) -> Iterator[str]:
    """Conversation by conversation, visitor and assistant in turn."""
    random = stream(plan, "messages")
    draw, bits = random.random, random.getrandbits
    questions, answers = phrases(random, QUESTIONS), phrases(random, ANSWERS)
    until_s = plan.until.timestamp()
    for one in conversations(plan):
        at_s = until_s + one.begun_s
        for number in range(one.messages):
            at_s += 1 + draw() * (REPLY_S_MAX - 1)
            at = datetime.fromtimestamp(at_s, UTC).isoformat()
            row_id = f"{bits(128) & UUID_FREE_BITS | UUID_FOUR:032x}"
            if number % 2 == 0:
                text = questions[int(draw() * len(questions))][0]
                yield f"{row_id}\t{one.id}\tuser\t{text}\t{NULL}\t0\t{NULL}\t{at}\t{at}\n"
            else:
                text, tokens = answers[int(draw() * len(answers))]
                yield (
                    f"{row_id}\t{one.id}\tassistant\t{text}\t{MODEL}\t{tokens}\t"
                    f"{int(300 + draw() * 2700)}\t{at}\t{at}\n"
                )


def lead_lines(plan: Plan) -> Iterator[str]:
    random = stream(plan, "leads")
    for one in conversations(plan):
        if random.random() >= LEADS_PER_CONVERSATION:
            continue
        pick = random.choice
        name = one.visitor or person(random)
        email = one.email or f"lead{random.getrandbits(32)}@example.net"
        status = pick(("new", "new", "contacted", "qualified", "converted", "lost"))
        yield (
            f"{new_id(random)}\t{one.agent}\t{one.id}\t{name}\t{email}\t{pick(COMPANIES)}\t"
            f"{status}\t{random.randrange(101)}\t{pick(INTEREST)}\t{pick(UTM_SOURCES)}\t"
            f"{pick(UTM_MEDIA)}\t{{{pick(TAGS)}}}\t{moment(plan, one.begun_s + one.messages)}\n"
        )


def stream(plan: Plan, name: str) -> Random:
    """A stream of its own for each use, so that one more draw here changes nothing there."""
    return Random(f"{plan.seed} {name}")  # noqa: S311 - repeatable on purpose


def new_id(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128) & UUID_FREE_BITS | UUID_FOUR))


def moment(plan: Plan, offset_s: float) -> str:
    return (plan.until + timedelta(seconds=offset_s)).isoformat()
