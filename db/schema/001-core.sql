-- Roles, the migration record, writer leases, issuers, audit.
-- Objects belong to the NOLOGIN role chancery_owner; daemons get grants only.

DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['owner', 'enroll', 'vald', 'oper', 'pub', 'ocsp']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'chancery_' || r)
		THEN
			EXECUTE format('CREATE ROLE chancery_%s NOLOGIN', r);
		END IF;
	END LOOP;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC',
	    current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO chancery_enroll, '
	    'chancery_vald, chancery_oper, chancery_pub, chancery_ocsp',
	    current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA chancery OWNER TO chancery_owner;
ALTER TABLE schema_version OWNER TO chancery_owner;
SET LOCAL ROLE chancery_owner;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA chancery TO chancery_enroll, chancery_vald,
    chancery_oper, chancery_pub, chancery_ocsp;
GRANT SELECT ON schema_version TO chancery_enroll, chancery_vald,
    chancery_oper, chancery_pub, chancery_ocsp;

-- INSERT-only tables say no to everybody, their owner included.
CREATE FUNCTION insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'table "%" is INSERT-only', TG_TABLE_NAME
	    USING ERRCODE = 'CH002';
END $$;

-- Writer numbers: the class of the role in bits 12 to 15.
CREATE FUNCTION role_class(role text) RETURNS integer
    LANGUAGE sql IMMUTABLE AS $$
	SELECT array_position(ARRAY['enroll', 'oper', 'pub', 'vald'], role)
$$;

-- The class of the role that is acting.
CREATE FUNCTION my_class() RETURNS integer LANGUAGE sql STABLE AS $$
	SELECT min(role_class(r))
	FROM unnest(ARRAY['enroll', 'oper', 'pub', 'vald']) AS r
	WHERE pg_has_role(current_user, 'chancery_' || r, 'MEMBER')
$$;

CREATE TABLE writer (
	number integer PRIMARY KEY CHECK (number BETWEEN 4096 AND 20479),
	epoch bigint NOT NULL,
	node text NOT NULL,
	login name NOT NULL,
	expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT ON writer TO chancery_enroll, chancery_vald, chancery_oper,
    chancery_pub, chancery_ocsp;

-- Takes a free number of the role's range, or a new one.  The epoch fences
-- off whoever held the number before.
CREATE FUNCTION writer_take(role text, node_name text, ttl_s integer)
    RETURNS TABLE (taken integer, taken_epoch bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = chancery, pg_catalog, pg_temp AS $$
DECLARE
	base integer := role_class(role) << 12;
BEGIN
	IF base IS NULL OR
	    NOT pg_has_role(session_user, 'chancery_' || role, 'MEMBER') THEN
		RAISE EXCEPTION 'login "%" is no writer of role "%"',
		    session_user, role USING ERRCODE = '42501';
	END IF;
	LOOP
		RETURN QUERY UPDATE writer w SET epoch = w.epoch + 1,
		    node = node_name, login = session_user,
		    expires_at = now() + make_interval(secs => ttl_s)
		    WHERE w.number = (SELECT f.number FROM writer f
			WHERE f.number BETWEEN base AND base + 4095
			AND f.expires_at < now()
			ORDER BY f.node = node_name DESC, f.number
			LIMIT 1 FOR UPDATE SKIP LOCKED)
		    RETURNING w.number, w.epoch;
		IF FOUND THEN
			RETURN;
		END IF;
		RETURN QUERY INSERT INTO writer AS w
		    SELECT coalesce(max(f.number) + 1, base), 1, node_name,
			session_user, now() + make_interval(secs => ttl_s)
		    FROM writer f WHERE f.number BETWEEN base AND base + 4095
		    ON CONFLICT DO NOTHING
		    RETURNING w.number, w.epoch;
		IF FOUND THEN
			RETURN;
		END IF;
	END LOOP;
END $$;

-- Extends a lease (or gives it back: ttl 0); false when it is lost.
CREATE FUNCTION writer_renew(held integer, held_epoch bigint, ttl_s integer)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = chancery, pg_catalog, pg_temp AS $$
BEGIN
	UPDATE writer SET expires_at = CASE WHEN ttl_s = 0 THEN '-infinity'
	    ELSE now() + make_interval(secs => ttl_s) END
	    WHERE number = held AND epoch = held_epoch
	    AND login = session_user;
	RETURN FOUND;
END $$;

-- What the first statement of a writing transaction calls when the lease row
-- is not there as expected: nothing is written under a number that is lost.
CREATE FUNCTION writer_lost(held integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'writer number % is lost', held USING ERRCODE = 'CH001';
END $$;

GRANT EXECUTE ON FUNCTION writer_take, writer_renew, writer_lost,
    role_class, my_class
    TO chancery_enroll, chancery_vald, chancery_oper, chancery_pub;

CREATE TABLE issuer (
	id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text COLLATE "C" NOT NULL UNIQUE,
	spki_sha256 bytea NOT NULL UNIQUE CHECK (length(spki_sha256) = 32),
	cert bytea NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON issuer TO chancery_enroll, chancery_oper, chancery_pub,
    chancery_ocsp;
GRANT INSERT (name, spki_sha256, cert), UPDATE (cert) ON issuer
    TO chancery_oper;

CREATE TABLE profile_text (
	hash bytea PRIMARY KEY CHECK (length(hash) = 32),
	name text NOT NULL,
	body text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT (hash, name, body) ON profile_text
    TO chancery_enroll, chancery_oper, chancery_pub;

-- Keyed densely in commit order; time and actor are the server's.
CREATE TABLE audit (
	writer integer NOT NULL,
	seq bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	cert_id bigint,
	kind text NOT NULL,
	actor name NOT NULL DEFAULT session_user,
	leaf bytea NOT NULL,
	PRIMARY KEY (writer, seq)
);
-- Ids grow with time, so a range index is enough; a revocation names an old id.
CREATE INDEX audit_cert ON audit USING brin (cert_id int8_minmax_multi_ops)
    WITH (pages_per_range = 32, autosummarize = on);
CREATE TRIGGER audit_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    EXECUTE FUNCTION insert_only();
GRANT INSERT (writer, seq, cert_id, kind, leaf), SELECT (writer, seq)
    ON audit TO chancery_enroll, chancery_oper, chancery_pub;
GRANT SELECT ON audit TO chancery_oper, chancery_pub;
