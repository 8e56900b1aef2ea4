-- What the pipeline remembers of a source beside its row: what its last reading saw, what each
-- run did, and where in the document each chunk lies.

-- A page that crawling found belongs to the source that was crawled.
ALTER TABLE public.knowledge_sources ADD COLUMN parent_id uuid;
ALTER TABLE public.knowledge_sources ADD CONSTRAINT knowledge_sources_parent_id_fkey
    FOREIGN KEY (parent_id) REFERENCES public.knowledge_sources (id) ON DELETE CASCADE NOT VALID;
CREATE INDEX knowledge_sources_parent_id_idx ON public.knowledge_sources (parent_id)
    WHERE parent_id IS NOT NULL;
COMMENT ON COLUMN public.knowledge_sources.parent_id IS
    'The crawled source that this page was found by; the workers write it.';

CREATE TABLE worker.source_states (
    source_id uuid PRIMARY KEY REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    asked text NOT NULL,
    seen jsonb NOT NULL DEFAULT '{}',
    sizes jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE worker.source_states IS 'As of the last run that stored its chunks.';
COMMENT ON COLUMN worker.source_states.asked IS
    'Hash of the type, address and settings that were read: "seen" counts for no others.';
COMMENT ON COLUMN worker.source_states.seen IS
    'What the reader needs to learn whether anything changed: validators, versions, hashes.';
COMMENT ON COLUMN worker.source_states.sizes IS 'How the chunks were cut.';

CREATE TABLE worker.sync_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES public.knowledge_sources (id) ON DELETE CASCADE,
    job_id bigint,
    kind text NOT NULL,
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    error_message text,
    report jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT sync_runs_status_check CHECK (status IN ('completed', 'failed', 'cancelled'))
);
COMMENT ON TABLE worker.sync_runs IS
    'Every run that changed a source or failed; one that found nothing new only moves its time.';
CREATE INDEX sync_runs_source_idx ON worker.sync_runs (source_id, finished_at DESC);
CREATE INDEX sync_runs_finished_idx ON worker.sync_runs (finished_at);

-- Beside the chunks: an edit shifts all later spans, and must not rewrite rows with vectors.
CREATE TABLE worker.chunk_spans (
    chunk_id uuid PRIMARY KEY REFERENCES public.knowledge_chunks (id) ON DELETE CASCADE,
    span_start int NOT NULL,
    span_end int NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE worker.chunk_spans IS
    'Characters of the document as it was read; the chunk''s content is its text between them.';

-- An agent whose model is being changed has chunks of two models; questions go to the old one.
CREATE TABLE worker.model_changes (
    agent_id uuid PRIMARY KEY REFERENCES public.agents (id) ON DELETE CASCADE,
    model text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE worker.source_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.sync_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.chunk_spans ENABLE ROW LEVEL SECURITY;
ALTER TABLE worker.model_changes ENABLE ROW LEVEL SECURITY;
GRANT ALL ON worker.source_states, worker.sync_runs, worker.chunk_spans, worker.model_changes
    TO service_role;
GRANT ALL ON ALL SEQUENCES IN SCHEMA worker TO service_role;
