"""A provider's rate, shared by all workers through Redis: one token bucket and one line.

The bucket refills evenly and holds a minute's worth, as the providers' own do. Who waits is dealt
with by self-clocked fair queueing: each tenant's requests follow each other by their tokens, so a
single page passes a giant source, and a giant source is passed by no endless stream of pages.
Whoever stops asking loses the place after STALE_S. Times are Redis' own.
"""

import hashlib
from typing import Any, cast

import redis

from pipelines.gateways.gate import Ask, Bounds, Seen, Turn

STALE_S = 2.0
KEEP_S = 3_600
STRIKE_S_MAX = 60
SOCKET_TIMEOUT_S = 2.0
# An answer that took long tells of a time since which other requests have been sent.
AGE_S_MAX = 1.0
# While Redis is away nobody knows what others send.
AWAY_S = 1.0

# ARGV begins with the owner's own limits: tokens and requests a minute, 0 for none.
BUCKET = """
local state = KEYS[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local function read(name) return tonumber(redis.call('HGET', state, name) or '') end
local function write(name, value)
  redis.call('HSET', state, name, string.format('%.6f', value))
end
local function lower(own, told)
  if own == 0 or (told and told < own) then return told or 0 end
  return own
end
local bucket = {}
local function open_bucket()
  for at, name in ipairs({'tokens', 'requests'}) do
    local size = lower(tonumber(ARGV[at]), read(name .. '_allowed'))
    local level = read(name .. '_left') or size
    local since = math.max(0, now - (read('at') or now))
    bucket[name] = {size = size, left = math.min(size, level + since * size / 60)}
  end
end
local function close_bucket()
  for name, each in pairs(bucket) do
    if each.size > 0 then write(name .. '_left', each.left) end
  end
  write('at', now)
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, tonumber(ARGV[3])) end
end
local function wait_s(name, wanted)
  local each = bucket[name]
  if each.size == 0 then return 0 end
  return math.max(0, (wanted - each.left) * 60 / each.size)
end
"""

# KEYS: state, line, weights, seen, ends. ARGV from 4: ticket, tenant, tokens, stale seconds.
ADMIT = (
    BUCKET
    + """
local line, weights, seen, ends = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ticket, tenant, tokens = ARGV[4], ARGV[5], tonumber(ARGV[6])
local shut = read('shut') or 0
if shut > now then return {math.ceil((shut - now) * 1e6), 1} end
open_bucket()
if bucket.tokens.size == 0 and bucket.requests.size == 0 then return {0, 0} end
if bucket.tokens.size > 0 then tokens = math.min(tokens, bucket.tokens.size) end

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - tonumber(ARGV[7]))) do
  redis.call('ZREM', line, gone)
  redis.call('ZREM', seen, gone)
  redis.call('HDEL', weights, gone)
end
if not redis.call('ZSCORE', line, ticket) then
  local last = tonumber(redis.call('HGET', ends, tenant) or 0)
  local place = math.max(read('clock') or 0, last) + tokens
  redis.call('ZADD', line, place, ticket)
  redis.call('HSET', ends, tenant, place)
end
redis.call('HSET', weights, ticket, tokens)
redis.call('ZADD', seen, now, ticket)

local rank, ahead = redis.call('ZRANK', line, ticket), 0
if rank > 0 then
  for _, other in ipairs(redis.call('ZRANGE', line, 0, rank - 1)) do
    ahead = ahead + (tonumber(redis.call('HGET', weights, other) or 0))
  end
end
local wait = math.max(wait_s('tokens', ahead + tokens), wait_s('requests', rank + 1))
if wait <= 0 then
  bucket.tokens.left = bucket.tokens.left - tokens
  bucket.requests.left = bucket.requests.left - 1
  write('clock', math.max(read('clock') or 0, tonumber(redis.call('ZSCORE', line, ticket))))
  redis.call('ZREM', line, ticket)
  redis.call('ZREM', seen, ticket)
  redis.call('HDEL', weights, ticket)
  -- Where nobody waits, nobody has to be remembered.
  if redis.call('ZCARD', line) == 0 then
    redis.call('DEL', ends)
    redis.call('HDEL', state, 'clock')
  end
end
close_bucket()
return {math.ceil(wait * 1e6), 0}
"""
)

