#include <stdlib.h>

#include "hsm/tosign.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	AUTO(arena_auto) a = arena_new();
	struct tosign_general_name *names;
	struct span der = span_of(p, n), *oids;
	struct tosign_access *ads;
	struct tosign_attr *attrs;
	struct tosign_spki spki;
	struct tosign_cert c;
	struct tosign_dp *dps;
	int64_t path_len;
	struct err e;
	uint32_t bits;
	size_t i, k;
	bool ca;

	if (tosign_cert_read(a, der, &c, &e) != 0 &&
	    tosign_cert_parse(a, der, &c, &e) == 0)
		abort(); /* what was accepted once can be read again */
	if (tosign_cert_parse(a, der, &c, &e) != 0)
		c.n_exts = 0;
	else if (tosign_name_parse(a, c.subject, &attrs, &k, &e) == 0 &&
		 tosign_spki_parse(c.spki, &spki, &e) == 0)
		(void)tosign_oid_text(a, spki.alg_oid);
	for (i = 0; i <= c.n_exts; i++) {
		if (i < c.n_exts)
			der = c.exts[i].value;
		if (tosign_general_names_parse(a, der, &names, &k, &e) +
			tosign_eku_parse(a, der, &oids, &k, &e) +
			tosign_key_usage_parse(der, &bits, &e) +
			tosign_basic_constraints_parse(
			    der, &ca, &path_len, &e) +
			tosign_aia_parse(a, der, &ads, &k, &e) +
			tosign_crldp_parse(a, der, &dps, &k, &e) ==
		    0)
			abort(); /* no value is all of these */
	}
	return 0;
}
