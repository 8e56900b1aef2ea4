-- Who held something back, beside why and since when.
ALTER TABLE worker.pauses ADD COLUMN paused_by text;
COMMENT ON COLUMN worker.pauses.paused_by IS
    'The operator''s name, or "cli:root" for a command; null where nobody said.';

-- Usage by day is read without its user. Rows come in the order of their time, so a summary of
-- block ranges finds a day; writers pay nothing for it.
CREATE INDEX usage_logs_created_at_idx ON public.usage_logs
    USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on);
