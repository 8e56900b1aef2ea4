-- What operators look for among sources, webhooks and mails: what is in trouble, found without
-- reading what is not.

CREATE INDEX knowledge_sources_created_at_idx ON public.knowledge_sources (created_at, id);
CREATE INDEX knowledge_sources_unready_idx ON public.knowledge_sources (status, created_at, id)
    WHERE status <> 'completed';
CREATE INDEX source_syncs_failing_idx ON worker.source_syncs (failures DESC, failing_since)
    WHERE failures > 0;
CREATE INDEX source_syncs_paused_idx ON worker.source_syncs (paused_at)
    WHERE paused_at IS NOT NULL;
-- Messages, which visitors write, are not in it.
CREATE INDEX usage_logs_embedding_idx ON public.usage_logs (created_at)
    INCLUDE (user_id, total_tokens, total_cost) WHERE usage_type = 'embedding';

CREATE INDEX endpoints_stopped_idx ON worker.endpoints (webhook_id)
    WHERE open_until IS NOT NULL OR disabled_reason IS NOT NULL;

CREATE INDEX email_logs_troubled_idx ON public.email_logs (status, created_at, id)
    WHERE status IN ('failed', 'uncertain', 'bounced', 'complained');
-- In place of the one by the time alone: mails of a week are counted by state without their rows.
CREATE INDEX email_logs_created_at_status_idx ON public.email_logs (created_at, status);
DROP INDEX public.email_logs_created_at_idx;
