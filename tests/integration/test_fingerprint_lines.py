"""Traces are taken apart by places: the fingerprints stay those of the patterns before."""

import random

from db.migrate import MIGRATIONS
from db.pool import Connection

TRACES = 400
FOLDERS = ("workers", "pipelines", "db", "schedules", "work", "site-packages", "x y", 'q"', "")
NAMES = ("run", "<module>", "a.b", "x/y", 'q"', "", "\u00e9", "f, in g", '", line 4, in /db/x')
ENDS = (
    "ValueError: x", "pkg.mod.Err: y", "1bad: z", "Err", " Err", "", "Err: " + "y" * 1_990,
    "Err: " + "y" * 4_900, "E\nmore lines", "_E (x)",
)  # fmt: skip


def make_frame(rng: random.Random) -> str:
    path = "/".join(rng.choice(FOLDERS) for _ in range(rng.randint(1, 5)))
    line, name = rng.choice(["1", "123456", "", "x"]), rng.choice(NAMES)
    whole = f'  File "{rng.choice(["/", ""])}{path}.py", line {line}, in {name}'
    return rng.choice([whole, whole, whole, whole[: rng.randint(3, len(whole))]])


def make_trace(rng: random.Random) -> str:
    frames = [f"{make_frame(rng)}\n{rng.choice(['    call()', '', '  '])}" for _ in range(4)]
    begin = rng.choice(["Traceback (most recent call last):", "", "z" * 3_000])
    return "\n".join([begin, *frames, rng.choice(ENDS)]) + rng.choice(["", "\n", "\n\n"])


def test_fingerprints_are_those_of_the_patterns_before(conn: Connection) -> None:
    rng = random.Random(5)
    traces = ["", "\n", "x", "\n  \nE", *(make_trace(rng) for _ in range(TRACES))]
    before = (MIGRATIONS / "20250207000500_group_errors.sql").read_text()
    definition = before[before.index("CREATE FUNCTION worker.fingerprint") :].partition("\n$$;")[0]
    definition = definition.replace("worker.fingerprint", "pg_temp.fingerprint_before")
    conn.execute(f"{definition}\n$$;".encode())

    found = conn.execute(
        "SELECT worker.fingerprint('e', t), pg_temp.fingerprint_before('e', t)"
        " FROM unnest(%s::text[]) AS t",
        (traces,),
    ).fetchall()

    assert [now for now, _ in found] == [then for _, then in found]
    assert len(set(found)) > TRACES / 4
