"""Sealing credentials, and keeping them out of everything that is said."""

import base64
import secrets
import traceback
from collections.abc import Callable
from uuid import UUID

import pytest

from pipelines.credentials import HIDDEN, Credentials
from pipelines.errors import JobError, Permanent, Transient
from pipelines.gateways.http_failures import HttpTransient
from pipelines.sealing import KEY_BYTES, Keyring, SealError, parse_keys
from pipelines.vault import keep_secret

SOURCE, OTHER = UUID(int=1), UUID(int=2)
TOKEN = "ntn_s3cr3t/+t0ken=="
VALUES = {"token": TOKEN, "account": {"client_email": "bot@example.com", "private_key": "a\nb c d"}}


def make_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def keyring(*keys: str) -> Keyring:
    return Keyring(parse_keys(",".join(keys)))


def test_what_is_sealed_opens_and_shows_nothing() -> None:
    ring = keyring(make_key())

    sealed = ring.seal(SOURCE, VALUES)

    assert ring.open(SOURCE, sealed) == VALUES
    assert TOKEN.encode() not in sealed


def test_a_row_that_is_copied_to_another_source_does_not_open() -> None:
    ring = keyring(make_key())

    with pytest.raises(SealError, match="another source"):
        ring.open(OTHER, ring.seal(SOURCE, VALUES))


@pytest.mark.parametrize("place", [0, 5, 12, 25, -1])
def test_a_changed_byte_does_not_open(place: int) -> None:
    ring = keyring(make_key())
    sealed = bytearray(ring.seal(SOURCE, VALUES))
    sealed[place] ^= 1

    with pytest.raises(SealError):
        ring.open(SOURCE, bytes(sealed))


def test_a_truncated_seal_does_not_open() -> None:
    ring = keyring(make_key())
    sealed = ring.seal(SOURCE, VALUES)

    for length in range(0, len(sealed), 7):
        with pytest.raises(SealError):
            ring.open(SOURCE, sealed[:length])


def test_keys_rotate_the_first_seals_and_all_open() -> None:
    old, new = make_key(), make_key()
    sealed = keyring(old).seal(SOURCE, VALUES)

    both = keyring(new, old)

    assert both.open(SOURCE, sealed) == VALUES
    assert (both.is_newest(sealed), both.is_newest(both.seal(SOURCE, VALUES))) == (False, True)
    with pytest.raises(SealError, match="does not hold"):
        keyring(new).open(SOURCE, sealed)


def test_equal_credentials_are_sealed_differently_each_time() -> None:
    ring = keyring(make_key())

    assert ring.seal(SOURCE, VALUES) != ring.seal(SOURCE, VALUES)


def test_a_key_may_be_written_in_base64_of_either_alphabet_or_in_hex() -> None:
    raw = bytes(range(224, 256))
    spellings = [
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
    ]

    assert {key.secret for key in parse_keys(" , ".join(spellings))} == {raw}


@pytest.mark.parametrize("bad", ["short", "x" * 44, base64.b64encode(b"16 bytes of key!").decode()])
def test_a_bad_key_is_told_by_its_place_and_never_repeated(bad: str) -> None:
    with pytest.raises(ValueError, match="key 2 is not 32 bytes") as raised:
        parse_keys(f"{make_key()},{bad}")

    assert "openssl rand" in str(raised.value)
    assert bad not in str(raised.value)


def test_no_repr_shows_a_secret() -> None:
    (key,) = parse_keys(make_key())

    assert TOKEN not in repr(Credentials(VALUES))
    assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize(
    "echo",
    [
        f"token {TOKEN} refused",
        "at https://x.example/?key=ntn_s3cr3t%2F%2Bt0ken%3D%3D",
        f"Basic {base64.b64encode(TOKEN.encode()).decode()}",
        '{"key": "a\\nb c d"}',
    ],
)
def test_a_secret_is_taken_out_however_it_is_spelled(echo: str) -> None:
    said = Credentials(VALUES).redact(echo)

    assert HIDDEN in said
    assert not Credentials(VALUES).show_in(said)


def test_the_account_a_customer_has_to_know_is_not_hidden() -> None:
    assert "bot@example.com" in Credentials(VALUES).redact("share it with bot@example.com")


def fail(make: Callable[[], Exception]) -> None:
    # What is local here, and the cause, must not travel.
    error = make()
    try:
        raise ValueError(f"server said {TOKEN}")
    except ValueError as cause:
        raise error from cause


@pytest.mark.parametrize(
    "make",
    [
        lambda: Permanent(f"no: {TOKEN}"),
        lambda: Transient(f"wait: {TOKEN}", retry_after_s=3),
        lambda: HttpTransient(f"wait: {TOKEN}", failure_class="status", retry_after_s=3),
    ],
)
def test_what_fails_with_credentials_says_nothing_of_them(make: Callable[[], JobError]) -> None:
    with pytest.raises(type(make())) as raised:
        keep_secret(Credentials(VALUES), lambda: fail(make))

    told = raised.value
    trace = traceback.TracebackException.from_exception(told, capture_locals=True)
    assert (told.__cause__, told.__context__) == (None, None)
    assert TOKEN not in "".join(trace.format())
    assert getattr(told, "retry_after_s", None) == getattr(make(), "retry_after_s", None)


def test_a_bug_keeps_its_trace_unless_it_shows_a_secret() -> None:
    with pytest.raises(RuntimeError, match="KeyError") as raised:
        keep_secret(Credentials(VALUES), lambda: fail(lambda: KeyError("x")))
    with pytest.raises(ZeroDivisionError):
        keep_secret(Credentials(VALUES), lambda: 1 / 0)

    assert TOKEN not in "".join(traceback.format_exception(raised.value))
