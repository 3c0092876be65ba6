-- Requests (intents), certificates, names, status, change feed.
SET LOCAL ROLE chancery_owner;

-- A certificate's id is (months since 1970) << 40 | sequence, so that an id
-- names its partition, ids grow with time, and stay below 2^53.
CREATE SEQUENCE cert_seq MAXVALUE 1099511627775;
GRANT USAGE ON SEQUENCE cert_seq
    TO chancery_enroll, chancery_oper, chancery_pub;

CREATE FUNCTION cert_month(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS $$
	SELECT (extract(year FROM at AT TIME ZONE 'UTC')::bigint - 1970) * 12
	    + extract(month FROM at AT TIME ZONE 'UTC')::bigint - 1
$$;
GRANT EXECUTE ON FUNCTION cert_month
    TO chancery_enroll, chancery_oper, chancery_pub;

-- Makes the pipeline idempotent.  state: 0 pending, 1 intent, 2 void; an
-- intent is issued when its cert row exists, so issuing updates nothing.
CREATE TABLE request (
	protocol text COLLATE "C" NOT NULL,
	txn text COLLATE "C" NOT NULL,
	state smallint NOT NULL CHECK (state BETWEEN 0 AND 2),
	slot smallint NOT NULL,
	class smallint NOT NULL,
	issuer integer NOT NULL,
	cert_id bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
	tbs_hash bytea NOT NULL CHECK (length(tbs_hash) = 32),
	profile_hash bytea NOT NULL CHECK (length(profile_hash) = 32),
	serial bytea NOT NULL CHECK (length(serial) BETWEEN 1 AND 20),
	profile text NOT NULL,
	principal text NOT NULL,
	PRIMARY KEY (protocol, txn)
);
CREATE INDEX request_created ON request USING brin (created_at)
    WITH (pages_per_range = 32, autosummarize = on);
GRANT SELECT, INSERT, UPDATE ON request
    TO chancery_enroll, chancery_oper, chancery_pub;
GRANT DELETE ON request TO chancery_oper, chancery_pub;

-- Every intent of the class made before 'until' is known to be closed.
CREATE TABLE intent_mark (
	class smallint PRIMARY KEY,
	until timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON intent_mark
    TO chancery_enroll, chancery_oper, chancery_pub;

CREATE TABLE cert (
	id bigint NOT NULL,
	issued_at timestamptz NOT NULL DEFAULT now(),
	not_before timestamptz NOT NULL,
	not_after timestamptz NOT NULL,
	sign_seq bigint NOT NULL,
	issuer integer NOT NULL,
	sign_slot smallint NOT NULL,
	serial bytea NOT NULL,
	profile_hash bytea NOT NULL,
	spki_sha256 bytea NOT NULL,
	fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
	sign_head bytea NOT NULL,
	protocol text COLLATE "C" NOT NULL,
	txn text COLLATE "C" NOT NULL,
	profile text COLLATE "C" NOT NULL,
	principal text COLLATE "C" NOT NULL,
	subject text NOT NULL,
	der bytea NOT NULL,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX cert_not_after ON cert (not_after);
CREATE INDEX cert_principal ON cert (principal, id);
CREATE INDEX cert_fingerprint ON cert USING hash (fingerprint);
GRANT SELECT, INSERT ON cert TO chancery_enroll, chancery_oper, chancery_pub;

-- Makes the partitions of this month and the 'ahead' next ones; says how
-- many were missing.
CREATE FUNCTION cert_partitions(ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = chancery, pg_catalog, pg_temp AS $$
DECLARE
	first bigint := cert_month(now());
	part text;
	made integer := 0;
BEGIN
	IF ahead NOT BETWEEN 0 AND 120 THEN
		RAISE EXCEPTION 'months ahead must be 0 to 120'
		    USING ERRCODE = '22023';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtext('chancery.cert_partitions'));
	FOR m IN first .. first + ahead LOOP
		part := format('cert_y%sm%s', m / 12 + 1970,
		    lpad((m % 12 + 1)::text, 2, '0'));
		CONTINUE WHEN to_regclass('chancery.' || part) IS NOT NULL;
		EXECUTE format('CREATE TABLE %I PARTITION OF cert '
		    'FOR VALUES FROM (%s) TO (%s)', part, m::bigint << 40,
		    (m + 1)::bigint << 40);
		made := made + 1;
	END LOOP;
	RETURN made;
END $$;
GRANT EXECUTE ON FUNCTION cert_partitions TO chancery_oper, chancery_pub;
SELECT cert_partitions(24);

-- Names, lower case and reversed: exact and suffix search by one index.
CREATE TABLE cert_name (
	cert_id bigint NOT NULL,
	type smallint NOT NULL,
	rev text COLLATE "C" NOT NULL
);
CREATE INDEX cert_name_rev ON cert_name (rev, cert_id);
CREATE INDEX cert_name_cert ON cert_name USING brin (cert_id)
    WITH (pages_per_range = 32, autosummarize = on);
GRANT SELECT, INSERT ON cert_name
    TO chancery_enroll, chancery_oper, chancery_pub;

-- What OCSP and CRL read: the current state.  status: 0 good, 1 revoked.
CREATE TABLE cert_status (
	cert_id bigint NOT NULL,
	not_after timestamptz NOT NULL,
	revoked_at timestamptz,
	issuer integer NOT NULL,
	status smallint NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 1),
	reason smallint NOT NULL DEFAULT -1,
	serial bytea NOT NULL,
	PRIMARY KEY (issuer, serial),
	CHECK ((status = 1) = (revoked_at IS NOT NULL))
);
CREATE INDEX cert_status_revoked ON cert_status (issuer, serial)
    INCLUDE (revoked_at, reason, not_after) WHERE status = 1;
GRANT SELECT, INSERT, UPDATE (status, reason, revoked_at) ON cert_status
    TO chancery_enroll, chancery_oper, chancery_pub;
GRANT SELECT ON cert_status TO chancery_ocsp;

-- RFC 5280 section 5.3.1: only certificateHold (6) can be taken back.
CREATE FUNCTION cert_status_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.status = 1 AND OLD.reason <> 6 AND (NEW.status <> 1 OR
	    NEW.reason = 6 OR NEW.revoked_at <> OLD.revoked_at) THEN
		RAISE EXCEPTION 'a revoked certificate stays revoked'
		    USING ERRCODE = 'CH003';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER cert_status_check BEFORE UPDATE ON cert_status
    FOR EACH ROW EXECUTE FUNCTION cert_status_check();

-- The change feed: one row per issuance and per change of status.
CREATE TABLE status_change (
	writer integer NOT NULL,
	seq bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	cert_id bigint NOT NULL,
	not_after timestamptz NOT NULL,
	revoked_at timestamptz,
	issuer integer NOT NULL,
	status smallint NOT NULL,
	reason smallint NOT NULL,
	serial bytea NOT NULL,
	PRIMARY KEY (writer, seq)
);
CREATE TRIGGER status_change_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON status_change
    EXECUTE FUNCTION insert_only();
GRANT INSERT (writer, seq, cert_id, not_after, revoked_at, issuer, status,
    reason, serial), SELECT ON status_change
    TO chancery_enroll, chancery_oper, chancery_pub;
GRANT SELECT ON status_change TO chancery_ocsp;

-- What a request that waits for an approval asked for, to be judged again.
CREATE TABLE pending (
	protocol text COLLATE "C" NOT NULL,
	txn text COLLATE "C" NOT NULL,
	body bytea NOT NULL,
	PRIMARY KEY (protocol, txn),
	FOREIGN KEY (protocol, txn) REFERENCES request ON DELETE CASCADE
);
GRANT SELECT, INSERT ON pending TO chancery_enroll, chancery_oper,
    chancery_pub;
