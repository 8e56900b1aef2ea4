-- New and updated messages and notifications reach subscribers over LISTEN. A notification takes a global lock
-- at commit, so one is sent only for a conversation or a user that somebody watches right now, and
-- it carries ids: what a subscriber may read is decided when they read the row.

-- Who watches what. Each process renews its rows; a crash empties the table with all it describes.
CREATE UNLOGGED TABLE private.listeners (
    topic text NOT NULL,
    key uuid NOT NULL,
    process uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (topic, key, process),
    CONSTRAINT listeners_topic_check CHECK (topic IN ('messages', 'notifications'))
);
COMMENT ON COLUMN private.listeners.key IS
    'A conversation whose messages, or a user whose notifications, the process waits for.';
CREATE INDEX listeners_process_idx ON private.listeners (process);
ALTER TABLE private.listeners ENABLE ROW LEVEL SECURITY;
GRANT ALL ON private.listeners TO service_role;

-- More rows than this of one statement are not listed: their subscriber looks for itself.
CREATE FUNCTION private.notify_listeners(topic text, keys uuid[], ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    SELECT pg_catalog.pg_notify('row_changes', pg_catalog.jsonb_build_object(
        'topic', topic, 'key', changed.key,
        'ids', CASE WHEN count(*) <= 20 THEN jsonb_agg(changed.id) END)::text)
    FROM unnest(keys, ids) AS changed (key, id)
    WHERE EXISTS (
        SELECT FROM private.listeners AS l
        WHERE l.topic = notify_listeners.topic AND l.key = changed.key AND l.expires_at > now())
    GROUP BY changed.key
$$;

-- An update cannot be found again by looking for recent rows, so every row is named, in parts that
-- stay below the size of a payload.
CREATE FUNCTION private.notify_of_updates(topic text, keys uuid[], ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
    SELECT pg_catalog.pg_notify('row_changes', pg_catalog.jsonb_build_object(
        'topic', topic, 'key', changed.key, 'event', 'UPDATE',
        'ids', jsonb_agg(changed.id))::text)
    FROM (SELECT u.key, u.id, (row_number() OVER (PARTITION BY u.key) - 1) / 100 AS part
          FROM unnest(keys, ids) AS u (key, id)) AS changed
    WHERE EXISTS (
        SELECT FROM private.listeners AS l
        WHERE l.topic = notify_of_updates.topic AND l.key = changed.key
          AND l.expires_at > now())
    GROUP BY changed.key, changed.part
$$;

CREATE FUNCTION private.notify_of_messages() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM private.listeners WHERE topic = 'messages') THEN
        IF TG_OP = 'UPDATE' THEN
            PERFORM private.notify_of_updates(
                'messages', array_agg(conversation_id), array_agg(id)) FROM new_rows;
        ELSE
            PERFORM private.notify_listeners(
                'messages', array_agg(conversation_id), array_agg(id)) FROM new_rows;
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER notify_of_messages AFTER INSERT ON public.messages
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.notify_of_messages();
CREATE TRIGGER notify_of_updated_messages AFTER UPDATE ON public.messages
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.notify_of_messages();

CREATE FUNCTION private.notify_of_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM private.listeners WHERE topic = 'notifications') THEN
        IF TG_OP = 'UPDATE' THEN
            PERFORM private.notify_of_updates(
                'notifications', array_agg(user_id), array_agg(id)) FROM new_rows;
        ELSE
            PERFORM private.notify_listeners(
                'notifications', array_agg(user_id), array_agg(id)) FROM new_rows;
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER notify_of_notifications AFTER INSERT ON public.notifications
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.notify_of_notifications();
CREATE TRIGGER notify_of_updated_notifications AFTER UPDATE ON public.notifications
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION private.notify_of_notifications();

REVOKE EXECUTE ON FUNCTION private.notify_listeners, private.notify_of_updates,
    private.notify_of_messages, private.notify_of_notifications FROM PUBLIC;
