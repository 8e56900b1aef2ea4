-- Who held something back, beside why and since when.
ALTER TABLE worker.pauses ADD COLUMN paused_by text;
COMMENT ON COLUMN worker.pauses.paused_by IS
    'The operator''s name, or "cli:root" for a command; null where nobody said.';

-- The smallest weight that the rule names was refused: as a real it lies below the decimal.
ALTER TABLE worker.tenants DROP CONSTRAINT tenants_weight_check;
ALTER TABLE worker.tenants ADD CONSTRAINT tenants_weight_check
    CHECK (weight >= 0.01::real AND weight <= 100) NOT VALID;
ALTER TABLE worker.tenants VALIDATE CONSTRAINT tenants_weight_check;

-- Usage by day is read without its user. Rows come in the order of their time, so a summary of
-- block ranges finds a day; writers pay nothing for it.
CREATE INDEX usage_logs_created_at_idx ON public.usage_logs
    USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on);
