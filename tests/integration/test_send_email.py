"""`send_email` on a real database: what is sent, refused, tried again, and never sent twice."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from db import emails, jobs, suppressions
from db.embedded import Services
from db.migrate import MIGRATIONS, migrate, read_folder
from db.pool import Connection, connect
from pipelines.email.keys import parse_keys
from pipelines.email.links import Links
from pipelines.errors import Permanent, Postponed, Snooze
from pipelines.gateways.mail import FileRoute, Rate, read_route
from pipelines.gateways.mail_file import FileTransport
from pipelines.gateways.mail_resend import ResendTransport
from pipelines.gateways.mail_smtp import SmtpTransport
from pipelines.gateways.mail_transports import open_transport
from tests.conftest import fresh_database
from tests.fakes_resend import FakeResend, error, fake_resend
from tests.fakes_smtp import Drop, FakeSmtp, Say, fake_smtp
from tests.mailing import Mailing

NOWHERE = Path("/nowhere")
LINKS = Links("https://workers.example", parse_keys("k" * 32))


class Killed(BaseException):
    """Nothing of ours catches it: as if the process had ended there."""


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with fake_smtp() as fake:
        yield fake


@pytest.fixture
def resend() -> Iterator[FakeResend]:
    with fake_resend() as fake:
        yield fake


@pytest.fixture(scope="module")
def office(services: Services, template: str) -> Iterator[tuple[str, Connection]]:
    """One database for all tests here: most of their time would be the making of it."""
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as conn,
    ):
        yield url, conn


@pytest.fixture
def desk(office: tuple[str, Connection]) -> tuple[str, Connection]:
    """Emptied of what a test before has left."""
    office[1].execute(
        "DELETE FROM public.email_logs; DELETE FROM worker.jobs; DELETE FROM worker.buckets;"
        "DELETE FROM worker.suppressions; DELETE FROM worker.processes"
    )
    return office


@pytest.fixture
def mailing(desk: tuple[str, Connection], smtp: FakeSmtp) -> Mailing:
    url, conn = desk
    return Mailing(conn, url, open_transport(read_route(smtp.url(), home=NOWHERE)))


@pytest.fixture
def through_resend(desk: tuple[str, Connection], resend: FakeResend) -> Mailing:
    url, conn = desk
    return Mailing(conn, url, open_transport(read_route(resend.url, home=NOWHERE)))


def test_a_queued_row_is_sent_and_says_so(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write("Jane Döe <jane@exämple.de>", subject="Grüße\r\nBcc: x@y.example")

    result = mailing.attempt()

    row, (mail,) = mailing.row(email_id), smtp.mailbox
    assert isinstance(result, dict)
    assert (row["status"], row["provider"], row["error_message"]) == ("sent", "smtp", None)
    assert row["sent_at"] is not None
    assert row["provider_message_id"] == mail.message["Message-ID"]
    assert mail.message["Message-ID"] == f"<{email_id}@sender.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Bcc"] is None
    assert mail.message["Subject"] == "Grüße Bcc: x@y.example"
    assert mail.message["To"].addresses[0].display_name == "Jane Döe"
    assert mail.recipient == "jane@xn--exmple-cua.de"


def test_running_twice_changes_nothing(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write()
    mailing.attempt()
    before = mailing.row(email_id)
    jobs.enqueue(mailing.conn, "send_email", {"email_id": str(email_id)})

    result = mailing.attempt()

    assert result == {"status": "sent"}
    assert mailing.row(email_id) == before
    assert len(smtp.mailbox) == 1


def test_a_rolled_back_row_leaves_no_job(mailing: Mailing) -> None:
    with mailing.conn.transaction():
        mailing.write()
        raise psycopg.Rollback

    assert mailing.one("SELECT count(*) AS jobs FROM worker.jobs") == {"jobs": 0}


@pytest.mark.parametrize("status", ["sent", "failed", "uncertain", "sending"])
def test_only_a_queued_row_has_a_job(mailing: Mailing, status: str) -> None:
    mailing.write(status=status)

    assert mailing.one("SELECT count(*) AS jobs FROM worker.jobs") == {"jobs": 0}


def test_a_row_set_back_to_queued_is_a_new_mail(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write()
    mailing.attempt()

    mailing.conn.execute("UPDATE public.email_logs SET status = 'queued'")
    waiting = mailing.row(email_id)
    mailing.attempt()

    assert waiting["sent_at"] is None
    assert [mail.message["Message-ID"] for mail in smtp.mailbox] == [
        f"<{email_id}@sender.example>",
        f"<{email_id}.2@sender.example>",
    ]


def test_a_row_set_back_while_its_job_ends_is_sent_again(
    mailing: Mailing, smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing.write()
    finish = jobs.finish_jobs

    def set_back_first(*arguments: Any) -> Any:
        monkeypatch.setattr(jobs, "finish_jobs", finish)
        mailing.conn.execute("UPDATE public.email_logs SET status = 'queued'")
        return finish(*arguments)

    monkeypatch.setattr(jobs, "finish_jobs", set_back_first)
    mailing.attempt()
    mailing.attempt()

    assert len(smtp.mailbox) == 2


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"to": "nobody"}, "has no @"),
        ({"to": "a@b.example, c@d.example"}, "several addresses"),
        ({"to": "a@b.example\r\nBcc: c@d.example"}, "line break"),
        ({"from_email": "nobody"}, "has no @"),
        ({"template_id": "no_such_template"}, "no_such_template"),
        ({"template_data": {}}, "full_name"),
        ({"template_data": []}, "must be a JSON object"),
        ({"template_data": {"full_name": "J", "attachments": [{"content": "%%%"}]}}, "base64"),
        ({"template_data": {"full_name": "J", "reply_to": "nobody"}}, "has no @"),
    ],
)
def test_a_row_that_makes_no_mail_has_failed_and_says_why(
    mailing: Mailing, smtp: FakeSmtp, columns: dict[str, Any], words: str
) -> None:
    email_id = mailing.write(**columns)

    result = mailing.attempt()

    row = mailing.row(email_id)
    assert isinstance(result, Permanent)
    assert row["status"] == "failed"
    assert words in row["error_message"]
    assert smtp.mailbox == []


def test_attachments_arrive_and_too_large_ones_are_refused_with_their_size(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    def attached(size: int) -> dict[str, Any]:
        content = base64.b64encode(bytes(size)).decode()
        file = {"filename": "../Räport.pdf", "content_type": "application/pdf", "content": content}
        return {"full_name": "Jane", "attachments": [file]}

    mailing.write(template_data=attached(1_000))
    mailing.attempt()
    too_large = mailing.write(template_data=attached(10 * 1024 * 1024))
    mailing.attempt()

    (mail,) = smtp.mailbox
    (file,) = mail.message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Räport.pdf", bytes(1_000))
    message = mailing.row(too_large)["error_message"]
    assert "10,485,760 bytes" in message
    assert "the limit is 10,000,000" in message


def test_a_suppressed_address_gets_no_mail_and_the_row_says_so(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    suppressions.add(mailing.conn, "jane@example.com", "bounced")
    email_id = mailing.write("Jane <Jane@Example.com>")

    result = mailing.attempt()

    row = mailing.row(email_id)
    assert isinstance(result, dict)
    assert row["status"] == "failed"
    assert "came back" in row["error_message"]
    assert smtp.mailbox == []


def test_one_click_unsubscribing_is_offered_where_it_may_be(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    mailing.links = LINKS
    mailing.write()
    mailing.attempt()

    message = smtp.mailbox[0].message
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert b"\r\nList-Unsubscribe: <https://workers.example/e/u/" in smtp.mailbox[0].content


def test_trouble_stands_on_the_row_while_it_waits(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write()
    smtp.at("rcpt", Say("451 4.3.0 busy"))

    result = mailing.attempt()
    row, job = mailing.row(email_id), mailing.job(email_id)
    mailing.attempt()

    assert isinstance(result, Postponed)
    assert (row["status"], job["state"]) == ("queued", "retryable")
    assert "451 4.3.0 busy" in row["error_message"]
    assert mailing.row(email_id)["error_message"] is None
    assert mailing.row(email_id)["status"] == "sent"
    assert len(smtp.mailbox) == 1


def test_a_mail_is_given_up_at_the_end_of_its_plan(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write()
    smtp.at("dot", *[Say("451 4.3.0 busy")] * 8)

    results = [mailing.attempt() for _ in range(8)]

    row = mailing.row(email_id)
    assert [type(result) for result in results] == [Postponed] * 7 + [Permanent]
    assert (row["status"], mailing.job(email_id)["state"]) == ("failed", "discarded")
    assert "given up" in row["error_message"]


def test_a_refused_end_of_the_mail_has_failed_and_not_perhaps_arrived(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    email_id = mailing.write()
    smtp.at("dot", Say("550 5.7.1 spam"))

    mailing.attempt()

    row = mailing.row(email_id)
    assert row["status"] == "failed"
    assert "550 5.7.1 spam" in row["error_message"]


@pytest.mark.parametrize(("step", "stored"), [("dot", 0), ("stored", 1)])
def test_a_server_that_answers_nothing_leaves_the_mail_uncertain_and_alone(
    mailing: Mailing, smtp: FakeSmtp, step: str, stored: int
) -> None:
    email_id = mailing.write()
    smtp.at(step, Drop())

    mailing.attempt()
    jobs.enqueue(mailing.conn, "send_email", {"email_id": str(email_id)})
    mailing.attempt()

    row = mailing.row(email_id)
    assert row["status"] == "uncertain"
    assert "may have arrived" in row["error_message"]
    assert len(smtp.mailbox) == stored


@pytest.mark.parametrize(
    ("outcome", "status", "count"), [("sent", "sent", 1), ("failed", "failed", 1)]
)
def test_an_operator_settles_what_nobody_knows(
    mailing: Mailing, smtp: FakeSmtp, outcome: str, status: str, count: int
) -> None:
    email_id = mailing.write()
    smtp.at("stored", Drop())
    mailing.attempt()

    found = emails.settle_email(mailing.conn, email_id, outcome=outcome)

    assert found == mailing.row(email_id)["status"] == status
    assert len(smtp.mailbox) == count


def test_a_second_copy_that_was_asked_for_has_the_message_id_of_the_first(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    email_id = mailing.write()
    smtp.at("stored", Drop())
    mailing.attempt()

    emails.settle_email(mailing.conn, email_id, outcome="resend")
    mailing.attempt()

    assert mailing.row(email_id)["status"] == "sent"
    assert [mail.message["Message-ID"] for mail in smtp.mailbox] == [
        f"<{email_id}@sender.example>"
    ] * 2


@pytest.mark.parametrize(("status", "outcome"), [("sent", "resend"), ("failed", "sent")])
def test_what_is_known_is_not_settled(mailing: Mailing, status: str, outcome: str) -> None:
    email_id = mailing.write(status=status)

    with pytest.raises(psycopg.errors.InvalidParameterValue):
        emails.settle_email(mailing.conn, email_id, outcome=outcome)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        emails.settle_email(mailing.conn, uuid4(), outcome="resend")


def test_a_cancelled_mail_has_failed_and_one_that_may_have_arrived_is_uncertain(
    mailing: Mailing,
) -> None:
    waiting, handed = mailing.write(), mailing.write()
    emails.begin_sending(mailing.conn, handed, message_id="<1@x>", provider="smtp")
    emails.mark_handed(mailing.conn, handed, request=None)

    ids = [mailing.job(email_id)["id"] for email_id in (waiting, handed)]
    jobs.cancel_jobs(mailing.conn, ids, reason="not wanted")

    assert mailing.row(waiting)["status"] == "failed"
    assert mailing.row(handed)["status"] == "uncertain"


def test_the_retried_job_of_a_failed_mail_sends_it_and_of_an_uncertain_one_does_not(
    mailing: Mailing, smtp: FakeSmtp
) -> None:
    failed, uncertain = mailing.write("jane"), mailing.write()
    mailing.attempt()
    smtp.at("dot", Drop())
    mailing.attempt()
    mailing.conn.execute(
        "UPDATE public.email_logs SET to_email = 'jane@example.com' WHERE id = %s", [failed]
    )

    ids = [mailing.job(email_id)["id"] for email_id in (failed, uncertain)]
    again = jobs.retry_jobs(mailing.conn, ids)
    for _ in again:
        mailing.attempt()

    assert sorted(again) == sorted(ids)
    statuses = [mailing.row(email_id)["status"] for email_id in (failed, uncertain)]
    assert statuses == ["sent", "uncertain"]
    assert len(smtp.mailbox) == 1


# Where the process ends, and what is known afterwards: the row, and the mailbox.
KILLS = [
    (emails, "begin_sending", "before", "sent", 1),
    (SmtpTransport, "_write", "before", "sent", 1),
    (SmtpTransport, "_write", "after", "sent", 1),
    (emails, "mark_handed", "after", "sent", 1),
    (SmtpTransport, "_finish", "before", "uncertain", 0),
    (SmtpTransport, "_finish", "after", "uncertain", 1),
    (emails, "mark_sent", "after", "uncertain", 1),
]


@pytest.mark.parametrize(
    ("owner", "name", "place", "status", "count"),
    KILLS,
    ids=[f"{place} {name}" for _, name, place, *_ in KILLS],
)
def test_killed_anywhere_a_mail_is_never_sent_twice_nor_lost_unseen(
    mailing: Mailing,
    smtp: FakeSmtp,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    place: str,
    status: str,
    count: int,
) -> None:
    email_id = mailing.write()
    kill_at(monkeypatch, owner, name, place)

    with pytest.raises(Killed):
        mailing.attempt()
    monkeypatch.undo()
    mailing.rescue()
    mailing.attempt()

    assert mailing.row(email_id)["status"] == status
    assert len(smtp.mailbox) == count


RESEND_KILLS = [
    (ResendTransport, "send", "before"),
    (emails, "mark_handed", "after"),
    (ResendTransport, "send", "after"),
    (emails, "mark_sent", "after"),
]


@pytest.mark.parametrize(
    ("owner", "name", "place"), RESEND_KILLS, ids=[f"{p} {n}" for _, n, p in RESEND_KILLS]
)
def test_killed_anywhere_a_mail_through_resend_is_sent_once(
    through_resend: Mailing,
    resend: FakeResend,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    place: str,
) -> None:
    email_id = through_resend.write()
    kill_at(monkeypatch, owner, name, place)

    with pytest.raises(Killed):
        through_resend.attempt()
    monkeypatch.undo()
    through_resend.rescue()
    through_resend.conn.execute("UPDATE public.email_logs SET subject = 'Edited meanwhile'")
    through_resend.attempt()

    row = through_resend.row(email_id)
    assert row["status"] == "sent"
    assert row["provider_message_id"] is not None
    assert len(resend.sent) == 1


def test_an_answer_of_resend_that_was_lost_is_asked_for_again(
    through_resend: Mailing, resend: FakeResend
) -> None:
    email_id = through_resend.write()
    resend.plan.append("take and drop")

    through_resend.attempt()
    waiting = through_resend.row(email_id)
    through_resend.attempt()

    assert waiting["status"] == "queued"
    assert through_resend.row(email_id)["status"] == "sent"
    assert len(resend.sent) == 1


def test_a_day_later_resend_could_not_tell_and_the_mail_is_uncertain(
    through_resend: Mailing, resend: FakeResend
) -> None:
    email_id = through_resend.write()
    resend.plan.append("take and drop")
    through_resend.attempt()

    through_resend.conn.execute(
        "UPDATE worker.email_sendings SET handed_at = now() - interval '24 hours'"
    )
    through_resend.attempt()

    assert through_resend.row(email_id)["status"] == "uncertain"
    assert len(resend.sent) == 1


def test_what_resend_may_have_is_not_given_to_another_provider(
    through_resend: Mailing, resend: FakeResend, smtp: FakeSmtp
) -> None:
    email_id = through_resend.write()
    resend.plan.append("take and drop")
    through_resend.attempt()

    through_resend.transport = open_transport(read_route(smtp.url(), home=NOWHERE))
    through_resend.attempt()

    assert through_resend.row(email_id)["status"] == "uncertain"
    assert smtp.mailbox == []


def test_a_second_mail_on_purpose_has_a_key_of_its_own(
    through_resend: Mailing, resend: FakeResend
) -> None:
    through_resend.write()
    through_resend.attempt()

    through_resend.conn.execute("UPDATE public.email_logs SET status = 'queued'")
    through_resend.attempt()

    assert len(resend.sent) == 2


def test_a_rate_that_is_used_up_makes_the_job_wait_and_burns_nothing(
    through_resend: Mailing, resend: FakeResend
) -> None:
    email_id = through_resend.write()
    resend.plan.append(error(429, "rate_limit_exceeded", "slow down", **{"retry-after": "60"}))

    told = through_resend.attempt()
    held = through_resend.attempt()

    job = through_resend.job(email_id)
    assert isinstance(told, Postponed)
    assert told.delay_s >= 60
    assert isinstance(held, Snooze)
    assert job["max_attempts"] - job["attempt"] == 5
    assert through_resend.row(email_id)["status"] == "queued"


def test_all_processes_share_a_providers_rate(desk: tuple[str, Connection]) -> None:
    _, conn = desk
    rate = Rate("mail:test", per_s=2.0, burst=2)

    waits = [
        emails.take_turn(conn, rate.lane, per_s=rate.per_s, burst=rate.burst, wait_s_max=1.2)
        for _ in range(6)
    ]

    assert waits[:2] == [0.0, 0.0]
    assert waits[2] == pytest.approx(0.5, abs=0.1)
    assert waits[3] == pytest.approx(1.0, abs=0.1)
    assert waits[4:] == [None, None]


def test_a_password_that_is_wrong_costs_no_mail(mailing: Mailing, smtp: FakeSmtp) -> None:
    email_id = mailing.write()
    with fake_smtp(users={"shop": "secret"}) as closed:
        mailing.transport = open_transport(read_route(closed.url("shop:typo"), home=NOWHERE))
        results = [mailing.attempt() for _ in range(10)]
        waiting = mailing.row(email_id)
        mailing.transport = open_transport(read_route(closed.url("shop:secret"), home=NOWHERE))
        mailing.attempt()

    assert {type(result) for result in results} == {Postponed}
    assert waiting["status"] == "queued"
    assert "user name or password" in waiting["error_message"]
    assert mailing.row(email_id)["status"] == "sent"


def test_a_file_is_written_once_and_a_folder_that_cannot_be_written_costs_no_mail(
    mailing: Mailing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file where a folder shall be")
    email_id = mailing.write()
    mailing.transport = FileTransport(FileRoute(tmp_path / "taken"))
    first = mailing.attempt()
    mailing.transport = FileTransport(FileRoute(tmp_path / "mail"))
    kill_at(monkeypatch, FileTransport, "send", "after")
    with pytest.raises(Killed):
        mailing.attempt()
    monkeypatch.undo()
    mailing.rescue()
    mailing.attempt()

    assert isinstance(first, Postponed)
    assert mailing.row(email_id)["status"] == "sent"
    assert [path.name for path in (tmp_path / "mail").iterdir()] == [
        f"{email_id}@sender.example.eml"
    ]


def test_a_mail_that_is_deleted_while_it_waits_ends_quietly(mailing: Mailing) -> None:
    mailing.write()
    mailing.conn.execute("DELETE FROM public.email_logs")

    assert mailing.attempt() == {"status": "gone"}


def test_the_tenant_of_the_job_is_the_mails_user(mailing: Mailing) -> None:
    user_id = uuid4()
    mailing.conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'u@x.example')", [user_id])

    email_id = mailing.write(user_id=user_id)

    assert mailing.job(email_id)["tenant"] == user_id


def kill_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, place: str) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if place == "after":
            original(*arguments, **options)
        raise Killed

    monkeypatch.setattr(owner, name, wrapped)


def test_mails_from_before_are_sent_when_young_and_explained_when_old(
    empty_database_url: str, tmp_path: Path
) -> None:
    for each in read_folder(MIGRATIONS):
        if each.version < "20250205000400":
            (tmp_path / each.path.name).write_text(each.path.read_text())
    migrate(empty_database_url, folder=tmp_path)
    with connect(empty_database_url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO public.email_logs (to_email, email_type, status, created_at) VALUES"
            " ('young@x.example', 'welcome', 'queued', now() - interval '1 hour'),"
            " ('old@x.example', 'welcome', 'queued', now() - interval '2 days'),"
            " ('midway@x.example', 'welcome', 'sending', now())"
        )

        migrate(empty_database_url)

        rows = conn.execute(
            "SELECT e.to_email, e.status, e.error_message IS NOT NULL, j.kind"
            " FROM public.email_logs AS e LEFT JOIN worker.jobs AS j"
            " ON j.kind = 'send_email' AND j.args ->> 'email_id' = e.id::text ORDER BY 1"
        ).fetchall()
    assert rows == [
        ("midway@x.example", "uncertain", True, None),
        ("old@x.example", "failed", True, None),
        ("young@x.example", "queued", False, "send_email"),
    ]
