#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"
#include "ca/revoke.h"
#include "ctl/ctl.h"
#include "ctl/find.h"
#include "db/store_audit.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000

static void
print_time(const char *label, int64_t t)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(t, text);
	(void)printf("%-12s %s\n", label, text);
}

static void
print_cert(struct ctl *c, const struct store_cert *row)
{
	size_t i;

	(void)printf("id           %lld\nissuer       %s\nserial       %s\n"
		     "fingerprint  %s\nsubject      %s\n",
	    (long long)row->id, row->issuer_name, hex_encode(c->a, row->serial),
	    hex_encode(c->a, span_of(row->fingerprint, STORE_HASH_SIZE)),
	    row->subject);
	for (i = 0; i < row->n_names; i++)
		(void)printf("name         %s\n", row->names[i].text);
	(void)printf("profile      %s\nprotocol     %s\nprincipal    %s\n",
	    row->profile, row->protocol, row->principal);
	print_time("not before", row->not_before);
	print_time("not after", row->not_after);
	print_time("issued", row->issued_at);
	(void)printf("signature    slot %u, record %llu\n", row->sign_slot,
	    (unsigned long long)row->sign_seq);
	if (row->revoked) {
		print_time("revoked", row->revoked_at);
		(void)printf(
		    "reason       %s\n", revoke_reason_name(row->reason));
		if (row->invalidity_at != 0)
			print_time("invalid from", row->invalidity_at);
	} else {
		(void)printf("status       %s\n",
		    row->not_after < clock_now() ? "expired" : "good");
	}
}

static json_t *
history_json(const struct audit_row *rows, size_t n)
{
	json_t *list = json_array();
	char at[CLOCK_RFC3339_SIZE];
	size_t i;

	for (i = 0; i < n; i++) {
		clock_rfc3339(rows[i].at_us / 1000000, at);
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s, s:i, s:I, s:s%}", "at", at,
			      "kind", rows[i].kind, "actor", rows[i].actor,
			      "writer", (int)rows[i].writer, "sequence",
			      (json_int_t)rows[i].seq, "leaf",
			      (const char *)rows[i].leaf.p, rows[i].leaf.n));
	}
	return list;
}

static void
print_history(const struct audit_row *rows, size_t n)
{
	char at[CLOCK_RFC3339_SIZE];
	size_t i;

	(void)printf("history\n");
	for (i = 0; i < n; i++) {
		clock_rfc3339(rows[i].at_us / 1000000, at);
		(void)printf("  %s  %-8s by %s (%u/%llu)\n", at, rows[i].kind,
		    rows[i].actor, rows[i].writer,
		    (unsigned long long)rows[i].seq);
	}
}

int
cmd_show(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "issuer", required_argument, NULL, 'i' },
		{ "pem", no_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	const char *issuer = NULL;
	struct store_cert row;
	struct audit_row *audit;
	bool pem = false;
	struct err e;
	json_t *v;
	size_t n;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "i:", options, NULL)) != -1) {
		if (opt == 'i')
			issuer = optarg;
		else if (opt == 'p')
			pem = true;
		else if (opt == 'j')
			c->json = true;
		else
			return CTL_USAGE;
	}
	if (optind + 1 != argc)
		return ctl_usage(
		    "show [-i issuer] [--pem] serial|id|fingerprint|file.pem");
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (find_cert(c, argv[optind], issuer, &row, &e) == -1 ||
	    store_cert_names(c->ctx->db, c->a, &row, &e) == -1 ||
	    store_audit_of_cert(c->ctx->db, c->a, row.id, &audit, &n, &e) == -1)
		return ctl_fail(c, &e);
	if (pem) {
		(void)fputs(pem_encode(c->a, "CERTIFICATE", row.der), stdout);
	} else if (c->json) {
		v = find_json(c, &row);
		(void)json_object_set_new(v, "history", history_json(audit, n));
		ctl_print_json(v);
	} else {
		print_cert(c, &row);
		print_history(audit, n);
	}
	return CTL_OK;
}

static bool
list_option(struct store_cert_query *q, int opt, const char *value)
{
	char *end;
	long n;

	switch (opt) {
	case 'i':
		q->issuer_name = value;
		return true;
	case 'p':
		q->profile = value;
		return true;
	case 'n':
		q->name = value;
		return true;
	case 'P':
		q->principal = value;
		return true;
	case 'r':
		q->revoked = 1;
		return true;
	case 'g':
		q->revoked = 0;
		return true;
	case 'e':
		n = strtol(value, &end, 10);
		q->expires_after = clock_now();
		q->expires_before = clock_now() + n * 86400;
		return *end == '\0' && n > 0 && n < 100000;
	case 'l':
		n = strtol(value, &end, 10);
		q->limit = (size_t)n;
		return *end == '\0' && n > 0 && n <= LIST_MAX;
	case 'b':
		q->before_id = strtoll(value, &end, 10);
		return *end == '\0' && q->before_id > 0;
	default:
		return false;
	}
}

static void
print_row(struct ctl *c, const struct store_cert *row)
{
	char until[CLOCK_RFC3339_SIZE];

	clock_rfc3339(row->not_after, until);
	(void)printf("%s  %-8s %-12s %s  %s  %s\n",
	    hex_encode(c->a, row->serial), row->issuer_name, row->profile,
	    until, row->revoked ? "revoked" : "good   ",
	    row->subject[0] == '\0' && row->n_names > 0 ? row->names[0].text
							: row->subject);
}

int
cmd_list(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "issuer", required_argument, NULL, 'i' },
		{ "profile", required_argument, NULL, 'p' },
		{ "name", required_argument, NULL, 'n' },
		{ "principal", required_argument, NULL, 'P' },
		{ "revoked", no_argument, NULL, 'r' },
		{ "good", no_argument, NULL, 'g' },
		{ "expires-within", required_argument, NULL, 'e' },
		{ "limit", required_argument, NULL, 'l' },
		{ "before", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct store_cert_query q = { .revoked = -1, .limit = LIST_DEFAULT };
	struct store_cert *rows;
	struct err e;
	size_t n, i;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "i:p:n:", options, NULL)) != -1) {
		if (opt == 'j')
			c->json = true;
		else if (!list_option(&q, opt, optarg))
			return ctl_usage("list [--issuer name] [--profile "
					 "name] [--name dns|*.suffix] "
					 "[--principal who] [--revoked|--good] "
					 "[--expires-within days] [--limit n] "
					 "[--before id]");
	}
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (store_cert_list(c->ctx->db, c->a, &q, &rows, &n, &e) == -1)
		return ctl_fail(c, &e);
	for (i = 0; i < n; i++) {
		if (c->json)
			ctl_print_json(find_json(c, &rows[i]));
		else
			print_row(c, &rows[i]);
	}
	return CTL_OK;
}
