-- The newest list of each scope, by one step in the index for each instead of a
-- look at every list that is kept: there may be some hundred thousand.  And
-- rows that any responder host may write are of bounded size.
SET LOCAL ROLE chancery_owner;

CREATE OR REPLACE VIEW crl_current AS
	WITH RECURSIVE one AS (
	    (SELECT c.issuer, c.scope FROM crl c
	    ORDER BY c.issuer, c.scope LIMIT 1)
	    UNION ALL
	    SELECT n.issuer, n.scope FROM one CROSS JOIN LATERAL (
		SELECT c.issuer, c.scope FROM crl c
		WHERE (c.issuer, c.scope) > (one.issuer, one.scope)
		ORDER BY c.issuer, c.scope LIMIT 1) n)
	SELECT l.* FROM one CROSS JOIN LATERAL (
	    SELECT c.* FROM crl c
	    WHERE c.issuer = one.issuer AND c.scope = one.scope
	    ORDER BY c.number DESC LIMIT 1) l;

ALTER TABLE responder ADD CHECK (length(host) BETWEEN 1 AND 253);
