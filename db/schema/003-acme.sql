-- ACME state.  What can be derived is not stored: an authorization is valid
-- or invalid by its validation rows, a challenge is processing while its
-- lease row exists, an order by its authorizations and its request row.
SET LOCAL ROLE chancery_owner;

CREATE TABLE acme_account (
	id text COLLATE "C" PRIMARY KEY,
	created_at timestamptz NOT NULL DEFAULT now(),
	status smallint NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
	tos_agreed boolean NOT NULL,
	thumbprint bytea NOT NULL UNIQUE CHECK (length(thumbprint) = 32),
	jwk text NOT NULL,
	contact jsonb NOT NULL
);
GRANT SELECT, INSERT (id, tos_agreed, thumbprint, jwk, contact),
    UPDATE (status, contact) ON acme_account TO chancery_enroll;
GRANT SELECT, UPDATE (status) ON acme_account TO chancery_oper;
GRANT SELECT (id, thumbprint) ON acme_account TO chancery_vald;

CREATE TABLE acme_authz (
	id text COLLATE "C" PRIMARY KEY,
	account text COLLATE "C" NOT NULL,
	type text COLLATE "C" NOT NULL,
	value text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	pending_until timestamptz NOT NULL,
	valid_s integer NOT NULL CHECK (valid_s > 0),
	wildcard boolean NOT NULL,
	deactivated boolean NOT NULL DEFAULT false
);
CREATE INDEX acme_authz_value ON acme_authz (account, value);
GRANT SELECT, INSERT (id, account, type, value, pending_until, valid_s,
    wildcard), UPDATE (deactivated) ON acme_authz TO chancery_enroll;
GRANT SELECT (id, account, type, value, wildcard) ON acme_authz
    TO chancery_vald;

CREATE TABLE acme_challenge (
	id text COLLATE "C" PRIMARY KEY,
	authz text COLLATE "C" NOT NULL,
	type text COLLATE "C" NOT NULL,
	token text COLLATE "C" NOT NULL
);
CREATE INDEX acme_challenge_authz ON acme_challenge (authz);
GRANT SELECT, INSERT ON acme_challenge TO chancery_enroll;
GRANT SELECT ON acme_challenge TO chancery_vald;

CREATE TABLE acme_order (
	id text COLLATE "C" PRIMARY KEY,
	account text COLLATE "C" NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	not_before timestamptz,
	not_after timestamptz,
	profile text NOT NULL,
	identifiers text[] NOT NULL,
	authz text[] NOT NULL
);
CREATE INDEX acme_order_account ON acme_order (account, created_at);
GRANT SELECT, INSERT (id, account, expires_at, not_before, not_after,
    profile, identifiers, authz) ON acme_order TO chancery_enroll;

-- Results of proofs of control: only chancery_vald writes them, and nobody
-- changes them.
CREATE TABLE validation (
	writer integer NOT NULL,
	seq bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	ok boolean NOT NULL,
	final boolean NOT NULL,
	authz text COLLATE "C" NOT NULL,
	challenge text COLLATE "C" NOT NULL,
	actor name NOT NULL DEFAULT session_user,
	evidence text,
	error_type text,
	error_detail text,
	PRIMARY KEY (writer, seq),
	CHECK (final OR NOT ok)
);
CREATE INDEX validation_authz ON validation (authz);
CREATE TRIGGER validation_insert_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON validation
    EXECUTE FUNCTION insert_only();
GRANT SELECT ON validation TO chancery_enroll, chancery_oper, chancery_pub;
GRANT INSERT (writer, seq, ok, final, authz, challenge, evidence, error_type,
    error_detail), SELECT (writer, seq) ON validation TO chancery_vald;

-- An authorization's status, now: 0 pending, 1 valid, 2 invalid, 3 expired,
-- 4 deactivated.  The first final result decides.
CREATE VIEW authz_state AS
	SELECT z.id, z.account, z.type, z.value, z.wildcard, z.created_at,
	    CASE WHEN z.deactivated THEN 4
		WHEN v.ok AND v.at + make_interval(secs => z.valid_s) > now()
		    THEN 1
		WHEN v.ok THEN 3
		WHEN NOT v.ok THEN 2
		WHEN z.pending_until <= now() THEN 3
		ELSE 0 END AS status,
	    CASE WHEN v.ok THEN v.at + make_interval(secs => z.valid_s)
		ELSE z.pending_until END AS expires_at
	FROM acme_authz z LEFT JOIN LATERAL (SELECT x.ok, x.at
	    FROM validation x WHERE x.authz = z.id AND x.final
	    ORDER BY x.at, x.writer, x.seq LIMIT 1) v ON true;
GRANT SELECT ON authz_state TO chancery_enroll, chancery_oper;

-- What waits for chancery-vald.  Whoever holds a row moves due_at to the end
-- of its lease, so a crash makes the row due again.
CREATE TABLE validation_lease (
	challenge text COLLATE "C" PRIMARY KEY,
	due_at timestamptz NOT NULL DEFAULT now(),
	asked_at timestamptz NOT NULL DEFAULT now(),
	tried_at timestamptz,
	attempts integer NOT NULL DEFAULT 0,
	holder text
) WITH (fillfactor = 70);
CREATE INDEX validation_lease_due ON validation_lease (due_at);
GRANT SELECT, INSERT (challenge), UPDATE (due_at) ON validation_lease
    TO chancery_enroll;
GRANT SELECT, DELETE, UPDATE (due_at, tried_at, attempts, holder)
    ON validation_lease TO chancery_vald;

-- Nonces that were used, until they would have expired anyway.
CREATE TABLE acme_nonce (
	nonce bytea PRIMARY KEY,
	expires_at timestamptz NOT NULL
);
CREATE INDEX acme_nonce_expires ON acme_nonce (expires_at);
GRANT SELECT, INSERT, DELETE ON acme_nonce TO chancery_enroll;
GRANT SELECT, DELETE ON acme_nonce TO chancery_pub;
