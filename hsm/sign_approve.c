#include "hsm/sign_approve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/auto.h"
#include "base/der.h"
#include "hsm/sign_policy.h"

static const char magic[] = "chancery approval 1\n";

static void
put_ext(struct buf *b, const struct tosign_ext *x)
{
	size_t begun = der_begin(b, DER_SEQUENCE);

	der_put(b, DER_OID, x->oid);
	der_true(b, x->critical);
	der_put(b, DER_OCTET_STRING, x->value);
	der_end(b, begun);
}

/* The TBSCertificate without what is not known when it is approved. */
static void
put_emptied(struct buf *b, const struct tosign_cert *c)
{
	size_t outer = der_begin(b, DER_SEQUENCE), in, list, i;

	in = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	der_int(b, c->version);
	der_end(b, in);
	der_int(b, 0);
	buf_span(b, c->sig_alg);
	buf_span(b, c->issuer);
	der_put(b, DER_SEQUENCE, span_of(NULL, 0));
	buf_span(b, c->subject);
	buf_span(b, c->spki);
	if (c->n_exts > 0) {
		in = der_begin(b, DER_CONTEXT_CONSTRUCTED(3));
		list = der_begin(b, DER_SEQUENCE);
		for (i = 0; i < c->n_exts; i++)
			put_ext(b, &c->exts[i]);
		der_end(b, list);
		der_end(b, in);
	}
	der_end(b, outer);
}

int
sign_approve_statement(const struct sign_request *req,
    const struct tosign_cert *c, uint8_t hash[SIGN_HASH_SIZE], struct err *e)
{
	AUTO_BUF(b, 2 * TOSIGN_CERT_MAX);
	AUTO_BUF(tbs, TOSIGN_CERT_MAX);

	put_emptied(&tbs, c);
	buf_str(&b, magic);
	buf_block(&b, span_str(req->key));
	buf_block(&b, buf_get(&tbs));
	buf_u64(&b, (uint64_t)req->max_validity_s);
	buf_block(&b, span_str(req->request_id));
	buf_u64(&b, (uint64_t)req->approve_by);
	if (!buf_ok(&tbs) || !buf_ok(&b) ||
	    EVP_Q_digest(NULL, "SHA256", NULL, b.p, b.n, hash, NULL) != 1)
		return err_set(e, ERR_INTERNAL, "cannot hash the statement");
	return 0;
}

static const struct sign_approver *
find_approver(const struct sign_policy *p, const struct sign_class *class,
    const char *name)
{
	size_t i;

	for (i = 0; i < class->approvers.n; i++) {
		if (strcmp(class->approvers.s[i], name) == 0)
			break;
	}
	if (i == class->approvers.n)
		return NULL;
	for (i = 0; i < p->n_approvers; i++) {
		if (strcmp(p->approvers[i].name, name) == 0)
			return &p->approvers[i];
	}
	return NULL;
}

static bool
named_before(const struct sign_request *req, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++) {
		if (strcmp(req->approvals[j].approver,
			req->approvals[i].approver) == 0)
			return true;
	}
	return false;
}

int
sign_approve_check(const struct sign_policy *p, const struct sign_class *class,
    const struct sign_request *req, const uint8_t hash[SIGN_HASH_SIZE],
    int64_t now, struct err *e)
{
	const struct sign_approver *who;
	const struct sign_approval *ap;
	size_t i, good = 0;

	if (req->approve_by < now || req->approve_by > now + SIGN_APPROVE_MAX_S)
		return err_set(e, ERR_REFUSED,
		    "approvals: approve-by time has passed or is too far away");
	for (i = 0; i < req->n_approvals; i++) {
		ap = &req->approvals[i];
		who = find_approver(p, class, ap->approver);
		if (who == NULL || named_before(req, i))
			return err_set(e, ERR_REFUSED,
			    "approvals: \"%s\" may not approve, or twice",
			    ap->approver);
		if (sign_alg_verify(&who->alg, who->key,
			span_of(hash, SIGN_HASH_SIZE), ap->signature, e) != 0)
			return err_set(e, ERR_REFUSED,
			    "approvals: signature of \"%s\" is wrong",
			    ap->approver);
		good++;
	}
	if (good < class->approvals)
		return err_set(e, ERR_REFUSED, "approvals: %zu of %zu", good,
		    class->approvals);
	return 0;
}

static void
hex_name(const uint8_t hash[SIGN_HASH_SIZE], char out[2 * SIGN_HASH_SIZE + 1])
{
	size_t i;

	for (i = 0; i < SIGN_HASH_SIZE; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

/* The file is there already: fine if it was for the same TBS. */
static int
used_before(int dir, const char *name, const uint8_t tbs_hash[SIGN_HASH_SIZE],
    struct err *e)
{
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	uint8_t was[SIGN_HASH_SIZE] = { 0 };

	if (fd < 0 || read(fd, was, sizeof(was)) < 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot read approval \"%s\": %s", name, strerror(errno));
	if (memcmp(was, tbs_hash, sizeof(was)) != 0)
		return err_set(
		    e, ERR_REFUSED, "approvals: these have been used before");
	return 0;
}

int
sign_approve_use(const char *dir, const uint8_t statement[SIGN_HASH_SIZE],
    const uint8_t tbs_hash[SIGN_HASH_SIZE], struct err *e)
{
	AUTO_FD int dir_fd = -1, fd = -1;
	char name[2 * SIGN_HASH_SIZE + 1];

	hex_name(statement, name);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return err_set(e, ERR_UNAVAILABLE, "cannot make \"%s\": %s",
		    dir, strerror(errno));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot open \"%s\": %s",
		    dir, strerror(errno));
	fd =
	    openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return used_before(dir_fd, name, tbs_hash, e);
	if (fd < 0 || write(fd, tbs_hash, SIGN_HASH_SIZE) != SIGN_HASH_SIZE ||
	    fsync(fd) != 0 || fsync(dir_fd) != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot record approval \"%s\": %s", name, strerror(errno));
	return 0;
}
