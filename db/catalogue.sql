-- The shape of schema `public`, for the type writers.

-- name: list_columns
-- Of tables and views, as a writer of types sees them. A domain counts as what it is made of.
SELECT c.oid::bigint AS relation_id, c.relname AS relation, c.relkind = 'v' AS of_view,
       a.attnum::int AS number, a.attname AS name, coalesce(b.typname, t.typname) AS type,
       a.attnotnull OR t.typnotnull AS is_required,
       a.atthasdef OR a.attidentity <> '' AS has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS is_computed,
       c.relkind <> 'v' OR pg_column_is_updatable(c.oid, a.attnum, false) AS is_writable,
       col_description(c.oid, a.attnum) AS comment
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS b ON t.typtype = 'd' AND b.oid = t.typbasetype
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum

-- name: list_checks
-- Checks of a single column: those of a list of words become literal types.
SELECT r.relname AS relation, a.attname AS name, pg_get_constraintdef(k.oid) AS condition
FROM pg_constraint AS k
JOIN pg_class AS r ON r.oid = k.conrelid
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
WHERE k.contype = 'c' AND cardinality(k.conkey) = 1
  AND r.relnamespace = 'public'::regnamespace
ORDER BY r.relname, k.conname

-- name: list_references
-- Foreign keys within `public`; `is_unique` where the referring columns are a key themselves.
SELECT k.conname AS name, k.conrelid::bigint AS relation_id, r.relname AS relation,
       k.confrelid::bigint AS target_id, f.relname AS target,
       k.conkey::int[] AS numbers, k.confkey::int[] AS target_numbers,
       (SELECT array_agg(a.attname::text ORDER BY o.place)
        FROM unnest(k.conkey) WITH ORDINALITY AS o (number, place)
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = o.number) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY o.place)
        FROM unnest(k.confkey) WITH ORDINALITY AS o (number, place)
        JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = o.number)
           AS target_columns,
       EXISTS (SELECT FROM pg_constraint AS u
               WHERE u.conrelid = k.conrelid AND u.contype IN ('p', 'u')
                 AND u.conkey @> k.conkey AND u.conkey <@ k.conkey) AS is_unique
FROM pg_constraint AS k
JOIN pg_class AS r ON r.oid = k.conrelid
JOIN pg_class AS f ON f.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0
  AND r.relnamespace = 'public'::regnamespace AND f.relnamespace = 'public'::regnamespace
ORDER BY r.relname, k.conname

-- name: list_views
-- `tree` is the parsed query: it alone says which column of which table a view's column is.
SELECT c.oid::bigint AS relation_id, c.relname AS name, r.ev_action::text AS tree,
       (pg_relation_is_updatable(c.oid, true) & 8) <> 0 AS takes_inserts,
       (pg_relation_is_updatable(c.oid, true) & 4) <> 0 AS takes_updates
FROM pg_class AS c
JOIN pg_rewrite AS r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname

-- name: list_functions
-- What a client can call: no trigger functions, and nothing that an extension brought along.
SELECT p.proname AS name, t.typname AS type, p.proretset AS returns_set,
       coalesce(p.proargnames, '{}')::text[] AS arg_names,
       ARRAY(SELECT m::text FROM unnest(p.proargmodes) AS m) AS arg_modes,
       ARRAY(SELECT a.typname::text
             FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
                 WITH ORDINALITY AS o (id, place)
             JOIN pg_type AS a ON a.oid = o.id ORDER BY o.place) AS arg_types,
       p.pronargs::int AS inputs, p.pronargdefaults::int AS defaults
FROM pg_proc AS p
JOIN pg_type AS t ON t.oid = p.prorettype
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
  AND t.typname NOT IN ('trigger', 'event_trigger')
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                    AND d.deptype = 'e')
ORDER BY p.proname, p.oid

-- name: list_composites
SELECT c.relname AS name, a.attname AS field, t.typname AS type
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'c'
ORDER BY c.relname, a.attnum

-- name: list_enums
SELECT t.typname AS name, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
FROM pg_type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid
WHERE t.typnamespace = 'public'::regnamespace
GROUP BY t.typname ORDER BY t.typname
