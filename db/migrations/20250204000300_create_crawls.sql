-- Crawling: who may ask a host next, what its robots.txt says, and which pages a site has.

-- One row a host, for all workers: everything that is fetched takes its turn here.
CREATE TABLE worker.hosts (
    host text PRIMARY KEY,
    free_at timestamptz NOT NULL DEFAULT 'epoch',
    busy_until timestamptz[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON COLUMN worker.hosts.host IS
    'Lower case, without www. and default port; "crawl " before it for the turns of crawlers.';
COMMENT ON COLUMN worker.hosts.free_at IS 'No request to this host begins earlier.';
COMMENT ON COLUMN worker.hosts.busy_until IS
    'Requests under way, each by the time at which it has ended even if its worker died.';

-- Where a tenant's queue before a host ends. Each has its own: many pages of one do not put
-- off the only page of another.
CREATE TABLE worker.host_turns (
    host text NOT NULL,
    tenant uuid NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (host, tenant)
) WITH (fillfactor = 50);

-- A turn at a host, at most patience_s from now: then `granted`, to begin after wait_s and to be
-- given back with `held_until`. Else wait_s says when to ask again; that place is kept in the
-- tenant's own queue, by leaving room for the other queues before this host. Who has no queue
-- there may wait twice as long: many turns of others then never turn an only one away.
CREATE FUNCTION worker.take_turn(
    host text, tenant uuid, gap_s float8, patience_s float8, hold_s float8, holders_max int,
    OUT granted boolean, OUT wait_s float8, OUT held_until timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
#variable_conflict use_variable
DECLARE
    known worker.hosts;
    busy timestamptz[];
    others int;
    has_queue boolean;
    gap CONSTANT interval := make_interval(secs => gap_s);
    at timestamptz;
    starts_at timestamptz;
BEGIN
    -- Pruning may take the row away before it is locked: then once more.
    LOOP
        SELECT h.* INTO known FROM worker.hosts AS h WHERE h.host = take_turn.host FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO worker.hosts (host) VALUES (host) ON CONFLICT DO NOTHING;
    END LOOP;
    at := clock_timestamp();
    busy := ARRAY(SELECT b FROM unnest(known.busy_until) AS b WHERE b > at);
    starts_at := greatest(known.free_at, at);
    SELECT (count(*) FILTER (WHERE t.tenant <> take_turn.tenant))::int,
           coalesce(bool_or(t.tenant = take_turn.tenant), false)
    INTO others, has_queue
    FROM worker.host_turns AS t WHERE t.host = take_turn.host AND t.last_at > at;
    granted := starts_at <= at + make_interval(
                   secs => CASE WHEN has_queue THEN patience_s ELSE 2 * patience_s END)
               AND cardinality(busy) < holders_max;
    IF granted THEN
        wait_s := extract(epoch FROM starts_at - at)::float8;
        held_until := starts_at + make_interval(secs => hold_s);
        UPDATE worker.hosts AS h SET free_at = starts_at + gap, busy_until = busy || held_until
        WHERE h.host = take_turn.host;
        IF starts_at > at THEN
            INSERT INTO worker.host_turns AS t (host, tenant, last_at)
            VALUES (host, tenant, starts_at)
            ON CONFLICT ON CONSTRAINT host_turns_pkey DO UPDATE
            SET last_at = greatest(t.last_at, excluded.last_at);
        END IF;
        RETURN;
    END IF;
    starts_at := greatest(starts_at, at + gap);
    INSERT INTO worker.host_turns AS t (host, tenant, last_at) VALUES (host, tenant, starts_at)
    ON CONFLICT ON CONSTRAINT host_turns_pkey DO UPDATE
    SET last_at = greatest(t.last_at + gap * (others + 1), excluded.last_at)
    RETURNING t.last_at INTO starts_at;
    wait_s := extract(epoch FROM starts_at - at)::float8;
END $$;

-- robots.txt of an origin, as it was last answered.
CREATE TABLE worker.robots (
    origin text PRIMARY KEY,
    answer text NOT NULL CHECK (answer IN ('rules', 'none', 'unreachable')),
    body text NOT NULL DEFAULT '',
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN worker.robots.answer IS
    'none: there is no such file, all is allowed; unreachable: nothing is, until it expires.';

-- The crawl of a source that is under way, or was the last one.
CREATE TABLE worker.crawls (
    source_id uuid PRIMARY KEY REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    number int NOT NULL,
    job_id bigint NOT NULL,
    asked text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('crawling', 'indexing', 'done')),
    site text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    visits int NOT NULL DEFAULT 0,
    kept int NOT NULL DEFAULT 0,
    failures_in_row int NOT NULL DEFAULT 0,
    complete boolean NOT NULL DEFAULT true,
    limits_hit text[] NOT NULL DEFAULT '{}',
    removed int NOT NULL DEFAULT 0
);
COMMENT ON COLUMN worker.crawls.number IS 'Grows with each crawl; pages say when last found.';
COMMENT ON COLUMN worker.crawls.asked IS 'Hash of address and settings: others begin anew.';
COMMENT ON COLUMN worker.crawls.site IS 'The origin that the start page led to.';
COMMENT ON COLUMN worker.crawls.complete IS
    'False when something could not be read that may lead to more pages.';

-- Every address that crawling met, and what the last visit found there. What is `queued` is the
-- frontier; it is all there is to resume from.
CREATE TABLE worker.crawl_pages (
    id bigint GENERATED ALWAYS AS IDENTITY,
    source_id uuid NOT NULL REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    url text NOT NULL,
    role text NOT NULL CHECK (role IN ('page', 'sitemap')),
    crawl int NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN (
        'queued', 'kept', 'read', 'duplicate', 'redirected', 'noindex', 'excluded',
        'disallowed', 'gone', 'failed')),
    depth int NOT NULL,
    tries int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    pattern text,
    child_id uuid REFERENCES public.knowledge_sources (id) ON DELETE SET NULL,
    address text,
    text_hash text,
    links text[] NOT NULL DEFAULT '{}',
    seen jsonb NOT NULL DEFAULT '{}',
    offered_at text,
    lastmod text,
    fetched_at timestamptz,
    indexed boolean NOT NULL DEFAULT false,
    reason text,
    PRIMARY KEY (source_id, url)
);
COMMENT ON COLUMN worker.crawl_pages.address IS 'What the page calls itself: the child''s url.';
COMMENT ON COLUMN worker.crawl_pages.offered_at IS 'The sitemap''s lastmod, this time.';
COMMENT ON COLUMN worker.crawl_pages.lastmod IS 'The sitemap''s lastmod, when last visited.';
COMMENT ON COLUMN worker.crawl_pages.seen IS 'Validators of the last answer, and its hash.';
COMMENT ON COLUMN worker.crawl_pages.indexed IS 'This crawl found it new or changed.';
CREATE INDEX crawl_pages_queued_idx ON worker.crawl_pages
    (source_id, crawl, role DESC, tries, depth, id) WHERE state = 'queued';
CREATE INDEX crawl_pages_text_idx ON worker.crawl_pages (source_id, text_hash)
    WHERE text_hash IS NOT NULL;
CREATE INDEX crawl_pages_pattern_idx ON worker.crawl_pages (source_id, pattern)
    WHERE pattern IS NOT NULL;
CREATE INDEX crawl_pages_child_idx ON worker.crawl_pages (child_id) WHERE child_id IS NOT NULL;

-- What the crawler fetched and its child has not indexed yet, so that no page is fetched twice.
CREATE TABLE worker.fetched_pages (
    source_id uuid PRIMARY KEY REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    url text NOT NULL,
    content_type text,
    seen jsonb NOT NULL,
    body bytea NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN worker.fetched_pages.body IS 'Compressed by zlib.';
ALTER TABLE worker.fetched_pages ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX fetched_pages_fetched_idx ON worker.fetched_pages (fetched_at);

ALTER TABLE worker.hosts ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.host_turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.robots ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.crawls ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.crawl_pages ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.fetched_pages ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.hosts, worker.host_turns, worker.robots, worker.crawls, worker.crawl_pages,
    worker.fetched_pages TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;

CREATE FUNCTION worker.drop_fetched_page() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    DELETE FROM worker.fetched_pages AS f WHERE f.source_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER drop_fetched_page AFTER UPDATE OF status ON public.knowledge_sources
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL AND OLD.status <> NEW.status
                       AND NEW.status IN ('completed', 'failed'))
    EXECUTE FUNCTION worker.drop_fetched_page();

-- Whether a source stands for a whole site. A page that crawling found never does.
CREATE FUNCTION worker.is_crawl(type text, settings jsonb, parent_id uuid) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
    SELECT type = 'url' AND parent_id IS NULL
           AND coalesce(settings -> 'crawl', 'false') NOT IN ('false', 'null')
$$;

-- A source that was crawled and shall not be any more still has its pages to take back.
CREATE FUNCTION worker.reading_kind(source public.knowledge_sources) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT CASE WHEN worker.is_crawl(source.type, source.settings, source.parent_id)
                     OR source.parent_id IS NULL AND EXISTS (
                         SELECT FROM public.knowledge_sources AS s WHERE s.parent_id = source.id)
                THEN 'crawl_site' ELSE 'index_source' END
$$;

-- Pages that crawling found come after what customers asked for one by one.
CREATE OR REPLACE FUNCTION worker.enqueue_index_source() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    PERFORM worker.enqueue(
        worker.reading_kind(NEW),
        jsonb_build_object('source_id', NEW.id),
        tenant => (SELECT a.user_id FROM public.agents AS a WHERE a.id = NEW.agent_id),
        unique_key => NEW.id::text,
        priority => CASE WHEN TG_OP = 'INSERT' AND NEW.parent_id IS NOT NULL THEN 10 ELSE 0 END,
        on_conflict => 'replace');
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER fail_source AFTER UPDATE OF state ON worker.jobs
    FOR EACH ROW WHEN (NEW.kind IN ('index_source', 'crawl_site') AND OLD.state <> NEW.state
                       AND NEW.state IN ('discarded', 'cancelled'))
    EXECUTE FUNCTION worker.fail_source();

REVOKE EXECUTE ON FUNCTION worker.take_turn, worker.drop_fetched_page, worker.is_crawl,
    worker.reading_kind FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.take_turn, worker.is_crawl, worker.reading_kind
    TO service_role;

INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun) VALUES
    ('crawl_site', 'knowledge', '{"source_id": "uuid"}', 3, 'source_id', true),
    ('report_crawl', 'default', '{"source_id": "uuid"}', 5, NULL, false);
