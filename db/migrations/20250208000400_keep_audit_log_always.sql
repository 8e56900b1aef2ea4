-- The audit log is kept in sessions that replay rows, too (session_replication_role = replica, as
-- scripts that load data set it): there, ordinary triggers rest.

ALTER TABLE worker.audit_log ENABLE ALWAYS TRIGGER keep_audit_log;
