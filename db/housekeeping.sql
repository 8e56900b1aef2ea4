-- What is done when its time has come: each statement serves one batch. Whoever is being deleted,
-- or edited, or is locked by somebody else, is left for the next run: nobody waits for these, and
-- they wait for nobody. Agents and users are locked first, as their own deletion does it.

-- name: plan_by_index
-- Before the others in the same transaction: on statistics from a quiet hour the planner would
-- read and sort the whole table for every batch.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)

-- name: find_open
-- Of conversations younger than that, only those can be idle whose messages are older than they
-- are, as imports have them.
WITH page AS MATERIALIZED (
    SELECT c.id, c.created_at FROM public.conversations AS c
    WHERE c.status = 'active'
      AND (c.created_at, c.id) > (
          coalesce(%(since_at)s::timestamptz, '-infinity'),
          coalesce(%(since_id)s::uuid, '00000000-0000-0000-0000-000000000000'))
      AND (c.created_at <= now() - make_interval(secs => %(idle_s)s)
           OR (c.message_count > 0 AND c.duration_seconds = 0))
    ORDER BY c.created_at, c.id LIMIT %(rows_max)s
)
SELECT p.created_at::text, p.id,
       greatest(coalesce((SELECT max(m.created_at) FROM public.messages AS m
                          WHERE m.conversation_id = p.id), p.created_at),
                (SELECT r.reopened_at FROM worker.reopened_conversations AS r
                 WHERE r.conversation_id = p.id))
           <= now() - make_interval(secs => %(idle_s)s) AS idle
FROM page AS p ORDER BY p.created_at, p.id

-- name: lock_open
-- A message locks its conversation, too: from here on either it is seen, or it waits.
SELECT c.id FROM public.conversations AS c JOIN public.agents AS a ON a.id = c.agent_id
WHERE c.id = ANY(%(conversation_ids)s) AND c.status = 'active'
ORDER BY c.id
FOR KEY SHARE OF a SKIP LOCKED FOR NO KEY UPDATE OF c SKIP LOCKED

-- name: close_idle
-- A statement of its own, for its snapshot must be younger than the locks.
UPDATE public.conversations AS c
SET status = 'resolved',
    duration_seconds = CASE WHEN isfinite(c.created_at) AND isfinite(last.at)
        THEN floor(least(greatest(extract(epoch FROM last.at - c.created_at), 0), 2147483647))::int
        ELSE 0 END
FROM (SELECT k.id, coalesce((SELECT max(m.created_at) FROM public.messages AS m
                             WHERE m.conversation_id = k.id), k.created_at) AS at
      FROM public.conversations AS k WHERE k.id = ANY(%(conversation_ids)s)) AS last
WHERE c.id = last.id
  AND greatest(last.at, (SELECT r.reopened_at FROM worker.reopened_conversations AS r
                         WHERE r.conversation_id = last.id))
      <= now() - make_interval(secs => %(idle_s)s)

-- name: remind_leads
-- A notification of each follow-up that is due; mail_reminders writes the mails.
WITH due AS MATERIALIZED (
    SELECT l.id, l.agent_id, l.next_follow_up_at AS at, p.id AS user_id, p.time_zone,
           coalesce(nullif(btrim(l.name), ''), nullif(btrim(l.email), ''),
                    nullif(btrim(l.phone), ''), 'a visitor') AS called
    FROM public.leads AS l
    JOIN public.agents AS a ON a.id = l.agent_id
    JOIN public.user_profiles AS p ON p.id = coalesce(l.assigned_to, a.user_id)
    WHERE l.next_follow_up_at <= now()
      AND l.next_follow_up_at > now() - make_interval(days => %(days_max)s)
      AND l.next_follow_up_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND l.status NOT IN ('converted', 'lost')
      AND NOT EXISTS (SELECT FROM worker.lead_reminders AS r
                      WHERE r.lead_id = l.id AND r.follow_up_at = l.next_follow_up_at)
    ORDER BY l.next_follow_up_at LIMIT %(rows_max)s
    FOR KEY SHARE OF p SKIP LOCKED FOR KEY SHARE OF a SKIP LOCKED
    FOR NO KEY UPDATE OF l SKIP LOCKED
), reminded AS (
    INSERT INTO worker.lead_reminders (lead_id, follow_up_at, user_id)
    SELECT id, at, user_id FROM due ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING lead_id
), told AS (
    INSERT INTO public.notifications
        (user_id, agent_id, type, title, message, priority, action_url, action_label)
    SELECT due.user_id, due.agent_id, 'follow_up', 'Follow-up due',
           format('It is time to get back to %%s. This was planned for %%s.', left(due.called, 200),
                  to_char(due.at AT TIME ZONE due.time_zone, 'FMDD FMMonth YYYY, HH24:MI')),
           'high', '/leads/' || due.id, 'Open lead'
    FROM due JOIN reminded ON reminded.lead_id = due.id
)
SELECT count(*), max(at), (SELECT count(*) FROM reminded) FROM due

