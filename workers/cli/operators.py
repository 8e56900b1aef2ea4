"""`avivro operators`: who may use the dashboard; also the way back in when nobody can.

Passwords are made here and printed once: none is typed on a command line, where others read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from db import logins, operators
from db.operators import ORIGINS, ROLES, Account
from db.pool import Connection
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("name", "role", "signs in with", "last sign-in", "state")
NAME_CHARS_MAX = 200

NameArgument = Annotated[str, typer.Argument(help="An operator's name.")]


@app.command("list")
def list_operators(as_json: console.JsonOption = False) -> None:
    """List who may sign in to the dashboard, and as what."""
    with database() as conn:
        found = operators.list_operators(conn)
    if as_json:
        console.print_json([shown(account) for account in found])
    else:
        console.print_table("operators", COLUMNS, [row(account) for account in found])


@app.command("add")
def add(
    name: NameArgument,
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "viewer",
    origin: Annotated[
        str, typer.Option(help=f"How they sign in; one of: {', '.join(ORIGINS)}.")
    ] = "password",
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Let somebody in; with a password, a one-time one is printed."""
    check(role, ROLES, "role")
    check(origin, ORIGINS, "origin")
    if not (0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and name == name.strip()):
        console.fail(f"a name has 1 to {NAME_CHARS_MAX} printable characters", code=2)
    password, password_hash = make_password() if origin == "password" else (None, None)
    with database() as conn:
        added = operators.insert_operator(
            conn,
            name,
            role=role,
            origin=origin,
            password_hash=password_hash,
            must_change_password=password is not None,
        )
        if added is None:
            console.fail(f"there is an operator {name} already", code=1)
        note(conn, "add_operator", name, why, role=role, origin=origin)
    say(f"{name} may sign in as {role}")
    if password is not None:
        tell(password)


@app.command("role")
def change_role(
    name: NameArgument,
    role: Annotated[str, typer.Argument(help=f"One of: {', '.join(ROLES)}.")],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Give somebody another role; their sessions end."""
    check(role, ROLES, "role")
    with changing(name) as (conn, account):
        if account.role == role:
            console.fail(f"{account.name} is {role} already", code=1)
        keep_an_admin(conn, account)
        operators.set_role(conn, account.id, role=role)
        note(conn, "change_role", account.name, why, before=account.role, after=role)
    say(f"{account.name} is {role} now, and must sign in again")


@app.command("password")
def reset_password(name: NameArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Print a one-time password; the old one and all sessions end. It lifts locks, too."""
    password, password_hash = make_password()
    with changing(name) as (conn, account):
        if account.origin != "password":
            console.fail(f"{account.name} signs in by {account.origin}: no password here", code=1)
        operators.set_password(
            conn, account.id, password_hash=password_hash, must_change_password=True
        )
        logins.delete_failures_of(conn, account.name)
        note(conn, "reset_password", account.name, why)
    tell(password)


@app.command("disable")
def disable(name: NameArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Let somebody in no longer, and end their sessions now."""
    with changing(name) as (conn, account):
        if account.disabled_at is not None:
            console.fail(f"{account.name} is disabled already", code=1)
        keep_an_admin(conn, account)
        operators.set_disabled(conn, account.id, disabled=True)
        note(conn, "disable_operator", account.name, why)
    say(f"{account.name} can no longer sign in")


@app.command("enable")
def enable(name: NameArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Let somebody in again who was disabled."""
    with changing(name) as (conn, account):
        if account.disabled_at is None:
            console.fail(f"{account.name} is not disabled", code=1)
        operators.set_disabled(conn, account.id, disabled=False)
        note(conn, "enable_operator", account.name, why)
    say(f"{account.name} can sign in again")


@contextmanager
def changing(name: str) -> Iterator[tuple[Connection, Account]]:
    """A transaction at whose end the operator's sessions are over. Exits with 1 without one."""
    with database() as conn:
        operators.lock_operators(conn)
        account = operators.find_operator(conn, name)
        if account is None:
            console.fail(f"there is no operator {name}: see avivro operators list", code=1)
        yield conn, account
        operators.delete_sessions(conn, account.id)


def keep_an_admin(conn: Connection, account: Account) -> None:
    """Exits with 1 where nobody would be left who lets others in."""
    if operators.is_last_admin(conn, account.id):
        console.fail(f"{account.name} is the last admin: make somebody else admin first", code=1)


def make_password() -> tuple[str, str]:
    """A one-time password, and its hash."""
    from workers.dashboard.passwords import Passwords, make_one_time

    password = make_one_time()
    return password, Passwords().hash(password)


def note(conn: Connection, action: str, name: str, why: str, **details: Any) -> None:
    auditing.note(conn, action, f"operator {name}", why=why, **details)


def tell(password: str) -> None:
    """On standard output alone, so that it can be handed on; nobody can read it later."""
    say(f"one-time password: {password}")
    console.err.print("It works for one sign-in, at which a new password must be chosen.")


def say(text: str) -> None:
    console.out.print(text, highlight=False, markup=False, soft_wrap=True)


def check(word: str, words: tuple[str, ...], name: str) -> None:
    if word not in words:
        console.fail(f"there is no {name} {word}; known: {', '.join(words)}", code=2)


def shown(account: Account) -> dict[str, Any]:
    """Without the hash."""
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role,
        "origin": account.origin,
        "must_change_password": account.must_change_password,
        "created_at": account.created_at,
        "seen_at": account.seen_at,
        "disabled_at": account.disabled_at,
    }


def row(account: Account) -> tuple[object, ...]:
    state = "one-time password" if account.must_change_password else "active"
    return (
        account.name,
        account.role,
        account.origin,
        f"{account.seen_at:%Y-%m-%d %H:%M}" if account.seen_at else None,
        "disabled" if account.disabled_at else state,
    )
