#include "ctl/csr_opts.h"

#include <getopt.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/file.h"
#include "ca/csr.h"

#define VALID_MAX_S ((int64_t)36500 * 86400)

static bool
set_option(struct csr_opts *o, int opt, const char *value)
{
	struct err ignored;

	switch (opt) {
	case 'p':
		o->profile = value;
		return true;
	case 'i':
		o->issuer = value;
		return true;
	case 't':
		o->txn = value;
		return true;
	case 'o':
		o->out = value;
		return true;
	case 'C':
		o->chain = true;
		return true;
	case 's':
		if (o->n_sans == CSR_OPTS_SANS_MAX)
			return false;
		o->sans[o->n_sans++] = value;
		return true;
	case 'd':
		return conf_duration(value, 1, VALID_MAX_S, &o->valid_for_s,
			   &ignored) == 0;
	default:
		return false;
	}
}

int
csr_opts_parse(struct ctl *c, int argc, char **argv, struct csr_opts *out)
{
	static const struct option options[] = {
		{ "profile", required_argument, NULL, 'p' },
		{ "issuer", required_argument, NULL, 'i' },
		{ "txn", required_argument, NULL, 't' },
		{ "out", required_argument, NULL, 'o' },
		{ "san", required_argument, NULL, 's' },
		{ "valid-for", required_argument, NULL, 'd' },
		{ "chain", no_argument, NULL, 'C' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	*out = (struct csr_opts){ 0 };
	while ((opt = getopt_long(argc, argv, "p:i:t:o:s:d:", options, NULL)) !=
	       -1) {
		if (opt == 'j')
			c->json = true;
		else if (!set_option(out, opt, optarg))
			return CTL_USAGE;
	}
	if (optind + 1 != argc)
		return CTL_USAGE;
	out->file = argv[optind];
	return CTL_OK;
}

static int
add_sans(struct ctl *c, const struct csr_opts *o, struct request_want *w,
    struct err *e)
{
	struct request_san *all =
	    arena_array(c->a, w->n_sans + o->n_sans, sizeof(*all));
	size_t i;

	if (w->n_sans > 0)
		memcpy(all, w->sans, w->n_sans * sizeof(*all));
	for (i = 0; i < o->n_sans; i++) {
		if (request_san_parse(
			c->a, o->sans[i], &all[w->n_sans + i], e) == -1)
			return -1;
	}
	w->sans = all;
	w->n_sans += o->n_sans;
	request_sans_dedup(w);
	return 0;
}

int
csr_opts_request(
    struct ctl *c, const struct csr_opts *o, struct request *out, struct err *e)
{
	struct span bytes;
	uint8_t raw[16];

	*out = (struct request){ .protocol = "cli",
		.txn = o->txn,
		.profile = o->profile,
		.issuer = o->issuer,
		.evidence = { .kind = EVIDENCE_OPERATOR, .name = c->user } };
	if (file_read(c->a, o->file, 2 * CSR_MAX, &bytes, e) == -1)
		return -1;
	if (csr_parse_any(c->a, bytes, &out->want, e) == -1)
		return err_prefix(e, "\"%s\"", o->file);
	if (add_sans(c, o, &out->want, e) == -1)
		return -1;
	if (o->valid_for_s > 0)
		out->want.not_after = clock_now() + o->valid_for_s - 1;
	if (out->txn == NULL) {
		if (RAND_bytes(raw, sizeof(raw)) != 1)
			return err_set(e, ERR_INTERNAL, "no random bytes");
		out->txn = hex_encode(c->a, span_of(raw, sizeof(raw)));
	}
	return 0;
}
