-- The words of every chunk, counted by triggers: what lexical ranking reads. Plain Postgres, no
-- extension.

-- What of each chunk the lexical ranking reads. It lies beside the chunk and not in it, since every
-- update of a chunk's row enters its vector into HNSW again.
CREATE TABLE worker.chunk_terms (
    chunk_id uuid PRIMARY KEY,
    agent_id uuid NOT NULL,
    source_id uuid NOT NULL,
    embedding_model text,
    language text NOT NULL,
    length int NOT NULL,
    keys bigint[] NOT NULL,
    counts smallint[] NOT NULL
) WITH (toast_tuple_target = 8160);
COMMENT ON COLUMN worker.chunk_terms.keys IS
    'Ascending. A key is the hash of a stem and the agent, so the index meets nobody else''s rows.';
COMMENT ON COLUMN worker.chunk_terms.counts IS 'How often each key''s stem occurs, place by place.';
COMMENT ON COLUMN worker.chunk_terms.length IS 'In words, those left out that every text has.';
-- Hashes do not compress, and searches read them at random.
ALTER TABLE worker.chunk_terms ALTER COLUMN keys SET STORAGE EXTERNAL;
ALTER TABLE worker.chunk_terms ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.chunk_terms TO service_role;
-- Counts an agent's chunks and words without a look at their keys.
CREATE INDEX chunk_terms_agent_id_idx ON worker.chunk_terms (agent_id)
    INCLUDE (embedding_model, language, length);
-- A list of pending entries would be read by every search until the next vacuum.
CREATE INDEX chunk_terms_keys_idx ON worker.chunk_terms USING gin (keys) WITH (fastupdate = off);

