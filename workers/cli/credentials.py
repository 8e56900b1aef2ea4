"""`avivro credentials`: what customers entered to sign in elsewhere is sealed with a key."""

import typer

from db import credentials
from db.pool import Connection, connect
from pipelines.counting import plural
from pipelines.sealing import HOW_TO_MAKE, Keyring, parse_keys
from workers import config
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import services

app = typer.Typer(no_args_is_help=True)


@app.callback()
def begin() -> None:
    """Keeps `rotate` a command of its own while it is the only one."""


@app.command("rotate")
def rotate(why: WhyOption = auditing.UNSAID, as_json: console.JsonOption = False) -> None:
    """Seal all credentials with the first key of CREDENTIALS_KEY, also those in the clear."""
    from pipelines import vault

    keys = parse_keys(config.load().credentials_key)
    if not keys:
        console.fail(f"CREDENTIALS_KEY is not set; {HOW_TO_MAKE}", code=3)
    with services(redis=False) as found:
        assert found.database_url is not None
        with connect(found.database_url, autocommit=True, name="avivro credentials") as conn:
            auditing.note(conn, "rotate_credentials", "all credentials", why=why)
            rotation = vault.rotate(conn, Keyring(keys))
    if as_json:
        console.print_json(rotation)
    else:
        console.out.print(f"{rotation.sealed} sealed anew, {rotation.current} were already")
        for source_id in rotation.unreadable:
            console.err.print(f"those of source {source_id} do not open: is the old key listed?")
    if rotation.unreadable:
        raise typer.Exit(1)


def check(conn: Connection, key: str) -> tuple[str, bool, str]:
    """For `avivro doctor`: whether the credentials of sources can be used, and are sealed."""
    count, clear = credentials.count_credentials(conn)
    detail = f"{plural(count, 'source has', 'sources have')} some"
    if not key:
        advice = f"CREDENTIALS_KEY is not set; {HOW_TO_MAKE}"
        return ("credentials", count == 0, f"{detail}, {advice}")
    if clear:
        detail += f"; {clear} are in the clear until their first use or `avivro credentials rotate`"
    return ("credentials", True, detail)
