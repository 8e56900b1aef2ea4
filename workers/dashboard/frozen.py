"""Forms that change many rows at once, named by UUIDs: exactly those that were previewed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

from workers.dashboard.bulk import BULK_MAX, TYPED_FROM
from workers.dashboard.bulk_runs import Outcome
from workers.dashboard.forms import Form, Refused

IDS_NOTED_MAX = 20


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a form brings back of its preview, in its order."""

    run: UUID
    ids: tuple[UUID, ...]

    def key(self, what: str) -> UUID:
        """Equal for what was sent twice, and for nothing else."""
        return uuid5(self.run, f"{what} {pack_uuids(self.ids)}")


def freeze(ids: Sequence[UUID]) -> dict[str, Any]:
    """For bulk.html: the ids as hidden fields, and whether their number must be typed."""
    return {
        "count": len(ids),
        "typed": len(ids) > TYPED_FROM,
        "frozen": {"run": uuid4(), "ids": pack_uuids(ids)},
    }


def read_frozen(form: Form, *, most: int) -> Frozen:
    """Raises Refused."""
    try:
        ids, run = unpack_uuids(form.one("ids")), UUID(form.one("run"))
    except ValueError as error:
        raise Refused(f"This form cannot be read: {error}.") from None
    if len(ids) > most:
        raise Refused(f"{len(ids):,} are to be changed, at most {most:,} are at once.")
    require_sure(form, len(ids), f"{len(ids):,}")
    return Frozen(run, tuple(dict.fromkeys(ids)))


def require_sure(form: Form, number: int, words: str) -> None:
    """Raises Refused for nothing, and for a large number that was not typed."""
    if not number:
        raise Refused("Nothing is to be changed.")
    if number > TYPED_FROM and form.one("sure", "").replace(",", "").strip() != str(number):
        raise Refused(f"To change {words}, type {number} beside the button.")


def describe(frozen: Frozen, changed: Sequence[UUID]) -> dict[str, Any]:
    """For the audit log."""
    told: dict[str, Any] = {
        "run": str(frozen.run),
        "asked": len(frozen.ids),
        "changed": len(changed),
    }
    if len(frozen.ids) <= IDS_NOTED_MAX:
        told["ids"] = [str(each) for each in changed]
    return told


def tell(frozen: Frozen, outcome: Outcome, done: str) -> str:
    """What happened, for the notice. `done` is all but the rest: 3 mails are marked as sent."""
    if outcome.again:
        return f"This form was sent before and nothing was done twice: {done}"
    if left := len(frozen.ids) - outcome.changed:
        return f"{done} {left:,} changed meanwhile and stay as they are."
    return done


def pack_uuids(ids: Sequence[UUID]) -> str:
    """In their order, 22 characters each."""
    return base64.urlsafe_b64encode(b"".join(each.bytes for each in ids)).decode()


def unpack_uuids(text: str) -> list[UUID]:
    """Raises ValueError for what `pack_uuids` does not write, and for more than BULK_MAX ids."""
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError as error:
        raise ValueError("the list of ids is damaged") from error
    if len(packed) % 16:
        raise ValueError("the list of ids is damaged")
    if len(packed) // 16 > BULK_MAX:
        raise ValueError(f"{len(packed) // 16} ids, at most {BULK_MAX} are changed at once")
    return [UUID(bytes=packed[at : at + 16]) for at in range(0, len(packed), 16)]
