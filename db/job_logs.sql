-- What jobs logged.

-- name: copy_lines
COPY worker.job_logs (job_id, attempt, at, level, logger, message) FROM STDIN

-- name: list_lines
SELECT attempt, at, level, logger, message FROM worker.job_logs
WHERE job_id = %(job_id)s ORDER BY id LIMIT %(rows_max)s
