"""Where accounts live: told by the environment, and apart from what it takes to ask for them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Values of SUPABASE_URL, SUPABASE_ANON_KEY and JWT_SECRET.

    With the first two Supabase keeps the accounts and signs the tokens; else the secret does.
    """

    supabase_url: str | None = None
    supabase_anon_key: str | None = field(default=None, repr=False)
    jwt_secret: str | None = field(default=None, repr=False)
