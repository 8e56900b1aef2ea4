"""Which texts are being paid for at the moment, by whom: so that no two workers pay for one."""

from collections.abc import Collection, Sequence
from typing import Any, cast

import redis

# The longest wait in line, the longest answer, and storing it.
CLAIM_S = 180

TAKE = """
local held = {}
for at, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if owner and owner ~= ARGV[1] then
    held[#held + 1] = at
  else
    redis.call('SET', key, ARGV[1], 'EX', ARGV[2])
  end
end
return held
"""
RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


class RedisClaims:
    """Claims on texts for one model. While Redis is away everything may be claimed by all."""

    def __init__(self, client: "redis.Redis", *, model: str) -> None:
        self._redis = client
        self._prefix = f"avivro:embedding:{{{model}}}:"

    def take(self, hashes: Sequence[bytes], *, owner: str) -> set[bytes]:
        keys = self._keys(hashes)
        if not keys:
            return set()
        try:
            held = cast(Any, self._redis.eval(TAKE, len(keys), *keys, owner, str(CLAIM_S)))
        except (redis.RedisError, OSError):
            return set()
        return {hashes[place - 1] for place in held}

    def release(self, hashes: Collection[bytes], *, owner: str) -> None:
        keys = self._keys(hashes)
        if not keys:
            return
        try:
            self._redis.eval(RELEASE, len(keys), *keys, owner)
        except (redis.RedisError, OSError):
            # They end by themselves.
            return

    def _keys(self, hashes: Collection[bytes]) -> list[str]:
        return [self._prefix + text_hash.hex() for text_hash in hashes]
