"""Buying vectors: several requests in flight, each remembered and paid in its own transaction.

What is guaranteed: a text is paid for once, by whatever jobs and workers want it, but for requests
that were in flight when their worker died or their answer was cut. For that, each request's texts
are claimed, looked up once more and only then sent; they are released when they are stored.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import uuid4

from db import chunks, sources
from db.chunks import Paid
from db.fence import Fence, LeaseLost
from db.pool import Connection
from db.sources import Payer
from pipelines.errors import JobError, Permanent, Snooze, Transient
from pipelines.gateways.embedder import (
    BadVector,
    Embedded,
    Embedder,
    InputRefused,
    RateLimited,
    price_usd,
)
from pipelines.gateways.gate import Ask, Turn
from pipelines.knowledge.tokens import encoding_for
from pipelines.vectors.flights import Flights, Landed
from pipelines.vectors.lots import Lot, Text, by_hash, fill_max, make_lots
from pipelines.vectors.shelf import Shelf

IN_FLIGHT_MAX = 4
RECALL_MAX = 500
LOOK_EVERY_S = 0.25
# Others' claims end within seconds, or when their worker is found dead.
CLAIMED_LOOK_S = 0.5
# A wait that the provider asked for, and one in the line of our own workers. Longer ones end the
# attempt: its thread is wanted elsewhere.
SHUT_S_MAX = 10.0
LINE_S_MAX = 60.0
# Below the time limit of the jobs that buy: what is paid so far is remembered.
ATTEMPT_S_MAX = 1_200.0
GO_ON_S = 1.0
FAILURES_MAX = 6
FAILING_S_MAX = 120.0
BACK_OFF_FIRST_S = 0.5
BACK_OFF_S_MAX = 8.0
# A vector that is bad again is its text's doing.
BAD_VECTORS_MAX = 2
REFUSED_MAX = 20
# At the end of an attempt, for what is in flight: it is paid already.
SETTLE_S_MAX = 20.0
PROBE = "a"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """Texts whose vectors are wanted, each once, and who pays.

    `may_spend` is asked before each paid request with its price in USD, again where it has to be
    repeated, and raises to end the buying. `step` is told what is done, of how many; `waits` how
    many seconds the job goes away for.
    """

    texts: Sequence[Text]
    payer: Payer
    may_spend: Callable[[Decimal], None] = lambda usd: None
    step: Callable[[int, int], None] = lambda done, total: None
    waits: Callable[[float], None] = lambda wait_s: None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that the provider does not embed, and its reason."""

    text_hash: bytes
    why: str


@dataclass(slots=True)
class Bill:
    """What was paid, and what was recalled or refused instead."""

    recalled: int = 0
    bought: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    refused: list[Refusal] = field(default_factory=list)


def is_free(embedder: Embedder) -> bool:
    """Nothing is gained by remembering what costs nothing to make again."""
    return price_usd(embedder.model, 1) == 0