-- name: mail_reminders
-- One mail a person, of what is still to be done. The ten most urgent leads are listed.
WITH people AS MATERIALIZED (
    SELECT p.id FROM public.user_profiles AS p
    WHERE p.id IN (SELECT r.user_id FROM worker.lead_reminders AS r WHERE NOT r.mailed
                   GROUP BY r.user_id ORDER BY r.user_id LIMIT %(people_max)s)
    ORDER BY p.id FOR KEY SHARE SKIP LOCKED
), waiting AS MATERIALIZED (
    SELECT r.lead_id, r.follow_up_at, r.user_id FROM worker.lead_reminders AS r
    WHERE NOT r.mailed AND r.user_id IN (SELECT id FROM people)
    ORDER BY r.lead_id, r.follow_up_at FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE worker.lead_reminders AS r SET mailed = true FROM waiting AS w
    WHERE r.lead_id = w.lead_id AND r.follow_up_at = w.follow_up_at
), open AS (
    SELECT w.user_id, l.id, w.follow_up_at, l.email, l.phone, l.company,
           left(l.notes, 2000) AS notes, a.name AS agent_name,
           coalesce(nullif(btrim(l.name), ''), nullif(btrim(l.email), ''),
                    nullif(btrim(l.phone), ''), 'a visitor') AS called,
           row_number() OVER (PARTITION BY w.user_id ORDER BY w.follow_up_at, l.id) AS place,
           count(*) OVER (PARTITION BY w.user_id) AS leads
    FROM waiting AS w
    JOIN public.leads AS l ON l.id = w.lead_id AND l.next_follow_up_at = w.follow_up_at
    JOIN public.agents AS a ON a.id = l.agent_id
    WHERE l.status NOT IN ('converted', 'lost')
), listed AS (
    SELECT o.user_id, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'name', o.called, 'email', o.email, 'phone', o.phone, 'company', o.company))
               ORDER BY o.place) AS leads
    FROM open AS o WHERE o.place <= 10 GROUP BY o.user_id
), mailed AS MATERIALIZED (
    SELECT private.write_email(
        o.user_id, 'follow_up_reminder',
        CASE WHEN o.leads > 1 THEN jsonb_build_object(
            'lead_name', o.called, 'lead_count', o.leads, 'leads', listed.leads)
        ELSE jsonb_strip_nulls(jsonb_build_object(
            'lead_id', o.id, 'lead_name', o.called, 'lead_email', o.email, 'lead_phone', o.phone,
            'lead_company', o.company, 'notes', o.notes, 'agent_name', o.agent_name,
            'follow_up_at', o.follow_up_at)) END,
        private.email_id('follow_up_reminder', o.id::text,
                         extract(epoch FROM o.follow_up_at)::text)) AS is_written
    FROM open AS o JOIN listed ON listed.user_id = o.user_id WHERE o.place = 1
)
SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM mailed WHERE is_written)

