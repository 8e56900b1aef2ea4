"""Credentials of sources: sealed at first use, rotated, and read by nobody else."""

import base64
import json
import secrets
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from db import credentials
from db.fence import Fence, LeaseLost
from db.pool import connect
from pipelines import vault
from pipelines.errors import Permanent
from pipelines.sealing import Keyring, parse_keys
from pipelines.vault import Vault
from tests.knowledge import Indexing
from tests.processes import Avivro

TOKEN = "token-that-nobody-may-see-0123456789"


def make_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def keyring(*keys: str) -> Keyring:
    return Keyring(parse_keys(",".join(keys)))


@pytest.fixture
def fence(knowledge: Indexing) -> Iterator[Fence]:
    knowledge.insert(content="some text")
    with knowledge.attempt() as fence:
        yield fence


def set_token(knowledge: Indexing, source_id: UUID, token: str = TOKEN) -> None:
    knowledge.set_credentials(source_id, token=token)


def source_of(knowledge: Indexing) -> UUID:
    return UUID(str(knowledge.row("SELECT id FROM public.knowledge_sources")["id"]))


def test_the_first_use_seals_and_later_ones_open(knowledge: Indexing, fence: Fence) -> None:
    source_id, safe = source_of(knowledge), Vault(keyring(make_key()))
    set_token(knowledge, source_id)

    first, again = safe.unlock(fence, source_id), safe.unlock(fence, source_id)

    row = knowledge.row("SELECT c.*, c::text AS all FROM worker.source_credentials AS c")
    assert first is not None
    assert again is not None
    assert first.text("token") == again.text("token") == TOKEN
    assert row["credentials"] is None
    assert TOKEN.encode() not in row["sealed"]


def test_a_source_without_credentials_has_none(knowledge: Indexing, fence: Fence) -> None:
    assert Vault().unlock(fence, source_of(knowledge)) is None


def test_a_row_copied_to_another_source_does_not_open(knowledge: Indexing, fence: Fence) -> None:
    source_id, safe = source_of(knowledge), Vault(keyring(make_key()))
    set_token(knowledge, source_id)
    safe.unlock(fence, source_id)
    other = knowledge.insert(content="another")
    knowledge.conn.execute(
        "INSERT INTO worker.source_credentials (source_id, sealed)"
        " SELECT %s, sealed FROM worker.source_credentials",
        [other],
    )

    with pytest.raises(Permanent, match="operator has to check CREDENTIALS_KEY"):
        safe.unlock(fence, other)


