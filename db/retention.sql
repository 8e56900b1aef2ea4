-- What is forgotten, and when. Each statement deletes one batch, oldest first, from `since` on:
-- rows that are kept are passed over once a run and not once a batch. What somebody else has
-- locked is left for the next run.

-- name: plan_by_index
-- Before any of them in the same transaction: on statistics from a quiet hour the planner would
-- read and sort the whole table for every batch.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)

-- name: delete_jobs
-- Not while an unfinished job waits for it: its callback may still want to read it.
WITH old AS MATERIALIZED (
    SELECT j.id, j.finished_at FROM worker.jobs AS j
    WHERE j.state IN ('completed', 'discarded', 'cancelled')
      AND j.finished_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND j.finished_at < now() - make_interval(days => %(ended_days)s)
      AND (j.state <> 'discarded'
           OR j.finished_at < now() - make_interval(days => %(discarded_days)s))
      AND (NOT j.awaited OR NOT EXISTS (
          SELECT FROM worker.waits AS w JOIN worker.jobs AS waiter ON waiter.id = w.job_id
          WHERE w.waits_for = j.id
            AND waiter.state NOT IN ('completed', 'discarded', 'cancelled')))
    ORDER BY j.finished_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), logs AS (
    DELETE FROM worker.job_logs WHERE job_id = ANY(ARRAY(SELECT id FROM old))
), gone AS (
    DELETE FROM worker.jobs WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(finished_at) FROM old

-- name: delete_effects
WITH old AS MATERIALIZED (
    SELECT e.job_id, e.effect, e.at FROM worker.probe_effects AS e
    WHERE e.at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND e.at < now() - make_interval(days => %(days)s)
    ORDER BY e.at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.probe_effects AS e USING old
    WHERE e.job_id = old.job_id AND e.effect = old.effect
)
SELECT count(*), max(at) FROM old

-- name: delete_vectors
WITH old AS MATERIALIZED (
    SELECT c.model, c.text_hash, c.used_at FROM worker.embedding_cache AS c
    WHERE c.used_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND c.used_at < now() - make_interval(days => %(days)s)
    ORDER BY c.used_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.embedding_cache AS c USING old
    WHERE c.model = old.model AND c.text_hash = old.text_hash
)
SELECT count(*), max(used_at) FROM old

-- name: delete_ticks
-- Never the last time of the timetable: a scheduler counts from there.
WITH old AS MATERIALIZED (
    SELECT t.schedule, t.fire_at FROM worker.schedule_ticks AS t
    WHERE t.fire_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND t.fire_at < now() - make_interval(days => %(days)s)
      AND (t.by_hand OR EXISTS (
          SELECT FROM worker.schedule_ticks AS later
          WHERE later.schedule = t.schedule AND later.fire_at > t.fire_at AND NOT later.by_hand))
    ORDER BY t.fire_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.schedule_ticks AS t USING old
    WHERE t.schedule = old.schedule AND t.fire_at = old.fire_at
)
SELECT count(*), max(fire_at) FROM old

-- name: delete_buckets
-- A bucket is as good as none once it is full. There are few, and an index on filled_at would
-- cost every dispatch more than reading them costs here.
WITH old AS MATERIALIZED (
    SELECT b.lane, b.filled_at FROM worker.buckets AS b
    WHERE b.filled_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND b.filled_at < now() - make_interval(days => %(days)s)
    ORDER BY b.filled_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.buckets AS b USING old WHERE b.lane = old.lane
)
SELECT count(*), max(filled_at) FROM old

-- name: delete_hosts
-- A host that nobody asked for a while is as good as a new one; so is the end of an old queue.
WITH turns AS (
    DELETE FROM worker.host_turns WHERE last_at < now() - make_interval(days => %(days)s)
), robots AS (
    DELETE FROM worker.robots WHERE expires_at < now() - make_interval(days => %(days)s)
), old AS MATERIALIZED (
    SELECT h.host, h.free_at FROM worker.hosts AS h
    WHERE h.free_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND h.free_at < now() - make_interval(days => %(days)s)
      AND NOT EXISTS (SELECT FROM unnest(h.busy_until) AS b WHERE b > now())
    ORDER BY h.free_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.hosts AS h USING old WHERE h.host = old.host
)
SELECT count(*), max(free_at) FROM old

-- name: delete_fetched
-- What a child never came to index: it reads its page anew.
WITH old AS MATERIALIZED (
    SELECT f.source_id, f.fetched_at FROM worker.fetched_pages AS f
    WHERE f.fetched_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND f.fetched_at < now() - make_interval(days => %(days)s)
    ORDER BY f.fetched_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.fetched_pages AS f USING old WHERE f.source_id = old.source_id
)
SELECT count(*), max(fetched_at) FROM old

-- name: delete_runs
-- Never the last completed one of a source: it says what its chunks come from.
WITH old AS MATERIALIZED (
    SELECT r.id, r.finished_at FROM worker.sync_runs AS r
    WHERE r.finished_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND r.finished_at < now() - make_interval(days => %(days)s)
      AND EXISTS (
          SELECT FROM worker.sync_runs AS later
          WHERE later.source_id = r.source_id AND later.finished_at > r.finished_at
            AND later.status = 'completed')
    ORDER BY r.finished_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.sync_runs AS r USING old WHERE r.id = old.id
)
SELECT count(*), max(finished_at) FROM old

-- name: delete_bodies
-- Of deliveries that ended. Sent again after that, an event is written down anew.
WITH old AS MATERIALIZED (
    SELECT b.delivery_id, b.created_at FROM worker.delivery_bodies AS b
    WHERE b.created_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND b.created_at < now() - make_interval(days => %(days)s)
      AND NOT EXISTS (SELECT FROM public.webhook_deliveries AS d
                      WHERE d.id = b.delivery_id AND d.status IN ('pending', 'retrying'))
    ORDER BY b.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.delivery_bodies AS b USING old WHERE b.delivery_id = old.delivery_id
)
SELECT count(*), max(created_at) FROM old

-- name: delete_attempts
WITH old AS MATERIALIZED (
    SELECT a.id, a.at FROM worker.delivery_attempts AS a
    WHERE a.at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND a.at < now() - make_interval(days => %(days)s)
      AND NOT EXISTS (SELECT FROM public.webhook_deliveries AS d
                      WHERE d.id = a.delivery_id AND d.status IN ('pending', 'retrying'))
    ORDER BY a.at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.delivery_attempts AS a USING old WHERE a.id = old.id
)
SELECT count(*), max(at) FROM old

-- name: delete_secrets
-- They sign no longer.
WITH old AS MATERIALIZED (
    SELECT r.id, r.until_at FROM worker.retired_secrets AS r
    WHERE r.until_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND r.until_at < now() - make_interval(days => %(days)s)
    ORDER BY r.until_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.retired_secrets AS r USING old WHERE r.id = old.id
)
SELECT count(*), max(until_at) FROM old

-- name: delete_events
WITH old AS MATERIALIZED (
    SELECT v.id, v.at FROM worker.email_events AS v
    WHERE v.at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND v.at < now() - make_interval(days => %(days)s)
    ORDER BY v.at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.email_events AS v USING old WHERE v.id = old.id
)
SELECT count(*), max(at) FROM old

-- name: keep_figures
-- Until the end of the transaction: what goes for its age alone goes on counting in daily_stats.
SELECT set_config('avivro.retention', 'on', true)

-- name: delete_analytics
-- The opens among them are kept by number, for their days to be counted anew from. Whoever writes
-- these tables may write any time: what lies before all calendars stays.
WITH old AS MATERIALIZED (
    SELECT e.id, e.agent_id, e.event_type, e.created_at FROM public.analytics_events AS e
    WHERE e.created_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND e.created_at < now() - make_interval(days => %(days)s)
    ORDER BY e.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), kept AS (
    INSERT INTO worker.kept_opens AS k (agent_id, at, opens)
    SELECT agent_id, date_bin('15 min', created_at, 'epoch'), count(*) FROM old
    WHERE event_type IN ('widget_opened', 'widget_open', 'widget.opened')
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (agent_id, at) DO UPDATE SET opens = k.opens + excluded.opens
), gone AS (
    DELETE FROM public.analytics_events WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(created_at) FROM old

-- name: delete_activity
WITH old AS MATERIALIZED (
    SELECT l.id, l.created_at FROM public.activity_logs AS l
    WHERE l.created_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND l.created_at < now() - make_interval(days => %(days)s)
    ORDER BY l.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM public.activity_logs WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(created_at) FROM old

-- name: delete_read_notifications
WITH old AS MATERIALIZED (
    SELECT n.id, n.read_at FROM public.notifications AS n
    WHERE n.read_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND n.read_at < now() - make_interval(days => %(days)s)
    ORDER BY n.read_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM public.notifications WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(read_at) FROM old

-- name: delete_notifications
WITH old AS MATERIALIZED (
    SELECT n.id, n.created_at FROM public.notifications AS n
    WHERE n.created_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND n.created_at < now() - make_interval(days => %(days)s)
    ORDER BY n.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM public.notifications WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(created_at) FROM old

-- name: delete_emails
-- With how far they came and what was told of them. One that waits for a person's word stays, and
-- so do suppressions.
WITH old AS MATERIALIZED (
    SELECT e.id, e.created_at FROM public.email_logs AS e
    WHERE e.created_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND e.created_at < now() - make_interval(days => %(days)s)
      AND e.status NOT IN ('queued', 'sending', 'uncertain')
    ORDER BY e.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM public.email_logs WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(created_at) FROM old

-- name: delete_deliveries
-- With their bodies and attempts. One that was sent again lately is not old yet. What its webhook
-- has counted stays counted.
WITH old AS MATERIALIZED (
    SELECT d.id, d.created_at FROM public.webhook_deliveries AS d
    WHERE d.created_at >= coalesce(%(since)s, '0002-01-01 00:00+00'::timestamptz)
      AND d.created_at < now() - make_interval(days => %(days)s)
      AND d.status IN ('delivered', 'failed', 'blocked', 'cancelled')
      AND (d.delivered_at < now() - make_interval(days => %(days)s)) IS NOT FALSE
      AND NOT EXISTS (
          SELECT FROM worker.delivery_attempts AS a
          WHERE a.delivery_id = d.id AND a.at >= now() - make_interval(days => %(days)s))
    ORDER BY d.created_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM public.webhook_deliveries WHERE id = ANY(ARRAY(SELECT id FROM old))
)
SELECT count(*), max(created_at) FROM old

-- name: delete_lead_reminders
-- A follow-up that was due so long ago is not reminded of again.
WITH old AS MATERIALIZED (
    SELECT r.lead_id, r.follow_up_at FROM worker.lead_reminders AS r
    WHERE r.follow_up_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND r.follow_up_at < now() - make_interval(days => %(days)s)
    ORDER BY r.follow_up_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.lead_reminders AS r USING old
    WHERE r.lead_id = old.lead_id AND r.follow_up_at = old.follow_up_at
)
SELECT count(*), max(follow_up_at) FROM old

-- name: delete_reminders
WITH old AS MATERIALIZED (
    SELECT r.id, r.reminded_at FROM worker.reminders AS r
    WHERE r.reminded_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND r.reminded_at < now() - make_interval(days => %(days)s)
    ORDER BY r.reminded_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.reminders AS r USING old WHERE r.id = old.id
)
SELECT count(*), max(reminded_at) FROM old

-- name: delete_holds
-- Those that mean nothing any more, later also those that let a few through: a receiver that
-- nobody sent anything for so long begins anew.
WITH old AS MATERIALIZED (
    SELECT h.lane, h.until_at FROM worker.lane_holds AS h
    WHERE h.until_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND h.until_at < now() - make_interval(days => %(days)s)
      AND (h.then_cap IS NULL OR h.until_at < now() - make_interval(days => %(ramp_days)s))
    ORDER BY h.until_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.lane_holds AS h USING old WHERE h.lane = old.lane
)
SELECT count(*), max(until_at) FROM old

-- name: delete_reopenings
WITH old AS MATERIALIZED (
    SELECT r.conversation_id, r.reopened_at FROM worker.reopened_conversations AS r
    WHERE r.reopened_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND r.reopened_at < now() - make_interval(days => %(days)s)
    ORDER BY r.reopened_at LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.reopened_conversations AS r USING old
    WHERE r.conversation_id = old.conversation_id
)
SELECT count(*), max(reopened_at) FROM old

-- name: delete_minutes
WITH old AS MATERIALIZED (
    SELECT m.minute, m.name, m.labels FROM worker.minutes AS m
    WHERE m.minute >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND m.minute < now() - make_interval(hours => %(hours)s)
    ORDER BY m.minute LIMIT %(rows_max)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM worker.minutes AS m USING old
    WHERE m.minute = old.minute AND m.name = old.name AND m.labels = old.labels
)
SELECT count(*), max(minute) FROM old
