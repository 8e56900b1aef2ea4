"""The keys that links in mails are signed with."""

KEY_CHARS_MIN = 32


def parse_keys(value: str) -> tuple[bytes, ...]:
    """Read LINK_SIGNING_KEY: keys with commas between, newest first. Raises ValueError."""
    keys = [each.strip() for each in value.split(",") if each.strip()]
    for place, key in enumerate(keys, start=1):
        if len(key) < KEY_CHARS_MIN:
            raise ValueError(
                f"key {place} has {len(key)} characters, {KEY_CHARS_MIN} are needed, for example "
                "from: openssl rand -hex 32"
            )
    return tuple(key.encode() for key in keys)
