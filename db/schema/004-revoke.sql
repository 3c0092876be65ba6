-- Revoking: invalidity dates, what may become of a revoked certificate, keys
-- that get no certificate any more.
SET LOCAL ROLE chancery_owner;

-- RFC 5280 5.3.2: when the key is known or suspected to have been lost.
ALTER TABLE cert_status
	ADD COLUMN invalidity_at timestamptz,
	ADD CONSTRAINT cert_status_reason CHECK (CASE status
	    WHEN 0 THEN reason = -1 AND invalidity_at IS NULL
	    ELSE reason BETWEEN -1 AND 10 AND reason NOT IN (7, 8) END);
GRANT UPDATE (invalidity_at) ON cert_status
    TO chancery_enroll, chancery_oper, chancery_pub;
DROP INDEX cert_status_revoked;
CREATE INDEX cert_status_revoked ON cert_status (issuer, serial)
    INCLUDE (revoked_at, reason, not_after, invalidity_at) WHERE status = 1;

-- In the feed, a released hold is status 0 with reason 8 (removeFromCRL).
ALTER TABLE status_change ADD COLUMN invalidity_at timestamptz;
GRANT INSERT (invalidity_at) ON status_change
    TO chancery_enroll, chancery_oper, chancery_pub;

-- RFC 5280 5.3.1: a good certificate may be revoked; one on hold (6) may be
-- released or revoked for good; any other may be found compromised (1) later.
-- The date of the revocation stays.
CREATE OR REPLACE FUNCTION cert_status_check() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.status = 0 AND NEW.status = 1 OR
	    OLD.reason = 6 AND NEW.status = 0 OR
	    OLD.status = 1 AND NEW.reason <> OLD.reason AND
	    (OLD.reason = 6 OR NEW.reason = 1 AND OLD.reason <> 1) AND
	    NEW.revoked_at = OLD.revoked_at THEN
		RETURN NEW;
	END IF;
	RAISE EXCEPTION 'a certificate of status %, reason % cannot become '
	    'status %, reason %', OLD.status, OLD.reason, NEW.status,
	    NEW.reason USING ERRCODE = 'CH003';
END $$;

-- Keys that get no certificate any more, by the SHA-256 of their
-- SubjectPublicKeyInfo.
CREATE TABLE blocked_key (
	spki_sha256 bytea PRIMARY KEY CHECK (length(spki_sha256) = 32),
	at timestamptz NOT NULL DEFAULT now(),
	actor name NOT NULL DEFAULT session_user,
	why text NOT NULL
);
CREATE INDEX blocked_key_at ON blocked_key (at);
CREATE TRIGGER blocked_key_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON blocked_key
    EXECUTE FUNCTION insert_only();
GRANT INSERT (spki_sha256, why), SELECT ON blocked_key
    TO chancery_enroll, chancery_oper, chancery_pub;

-- The certificates of a key.
CREATE INDEX cert_spki ON cert
    USING brin (spki_sha256 bytea_bloom_ops (false_positive_rate = 0.001))
    WITH (pages_per_range = 32, autosummarize = on);