-- name: remind_trials
-- Three days before the end and one day before it, as the row stands that the user has now. Who
-- hears of it on the last day hears of it once. A profile that turns to a trial writes a row of its
-- own, which does not know the end: it is not the one that counts.
WITH ending AS MATERIALIZED (
    SELECT h.user_id, h.trial_ends_at, h.tier, mark.reminder_id,
           (h.trial_ends_at AT TIME ZONE p.time_zone)::date AS ends_on,
           (h.trial_ends_at AT TIME ZONE p.time_zone)::date
               - (now() AT TIME ZONE p.time_zone)::date AS days_left,
           CASE WHEN h.billing_cycle ~* '^(annual|year)' THEN 'year' ELSE 'month' END AS cycle,
           CASE WHEN h.billing_cycle ~* '^(annual|year)' THEN h.annual_price
                ELSE h.monthly_price END AS price
    FROM public.subscription_history AS h
    JOIN public.user_profiles AS p ON p.id = h.user_id
    CROSS JOIN LATERAL (SELECT private.email_id(
        'trial_ending', h.user_id::text, extract(epoch FROM h.trial_ends_at)::text,
        CASE WHEN h.trial_ends_at <= now() + interval '1 day' THEN '1' ELSE '3' END
        ) AS reminder_id) AS mark
    WHERE h.ended_at IS NULL AND h.trial_ends_at > now()
      AND h.trial_ends_at <= now() + interval '3 days'
      AND 'trialing' IN (h.status, p.subscription_status)
      AND NOT EXISTS (
          SELECT FROM public.subscription_history AS later
          WHERE later.user_id = h.user_id AND later.ended_at IS NULL
            AND (later.status <> 'trialing' OR later.trial_ends_at IS NOT NULL)
            AND (later.started_at, later.id) > (h.started_at, h.id))
      AND NOT EXISTS (SELECT FROM worker.reminders AS r WHERE r.id = mark.reminder_id)
    ORDER BY h.trial_ends_at LIMIT %(rows_max)s FOR KEY SHARE OF p SKIP LOCKED
), reminded AS (
    INSERT INTO worker.reminders (id) SELECT reminder_id FROM ending ORDER BY reminder_id
    ON CONFLICT DO NOTHING
    RETURNING id
), fresh AS (
    SELECT e.* FROM ending AS e JOIN reminded ON reminded.id = e.reminder_id
), told AS (
    INSERT INTO public.notifications
        (user_id, type, title, message, priority, action_url, action_label)
    SELECT f.user_id, 'billing_update',
           CASE f.days_left WHEN 0 THEN 'Your trial ends today'
                WHEN 1 THEN 'Your trial ends tomorrow'
                ELSE format('Your trial ends in %%s days', f.days_left) END,
           format('After %%s your agents stop answering visitors, unless you choose a plan.',
                  to_char(f.ends_on, 'FMDD FMMonth YYYY')),
           'high', '/billing', 'Choose a plan'
    FROM fresh AS f
), mailed AS MATERIALIZED (
    SELECT private.write_email(
        f.user_id, 'trial_ending', jsonb_strip_nulls(jsonb_build_object(
            'trial_ends_at', f.trial_ends_at, 'days_left', f.days_left,
            'plan_name', initcap(f.tier), 'price', f.price::text,
            'billing_cycle', CASE WHEN f.price IS NOT NULL THEN f.cycle END)),
        f.reminder_id) AS is_written
    FROM fresh AS f
)
SELECT (SELECT count(*) FROM ending), (SELECT count(*) FROM mailed WHERE is_written)

