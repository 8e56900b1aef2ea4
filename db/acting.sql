-- Whose row-level security a transaction runs under.

-- name: read_actor
SELECT current_setting('role'), coalesce(current_setting('request.jwt.claims', true), '')

-- name: set_actor
-- All of it ends with the transaction, so a pooled connection carries nothing to its next user.
-- The older form of the claims, one setting each, would win over the JSON: it is emptied.
SELECT set_config('request.jwt.claims', %(claims)s, true),
       set_config('request.jwt.claim', '', true),
       set_config('request.jwt.claim.sub', '', true),
       set_config('request.jwt.claim.role', '', true),
       set_config('request.jwt.claim.email', '', true),
       set_config('role', %(role)s, true)
