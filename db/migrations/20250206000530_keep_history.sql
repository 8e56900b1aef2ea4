-- What is forgotten by its age is found by it. Times of retention are in db/retention.py.
CREATE INDEX analytics_events_created_at_idx ON public.analytics_events (created_at);
CREATE INDEX activity_logs_created_at_idx ON public.activity_logs (created_at);
CREATE INDEX notifications_created_at_idx ON public.notifications (created_at);
CREATE INDEX notifications_read_at_idx ON public.notifications (read_at)
    WHERE read_at IS NOT NULL;
CREATE INDEX email_logs_created_at_idx ON public.email_logs (created_at);
-- Not of those that wait: an event that 500 webhooks hear of is a visitor's write.
CREATE INDEX webhook_deliveries_ended_idx ON public.webhook_deliveries (created_at)
    WHERE status IN ('delivered', 'failed', 'blocked', 'cancelled');
