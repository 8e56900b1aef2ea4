"""Deliveries of a real worker, verified by the libraries that receivers use."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from db.embedded import Services
from tests.delivering import Delivering, delivering
from tests.outside.node_tools import WEB_TIER, run_program
from tests.processes import wait_until
from tests.receiving import Post

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LATER_SECRET = "whsec_" + base64.b64encode(bytes(range(200, 248))).decode()
FREE_TEXT = "webhook_secret_key"
FREE_UNICODE = "hemmelig nøkkel 🔑"
UNICODE: dict[str, Any] = {
    "name": "Åse Øygård 🚀 \u2028 \x7f",
    "text": '<script>&amp;"quotes" \\ / 数据 \u202e',
    "numbers": [1, -0.5, 12345678901234567890],
    "empty": {"object": {}, "list": [], "null": None},
}
ALL = {"python": True, "standardwebhooks": True, "svix": True}
NONE = dict.fromkeys(ALL, False)


@dataclass(frozen=True)
class Letter:
    """What a receiver holds: its secret, and the request as it came."""

    secret: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_free_text(self) -> bool:
        return not self.secret.startswith("whsec_")


@pytest.fixture(scope="module")
def running(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivering]:
    with delivering(services, template, tmp_path_factory.mktemp("signatures")) as started:
        yield started


def deliver(running: Delivering, webhook_id: UUID, data: object) -> Post:
    """The request of one delivery."""
    before = running.receiver.count
    running.send(webhook_id, data=data)
    wait_until(lambda: running.receiver.count > before, "the delivery arrives")
    running.wait_for(webhook_id)
    assert set(running.statuses(webhook_id)) == {"delivered"}, running.show()
    return running.receiver.posts[-1]


def verdicts(*letters: Letter) -> list[dict[str, bool]]:
    """Of each library: whether it takes the letter."""
    asked = [
        {
            "secret": base64.b64encode(letter.secret.encode()).decode()
            if letter.is_free_text
            else letter.secret,
            "raw": letter.is_free_text,
            "headers": letter.headers,
            "body": base64.b64encode(letter.body).decode(),
        }
        for letter in letters
    ]
    ran = run_program("node", "verify.js", cwd=WEB_TIER, stdin=json.dumps(asked))
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, bool]] = json.loads(ran.stdout)
    return [
        {"python": verified_by_python(letter), **by_node}
        for letter, by_node in zip(letters, found, strict=True)
    ]


def verified_by_python(letter: Letter) -> bool:
    key = letter.secret.encode() if letter.is_free_text else letter.secret
    try:
        Webhook(key).verify(letter.body, letter.headers)
    except WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("secret", [SECRET, LATER_SECRET, FREE_TEXT, FREE_UNICODE])
@pytest.mark.parametrize("data", [UNICODE, {"content": "Hei"}], ids=["unicode", "plain"])
def test_every_library_takes_what_we_sign(
    running: Delivering, secret: str, data: dict[str, Any]
) -> None:
    webhook_id = running.add_webhook("/ok", secret=secret)

    post = deliver(running, webhook_id, data)

    assert verdicts(Letter(secret, post.headers, post.body)) == [ALL]
    assert json.loads(post.body)["data"] == data


def test_a_changed_request_is_taken_by_none(running: Delivering) -> None:
    webhook_id = running.add_webhook("/ok", secret=SECRET)

    post = deliver(running, webhook_id, UNICODE)

    letter = Letter(SECRET, post.headers, post.body)
    sent_at = int(post.headers["webhook-timestamp"])
    changed = [
        replace(letter, body=bytes([*letter.body[:40], letter.body[40] ^ 1, *letter.body[41:]])),
        replace(letter, body=letter.body + b" "),
        replace(letter, secret=LATER_SECRET),
        replace(letter, headers={**letter.headers, "webhook-id": post.id + "0"}),
        replace(letter, headers={**letter.headers, "webhook-timestamp": str(sent_at + 1)}),
        replace(letter, headers={**letter.headers, "webhook-timestamp": str(sent_at - 400)}),
    ]
    assert verdicts(letter, *changed) == [ALL] + [NONE] * len(changed)


def test_after_a_new_secret_the_old_one_verifies_too(running: Delivering) -> None:
    webhook_id = running.add_webhook("/ok", secret=SECRET)
    before = deliver(running, webhook_id, UNICODE)
    running.conn.execute(
        "UPDATE public.webhooks SET secret = %s WHERE id = %s", (LATER_SECRET, webhook_id)
    )

    after = deliver(running, webhook_id, UNICODE)

    assert verdicts(
        Letter(LATER_SECRET, after.headers, after.body),
        Letter(SECRET, after.headers, after.body),
        Letter(FREE_TEXT, after.headers, after.body),
        Letter(LATER_SECRET, before.headers, before.body),
    ) == [ALL, ALL, NONE, NONE]
    assert len(after.headers["webhook-signature"].split(" ")) == 2
