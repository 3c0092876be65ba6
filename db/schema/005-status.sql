-- Requests of OCSP responders for their short-lived certificates.
SET LOCAL ROLE chancery_owner;

-- A responder writes what it wants certified, signed by its host's identity
-- key; the publisher writes the certificate, or why there is none.
CREATE TABLE responder (
	host text COLLATE "C" NOT NULL,
	issuer integer NOT NULL REFERENCES issuer,
	spki bytea NOT NULL CHECK (length(spki) BETWEEN 1 AND 1024),
	not_after timestamptz NOT NULL,
	signature bytea NOT NULL CHECK (length(signature) BETWEEN 1 AND 1024),
	asked_at timestamptz NOT NULL DEFAULT now(),
	cert bytea,
	certified_at timestamptz,
	fault text,
	PRIMARY KEY (host, issuer)
);
GRANT SELECT, INSERT (host, issuer, spki, not_after, signature),
    UPDATE (spki, not_after, signature, asked_at) ON responder
    TO chancery_ocsp;
GRANT SELECT, UPDATE (cert, certified_at, fault) ON responder
    TO chancery_pub;
GRANT SELECT ON responder TO chancery_oper;

-- Another key is another request.
CREATE FUNCTION responder_asks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.spki <> OLD.spki THEN
		NEW.cert := NULL;
		NEW.certified_at := NULL;
		NEW.fault := NULL;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER responder_asks BEFORE UPDATE ON responder
    FOR EACH ROW EXECUTE FUNCTION responder_asks();
