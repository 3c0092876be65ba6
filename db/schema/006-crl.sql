-- Published CRLs with their bytes, and who publishes.
SET LOCAL ROLE chancery_owner;

-- scope: 'full', or 'part-N' for a partition, with 'delta' and 'delta-N' for
-- their deltas.  A list is public once its row is there with all pieces: they
-- come in one transaction.
CREATE TABLE crl (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	issuer integer NOT NULL REFERENCES issuer,
	scope text COLLATE "C" NOT NULL
	    CHECK (scope ~ '^(full|delta|(part|delta)-[0-9]{1,4})$'),
	number bigint NOT NULL CHECK (number > 0),
	base_number bigint,
	this_update timestamptz NOT NULL,
	next_update timestamptz NOT NULL,
	entries bigint NOT NULL,
	-- entries that were gone since the list before because they expired
	gone bigint NOT NULL DEFAULT 0,
	-- what has expired or was revoked before this mark has left the lists
	expired_before timestamptz,
	expired_serial bytea,
	size bigint NOT NULL,
	sha256 bytea NOT NULL CHECK (length(sha256) = 32),
	published_at timestamptz NOT NULL DEFAULT now(),
	actor name NOT NULL DEFAULT session_user,
	UNIQUE (issuer, scope, number),
	CHECK ((base_number IS NOT NULL) = (scope LIKE 'delta%')),
	CHECK (next_update > this_update)
);
CREATE TABLE crl_piece (
	crl bigint NOT NULL REFERENCES crl ON DELETE CASCADE,
	n integer NOT NULL,
	bytes bytea NOT NULL CHECK (length(bytes) BETWEEN 1 AND 1048576),
	PRIMARY KEY (crl, n)
);
-- serials are random: nothing to compress
ALTER TABLE crl_piece ALTER bytes SET STORAGE EXTERNAL;
GRANT SELECT ON crl, crl_piece TO chancery_ocsp, chancery_oper, chancery_pub;
GRANT INSERT (issuer, scope, number, base_number, this_update, next_update,
    entries, gone, expired_before, expired_serial, size, sha256) ON crl
    TO chancery_oper, chancery_pub;
GRANT INSERT ON crl_piece TO chancery_oper, chancery_pub;
GRANT DELETE ON crl, crl_piece TO chancery_pub;

-- The newest list of each scope.
CREATE VIEW crl_current AS
	SELECT c.* FROM crl c WHERE NOT EXISTS (SELECT FROM crl n
	    WHERE n.issuer = c.issuer AND n.scope = c.scope
	    AND n.number > c.number);
GRANT SELECT ON crl_current TO chancery_ocsp, chancery_oper, chancery_pub;

-- Exactly one publisher: whoever holds the only row.  Its epoch fences off
-- who held it before.
CREATE TABLE crl_lease (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	epoch bigint NOT NULL DEFAULT 0,
	holder text NOT NULL DEFAULT '',
	login name NOT NULL DEFAULT '',
	expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO crl_lease DEFAULT VALUES;
GRANT SELECT ON crl_lease TO chancery_oper, chancery_pub;
GRANT UPDATE (epoch, holder, login, expires_at) ON crl_lease TO chancery_pub;
