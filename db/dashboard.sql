-- Bounds of what pages ask, so that nobody who looks weighs on what runs.

-- name: limit_reading
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', %(ms)s::text, true)

-- name: limit_writing
SELECT set_config('statement_timeout', %(ms)s::text, true),
       set_config('lock_timeout', %(lock_ms)s::text, true)
