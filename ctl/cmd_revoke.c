#include <getopt.h>
#include <stdio.h>

#include "base/b64.h"
#include "ca/revoke.h"
#include "ctl/ctl.h"
#include "ctl/find.h"

int
cmd_revoke(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "reason", required_argument, NULL, 'r' },
		{ "issuer", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	const struct request_evidence who = { .kind = EVIDENCE_OPERATOR,
		.name = c->user };
	struct revoke_request req = { .evidence = &who,
		.protocol = "cli",
		.reason = REVOKE_REASON_NONE };
	const char *issuer = NULL;
	struct store_cert row;
	struct err e;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "r:i:", options, NULL)) != -1) {
		if (opt == 'r')
			req.reason = revoke_reason_named(optarg);
		else if (opt == 'i')
			issuer = optarg;
		else if (opt == 'j')
			c->json = true;
		else
			return CTL_USAGE;
	}
	if (optind + 1 != argc || req.reason == -2)
		return ctl_usage("revoke [-r reason] [-i issuer] "
				 "serial|id|fingerprint|file.pem");
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (find_cert(c, argv[optind], issuer, &row, &e) == -1)
		return ctl_fail(c, &e);
	req.issuer = issuer_by_id(c->ctx->issuers, row.issuer);
	req.serial = row.serial;
	if (req.issuer == NULL)
		(void)err_set(&e, ERR_NOT_FOUND,
		    "the certificate's issuer is not configured");
	else if (revoke_submit(c->ctx, &req, &e) == 0)
		e.kind = ERR_NONE;
	/* the same act twice is no error for the operator */
	if (e.kind != ERR_NONE && e.kind != ERR_CONFLICT)
		return ctl_fail(c, &e);
	if (c->json)
		ctl_print_json(json_pack("{s:s, s:s, s:b}", "serial",
		    hex_encode(c->a, row.serial), "issuer", row.issuer_name,
		    "already", e.kind == ERR_CONFLICT));
	else
		(void)printf("%s of issuer %s %s\n",
		    hex_encode(c->a, row.serial), row.issuer_name,
		    e.kind == ERR_CONFLICT ? "was revoked before"
					   : "is revoked");
	return CTL_OK;
}
