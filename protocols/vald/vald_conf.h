/*
 * The "vald" section of chancery.yaml.  The schema's fields are a part of the
 * whole file's schema; vald_conf_check adds what a schema cannot say.
 */
#ifndef PROTOCOLS_VALD_VALD_CONF_H
#define PROTOCOLS_VALD_VALD_CONF_H

#include <stdint.h>

#include <cyaml/cyaml.h>

#include "base/conf.h"
#include "base/err.h"

struct vald_name {
	char *suffix, *address;
};

/* What is absent in the file is 0 or NULL until vald_conf_check. */
struct vald_conf {
	char **allow; /* private networks that may be asked */
	uint32_t allow_count;
	char **deny; /* networks of our database, HSM and management */
	uint32_t deny_count;
	uint16_t http_port;      /* http-01; 80 */
	uint16_t tls_port;       /* redirects to https; 443 */
	struct vald_name *names; /* answered without DNS */
	uint32_t names_count;
	char *dns_server;  /* "address" or "address@port"; NULL: resolv.conf */
	char *timeout;     /* of a connection, as a duration; "10s" */
	uint32_t workers;  /* validations at the same time; 8 */
	uint32_t attempts; /* of a host that does not answer; 3 */
	int64_t timeout_s; /* made from 'timeout' */
};

/* Fields of a mapping that fills in a struct vald_conf; all are optional. */
extern const struct cyaml_schema_field vald_conf_fields[];

/*
 * Fills in defaults and checks ranges, networks and addresses.  MALFORMED
 * names the line; 'path' is where the section stands, such as "vald".
 */
int vald_conf_check(const struct conf *file, const char *path,
    struct vald_conf *c, struct err *e) MUST_USE;

#endif