class Buying:
    """One order, for one attempt of one job. All but the sending is done in the job's thread."""

    def __init__(self, db: Fence, embedder: Embedder, order: Order, shelf: Shelf) -> None:
        self.bill = Bill()
        self._db = db
        self._embedder = embedder
        self._order = order
        self._shelf = shelf
        self._owner = str(db.job_id)
        self._ticket = uuid4().hex
        self._free = is_free(embedder)
        self._in_flight_max = 1 if self._free else IN_FLIGHT_MAX
        self._encoding = encoding_for(embedder.model)
        self._flights = Flights(embedder.embed)
        self._lots: deque[Lot] = deque()
        self._ready: Lot | None = None
        self._claimed: set[bytes] = set()
        self._fill = fill_max(None)
        self._accepts = False
        self._began_at = time.monotonic()

    def run(self) -> Bill:
        """Raises Permanent, Transient or Snooze; what was bought until then is remembered."""
        if not self._order.texts:
            return self.bill
        self._plan()
        try:
            while self._lots or self._ready or self._flights.count:
                self._db.check()
                self._check_time()
                self._land(self._launch())
        except LeaseLost:
            raise
        except Exception:
            self._settle()
            raise
        finally:
            self._embedder.gate.withdraw(self._ticket)
            self._release(set(self._claimed))
        return self.bill

    def _plan(self) -> None:
        hashes = [text.hash for text in self._order.texts]
        for start in range(0, len(hashes), RECALL_MAX):
            self._recall(hashes[start : start + RECALL_MAX])
        missing = {text.hash: text for text in self._order.texts if text.hash not in self._shelf}
        allowed = self._embedder.gate.bounds().tokens
        self._fill = fill_max(allowed)
        lots = make_lots(list(missing.values()), self._embedder.limits, tokens_per_minute=allowed)
        self._lots.extend(lots)

    def _recall(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Put on the shelf what was paid for before; what there was."""
        if self._free or not hashes:
            return set()
        with self._db.write() as conn:
            found = chunks.recall_vectors(conn, model=self._embedder.model, hashes=hashes)
        for text_hash, vector in found.items():
            self._shelf[text_hash] = vector
        self.bill.recalled += len(found)
        return set(found)

    def _launch(self) -> float:
        """Send what may be sent; for how long nothing more can be."""
        while self._flights.count < self._in_flight_max:
            lot = self._ready or self._prepare()
            if lot is None:
                return self._until_due_s()
            self._ready = lot
            turn = self._embedder.gate.admit(
                Ask(self._ticket, self._order.payer.user_id, lot.tokens)
            )
            if turn.wait_s > 0:
                self._bear(turn)
                return min(turn.wait_s, LOOK_EVERY_S)
            self._ready = None
            self._flights.start(lot, lot.inputs(self._encoding))
        return LOOK_EVERY_S

    def _prepare(self) -> Lot | None:
        """The next lot, of texts that are ours alone to pay; None where all have to wait."""
        while (lot := self._next_due()) is not None:
            if self._free:
                return lot
            others = self._embedder.claims.take(lot.hashes, owner=self._owner)
            ours = lot.without(others)
            self._claimed.update(ours.hashes)
            if others:
                due_at = time.monotonic() + CLAIMED_LOOK_S
                self._lots.append(replace(lot.without(set(ours.hashes)), due_at=due_at))
            found = self._recall(ours.hashes)
            self._release(found)
            ours = ours.without(found)
            if ours.texts:
                self._order.may_spend(self._price(ours.tokens))
                return ours
        return None

    def _next_due(self) -> Lot | None:
        for _ in range(len(self._lots)):
            lot = self._lots.popleft()
            if lot.due_at > time.monotonic():
                self._lots.append(lot)
                continue
            while lot.tokens > self._fill and len(lot.texts) > 1:
                lot, rest = lot.halves()
                self._lots.appendleft(rest)
            return lot
        return None

    def _until_due_s(self) -> float:
        due_at = min((lot.due_at for lot in self._lots), default=float("inf"))
        return max(0.01, min(LOOK_EVERY_S, due_at - time.monotonic()))

    def _bear(self, turn: Turn) -> None:
        """Wait here, or leave the thread to others."""
        if turn.wait_s > (SHUT_S_MAX if turn.shut else LINE_S_MAX):
            self._leave(turn.wait_s)

    def _leave(self, wait_s: float) -> None:
        self._order.waits(wait_s)
        raise Snooze(wait_s)

    def _check_time(self) -> None:
        if time.monotonic() - self._began_at > ATTEMPT_S_MAX:
            log.info("the job has had its time, and goes on later with what is left")
            self._leave(GO_ON_S)

    def _land(self, pause_s: float) -> None:
        landed = self._flights.land(pause_s)
        while landed is not None:
            self._take(landed)
            landed = self._flights.land(0)

    def _take(self, landed: Landed) -> None:
        lot, outcome = landed.lot, landed.outcome
        match outcome:
            case Embedded():
                self._store(self._db, landed, outcome)
            case InputRefused():
                self._refused(lot, outcome, too_long=outcome.too_long)
            case RateLimited():
                self._limited(lot, outcome)
            case BadVector() if lot.failures >= BAD_VECTORS_MAX:
                self._refused(lot, outcome)
            case Transient():
                self._failed(lot, outcome)
            case _:
                raise outcome

    def _store(self, db: Fence, landed: Landed, embedded: Embedded) -> None:
        """Remember the vectors and log the cost, in one transaction: once for each request."""
        lot = landed.lot
        rows = by_hash(lot, lot.vectors(landed.sent, embedded.vectors))
        with db.write() as conn:
            if not self._free:
                paid = [Paid(text.hash, vector, text.tokens) for text, vector in rows]
                chunks.remember_vectors(conn, paid, model=self._embedder.model)
            tokens = self._log(conn, embedded, lot.tokens)
        self._accept(tokens)
        self.bill.bought += len(rows)
        for text, vector in rows:
            self._shelf[text.hash] = vector
        self._release(set(lot.hashes))
        self._order.step(self.bill.recalled + self.bill.bought, len(self._order.texts))

    def _log(self, conn: Connection, embedded: Embedded, counted: int) -> int:
        """One row for one paid request; its tokens, as billed or else as we counted them."""
        tokens = embedded.tokens or counted
        cost = self._price(tokens)
        sources.log_embedding(
            conn, self._order.payer, model=self._embedder.model, tokens=tokens, cost=cost
        )
        return tokens

    def _accept(self, tokens: int) -> None:
        self.bill.tokens += tokens
        self.bill.cost_usd += self._price(tokens)
        if not self._accepts:
            # Its first answer told what the provider allows.
            self._accepts = True
            self._fill = fill_max(self._embedder.gate.bounds().tokens)

    def _refused(self, lot: Lot, error: JobError, *, too_long: bool = False) -> None:
        """Halve until the one text is found that the provider will not have."""
        self._check_provider(error)
        if len(lot.texts) > 1:
            self._lots.extendleft(reversed(lot.halves()))
            return
        smaller = lot.in_smaller_pieces() if too_long else None
        if smaller is not None:
            self._lots.appendleft(smaller)
            return
        self.bill.refused.append(Refusal(lot.texts[0].hash, str(error)))
        self._release(set(lot.hashes))
        if len(self.bill.refused) > REFUSED_MAX:
            raise Permanent(
                f"the embedding provider refused more than {REFUSED_MAX} passages, the limit;"
                f" of the last it said: {error}"
            ) from error

    def _check_provider(self, error: JobError) -> None:
        """Raises `error` where even a single letter is refused: then it is no text's doing."""
        if self._accepts:
            return
        try:
            embedded = self._embedder.embed([PROBE])
        except InputRefused:
            raise error from None
        with self._db.write() as conn:
            tokens = self._log(conn, embedded, 1)
        self._accept(tokens)

    def _limited(self, lot: Lot, error: RateLimited) -> None:
        """The provider's limit is no failure of ours: nothing is counted, the lot waits."""
        allowed = self._embedder.gate.bounds().tokens
        if allowed is not None and lot.tokens > allowed and len(lot.texts) == 1:
            raise Permanent(
                f"a passage has {lot.tokens:,} tokens, the embedding provider allows this account"
                f" {allowed:,} a minute"
            ) from error
        self._fill = fill_max(allowed)
        wait_s = BACK_OFF_FIRST_S if error.retry_after_s is None else error.retry_after_s
        if wait_s > SHUT_S_MAX:
            self._leave(wait_s)
        self._lots.appendleft(replace(lot, due_at=time.monotonic() + wait_s))

    def _failed(self, lot: Lot, error: Transient) -> None:
        """Try again in a moment; raises `error` where that did not help for long."""
        now = time.monotonic()
        since = now if lot.failing_since is None else lot.failing_since
        wait_s = max(back_off_s(lot.failures), error.retry_after_s or 0.0)
        patient = lot.failures + 1 < FAILURES_MAX and now + wait_s - since < FAILING_S_MAX
        if not patient or wait_s > SHUT_S_MAX:
            raise error
        log.info("an embedding request failed, again in %.1f s: %s", wait_s, error)
        self._lots.appendleft(
            replace(lot, failures=lot.failures + 1, due_at=now + wait_s, failing_since=since)
        )

    def _settle(self) -> None:
        """Store what is in flight at the end of an attempt, a cancelled one too."""
        db = replace(self._db, is_cancelled=lambda: False)
        until = time.monotonic() + SETTLE_S_MAX
        while self._flights.count and time.monotonic() < until:
            landed = self._flights.land(LOOK_EVERY_S)
            if landed is None or not isinstance(landed.outcome, Embedded):
                continue
            try:
                self._store(db, landed, landed.outcome)
            except Exception as error:  # noqa: BLE001 - what ended the attempt is raised instead
                log.warning("%d vectors are lost: %s", len(landed.lot.texts), error)
                return

    def _price(self, tokens: int) -> Decimal:
        return price_usd(self._embedder.model, tokens) or Decimal(0)

    def _release(self, hashes: set[bytes]) -> None:
        mine = self._claimed & hashes
        self._claimed -= mine
        self._embedder.claims.release(mine, owner=self._owner)


def back_off_s(failures: int) -> float:
    """Doubling, and by chance: requests that failed together shall not come again together."""
    luck: float = random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
    return min(BACK_OFF_S_MAX, BACK_OFF_FIRST_S * 2.0**failures) * luck
