#include <stdio.h>

#include "base/b64.h"
#include "base/file.h"
#include "ctl/csr_opts.h"
#include "ctl/ctl.h"

static int
print_issued(
    struct ctl *c, const struct csr_opts *o, const struct enroll_result *res)
{
	const char *pem = arena_printf(c->a, "%s%s",
	    pem_encode(c->a, "CERTIFICATE", res->cert),
	    o->chain ? res->issuer->chain_pem : "");
	struct err e;

	if (o->out != NULL &&
	    file_replace(o->out, span_str(pem), 0644, &e) == -1)
		return ctl_fail(c, &e);
	if (c->json)
		ctl_print_json(json_pack("{s:s, s:s, s:I, s:s, s:s}", "status",
		    "issued", "issuer", res->issuer->name, "id",
		    (json_int_t)res->cert_id, "serial",
		    hex_encode(c->a, res->serial), "certificate", pem));
	else if (o->out == NULL)
		(void)fputs(pem, stdout);
	else
		(void)printf("%s: certificate %s of issuer %s\n", o->out,
		    hex_encode(c->a, res->serial), res->issuer->name);
	return CTL_OK;
}

int
cmd_issue(struct ctl *c, int argc, char **argv)
{
	struct enroll_result res;
	struct csr_opts o;
	struct request req;
	struct err e;
	int rc;

	if (csr_opts_parse(c, argc, argv, &o) != CTL_OK || o.profile == NULL)
		return ctl_usage(
		    "issue -p profile [-i issuer] [--txn id] "
		    "[--san name] [--valid-for duration] [--chain] "
		    "[-o out.pem] request.csr");
	rc = ctl_engine(c);
	if (rc != CTL_OK)
		return rc;
	if (csr_opts_request(c, &o, &req, &e) == -1 ||
	    enroll_submit(c->ctx, &req, &res, &e) == -1)
		return ctl_fail(c, &e);
	if (res.status == ENROLL_ISSUED)
		return print_issued(c, &o, &res);
	if (c->json)
		ctl_print_json(json_pack(
		    "{s:s, s:s}", "status", "pending", "transaction", req.txn));
	else
		(void)printf(
		    "waits for an approval: transaction %s\n", req.txn);
	return CTL_OK;
}
