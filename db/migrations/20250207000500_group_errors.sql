-- Errors that are the same but for their numbers and names are one group, so that whoever is on
-- call reads ten lines and not ten thousand.

-- What is left of a message when all is masked that differs from job to job. The status that a
-- server answered stays: 404 and 503 are not the same trouble.
CREATE FUNCTION worker.mask_error(error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    left_over text := left(coalesce(error, ''), 400);
BEGIN
    left_over := regexp_replace(left_over, '\x1b\[[0-9;?]*[A-Za-z]', '', 'g');
    left_over := regexp_replace(left_over, '[\x01-\x20\x7f]+', ' ', 'g');
    left_over := regexp_replace(
        left_over, '\m(https?://)(?:[^\s/@"''<>]*@)?([^\s/?#"''<>]+)[^\s"''<>]*',
        '\1\2/‹path›', 'g');
    left_over := regexp_replace(
        left_over, '[^\s@<>"'']+@[^\s@<>"'']+\.[A-Za-z]{2,}', '‹address›', 'g');
    left_over := regexp_replace(
        left_over, '[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}', '‹id›', 'g');
    left_over := regexp_replace(left_over, '"[^"]*"|“[^”]*”|`[^`]*`', '‹text›', 'g');
    left_over := regexp_replace(left_over, '(^|[\s(\[{=:,])''[^'']*''(?!\w)', '\1‹text›', 'g');
    left_over := regexp_replace(
        left_over, '\m(?=[0-9A-Fa-f]*[0-9])[0-9A-Fa-f]{8,}\M|\m0x[0-9A-Fa-f]+\M', '‹id›', 'g');
    left_over := regexp_replace(
        left_over,
        '(?<![0-9.])(?<!\m(?:HTTP|HTTPError|status|status code|answered|answered with)[ :=])'
        '[0-9]+(?:[.,:][0-9]+)*', '‹n›', 'g');
    RETURN left(btrim(left_over), 300);
END $$;

-- Twelve characters that are the same for errors of one type with the same masked message, raised
-- in the same three of our own functions. Line numbers do not count: a release moves them.
CREATE FUNCTION worker.fingerprint(error text, trace text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT left(md5(concat_ws(
        E'\n',
        substring(right(trace, 2000) FROM '\n  [^\n]*\n([A-Za-z_][A-Za-z_0-9.]*)[^\n]*\n?$'),
        worker.mask_error(error),
        (SELECT string_agg(
             regexp_replace(last.line, '^.*/((?:workers|pipelines|db|schedules)/[^"]*)", '
                                       'line [0-9]+, in ', '\1 '),
             E'\n' ORDER BY last.number)
         FROM (SELECT f.line, f.number
               FROM unnest(string_to_array(right(trace, 5000), E'\n'))
                   WITH ORDINALITY AS f (line, number)
               WHERE f.line LIKE '  File "%' AND f.line NOT LIKE '%site-packages%'
                 AND f.line LIKE ANY ('{%/workers/%,%/pipelines/%,%/db/%,%/schedules/%}')
               ORDER BY f.number DESC LIMIT 3) AS last))), 12)
$$;

-- The statements that end an attempt set it: a trigger before each update, even one that hardly
-- ever applies, would lock every row once more that is claimed or finished.
ALTER TABLE worker.jobs ADD COLUMN error_group text;
COMMENT ON COLUMN worker.jobs.error_group IS
    'worker.fingerprint of the last attempt that failed; '
    'null where none did, or before this column.';

REVOKE EXECUTE ON FUNCTION worker.mask_error, worker.fingerprint FROM PUBLIC;
GRANT EXECUTE ON FUNCTION worker.mask_error, worker.fingerprint TO service_role;

-- Only jobs that failed or were cancelled are in them: whatever completes at once pays nothing.
CREATE INDEX jobs_error_group_idx ON worker.jobs (error_group, id) WHERE error_group IS NOT NULL;
CREATE INDEX jobs_cancelled_at_idx ON worker.jobs (finished_at, id) WHERE state = 'cancelled';

-- The newest of what was discarded before; older ones stay without a group, and pages say so.
UPDATE worker.jobs AS j
SET error_group = worker.fingerprint(j.errors -> -1 ->> 'error', j.errors -> -1 ->> 'trace')
WHERE j.id IN (SELECT d.id FROM worker.jobs AS d WHERE d.state = 'discarded'
               ORDER BY d.finished_at DESC LIMIT 10000)
  AND jsonb_typeof(j.errors -> -1) = 'object';

-- A bulk action is done in short transactions: which of its parts were, so that a form that is
-- sent twice does nothing twice.
CREATE TABLE worker.bulk_parts (
    run uuid NOT NULL,
    part int NOT NULL,
    changed int NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, part)
);
CREATE INDEX bulk_parts_at_idx ON worker.bulk_parts (at);
ALTER TABLE worker.bulk_parts ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.bulk_parts TO service_role;