-- name: send_digests
-- From Monday at eight until the end of Wednesday on the user's own clock, of the seven days
-- before that Monday. Not while figures of theirs have waited for a minute to be counted anew.
WITH due AS MATERIALIZED (
    SELECT p.id, p.time_zone, week.monday, private.email_id(
               'weekly_digest', p.id::text, to_char(week.monday, 'IYYY"-W"IW')) AS reminder_id
    FROM public.user_profiles AS p
    CROSS JOIN LATERAL (
        SELECT coalesce(%(at)s::timestamptz, now()) AT TIME ZONE p.time_zone AS at) AS local
    CROSS JOIN LATERAL (SELECT date_trunc('week', local.at)::date AS monday) AS week
    WHERE p.id > coalesce(%(since)s::uuid, '00000000-0000-0000-0000-000000000000')
      AND local.at >= week.monday + interval '8 hours'
      AND local.at < week.monday + interval '3 days'
      AND btrim(p.email) <> ''
      AND EXISTS (SELECT FROM public.agents AS a WHERE a.user_id = p.id)
      AND NOT EXISTS (
          SELECT FROM worker.reminders AS r WHERE r.id = private.email_id(
              'weekly_digest', p.id::text, to_char(week.monday, 'IYYY"-W"IW')))
      AND NOT EXISTS (
          SELECT FROM public.agents AS a JOIN worker.stats_marks AS m ON m.agent_id = a.id
          WHERE a.user_id = p.id AND m.marked_at < clock_timestamp() - interval '1 min'
            AND m.from_at < week.monday::timestamp AT TIME ZONE p.time_zone)
    ORDER BY p.id LIMIT %(rows_max)s FOR KEY SHARE OF p SKIP LOCKED
), reminded AS (
    INSERT INTO worker.reminders (id) SELECT reminder_id FROM due ORDER BY reminder_id
    ON CONFLICT DO NOTHING
    RETURNING id
), figures AS MATERIALIZED (
    SELECT due.*, week.*
    FROM due JOIN reminded ON reminded.id = due.reminder_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(d.total_conversations) FILTER (WHERE d.date >= monday - 7), 0)
                   AS conversations,
               coalesce(sum(d.total_messages) FILTER (WHERE d.date >= monday - 7), 0) AS messages,
               coalesce(sum(d.total_leads) FILTER (WHERE d.date >= monday - 7), 0) AS leads,
               coalesce(sum(d.total_conversations) FILTER (WHERE d.date < monday - 7), 0)
                   AS previous_conversations,
               coalesce(sum(d.total_messages) FILTER (WHERE d.date < monday - 7), 0)
                   AS previous_messages,
               coalesce(sum(d.total_leads) FILTER (WHERE d.date < monday - 7), 0)
                   AS previous_leads,
               round(100.0 * sum(d.positive_sentiment_count) FILTER (WHERE d.date >= monday - 7)
                     / nullif(sum(d.positive_sentiment_count + d.neutral_sentiment_count
                                  + d.negative_sentiment_count)
                              FILTER (WHERE d.date >= monday - 7), 0), 1) AS positive_percent
        FROM public.agents AS a
        JOIN public.daily_stats AS d ON d.agent_id = a.id
            AND d.date >= due.monday - 14 AND d.date < due.monday
        WHERE a.user_id = due.id) AS week
    WHERE week.conversations + week.leads + week.previous_conversations + week.previous_leads > 0
), mailed AS MATERIALIZED (
    SELECT private.write_email(
        f.id, 'weekly_digest', jsonb_strip_nulls(jsonb_build_object(
            'period_start', f.monday - 7, 'period_end', f.monday - 1,
            'conversations', f.conversations, 'messages', f.messages, 'leads', f.leads,
            'previous_conversations', f.previous_conversations,
            'previous_messages', f.previous_messages, 'previous_leads', f.previous_leads,
            'positive_percent', f.positive_percent, 'agents', busiest.agents,
            'questions', asked.topics)),
        f.reminder_id) AS is_written
    FROM figures AS f
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
                   'name', g.name, 'conversations', g.conversations, 'leads', g.leads)
                   ORDER BY g.conversations DESC, g.leads DESC, g.name, g.id) AS agents
        FROM (SELECT a.id, coalesce(nullif(btrim(a.name), ''), 'Unnamed agent') AS name,
                     sum(d.total_conversations) AS conversations, sum(d.total_leads) AS leads
              FROM public.agents AS a
              JOIN public.daily_stats AS d ON d.agent_id = a.id
                  AND d.date >= f.monday - 7 AND d.date < f.monday
              WHERE a.user_id = f.id GROUP BY a.id
              HAVING sum(d.total_conversations) + sum(d.total_leads) > 0
              ORDER BY sum(d.total_conversations) DESC, sum(d.total_leads) DESC, a.name, a.id
              LIMIT 10) AS g) AS busiest
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(t.topic ORDER BY t.conversations DESC, t.topic) AS topics
        FROM (SELECT left(btrim(topic), 100) AS topic,
                     count(DISTINCT s.conversation_id) AS conversations
              FROM public.agents AS a
              CROSS JOIN LATERAL (
                  SELECT n.conversation_id, n.topics FROM public.sentiment_analysis AS n
                  WHERE n.agent_id = a.id AND n.topics <> '{}'
                    AND n.created_at >= (f.monday - 7)::timestamp AT TIME ZONE f.time_zone
                    AND n.created_at < f.monday::timestamp AT TIME ZONE f.time_zone
                  ORDER BY n.created_at DESC LIMIT %(topic_rows_max)s) AS s
              CROSS JOIN LATERAL unnest(s.topics) AS topic
              WHERE a.user_id = f.id AND btrim(topic) <> ''
              GROUP BY left(btrim(topic), 100) ORDER BY 2 DESC, 1 LIMIT 5) AS t) AS asked
)
SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM mailed WHERE is_written),
       (SELECT d.id FROM due AS d ORDER BY d.id DESC LIMIT 1)

-- name: expire_keys
-- The row stays, for its owner to see what it was.
WITH expired AS MATERIALIZED (
    SELECT k.id FROM public.api_keys AS k JOIN public.user_profiles AS p ON p.id = k.user_id
    WHERE k.is_active AND k.expires_at <= now()
    ORDER BY k.expires_at LIMIT %(rows_max)s
    FOR KEY SHARE OF p SKIP LOCKED FOR NO KEY UPDATE OF k SKIP LOCKED
), switched_off AS (
    UPDATE public.api_keys AS k SET is_active = false FROM expired AS e WHERE k.id = e.id
    RETURNING k.user_id, k.name, k.key_prefix, k.expires_at
), told AS (
    INSERT INTO public.notifications
        (user_id, type, title, message, priority, action_url, action_label)
    SELECT s.user_id, 'api_key_expired', 'API key expired',
           format('The key %%s (%%s...) expired on %%s and works no longer. Create a new one where '
                  'it is still in use.',
                  coalesce(nullif(btrim(left(s.name, 200)), ''), 'without a name'), s.key_prefix,
                  to_char(s.expires_at AT TIME ZONE p.time_zone, 'FMDD FMMonth YYYY')),
           'high', '/settings/api-keys', 'Open API keys'
    FROM switched_off AS s JOIN public.user_profiles AS p ON p.id = s.user_id
)
SELECT count(*) FROM switched_off
