-- The same fingerprints as before in half the time: whatever fails pays for one. Lines of a trace
-- are taken apart by their places; only such as look otherwise go through the patterns, which
-- try every slash of a path from its end.
CREATE OR REPLACE FUNCTION worker.fingerprint(error text, trace text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    lines text[] := string_to_array(right(trace, 5000), E'\n');
    place int := coalesce(array_length(lines, 1), 0);
    last int := place;
    taken int := 0;
    line text;
    path text;
    after text;
    begins int;
    type text;
    frames text;
BEGIN
    -- The exception's type: what the last line begins with, below a line of code.
    IF last > 0 AND lines[last] = '' THEN
        last := last - 1;
    END IF;
    IF last > 1 AND starts_with(lines[last - 1], '  ')
       AND strpos(right(trace, 2000), E'\n' || lines[last - 1] || E'\n' || lines[last]) > 0 THEN
        type := substring(lines[last] FROM '^[A-Za-z_][A-Za-z_0-9.]*');
    END IF;
    WHILE place > 0 AND taken < 3 LOOP
        line := lines[place];
        place := place - 1;
        CONTINUE WHEN NOT starts_with(line, '  File "') OR strpos(line, 'site-packages') > 0
            OR NOT (line LIKE ANY ('{%/workers/%,%/pipelines/%,%/db/%,%/schedules/%}'));
        taken := taken + 1;
        path := split_part(line, '"', 2);
        after := substr(line, length(path) + 10);
        -- Where the last of our own folders begins, counted from the end.
        begins := least(
            nullif(strpos(reverse(path), '/srekrow/'), 0) + 8,
            nullif(strpos(reverse(path), '/senilepip/'), 0) + 10,
            nullif(strpos(reverse(path), '/bd/'), 0) + 3,
            nullif(strpos(reverse(path), '/seludehcs/'), 0) + 10);
        IF begins IS NOT NULL AND strpos(after, '/') = 0 AND strpos(after, '"') = 0
           AND after ~ '^, line [0-9]+, in ' THEN
            line := right(path, begins - 1) || ' ' || substr(after, strpos(after, ', in ') + 5);
        ELSE
            line := regexp_replace(
                line,
                '^.*/((?:workers|pipelines|db|schedules)/[^"]*)", line [0-9]+, in ', '\1 ');
        END IF;
        frames := concat_ws(E'\n', line, frames);
    END LOOP;
    RETURN left(md5(concat_ws(E'\n', type, worker.mask_error(error), frames)), 12);
END $$;
