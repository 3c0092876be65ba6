#include "ocsp/setup.h"

#include <string.h>

#include "base/b64.h"
#include "base/der.h"
#include "base/file.h"

#define CERT_FILE_MAX ((size_t)64 * 1024)

static int
read_cert(struct arena *a, const struct settings_issuer *i, struct span *out,
    struct err *e)
{
	struct span text;

	if (file_read(a, i->certificate, CERT_FILE_MAX, &text, e) == -1 ||
	    pem_decode(a, "CERTIFICATE", text, out, e) == -1)
		return err_prefix(e, "issuer \"%s\"", i->name);
	return 0;
}

int
setup_authorities(struct arena *a, const struct settings *s,
    struct authority **out, size_t *n, struct err *e)
{
	const struct settings_issuer *in;
	struct span der;
	unsigned i;

	*n = 0;
	*out = arena_array(a, s->issuers_count, sizeof(**out));
	for (i = 0; i < s->issuers_count; i++) {
		in = &s->issuers[i];
		if (in->ocsp_urls_count == 0)
			continue;
		if (read_cert(a, in, &der, e) == -1 ||
		    authority_init(a, in->name, der, &(*out)[*n], e) == -1)
			return -1;
		(*n)++;
	}
	return 0;
}

/* The path of an absolute URL, "" when it has none. */
static const char *
path_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p == NULL ? url : p + 3;
	return p + strcspn(p, "/");
}

static void
add_prefix(const char **list, size_t *n, char *path)
{
	size_t len = strlen(path), i;

	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	for (i = 0; i < *n; i++) {
		if (strcmp(list[i], path) == 0)
			return;
	}
	list[(*n)++] = path;
}

/* Longer ones first: "" is a prefix of all. */
static void
sort(const char **list, size_t n)
{
	const char *x;
	size_t i, j;

	for (i = 1; i < n; i++) {
		x = list[i];
		for (j = i; j > 0 && strlen(list[j - 1]) < strlen(x); j--)
			list[j] = list[j - 1];
		list[j] = x;
	}
}

void
setup_prefixes(struct arena *a, const struct settings *s,
    const char *const **out, size_t *n)
{
	const char **list;
	size_t max = 1;
	unsigned i, k;

	for (i = 0; i < s->issuers_count; i++)
		max += s->issuers[i].ocsp_urls_count;
	list = arena_array(a, max, sizeof(*list));
	*n = 0;
	add_prefix(list, n, arena_strdup(a, "/ocsp"));
	for (i = 0; i < s->issuers_count; i++) {
		for (k = 0; k < s->issuers[i].ocsp_urls_count; k++)
			add_prefix(list, n,
			    arena_strdup(
				a, path_of(s->issuers[i].ocsp_urls[k])));
	}
	sort(list, *n);
	*out = list;
}

void
setup_p7c(struct buf *b, struct span cert)
{
	size_t info = der_begin(b, DER_SEQUENCE), outer, data, content, certs;

	der_oid(b, "1.2.840.113549.1.7.2");
	outer = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	data = der_begin(b, DER_SEQUENCE);
	der_int(b, 1);
	der_put(b, DER_SET, span_of(NULL, 0));
	content = der_begin(b, DER_SEQUENCE);
	der_oid(b, "1.2.840.113549.1.7.1");
	der_end(b, content);
	certs = der_begin(b, DER_CONTEXT_CONSTRUCTED(0));
	buf_span(b, cert);
	der_end(b, certs);
	der_put(b, DER_SET, span_of(NULL, 0));
	der_end(b, data);
	der_end(b, outer);
	der_end(b, info);
}

static void
add_certificate(struct statics *statics, const char *path, struct span cert)
{
	AUTO_BUF(b, 2 * CERT_FILE_MAX);
	size_t n = strlen(path);

	if (n > 4 && strcmp(path + n - 4, ".p7c") == 0) {
		setup_p7c(&b, cert);
		cert = buf_get(&b);
	}
	if (buf_ok(&b))
		statics_add(statics, path, cert);
}

int
setup_certificates(
    struct statics *statics, const struct settings *s, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const struct settings_issuer *in;
	struct span der;
	unsigned i, k;

	for (i = 0; i < s->issuers_count; i++) {
		in = &s->issuers[i];
		if (read_cert(a, in, &der, e) == -1)
			return -1;
		for (k = 0; k < in->ca_issuers_urls_count; k++)
			add_certificate(
			    statics, path_of(in->ca_issuers_urls[k]), der);
	}
	return 0;
}
