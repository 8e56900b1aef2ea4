"""An OpenID Connect provider, as strict as real ones, and bent where a test bends it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.fakes_http import Answer, Call, as_json, serve

CLIENT_ID = "avivro-dashboard"
CLIENT_SECRET = "a-secret-of-the-client"
KEY = RSAKey.generate_key(2048, {"kid": "first"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "first"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "second"})


@dataclass
class Oidc:
    """`claims` change what its tokens say (None leaves one out); `is_down` answers 503."""

    redirect_uri: str
    url: str = ""
    key: RSAKey = field(default_factory=lambda: KEY)
    published: list[RSAKey] = field(default_factory=lambda: [KEY])
    algorithm: str = "RS256"
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_down: bool = False
    issued: dict[str, dict[str, str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)

    def answer(self, call: Call) -> Answer:
        if self.is_down:
            return Answer(503)
        match call.path:
            case "/.well-known/openid-configuration":
                return as_json(self.describe())
            case "/keys":
                keys = [key.as_dict(private=False) for key in self.published]
                return as_json({"keys": keys})
            case "/authorize":
                return self.authorize(dict(call.query))
            case "/token" if call.method == "POST":
                return self.exchange(call)
        return Answer(404)

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            **self.metadata,
        }

    def authorize(self, query: dict[str, str]) -> Answer:
        """Whoever asks is let in at once; the browser is sent back with a code."""
        wrong = [
            query.get("response_type") != "code",
            query.get("client_id") != CLIENT_ID,
            query.get("redirect_uri") != self.redirect_uri,
            "openid" not in query.get("scope", "").split(),
            query.get("code_challenge_method") != "S256",
            len(query.get("code_challenge", "")) != 43,
            len(query.get("state", "")) < 32,
            len(query.get("nonce", "")) < 32,
        ]
        if any(wrong):
            return self.refuse("invalid_request")
        code = uuid4().hex
        self.issued[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.url})
        return Answer(302, headers={"Location": f"{self.redirect_uri}?{back}"})

    def exchange(self, call: Call) -> Answer:
        """A code is good once, for whom it was made, with what was challenged."""
        form = dict(parse_qsl(call.body.decode()))
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {basic}":
            return self.refuse("invalid_client", status=401)
        if form.get("grant_type") != "authorization_code":
            return self.refuse("unsupported_grant_type")
        asked = self.issued.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != self.redirect_uri:
            return self.refuse("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if encode(digest) != asked["code_challenge"]:
            return self.refuse("invalid_grant")
        return as_json(
            {
                "access_token": uuid4().hex,
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": self.sign(asked["nonce"]),
            }
        )

    def sign(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "grace@example.com",
            "email_verified": True,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        if self.algorithm in ("none", "HS256"):
            return self.forge(header, claims)
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])

    def forge(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """Without a signature, or with one that the public key, known to all, is the secret of."""
        text = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = b""
        if self.algorithm == "HS256":
            public = self.key.as_pem(private=False)
            signature = hmac.new(public, text.encode(), hashlib.sha256).digest()
        return f"{text}.{encode(signature)}"

    def refuse(self, error: str, *, status: int = 400) -> Answer:
        self.refusals.append(error)
        return as_json({"error": error}, status=status)


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@contextmanager
def fake_oidc(redirect_uri: str) -> Iterator[Oidc]:
    provider = Oidc(redirect_uri)
    with serve(provider.answer) as url:
        provider.url = url
        yield provider
