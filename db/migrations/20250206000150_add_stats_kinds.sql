-- The jobs that keep daily_stats right, and look whether they are.
INSERT INTO worker.kinds (kind, queue, args, max_attempts) VALUES
    ('aggregate_daily_stats', 'default', '{}', 5);
INSERT INTO worker.kinds (kind, queue, args, max_attempts, cap) VALUES
    ('reconcile_daily_stats', 'default', '{}', 3, 1);
