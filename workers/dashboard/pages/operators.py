"""Who may sign in, as what, and who of them has not been here for long?"""

from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import logins, operators
from db.operators import ORIGINS, ROLES, Account
from db.pool import Connection
from workers.dashboard.forms import Form, Refused
from workers.dashboard.passwords import make_one_time
from workers.dashboard.peers import is_name
from workers.dashboard.site import Act, Site

Change = Callable[[Act, Account, Form], str]
HOW = {
    "password": "a password",
    "header": "the proxy in front",
    "oidc": "the company account",
}


def routes(site: Site) -> list[Route]:
    def show(request: Request) -> Response:
        with site.read() as conn:
            found = operators.list_operators(conn)
        return site.show(
            request,
            "operators.html",
            operators=found,
            roles=ROLES,
            how=HOW,
            rows_max=operators.ROWS_MAX,
        )

    actions = {
        "role": ("change_role", change_role),
        "disable": ("disable_operator", disable),
        "enable": ("enable_operator", enable),
    }
    return [
        site.page("/operators", show, role="admin"),
        site.action("/operators/add", partial(add, site), role="admin"),
        site.action("/operators/password", partial(reset_password, site), role="admin"),
        *(
            site.action(f"/operators/{name}", partial(change, site, action, act), role="admin")
            for name, (action, act) in actions.items()
        ),
    ]


def add(site: Site, request: Request, form: Form) -> Response:
    name, role, origin = read_name(form), read_role(form), form.one("origin", "password")
    if origin not in ORIGINS:
        raise Refused("There is no such way to sign in.")
    password = make_one_time() if origin == "password" else None
    password_hash = None if password is None else site.passwords.hash(password)
    with site.act(request, "add_operator", target=f"operator {name}", why=form.why) as act:
        added = operators.insert_operator(
            act.conn,
            name,
            role=role,
            origin=origin,
            password_hash=password_hash,
            must_change_password=password is not None,
        )
        if added is None:
            raise Refused(f"There is an operator {name} already.", status=409)
        act.details.update(role=role, origin=origin)
    if password is None:
        return site.back(form, f"{name} may sign in with {HOW[origin]}, as {role}.")
    return site.show(request, "one_time.html", name=name, password=password)


def reset_password(site: Site, request: Request, form: Form) -> Response:
    """A one-time password, shown on the page that answers and nowhere else."""
    password = make_one_time()
    password_hash = site.passwords.hash(password)
    name = read_name(form)
    with site.act(request, "reset_password", target=f"operator {name}", why=form.why) as act:
        account = find(act.conn, name)
        if account.origin != "password":
            raise Refused(f"{account.name} signs in with {HOW[account.origin]}.")
        operators.set_password(
            act.conn, account.id, password_hash=password_hash, must_change_password=True
        )
        logins.delete_failures_of(act.conn, account.name)
        act.details["sessions_ended"] = operators.delete_sessions(act.conn, account.id)
    return site.show(request, "one_time.html", name=account.name, password=password)


def change(site: Site, action: str, make: Change, request: Request, form: Form) -> Response:
    """Whoever is changed is signed out everywhere, and comes back as what they are now."""
    name = read_name(form)
    with site.act(request, action, target=f"operator {name}", why=form.why) as act:
        operators.lock_operators(act.conn)
        account = find(act.conn, name)
        told = make(act, account, form)
        act.details["sessions_ended"] = operators.delete_sessions(act.conn, account.id)
    return site.back(form, told)


def change_role(act: Act, account: Account, form: Form) -> str:
    role = read_role(form)
    refuse_unchanged(account.role == role, f"{account.name} is {role} already.")
    keep_an_admin(act.conn, account)
    operators.set_role(act.conn, account.id, role=role)
    act.details.update(before=account.role, after=role)
    return f"{account.name} is {role} now, and must sign in again."


def disable(act: Act, account: Account, form: Form) -> str:
    refuse_unchanged(account.disabled_at is not None, f"{account.name} is disabled already.")
    keep_an_admin(act.conn, account)
    operators.set_disabled(act.conn, account.id, disabled=True)
    return f"{account.name} can no longer sign in."


def enable(act: Act, account: Account, form: Form) -> str:
    refuse_unchanged(account.disabled_at is None, f"{account.name} is not disabled.")
    operators.set_disabled(act.conn, account.id, disabled=False)
    return f"{account.name} can sign in again."


def refuse_unchanged(unchanged: bool, message: str) -> None:
    """A form that comes twice, or after another admin's, leaves no second entry."""
    if unchanged:
        raise Refused(message, status=409)


def keep_an_admin(conn: Connection, account: Account) -> None:
    """Raises Refused where nobody would be left who lets others in."""
    if operators.is_last_admin(conn, account.id):
        raise Refused(f"{account.name} is the last admin: make somebody else admin first.")


def find(conn: Connection, name: str) -> Account:
    account = operators.find_operator(conn, name)
    if account is None:
        raise Refused(f"There is no operator {name}.", status=404)
    return account


def read_name(form: Form) -> str:
    name = form.one("name").strip()
    if not is_name(name):
        raise Refused("A name has 1 to 200 printable characters.")
    return name


def read_role(form: Form) -> str:
    role = form.one("role")
    if role not in ROLES:
        raise Refused(f"The roles are {', '.join(ROLES)}.")
    return role
