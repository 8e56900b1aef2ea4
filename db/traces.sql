-- Trace contexts on their way from who enqueues to who works.

-- name: set_traceparent
-- Until the end of the transaction, each new job's column traceparent defaults to this.
SELECT set_config('avivro.traceparent', %(traceparent)s, true)
