"""Who is let in: what a name and a password are worth, or the word of somebody who vouches.

Wrong passwords lock a name for the place they come from. From everywhere at once, many more lock it
for all but the browsers in which its operator has signed in before: nobody can lock them out.
"""

import logging
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from db import audit, logins, operators
from db.logins import Attempt, Limits
from db.operators import Account
from db.pool import Connection
from workers.dashboard import sessions
from workers.dashboard.forms import Refused
from workers.dashboard.passwords import Busy
from workers.dashboard.peers import is_name
from workers.dashboard.site import Site

LIMITS = Limits(pair_max=5, address_max=20, name_max=100, lock_s=15 * 60.0)
DEVICE_COOKIE = "avivro_device"
DEVICE_S = logins.DEVICE_DAYS * 86_400.0
NOBODY = "nobody"
WRONG = "Name or password is wrong."

log = logging.getLogger(__name__)


class Wrong(Refused):
    def __init__(self) -> None:
        super().__init__(WRONG, status=401)


class Locked(Refused):
    """Wrong passwords were too many; the right one is refused as well."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60))
        super().__init__(
            f"Too many wrong passwords. Try again in {minutes} min, or in a browser in which you "
            "have signed in before.",
            status=429,
        )
        self.retry_after_s = max(1, round(wait_s))


@dataclass(frozen=True, slots=True)
class Voucher:
    """Somebody else has let them in: a proxy by a header, or an identity provider."""

    origin: str
    name: str
    subject: str | None = None


def judge(site: Site, request: Request, name: str, password: str) -> Account:
    """Whose name and password these are. Raises Wrong, Locked, or Busy."""
    attempt = place(site, request, name)
    with site.write() as conn:
        account, failure_id, failures = note(conn, attempt)
    known_hash = None if account is None or account.disabled_at else account.password_hash
    try:
        right = site.passwords.is_right(known_hash, password)
    except Busy:
        with site.write() as conn:
            logins.delete_failure(conn, failure_id)
        raise
    if right and account is not None:
        with site.write() as conn:
            if accept(conn, site, account, password):
                logins.delete_failures(conn, attempt)
                return account
    tell_wrong(site, attempt, account, failures)
    raise Wrong


def place(site: Site, request: Request, name: str) -> Attempt:
    name = name.strip().lower()
    if not is_name(name):
        raise Wrong
    address = site.sessions.peers.address(request)
    device = site.sessions.read_cookie(request, DEVICE_COOKIE)
    if device:
        token_hash = sessions.digest(device)
        with site.read() as conn:
            if logins.is_known_device(conn, name=name, token_hash=token_hash):
                return Attempt(name, f"device {token_hash.hex()}", known=True)
    return Attempt(name, address, known=False)


def note(conn: Connection, attempt: Attempt) -> tuple[Account | None, int, int]:
    """Count the attempt as a wrong one before it is judged. Raises Locked."""
    logins.lock_attempts(conn, attempt)
    wait_s = logins.find_lock(conn, attempt, LIMITS)
    if wait_s is not None:
        raise Locked(wait_s)
    failure_id = logins.insert_failure(conn, attempt)
    failures = logins.count_failures(conn, attempt, lock_s=LIMITS.lock_s)
    return operators.find_operator(conn, attempt.name), failure_id, failures


def accept(conn: Connection, site: Site, account: Account, password: str) -> bool:
    """A one-time password is used up; one that was hashed weakly is hashed anew."""
    judged = account.password_hash
    assert judged is not None
    kept: str | None = judged
    if account.must_change_password:
        kept = None
    elif site.passwords.is_outdated(judged):
        kept = site.passwords.hash(password)
    return operators.replace_hash(conn, account.id, judged=judged, password_hash=kept)


def tell_wrong(site: Site, attempt: Attempt, account: Account | None, failures: int) -> None:
    log.warning("login: wrong password for %s from %s", attempt.name, attempt.address)
    if account is None or failures < LIMITS.pair_max:
        return
    with site.write() as conn:
        audit.append(
            conn,
            operator=NOBODY,
            role="none",
            action="lock_login",
            target=f"operator {account.name}",
            why="login",
            details={"wrong_passwords": failures, "from": attempt.address},
        )


def admit(site: Site, voucher: Voucher) -> Account:
    """Whom the voucher means. Raises Refused for somebody who was not added, or is locked out."""
    with site.write() as conn:
        operators.lock_operators(conn)
        account = find(conn, voucher) or add(conn, site, voucher)
    if account is None or account.disabled_at is not None:
        raise Refused(
            f"{voucher.name} may not use this dashboard: an admin can let them in.", status=403
        )
    return account


def find(conn: Connection, voucher: Voucher) -> Account | None:
    """Names are unique over all origins, but each is let in by its own alone."""
    if voucher.subject is not None:
        account = operators.find_operator_of_subject(conn, voucher.subject)
        if account is not None:
            return account
    account = operators.find_operator(conn, voucher.name)
    if account is None:
        return None
    if account.origin != voucher.origin or not is_bound(conn, account, voucher):
        raise Refused(f"The name {voucher.name} is somebody else's here.", status=403)
    return account


def is_bound(conn: Connection, account: Account, voucher: Voucher) -> bool:
    if voucher.subject is None:
        return True
    return operators.bind_subject(conn, account.id, subject=voucher.subject)


def add(conn: Connection, site: Site, voucher: Voucher) -> Account | None:
    role = site.config.dashboard_default_role
    if role is None:
        return None
    operators.insert_operator(
        conn, voucher.name, role=role, origin=voucher.origin, subject=voucher.subject
    )
    audit.append(
        conn,
        operator=voucher.name,
        role=role,
        action="add_operator",
        target=f"operator {voucher.name}",
        why="login",
        details={"role": role, "origin": voucher.origin},
    )
    return operators.find_operator(conn, voucher.name)


def let_in(site: Site, request: Request, account: Account, response: Response) -> Response:
    """Begin a session under a new token; whatever session the browser had, ends."""
    address = site.sessions.peers.address(request)
    device = site.sessions.read_cookie(request, DEVICE_COOKIE) or sessions.make_token()
    with site.write() as conn:
        operators.delete_session(conn, token_hash=site.sessions.token_hash(request))
        logins.remember_device(conn, account.id, token_hash=sessions.digest(device))
        token = sessions.begin(
            conn,
            account.id,
            user_agent=request.headers.get("user-agent", ""),
            address=address,
        )
        note_login(conn, account, {"from": address, "by": account.origin})
    log.info("login: %s from %s by %s", account.name, address, account.origin)
    site.sessions.set_cookie(request, response, sessions.COOKIE, token, lasts_s=sessions.LASTS_S)
    site.sessions.set_cookie(request, response, DEVICE_COOKIE, device, lasts_s=DEVICE_S)
    return response


def note_login(conn: Connection, account: Account, details: dict[str, Any]) -> None:
    audit.append(
        conn,
        operator=account.name,
        role=account.role,
        action="log_in",
        target=f"operator {account.name}",
        why="login",
        details=details,
    )
