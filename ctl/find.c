#include "ctl/find.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/sha256.h"
#include "ca/keyhash.h"
#include "ca/revoke.h"

#define FILE_MAX ((size_t)256 * 1024)

static int
by_file(struct ctl *c, const char *path, struct store_cert *out, struct err *e)
{
	uint8_t fingerprint[SHA256_SIZE];
	struct span text, der;

	if (file_read(c->a, path, FILE_MAX, &text, e) == -1)
		return -1;
	if (pem_decode(c->a, "CERTIFICATE", text, &der, e) == -1)
		return err_prefix(e, "\"%s\"", path);
	sha256(der, fingerprint);
	return store_cert_by_fingerprint(c->ctx->db, c->a, fingerprint, out, e);
}

static int
by_serial(struct ctl *c, struct span serial, const char *issuer,
    struct store_cert *out, struct err *e)
{
	struct store_cert_query q = { .issuer_name = issuer,
		.serial = serial,
		.revoked = -1,
		.limit = 2 };
	struct store_cert *list;
	size_t n;

	if (store_cert_list(c->ctx->db, c->a, &q, &list, &n, e) == -1)
		return -1;
	if (n == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no such certificate");
	if (n > 1)
		return err_set(e, ERR_CONFLICT,
		    "several issuers have this serial: name one with -i");
	*out = list[0];
	return 0;
}

/* The text without colons and a leading 0x. */
static const char *
plain_hex(struct ctl *c, const char *what)
{
	char *hex = arena_alloc(c->a, strlen(what) + 1), *p = hex;

	if (strncmp(what, "0x", 2) == 0)
		what += 2;
	for (; *what != '\0'; what++) {
		if (*what != ':')
			*p++ = *what;
	}
	return hex;
}

int
find_cert(struct ctl *c, const char *what, const char *issuer,
    struct store_cert *out, struct err *e)
{
	const char *hex = plain_hex(c, what);
	struct span bytes;

	if (access(what, F_OK) == 0)
		return by_file(c, what, out, e);
	if (strspn(what, "0123456789") == strlen(what) && strlen(what) < 20)
		return store_cert_get(
		    c->ctx->db, c->a, strtoll(what, NULL, 10), out, e);
	if (hex_decode(c->a, span_str(hex), &bytes, e) == -1 || bytes.n == 0)
		return err_set(e, ERR_NOT_FOUND,
		    "\"%.200s\" is no file, serial, id or fingerprint", what);
	if (bytes.n == SHA256_SIZE)
		return store_cert_by_fingerprint(
		    c->ctx->db, c->a, bytes.p, out, e);
	return by_serial(c, bytes, issuer, out, e);
}

int
find_key(struct ctl *c, const char *what, struct span *hash, struct err *e)
{
	uint8_t *sum = arena_alloc(c->a, KEYHASH_SIZE);
	struct span text;

	if (access(what, F_OK) != 0) {
		if (hex_decode(c->a, span_str(plain_hex(c, what)), hash, e) ==
			0 &&
		    hash->n == KEYHASH_SIZE)
			return 0;
		return err_set(e, ERR_NOT_FOUND,
		    "\"%.200s\" is no file and no SHA-256 of a key", what);
	}
	if (file_read(c->a, what, FILE_MAX, &text, e) == -1)
		return -1;
	if (keyhash_pem(c->a, text, sum, e) == -1)
		return err_prefix(e, "\"%s\"", what);
	*hash = span_of(sum, KEYHASH_SIZE);
	return 0;
}

static json_t *
time_json(int64_t t)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(t, text);
	return json_string(text);
}

json_t *
find_json(struct ctl *c, const struct store_cert *row)
{
	json_t *names = json_array(), *v;
	size_t i;

	for (i = 0; i < row->n_names; i++)
		(void)json_array_append_new(
		    names, json_string(row->names[i].text));
	v = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, "
		      "s:o, s:o, s:b}",
	    "id", (json_int_t)row->id, "issuer", row->issuer_name, "serial",
	    hex_encode(c->a, row->serial), "fingerprint",
	    hex_encode(c->a, span_of(row->fingerprint, STORE_HASH_SIZE)),
	    "subject", row->subject, "profile", row->profile, "protocol",
	    row->protocol, "principal", row->principal, "names", names,
	    "notBefore", time_json(row->not_before), "notAfter",
	    time_json(row->not_after), "issuedAt", time_json(row->issued_at),
	    "revoked", (int)row->revoked);
	if (row->revoked) {
		(void)json_object_set_new(
		    v, "revokedAt", time_json(row->revoked_at));
		(void)json_object_set_new(
		    v, "reason", json_string(revoke_reason_name(row->reason)));
		if (row->invalidity_at != 0)
			(void)json_object_set_new(
			    v, "invalidityDate", time_json(row->invalidity_at));
	}
	if (row->der.n > 0)
		(void)json_object_set_new(v, "certificate",
		    json_string(pem_encode(c->a, "CERTIFICATE", row->der)));
	return v;
}