def test_a_value_set_while_the_old_one_is_sealed_is_not_lost(
    knowledge: Indexing, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id, ring = source_of(knowledge), keyring(make_key())
    set_token(knowledge, source_id, "old-token")
    seal = ring.seal

    def seal_late(source_id: UUID, values: dict[str, str]) -> bytes:
        if values["token"] == "old-token":
            set_token(knowledge, source_id, "new-token")
        return seal(source_id, values)

    monkeypatch.setattr(ring, "seal", seal_late)

    used = Vault(ring).unlock(fence, source_id)

    stored = knowledge.row("SELECT sealed FROM worker.source_credentials")["sealed"]
    assert used is not None
    assert used.text("token") == "new-token"
    assert ring.open(source_id, stored) == {"token": "new-token"}


def test_sealing_does_not_wait_for_who_sets_new_ones(knowledge: Indexing, fence: Fence) -> None:
    source_id, safe = source_of(knowledge), Vault(keyring(make_key()))
    set_token(knowledge, source_id)
    with connect(knowledge.url) as busy:
        busy.execute("SET lock_timeout = '5s'")
        busy.execute("UPDATE worker.source_credentials SET credentials = credentials")

        used = safe.unlock(fence, source_id)

        busy.rollback()
    assert used is not None
    assert used.text("token") == TOKEN


def test_who_lost_the_job_seals_nothing(knowledge: Indexing, fence: Fence) -> None:
    source_id = source_of(knowledge)
    set_token(knowledge, source_id)
    late = Fence(fence.pool, fence.job_id, fence.attempt - 1)

    with pytest.raises(LeaseLost):
        Vault(keyring(make_key())).unlock(late, source_id)

    assert knowledge.row("SELECT sealed FROM worker.source_credentials")["sealed"] is None


def test_without_a_key_the_customer_and_the_operator_are_told(
    knowledge: Indexing, fence: Fence, caplog: pytest.LogCaptureFixture
) -> None:
    source_id = source_of(knowledge)
    set_token(knowledge, source_id)

    with pytest.raises(Permanent, match="operator has to check CREDENTIALS_KEY"):
        Vault().unlock(fence, source_id)

    assert "CREDENTIALS_KEY is not set" in caplog.text
    assert TOKEN not in caplog.text


def test_rotation_reseals_with_the_first_key_and_seals_what_is_in_the_clear(
    knowledge: Indexing, fence: Fence
) -> None:
    source_id, old, new = source_of(knowledge), make_key(), make_key()
    set_token(knowledge, source_id)
    Vault(keyring(old)).unlock(fence, source_id)
    clear = knowledge.insert(content="in the clear")
    set_token(knowledge, clear)

    first = vault.rotate(knowledge.conn, keyring(new, old))
    second = vault.rotate(knowledge.conn, keyring(new))

    stored = credentials.list_credentials(knowledge.conn, rows_max=10)
    opened = [keyring(new).open(row.source_id, row.sealed or b"") for row in stored]
    assert opened == [{"token": TOKEN}] * 2
    assert (first.sealed, second.sealed, second.current) == (2, 0, 2)


def test_rotation_names_what_it_cannot_open_and_leaves_it(
    knowledge: Indexing, fence: Fence
) -> None:
    source_id, lost = source_of(knowledge), keyring(make_key())
    set_token(knowledge, source_id)
    Vault(lost).unlock(fence, source_id)

    rotation = vault.rotate(knowledge.conn, keyring(make_key()))

    stored = knowledge.row("SELECT sealed FROM worker.source_credentials")["sealed"]
    assert rotation.unreadable == (source_id,)
    assert lost.open(source_id, stored) == {"token": TOKEN}


def test_the_command_rotates_and_says_how_to_make_a_key(
    knowledge: Indexing, commands: Avivro
) -> None:
    source_id = knowledge.insert(content="text")
    set_token(knowledge, source_id)

    without = commands.run("credentials", "rotate")
    commands.env["CREDENTIALS_KEY"] = make_key()
    done = commands.run("credentials", "rotate", "--json")

    assert (without.returncode, "openssl rand" in without.stderr) == (3, True)
    assert (done.returncode, '"sealed": 1' in done.stdout) == (0, True)
    assert TOKEN not in done.stdout + done.stderr + without.stderr


def status_after_setting(knowledge: Indexing, status: str) -> str:
    source_id = knowledge.insert(content="text")
    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = %s", [status])
    knowledge.conn.execute("DELETE FROM worker.jobs")
    set_token(knowledge, source_id)
    return str(knowledge.source(source_id)["status"])


@pytest.mark.parametrize("status", ["failed", "processing"])
def test_setting_credentials_tries_again_what_failed_or_may_be_about_to(
    knowledge: Indexing, status: str
) -> None:
    assert status_after_setting(knowledge, status) == "pending"

    waiting = knowledge.rows("SELECT kind FROM worker.jobs WHERE state = 'available'")
    assert waiting == [{"kind": "index_source"}]


def test_setting_credentials_leaves_what_works_alone(knowledge: Indexing) -> None:
    assert status_after_setting(knowledge, "completed") == "completed"

    assert knowledge.rows("SELECT 1 FROM worker.jobs") == []


def test_sealing_asks_for_no_new_run(knowledge: Indexing, fence: Fence) -> None:
    source_id = source_of(knowledge)
    set_token(knowledge, source_id)
    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'failed'")

    Vault(keyring(make_key())).unlock(fence, source_id)

    assert knowledge.source(source_id)["status"] == "failed"


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_web_role_reads_or_writes_them(knowledge: Indexing, role: str) -> None:
    for statement in (
        "SELECT * FROM worker.source_credentials",
        "UPDATE worker.source_credentials SET sealed = NULL",
        "DELETE FROM worker.source_credentials",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute_as(knowledge, role, statement)


def execute_as(knowledge: Indexing, role: str, statement: str) -> None:
    with knowledge.conn.transaction():
        knowledge.conn.execute(f"SET LOCAL ROLE {role}".encode())
        knowledge.conn.execute(statement.encode())


def test_the_doctor_says_what_is_missing(knowledge: Indexing, commands: Avivro) -> None:
    set_token(knowledge, knowledge.insert(content="text"))

    without = commands.run("doctor", "--json")
    commands.env["CREDENTIALS_KEY"] = make_key()
    with_key = commands.run("doctor", "--json")

    (missing,) = [each for each in json.loads(without.stdout) if each["check"] == "credentials"]
    (found,) = [each for each in json.loads(with_key.stdout) if each["check"] == "credentials"]
    assert (missing["ok"], found["ok"]) == (False, True)
    assert "openssl rand -base64 32" in missing["detail"]
    assert "1 are in the clear" in found["detail"]
