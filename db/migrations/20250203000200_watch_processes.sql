-- What a parent saw of a worker process that died or that it had to end, and what a live one does.

ALTER TABLE worker.processes
    ADD COLUMN overdue jsonb,
    ADD COLUMN cause text,
    ADD COLUMN stats jsonb;
COMMENT ON COLUMN worker.processes.overdue IS
    'Jobs that ran past their time limit and could not be interrupted, so that the process was '
    'ended: {"4711": 1800}, the limit in seconds. What ran beside them is innocent.';
COMMENT ON COLUMN worker.processes.cause IS
    'Why the process ended, in words; part of the error of the jobs that it ran.';
COMMENT ON COLUMN worker.processes.stats IS
    'A worker at its last renewal: {"rss_mb": 212, "jobs_ended": 5312, "running": [4711]}.';
