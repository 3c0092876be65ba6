-- CRLs of CAs that issue nothing here: roots and policy CAs, signed offline.
SET LOCAL ROLE chancery_owner;

-- Such a CA has a row of its own in 'issuer'; here stands at which paths of
-- the responder's URLs its CRL is served.  NULL: an issuer, whose CRLs the
-- publisher makes.
ALTER TABLE issuer ADD COLUMN crl_paths text[]
    CHECK (cardinality(crl_paths) BETWEEN 1 AND 16
	AND array_position(crl_paths, NULL) IS NULL);
GRANT INSERT (crl_paths), UPDATE (crl_paths) ON issuer TO chancery_oper;

-- What an operator has imported never goes back, and nobody else replaces it.
CREATE FUNCTION crl_imported() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM issuer i WHERE i.id = NEW.issuer
	    AND i.crl_paths IS NOT NULL) THEN
		RETURN NEW;
	END IF;
	IF NOT pg_has_role(current_user, 'chancery_oper', 'MEMBER') THEN
		RAISE EXCEPTION 'this CRL is imported, not published'
		    USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF EXISTS (SELECT FROM crl c WHERE c.issuer = NEW.issuer
	    AND c.scope = NEW.scope AND (c.number >= NEW.number
		OR c.this_update > NEW.this_update)) THEN
		RAISE EXCEPTION 'the CRL is older than the recorded one'
		    USING ERRCODE = 'unique_violation';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER crl_imported BEFORE INSERT ON crl
    FOR EACH ROW EXECUTE FUNCTION crl_imported();
