-- Enrollment secrets; requests that operators decide.
SET LOCAL ROLE chancery_owner;

-- kind 0: generated, 'hash' is its SHA-256; 1: chosen by a person, scrypt.
-- A one-time secret belongs to the first transaction that is reserved or
-- waits with it; when that transaction is given up, it is free again.
CREATE TABLE secret (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text COLLATE "C" NOT NULL CHECK (name ~ '^[[:graph:]]{1,64}$'),
	kind smallint NOT NULL CHECK (kind IN (0, 1)),
	one_time boolean NOT NULL,
	salt bytea NOT NULL CHECK (length(salt) = 16),
	hash bytea NOT NULL CHECK (length(hash) = 32),
	profile text COLLATE "C" NOT NULL,
	names text[] NOT NULL CHECK (cardinality(names) <= 64
	    AND array_position(names, NULL) IS NULL),
	operator text NOT NULL,
	created_by name NOT NULL DEFAULT session_user,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	revoked_at timestamptz,
	used_at timestamptz,
	used_protocol text COLLATE "C",
	used_txn text COLLATE "C",
	CHECK ((used_at IS NULL) = (used_txn IS NULL) AND
	    (used_txn IS NULL) = (used_protocol IS NULL))
);
-- A name is free again once its secret is revoked.
CREATE UNIQUE INDEX secret_name ON secret (name) WHERE revoked_at IS NULL;
GRANT SELECT, INSERT (name, kind, one_time, salt, hash, profile, names,
    operator, expires_at), UPDATE (revoked_at) ON secret TO chancery_oper;
GRANT SELECT, UPDATE (used_at, used_protocol, used_txn) ON secret
    TO chancery_enroll, chancery_oper;
-- pub reserves certificates, but compares no secrets.
GRANT SELECT (id, expires_at, revoked_at, used_at, used_protocol, used_txn),
    UPDATE (used_at, used_protocol, used_txn) ON secret TO chancery_pub;

-- state: 0 pending, 1 intent, 2 void, 3 approved, 4 rejected.
ALTER TABLE request DROP CONSTRAINT request_state_check,
	ADD CONSTRAINT request_state_check CHECK (state BETWEEN 0 AND 4);

-- 'body' is what it takes to judge the request again.
ALTER TABLE pending
	ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
	ADD COLUMN summary text NOT NULL DEFAULT '',
	ADD COLUMN secret bigint,
	ADD COLUMN login name NOT NULL DEFAULT session_user,
	ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
	ADD COLUMN expires_at timestamptz NOT NULL
	    DEFAULT now() + interval '7 days',
	ADD COLUMN decided_at timestamptz,
	ADD COLUMN decided_by name,
	ADD COLUMN operator text,
	ADD COLUMN reason text;
REVOKE INSERT ON pending FROM chancery_enroll, chancery_oper, chancery_pub;
GRANT INSERT (protocol, txn, body, summary, secret, expires_at),
    UPDATE (id, body, summary, secret, login, created_at, expires_at,
	decided_at, decided_by, operator, reason) ON pending
    TO chancery_enroll, chancery_oper, chancery_pub;

-- How many one principal has waiting.
CREATE INDEX request_waiting ON request (principal) WHERE state = 0;

-- Only an operator decides, once, in time, and never on what came from the
-- own login or with a secret of the own making.
CREATE FUNCTION request_decided() RETURNS trigger LANGUAGE plpgsql
    SET search_path = chancery, pg_catalog, pg_temp AS $$
DECLARE
	shared boolean := session_user = 'chancery_oper';
BEGIN
	IF OLD.state = 0 AND NEW.state = 1 OR
	    OLD.state = 4 AND NEW.state <> 4 THEN
		RAISE EXCEPTION 'this request was not approved'
		    USING ERRCODE = 'insufficient_privilege';
	END IF;
	IF NEW.state NOT IN (3, 4) OR NEW.state = OLD.state THEN
		RETURN NEW;
	END IF;
	IF OLD.state IS DISTINCT FROM 0 OR
	    NOT pg_has_role(current_user, 'chancery_oper', 'MEMBER') OR
	    NOT EXISTS (SELECT FROM pending p
		LEFT JOIN secret s ON s.id = p.secret
		WHERE p.protocol = OLD.protocol AND p.txn = OLD.txn
		AND p.expires_at > now()
		AND (shared OR p.login <> session_user)
		AND (shared OR s.created_by IS DISTINCT FROM session_user))
	THEN
		RAISE EXCEPTION 'this request is not yours to decide'
		    USING ERRCODE = 'insufficient_privilege';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER request_decided BEFORE UPDATE OF state ON request
    FOR EACH ROW EXECUTE FUNCTION request_decided();
CREATE TRIGGER request_made BEFORE INSERT ON request
    FOR EACH ROW WHEN (NEW.state > 2) EXECUTE FUNCTION request_decided();

-- An approval is for the request that was decided on, and for no other.
CREATE FUNCTION request_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'what waits or was approved cannot be changed'
	    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER request_stands BEFORE UPDATE ON request FOR EACH ROW
    WHEN (OLD.state IN (0, 3) AND (OLD.protocol, OLD.txn, OLD.request_hash)
	IS DISTINCT FROM (NEW.protocol, NEW.txn, NEW.request_hash))
    EXECUTE FUNCTION request_stands();

-- Whoever changes what waits has asked for it.
CREATE FUNCTION pending_changed() RETURNS trigger LANGUAGE plpgsql
    SET search_path = chancery, pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM request r WHERE r.protocol = OLD.protocol
	    AND r.txn = OLD.txn AND r.state = 3) THEN
		RAISE EXCEPTION 'what was approved cannot be changed'
		    USING ERRCODE = 'insufficient_privilege';
	END IF;
	NEW.login := session_user;
	RETURN NEW;
END $$;
CREATE TRIGGER pending_changed
    BEFORE UPDATE OF body, summary, secret, login ON pending
    FOR EACH ROW EXECUTE FUNCTION pending_changed();

-- The certificates of a key: as fast at any size, and no dearer to keep than
-- the bloom index it replaces (docs/adr/0003).
DROP INDEX cert_spki;
CREATE INDEX cert_spki ON cert USING hash (spki_sha256);