# ARGV from 4: allowed tokens, requests; left tokens, requests ('' where unknown); age in seconds;
# '1' where the provider refused; the wait that it asked for or ''; the longest wait of ours.
LEARN = (
    BUCKET
    + """
for at, name in ipairs({'tokens', 'requests'}) do
  local allowed = tonumber(ARGV[3 + at])
  if allowed and allowed > 0 then redis.call('HSET', state, name .. '_allowed', allowed) end
end
open_bucket()
for at, name in ipairs({'tokens', 'requests'}) do
  local left, each = tonumber(ARGV[5 + at]), bucket[name]
  -- What was left has refilled since the provider looked; it is never more than that.
  if left then each.left = math.min(each.left, left + tonumber(ARGV[8]) * each.size / 60) end
end
if ARGV[9] == '1' then
  local strikes = redis.call('HINCRBY', state, 'strikes', 1)
  local wait = tonumber(ARGV[10])
  if not wait then wait = math.min(tonumber(ARGV[11]), 2 ^ math.min(strikes - 1, 16)) end
  write('shut', math.max(read('shut') or 0, now + wait))
else
  redis.call('HDEL', state, 'strikes')
end
close_bucket()
"""
)

BOUNDS = (
    BUCKET
    + """
open_bucket()
return {math.floor(bucket.tokens.size), math.floor(bucket.requests.size)}
"""
)


class Throttle:
    """The gate of one provider's model. `own` is what the owner allows; providers tell theirs."""

    def __init__(self, client: "redis.Redis", *, provider: str, own: Bounds) -> None:
        self._redis = client
        self._own = own
        parts = ("state", "line", "weights", "seen", "ends")
        # One hash tag: a cluster keeps them together.
        self._keys = [f"avivro:rate:{{{provider}}}:{part}" for part in parts]

    def admit(self, ask: Ask) -> Turn:
        try:
            wait_us, shut = self._eval(
                ADMIT, self._keys, ask.ticket, str(ask.tenant), ask.tokens, STALE_S
            )
        except (redis.RedisError, OSError):
            return Turn(AWAY_S if self._own != Bounds() else 0.0)
        return Turn(wait_us / 1e6, shut=bool(shut))

    def withdraw(self, ticket: str) -> None:
        _, line, weights, seen, _ = self._keys
        try:
            pipe = self._redis.pipeline(transaction=True)
            pipe.zrem(line, ticket)
            pipe.zrem(seen, ticket)
            pipe.hdel(weights, ticket)
            pipe.execute()
        except (redis.RedisError, OSError):
            # The place is lost after STALE_S anyway.
            return

    def learn(self, seen: Seen) -> None:
        self._tell(
            LEARN,
            blank(seen.allowed.tokens),
            blank(seen.allowed.requests),
            blank(seen.left.tokens),
            blank(seen.left.requests),
            min(seen.took_s, AGE_S_MAX),
            int(seen.refused),
            blank(seen.retry_after_s),
            STRIKE_S_MAX,
        )

    def bounds(self) -> Bounds:
        try:
            tokens, requests = self._eval(BOUNDS, self._keys[:1])
        except (redis.RedisError, OSError):
            return self._own
        return Bounds(tokens or None, requests or None)

    def _tell(self, script: str, *values: object) -> None:
        """What cannot be told while Redis is away is learnt again from the next answer."""
        try:
            self._eval(script, self._keys[:1], *values)
        except (redis.RedisError, OSError):
            return

    def _eval(self, script: str, keys: list[str], *values: object) -> Any:
        own = (self._own.tokens or 0, self._own.requests or 0, KEEP_S)
        arguments = [str(value) for value in (*own, *values)]
        return cast(Any, self._redis.eval(script, len(keys), *keys, *arguments))


def blank(value: float | None) -> str:
    return "" if value is None else str(value)


def provider_name(base_url: str | None, model: str, api_key: str) -> str:
    """A name for what shares one rate; the key is in it as a few digits of its hash."""
    told = hashlib.sha256(f"{base_url or ''}\n{api_key}".encode()).hexdigest()[:16]
    return f"{model}:{told}"


def connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url, socket_timeout=SOCKET_TIMEOUT_S, socket_connect_timeout=SOCKET_TIMEOUT_S, retry=None
    )
