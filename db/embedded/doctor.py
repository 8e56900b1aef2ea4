"""What is there and what is wrong, without starting or changing anything."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from db.embedded import postgres, valkey
from db.embedded.errors import EmbeddedError
from db.embedded.locks import is_held
from db.embedded.place import Place, find_place, load_state
from db.embedded.users import POSTGRES, REDIS, Kind


@dataclass(frozen=True)
class Description:
    """One embedded server. `problem` says what is wrong and what to do, None: nothing is."""

    name: str
    is_running: bool
    version: str | None
    address: str | None
    data: Path
    log: Path
    problem: str | None


def describe(home: Path) -> list[Description]:
    """Look at each server of `home`, for `avivro doctor`."""
    return [
        describe_server(home, POSTGRES, lambda: postgres.read_version(postgres.find_programs())),
        describe_server(home, REDIS, lambda: valkey.read_version(valkey.find_program())),
    ]


def describe_server(home: Path, kind: Kind, read_version: Callable[[], str]) -> Description:
    place = find_place(home, kind.name)
    version, problem = None, None
    try:
        version = read_version()
        check_folder(home)
        check_data(kind, place)
    except (EmbeddedError, OSError) as error:
        problem = str(error)
    state = load_state(place)
    answers = state is not None and kind.answers(state)
    if is_kept(place) and not answers:
        problem = f"{kind.title} has a keeper but does not answer. See its log {place.log}."
    return Description(
        name=kind.title,
        is_running=answers,
        version=version,
        address=state.address if state is not None and answers else None,
        data=place.data,
        log=place.log,
        problem=problem,
    )


def is_kept(place: Place) -> bool:
    try:
        return is_held(place.keeper_lock)
    except OSError:
        return False


def check_folder(home: Path) -> None:
    """The nearest folder that exists must let us write."""
    folder = home.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise EmbeddedError(
            f"{folder} cannot be written, so {home} (AVIVRO_HOME) cannot hold the embedded "
            "servers. Set AVIVRO_HOME to a folder of your own."
        )


def check_data(kind: Kind, place: Place) -> None:
    if kind is POSTGRES and (place.data / "PG_VERSION").exists():
        postgres.refuse_other_major(place.data, postgres.find_programs())
