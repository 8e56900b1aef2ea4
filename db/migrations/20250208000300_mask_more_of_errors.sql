-- One cause, one group: numbers of any length, files, moments and IPv6 addresses, tokens, quotes of
-- other languages, and texts that are longer than what is looked at.

CREATE OR REPLACE FUNCTION worker.mask_error(error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    left_over text := left(coalesce(error, ''), 600);
BEGIN
    left_over := regexp_replace(left_over, '\x1b\[[0-9;?]*[A-Za-z]', '', 'g');
    left_over := regexp_replace(left_over, '[\x01-\x20\x7f\u00a0]+', ' ', 'g');
    left_over := regexp_replace(
        left_over, '\m(https?://)(?:[^\s/@"''<>]*@)?([^\s/?#"''<>]+)[^\s"''<>]*',
        '\1\2/‹path›', 'g');
    left_over := regexp_replace(
        left_over, '[^\s@<>"'']+@[^\s@<>"'']+\.[A-Za-z]{2,}', '‹address›', 'g');
    -- What is cut off within quotes never closes them.
    left_over := regexp_replace(
        left_over, '"[^"]*("|$)|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`', '‹text›', 'g');
    left_over := regexp_replace(
        left_over, '(^|[\s(\[{=:,])''[^'']*(''(?!\w)|$)', '\1‹text›', 'g');
    left_over := regexp_replace(
        left_over, '(^|[\s(\[{=:,])(?:/[\w.@%+~-]+)+/?|\m[A-Za-z]:\\[^\s"''<>|:]*', '\1‹path›', 'g');
    left_over := regexp_replace(
        left_over,
        '\m[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?'
        ' ?(?:Z|[+-][0-9]{2}:?[0-9]{2})?', '‹time›', 'g');
    left_over := regexp_replace(
        left_over, '[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}', '‹id›', 'g');
    left_over := regexp_replace(
        left_over, '(?<![\w:])(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4})*)?::'
        '(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4})*)?(?![\w:])', '‹address›', 'g');
    -- A number of eight figures is a number; with letters in it, it names something.
    left_over := regexp_replace(
        left_over, '\m(?=[0-9A-Fa-f]*[0-9])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{8,}\M'
        '|\m0x[0-9A-Fa-f]+\M|\m(?=\w*[A-Za-z])(?=(?:[A-Za-z_]*[0-9]){3})\w{12,}\M', '‹id›', 'g');
    left_over := regexp_replace(
        left_over, '\m(returned|responded|responded with|status_code|code|got)[ :=]+([45][0-9]{2})\M',
        '\1 status \2', 'g');
    left_over := regexp_replace(
        left_over,
        '(?<![0-9.])(?<!\m(?:HTTP|HTTPError|status|status code|answered|answered with)[ :=])'
        '[0-9]+(?:[.,:][0-9]+)*', '‹n›', 'g');
    RETURN left(btrim(left_over), 300);
END $$;

UPDATE worker.jobs AS j
SET error_group = worker.fingerprint(j.errors -> -1 ->> 'error', j.errors -> -1 ->> 'trace')
WHERE j.error_group IS NOT NULL
  AND (j.id IN (SELECT d.id FROM worker.jobs AS d WHERE d.state = 'discarded'
                ORDER BY d.finished_at DESC LIMIT 10000)
       OR j.id IN (SELECT r.id FROM worker.jobs AS r WHERE r.state = 'retryable' LIMIT 10000));