-- The words of a text, folded as Unicode says. Scripts that put no space between words give
-- overlapping pieces of 2 (Chinese, Japanese, Korean) or 3 characters (Thai, Lao, Burmese, Khmer),
-- ideographs also single ones. What separates words is listed, as locales disagree about it.
CREATE FUNCTION private.words_of(content text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT coalesce(array_agg(pieces.word ORDER BY found.place), '{}')
    FROM regexp_matches(
        translate(lower(normalize(
            translate(left(content, 100000), U&'\00AD\200B\2060\FEFF', ''), NFKC)), 'ё', 'е'),
        '([\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u30fa\u30fc-\u31ff'
        '\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+)'
        '|([\u0e01-\u0e2e\u0e30-\u0e4e\u0e81-\u0edf\u1000-\u109f\u1780-\u17ff]+)'
        '|([^\u0001-/:-@\[-`{-\u00bf\u00d7\u00f7\u02c2-\u02df\u055a-\u055f\u0589\u05be\u05c0\u05c3'
        '\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u0e01-\u0e4f\u0e5a\u0e5b\u0e81-\u0edf'
        '\u1000-\u11ff\u1780-\u17ff\u2000-\u200b\u200e-\u206f\u20a0-\u20cf\u2190-\u9fff'
        '\uac00-\ud7ff\ue000-\ufaff\ufdfc-\ufe6f\ufff0-\uffff\U0001f000-\U000fffff]+)',
        'g') WITH ORDINALITY AS found (run, place)
    CROSS JOIN LATERAL (
        SELECT substr(run[1], n, 2)
        FROM generate_series(1, greatest(length(run[1]) - 1, 1)) AS n
        WHERE run[1] IS NOT NULL
        UNION ALL
        SELECT character
        FROM regexp_split_to_table(CASE WHEN length(run[1]) > 1 THEN run[1] END, '') AS character
        WHERE character ~ '[\u3400-\u9fff]'
        UNION ALL
        SELECT substr(run[2], n, 3)
        FROM generate_series(1, greatest(length(run[2]) - 2, 1)) AS n
        WHERE run[2] IS NOT NULL
        UNION ALL
        SELECT left(run[3], 100) WHERE btrim(run[3], U&'\200C\200D') <> ''
    ) AS pieces (word)
$$;

-- The language whose commonest words a text has most of; English where it has few of any.
CREATE FUNCTION private.language_of(words text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT coalesce((
        SELECT known.language
        FROM (VALUES
            ('english', 'the of and to in is that for it you with on are this be as at or by from'),
            ('german', 'der die das und ist nicht ein eine zu den mit von für auf im wir sie des'),
            ('french', 'le la les des et est un une du dans pour que qui pas vous nous sur au'),
            ('spanish', 'el la los las de que y en un una es por con para su se del al no como'),
            ('portuguese', 'o os as de que e em um uma é por com para não do da no na ao você'),
            ('italian', 'il lo gli di che e un una è per con non del della nel sono si al dei'),
            ('dutch', 'de het een en van is niet dat op te voor met zijn aan er ook om wij je'),
            ('swedish', 'och i att det som en på är av för med till den har inte om ett vi kan'),
            ('danish', 'og i at det som en på er af for med til den har ikke om et vi kan af'),
            ('norwegian', 'og i å det som en på er av for med til den har ikke om et vi kan'),
            ('finnish', 'ja on ei se että oli hän mutta ovat joka myös kun tai voi sen niin'),
            ('hungarian', 'a az és hogy nem is egy ez van meg csak el vagy ha már még mint'),
            ('romanian', 'și de la în cu pe nu un o este care din mai sau pentru se ce prin'),
            ('turkish', 've bir bu için de da ile çok ne gibi daha olarak en olan var kadar'),
            ('indonesian', 'yang dan di dengan untuk tidak ini dari dalam itu akan pada juga')
        ) AS known (language, common)
        CROSS JOIN LATERAL string_to_table(known.common, ' ') AS common (word)
        JOIN (SELECT DISTINCT word FROM unnest(words) AS word) AS present
            ON present.word = common.word
        GROUP BY known.language
        HAVING count(*) >= 3
        ORDER BY count(*) DESC, known.language <> 'english', known.language
        LIMIT 1
    ), 'english')
$$;

-- The stems that a word is found by. `language` is what Latin letters are read as. A word with
-- accents has two: as its language forms it, and as people type it who leave the accents out.
CREATE FUNCTION private.stems_of(words text[], language text)
RETURNS TABLE (place bigint, stem text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT each.place, formed.stem
    FROM unnest(words) WITH ORDINALITY AS each (word, place)
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN each.word ~ '^[\u0001-\u024f\u1e00-\u1eff]' THEN language || '_stem'
            WHEN each.word ~ '^[\u0370-\u03ff\u1f00-\u1fff]' THEN 'greek_stem'
            WHEN each.word ~ '^[\u0400-\u052f]' THEN 'russian_stem'
            WHEN each.word ~ '^[\u0620-\u06ff]' THEN 'arabic_stem'
            WHEN each.word ~ '^[\u0900-\u097f]' THEN 'hindi_stem'
            ELSE 'simple' END AS name
    ) AS dictionary
    CROSS JOIN LATERAL (
        SELECT plain.stem
        FROM unnest(pg_catalog.ts_lexize(
            ('pg_catalog.' || dictionary.name)::regdictionary, each.word)) AS plain (stem)
        WHERE octet_length(each.word) = length(each.word)
           OR each.word !~ '^[a-z\u00c0-\u024f\u0370-\u03ff\u1e00-\u1fff]'
        UNION
        SELECT replace(regexp_replace(
            normalize(accented.stem, NFKD), '[\u0300-\u036f]', '', 'g'), 'ß', 'ss')
        FROM unnest(ARRAY[each.word, replace(regexp_replace(
            normalize(each.word, NFKD), '[\u0300-\u036f]', '', 'g'), 'ß', 'ss')]) AS form (word)
        CROSS JOIN LATERAL unnest(pg_catalog.ts_lexize(
            ('pg_catalog.' || dictionary.name)::regdictionary, form.word)) AS accented (stem)
        WHERE octet_length(each.word) > length(each.word)
          AND each.word ~ '^[a-z\u00c0-\u024f\u0370-\u03ff\u1e00-\u1fff]'
    ) AS formed
$$;

-- Partitioning by hash relies on it too that this hash is the same in every version.
CREATE FUNCTION private.term_key(agent_id uuid, stem text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT hashtextextended(stem, hashtextextended(agent_id::text, 0))
$$;

-- Stores a chunk's row: its words, and those of the title and the headings above it.
CREATE FUNCTION private.store_terms(chunk public.knowledge_chunks) RETURNS void
LANGUAGE sql SET search_path = '' AS $$
    WITH read AS MATERIALIZED (
        SELECT private.words_of(concat_ws(E'\n', chunk.metadata ->> 'title',
            chunk.metadata #>> '{document,title}', (
            SELECT string_agg(heading, E'\n') FROM jsonb_array_elements_text(
                CASE jsonb_typeof(chunk.metadata -> 'heading_path')
                WHEN 'array' THEN chunk.metadata -> 'heading_path' ELSE '[]' END) AS heading
        ), chunk.content)) AS words
    ), told AS MATERIALIZED (
        SELECT words, private.language_of(words) AS language FROM read
    ), formed AS MATERIALIZED (
        SELECT s.place, s.stem
        FROM told CROSS JOIN LATERAL private.stems_of(told.words, told.language) AS s
    ), counted AS (
        SELECT private.term_key(chunk.agent_id, f.stem) AS key, count(*) AS occurs
        FROM formed AS f GROUP BY f.stem
    )
    INSERT INTO worker.chunk_terms AS t (
        chunk_id, agent_id, source_id, embedding_model, language, length, keys, counts)
    SELECT chunk.id, chunk.agent_id, chunk.source_id, chunk.embedding_model,
           (SELECT told.language FROM told), (SELECT count(DISTINCT f.place) FROM formed AS f),
           coalesce(array_agg(c.key ORDER BY c.key), '{}'),
           coalesce(array_agg(least(c.occurs, 32767)::smallint ORDER BY c.key), '{}')
    FROM counted AS c
    ON CONFLICT ON CONSTRAINT chunk_terms_pkey DO UPDATE
    SET agent_id = excluded.agent_id, source_id = excluded.source_id,
        embedding_model = excluded.embedding_model, language = excluded.language,
        length = excluded.length, keys = excluded.keys, counts = excluded.counts
$$;

CREATE FUNCTION private.keep_terms() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE worker.chunk_terms;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM worker.chunk_terms AS t WHERE t.chunk_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM private.store_terms(NEW);
    END IF;
    RETURN NULL;
END $$;

REVOKE EXECUTE ON FUNCTION private.words_of, private.language_of, private.stems_of,
    private.term_key, private.store_terms, private.keep_terms FROM PUBLIC;

-- Chunks that are there: first without a lock, then, once the triggers hold writers back for the
-- moment, those that came meanwhile.
SELECT count(private.store_terms(c)) FROM public.knowledge_chunks AS c;
-- For each row: a row that enters HNSW costs ten times as much, and a moved one nothing here.
CREATE TRIGGER keep_terms AFTER INSERT OR DELETE ON public.knowledge_chunks
    FOR EACH ROW EXECUTE FUNCTION private.keep_terms();
CREATE TRIGGER renew_terms
    AFTER UPDATE OF id, agent_id, source_id, embedding_model, content, metadata
    ON public.knowledge_chunks FOR EACH ROW
    WHEN ((OLD.id, OLD.agent_id, OLD.source_id, OLD.embedding_model, OLD.content,
           OLD.metadata -> 'title', OLD.metadata #> '{document,title}',
           OLD.metadata -> 'heading_path')
          IS DISTINCT FROM
          (NEW.id, NEW.agent_id, NEW.source_id, NEW.embedding_model, NEW.content,
           NEW.metadata -> 'title', NEW.metadata #> '{document,title}',
           NEW.metadata -> 'heading_path'))
    EXECUTE FUNCTION private.keep_terms();
CREATE TRIGGER empty_terms AFTER TRUNCATE ON public.knowledge_chunks
    FOR EACH STATEMENT EXECUTE FUNCTION private.keep_terms();
SELECT count(private.store_terms(c)) FROM public.knowledge_chunks AS c
WHERE NOT EXISTS (SELECT FROM worker.chunk_terms AS t WHERE t.chunk_id = c.id);
DELETE FROM worker.chunk_terms AS t
WHERE NOT EXISTS (SELECT FROM public.knowledge_chunks AS c WHERE c.id = t.chunk_id);
