"""Signing in with an OpenID Connect provider: authorization code, PKCE, state and nonce.

What the provider says is believed only as a signed token for us, of this very sign-in. Nothing of
it is kept but the name and the subject: sessions are ours from then on.
"""

import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from workers.config import Config
from workers.dashboard.door import Voucher
from workers.dashboard.forms import Refused

CALLBACK = "/login/oidc/callback"
SCOPE = "openid email profile"
# Only what a provider signs with a key of its own; never none, and no shared secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
TIMEOUT_S = 5.0
BYTES_MAX = 1_000_000
KEPT_S = 600.0
# While it is away it is asked again at most so often: who waits for it holds a thread of ours.
REST_S = 5.0
EXCHANGES_MAX = 4
# A key that is not among those known is asked for again, at most so often.
REFRESH_S = 30.0
LEEWAY_S = 60
NAME_CHARS_MAX = 200
# Microsoft Entra ID never says email_verified.
ENTRA = (
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://login.partner.microsoftonline.cn/",
)


class ProviderDown(Refused):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"The identity provider does not answer as it should ({why}). "
            "Signing in with a password works all the same.",
            status=502,
        )


class Rejected(Refused):
    def __init__(self, why: str) -> None:
        super().__init__(f"This sign-in was not accepted: {why}. Begin again.", status=403)


@dataclass(frozen=True, slots=True)
class Secrets:
    """One sign-in's, all made from what the browser's cookie holds: nothing is stored here."""

    seed: str = field(repr=False)

    @property
    def state(self) -> str:
        return self._make("state")

    @property
    def nonce(self) -> str:
        return self._make("nonce")

    @property
    def verifier(self) -> str:
        return self._make("verifier")

    def _make(self, purpose: str) -> str:
        return hmac.new(self.seed.encode(), purpose.encode(), hashlib.sha256).hexdigest()


