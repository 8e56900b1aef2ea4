-- A worker process that shall end when what it runs has ended; it sees it when it renews its lease.
ALTER TABLE worker.processes ADD COLUMN drain_requested_at timestamptz;
COMMENT ON COLUMN worker.processes.drain_requested_at IS
    'When somebody asked it to claim nothing more, finish what runs and end; null: nobody did.';
