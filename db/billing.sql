-- Periods that are over: what was used, what was agreed on, and what is frozen of both.

-- name: read_today
-- The day in UTC, which periods are made of.
SELECT (now() AT TIME ZONE 'UTC')::date

-- name: end_periods
-- How many profiles began a new period; the trigger keeps the counters of the old ones.
SELECT worker.end_periods(%(profiles_max)s, %(today)s)

-- name: end_period
UPDATE public.user_profiles
SET monthly_messages_used = 0,
    usage_period_start = private.period_start(billing_anchor_day, %(today)s)
WHERE id = %(user_id)s
  AND usage_period_start < private.period_start(billing_anchor_day, %(today)s)

-- name: list_due
-- By the index of open periods. Accounts that are gone have nobody to bill.
SELECT DISTINCT b.user_id
FROM worker.billing_periods AS b JOIN public.user_profiles AS p ON p.id = b.user_id
WHERE b.closed_at IS NULL AND b.period_end <= %(today)s AND b.user_id > %(after)s
ORDER BY b.user_id
LIMIT %(users_max)s

-- name: take_period
-- The oldest. Who waited for another's closing finds the next one, or none.
SELECT period_start, period_end, messages_counted, message_limit, tier
FROM worker.billing_periods
WHERE user_id = %(user_id)s AND closed_at IS NULL AND period_end <= %(today)s
ORDER BY period_start
LIMIT 1
FOR UPDATE

-- name: count_messages
-- Of a period and of closed ones before it, with what their closings knew of.
SELECT b.period_start, b.messages_counted,
       (SELECT count(*) FROM public.usage_logs AS l
        WHERE l.user_id = b.user_id AND l.usage_type = 'message'
          AND l.created_at >= b.period_start::timestamp AT TIME ZONE 'UTC'
          AND l.created_at < b.period_end::timestamp AT TIME ZONE 'UTC'),
       (b.closing ->> 'messages_used')::int + b.late_counted
FROM worker.billing_periods AS b
WHERE b.user_id = %(user_id)s AND b.period_start <= %(period_start)s
ORDER BY b.period_start DESC
LIMIT %(periods_max)s

-- name: read_account
-- Locked, so that a plan's change which is on its way is either seen or of a later moment.
SELECT subscription_tier, monthly_message_limit, created_at, billing_anchor_day, usage_period_start
FROM public.user_profiles
WHERE id = %(user_id)s
FOR SHARE

-- name: list_changes
SELECT changed_at, tier, message_limit
FROM worker.plan_changes
WHERE user_id = %(user_id)s AND changed_at > %(since)s
ORDER BY changed_at, id

-- name: read_terms
SELECT currency, tax_rate FROM worker.billing_terms WHERE user_id = %(user_id)s

-- name: read_price
SELECT price_per_message
FROM worker.overage_prices
WHERE tier = %(tier)s AND currency = %(currency)s AND valid_from < %(until)s
ORDER BY valid_from DESC
LIMIT 1

-- name: find_next_start
-- Where the next period begins that is known, be it kept or running.
SELECT least(min(b.period_start), %(running_start)s)
FROM worker.billing_periods AS b
WHERE b.user_id = %(user_id)s AND b.period_start >= %(period_end)s

-- name: freeze_period
UPDATE worker.billing_periods
SET closed_at = now(), closing = %(closing)s, idempotency_key = %(idempotency_key)s,
    error_message = NULL
WHERE user_id = %(user_id)s AND period_start = %(period_start)s

-- name: note_late
UPDATE worker.billing_periods
SET late_counted = late_counted + %(messages)s
WHERE user_id = %(user_id)s AND period_start = %(period_start)s

-- name: refuse_period
UPDATE worker.billing_periods
SET error_message = %(message)s
WHERE user_id = %(user_id)s AND period_start = %(period_start)s

-- name: keep_missed
-- A period in which nothing happened; nobody began or ended it.
INSERT INTO worker.billing_periods
    (user_id, period_start, period_end, messages_counted, message_limit, tier)
SELECT id, %(period_start)s, %(period_end)s, 0, monthly_message_limit, subscription_tier
FROM public.user_profiles
WHERE id = %(user_id)s
ON CONFLICT DO NOTHING

-- name: insert_transaction
-- Its id is made of the period's key: there is none left for a second one.
INSERT INTO public.billing_transactions
    (id, user_id, type, status, amount, currency, tax_amount, total_amount, invoice_number,
     description)
VALUES (%(id)s, %(user_id)s, 'overage', 'pending', %(amount)s, %(currency)s, %(tax)s, %(total)s,
        %(invoice_number)s, %(description)s)
ON CONFLICT (id) DO NOTHING

-- name: matches_transaction
SELECT amount = %(amount)s AND tax_amount = %(tax)s AND currency = %(currency)s
FROM public.billing_transactions
WHERE id = %(id)s

-- name: emit_closing
SELECT private.emit_user_event('billing.period_closed', %(user_id)s, %(content)s)

-- name: notify
INSERT INTO public.notifications (user_id, type, title, message, action_url, action_label)
VALUES (%(user_id)s, 'billing_update', %(title)s, %(message)s, '/billing', 'View billing')

-- name: has_user
SELECT EXISTS (SELECT FROM public.user_profiles WHERE id = %(user_id)s)

-- name: list_periods
-- The latest first.
SELECT b.user_id, p.email, b.period_start, b.period_end, b.closed_at, b.error_message,
       b.messages_counted, b.message_limit, b.tier, b.closing
FROM worker.billing_periods AS b LEFT JOIN public.user_profiles AS p ON p.id = b.user_id
WHERE b.user_id = coalesce(%(user_id)s::uuid, b.user_id)
ORDER BY b.period_start DESC, b.user_id
LIMIT %(rows_max)s

-- name: list_prices
SELECT tier, currency, valid_from, price_per_message
FROM worker.overage_prices
ORDER BY tier, currency, valid_from DESC

-- name: set_price
-- Without a time, from now on.
INSERT INTO worker.overage_prices (tier, currency, valid_from, price_per_message)
VALUES (%(tier)s, %(currency)s, coalesce(%(valid_from)s, now()), %(price)s)
ON CONFLICT (tier, currency, valid_from) DO UPDATE
SET price_per_message = excluded.price_per_message

-- name: set_terms
-- What is not given stays.
INSERT INTO worker.billing_terms AS t (user_id, tax_rate, currency)
SELECT id, coalesce(%(tax_rate)s, 0), coalesce(%(currency)s, 'USD')
FROM public.user_profiles
WHERE id = %(user_id)s
ON CONFLICT (user_id) DO UPDATE
SET tax_rate = coalesce(%(tax_rate)s, t.tax_rate), currency = coalesce(%(currency)s, t.currency),
    updated_at = now()
RETURNING t.currency, t.tax_rate
