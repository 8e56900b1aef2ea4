-- Enough of pgvector for our migrations to run and their functions to be checked for types.
-- A vector is a text, all are equally near, and the "hnsw" index is a hash index.

CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
    LANGUAGE internal IMMUTABLE STRICT AS 'varcharin';
CREATE FUNCTION vector_out(vector) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT AS 'varchartypmodin';
CREATE TYPE vector (
    INPUT = vector_in, OUTPUT = vector_out, TYPMOD_IN = vector_typmod_in, STORAGE = external);

CREATE FUNCTION cosine_distance(vector, vector) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT 0::double precision';
CREATE OPERATOR <=> (
    LEFTARG = vector, RIGHTARG = vector, PROCEDURE = cosine_distance, COMMUTATOR = '<=>');

CREATE FUNCTION vector_hash(vector) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT 0';
CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER hashhandler;
CREATE OPERATOR CLASS vector_cosine_ops DEFAULT FOR TYPE vector USING hnsw AS
    FUNCTION 1 vector_hash(vector);