class Provider:
    """Asks the issuer of the configuration, and only it."""

    def __init__(self, config: Config) -> None:
        assert config.oidc_issuer is not None
        assert config.public_url is not None
        self._issuer = config.oidc_issuer
        self._client_id = config.oidc_client_id or ""
        self._client_secret = config.oidc_client_secret
        self._redirect_uri = config.public_url.rstrip("/") + CALLBACK
        self._lock = Lock()
        self._exchanging = BoundedSemaphore(EXCHANGES_MAX)
        self._down: tuple[float, ProviderDown] | None = None
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def begin(self, secrets: Secrets) -> str:
        """Where to send the browser."""
        endpoint = self._endpoint("authorization_endpoint")
        with self._client() as client:
            url, _ = client.create_authorization_url(
                endpoint,
                state=secrets.state,
                code_verifier=secrets.verifier,
                nonce=secrets.nonce,
            )
        return str(url)

    def end(self, query: Mapping[str, str], secrets: Secrets) -> Voucher:
        """Whom the provider has let in. Raises Rejected, or ProviderDown."""
        if not hmac.compare_digest(query.get("state", "").encode(), secrets.state.encode()):
            raise Rejected("it did not begin in this browser")
        if query.get("iss", self._issuer) != self._issuer:
            raise Rejected("another provider answered")
        if "error" in query or not query.get("code"):
            raise Rejected(f"the provider said {query.get('error', 'nothing')[:100]}")
        return read_voucher(self._verify(self._exchange(query["code"], secrets), secrets))

    def _exchange(self, code: str, secrets: Secrets) -> str:
        """The ID token for a code."""
        endpoint = self._endpoint("token_endpoint")
        with self._turn(), self._client() as client:
            try:
                answer = client.fetch_token(endpoint, code=code, code_verifier=secrets.verifier)
            except OAuthError as error:
                raise Rejected(f"the provider said {str(error.error)[:100]}") from error
            except (httpx2.HTTPError, ValueError) as error:
                raise ProviderDown(type(error).__name__) from error
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Rejected("the provider sent no ID token")
        return token

    def _verify(self, token: str, secrets: Secrets) -> Mapping[str, Any]:
        options = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "nonce": {"essential": True, "value": secrets.nonce},
        }
        try:
            decoded = self._decode(token)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options,
                {"client_id": self._client_id, "nonce": secrets.nonce},
            )
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise Rejected(f"its token is not valid, {type(error).__name__}") from error
        return dict(claims)

    def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._find_keys(), algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may have changed its key.
            return jwt.decode(token, self._find_keys(kept_s=REFRESH_S), algorithms=ALGORITHMS)

    def _client(self) -> Any:
        method = "client_secret_basic"
        offered = self._describe().get("token_endpoint_auth_methods_supported", [method])
        if method not in offered:
            method = "client_secret_post"
        return OAuth2Client(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method,
            scope=SCOPE,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
        )

    def _endpoint(self, name: str) -> str:
        url = self._describe().get(name)
        safe = ("https://",) if self._issuer.startswith("https://") else ("https://", "http://")
        if not isinstance(url, str) or not url.startswith(safe) or not urlsplit(url).hostname:
            raise ProviderDown(f"it names no {name} that is safe")
        return url

    def _describe(self) -> Mapping[str, Any]:
        """What the issuer says of itself, asked every few minutes."""
        with self._asking():
            if self._metadata is None or time.monotonic() > self._metadata[0] + KEPT_S:
                address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
                found = fetch(address)
                if found.get("issuer") != self._issuer:
                    raise ProviderDown("it calls itself by another name than OIDC_ISSUER")
                self._metadata = (time.monotonic(), found)
            return self._metadata[1]

    def _find_keys(self, kept_s: float = KEPT_S) -> KeySet:
        address = self._endpoint("jwks_uri")
        with self._asking():
            if self._keys is None or time.monotonic() > self._keys[0] + kept_s:
                try:
                    keys = KeySet.import_key_set(fetch(address))  # type: ignore[arg-type]
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise ProviderDown("its keys cannot be read") from error
                self._keys = (time.monotonic(), keys)
            return self._keys[1]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One asks for all. Raises what the last one met, for REST_S after it."""
        if not self._lock.acquire(timeout=TIMEOUT_S):
            raise ProviderDown("others wait for it already")
        try:
            if self._down is not None and time.monotonic() < self._down[0] + REST_S:
                raise self._down[1]
            try:
                yield
            except ProviderDown as error:
                self._down = (time.monotonic(), error)
                raise
        finally:
            self._lock.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._exchanging.acquire(blocking=False):
            raise ProviderDown("others wait for it already")
        try:
            yield
        finally:
            self._exchanging.release()


def fetch(address: str) -> dict[str, Any]:
    """A JSON object from the provider. Raises ProviderDown."""
    body = bytearray()
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_S, trust_env=False) as client,
            client.stream("GET", address) as answer,
        ):
            answer.raise_for_status()
            for part in answer.iter_bytes():
                body += part
                if len(body) > BYTES_MAX:
                    raise ProviderDown(f"it sent more than {BYTES_MAX} bytes")
        found = httpx2.Response(200, content=bytes(body)).json()
    except (httpx2.HTTPError, ValueError) as error:
        raise ProviderDown(type(error).__name__) from error
    if not isinstance(found, dict):
        raise ProviderDown("it sent no JSON object")
    return found


def read_voucher(claims: Mapping[str, Any]) -> Voucher:
    """A verified address, or else a user name; one that only looks like an address is neither.

    Where people may type their user name themselves, they could type somebody's address.
    """
    subject, email, user = (claims.get(name) for name in ("sub", "email", "preferred_username"))
    if isinstance(email, str) and is_verified(claims):
        name = email
    elif isinstance(user, str) and "@" not in user:
        name = user
    else:
        hint = "; in Entra ID, add the claims email and xms_edov" if is_entra(claims) else ""
        raise Rejected(f"the provider names neither a verified address nor a user name{hint}")
    name = name.strip()
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise Rejected("the provider names no subject")
    if not name.isprintable() or not 0 < len(name) <= NAME_CHARS_MAX:
        raise Rejected("the name is empty, too long, or cannot be printed")
    return Voucher("oidc", name, subject)


def is_verified(claims: Mapping[str, Any]) -> bool:
    """Whether the address is the person's own, by the provider's word.

    Entra's word is the optional claim xms_edov: the address's domain belongs to the tenant. It
    comes as true, 1 or a text; there, the claim email alone may be what somebody typed.
    """
    said = claims.get("email_verified")
    if said is None and is_entra(claims):
        return str(claims.get("xms_edov")).lower() in ("true", "1")
    return said is True


def is_entra(claims: Mapping[str, Any]) -> bool:
    return str(claims.get("iss")).startswith(ENTRA)
