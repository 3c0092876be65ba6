#include <netdb.h>

#include <string.h>

#include "db/db_int.h"

typedef struct addrinfo addrinfo_auto;
AUTO_DEFINE(addrinfo_auto, freeaddrinfo);
AUTO_DEFINE(PQconninfoOption, PQconninfoFree);

/* Lists of a connection string: "host" and "hostaddr" go side by side. */
struct lists {
	char *host, *hostaddr;
};

struct found {
	struct arena *a;
	const char **v;
	size_t n, room;
};

static void
add(struct found *f, const char *address)
{
	const char **v;

	if (f->n == f->room) {
		f->room = f->room * 2 + 8;
		v = arena_array(f->a, f->room, sizeof(*v));
		if (f->n > 0)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
	}
	f->v[f->n++] = arena_strdup(f->a, address);
}

/* A name, or an address in any form that the resolver reads. */
static int
add_host(struct found *f, const char *host, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char text[NI_MAXHOST], *scope;
	struct addrinfo *all = NULL, *p;
	int rc = getaddrinfo(host, NULL, &hints, &all);
	AUTO(addrinfo_auto) owner = all;

	if (rc != 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot find the database's host \"%s\": %s", host,
		    gai_strerror(rc));
	for (p = owner; p != NULL; p = p->ai_next) {
		if (getnameinfo(p->ai_addr, p->ai_addrlen, text, sizeof(text),
			NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		scope = strchr(text, '%');
		if (scope != NULL)
			*scope = '\0';
		add(f, text);
	}
	return 0;
}

/* Cuts the next item off a list with commas; NULL when there is none. */
static char *
next(char **list)
{
	return *list == NULL ? NULL : strsep(list, ",");
}

static bool
is_given(const char *item)
{
	return item != NULL && item[0] != '\0';
}

static int
add_all(struct found *f, struct lists l, struct err *e)
{
	char *host, *hostaddr;

	while (l.host != NULL || l.hostaddr != NULL) {
		host = next(&l.host);
		hostaddr = next(&l.hostaddr);
		if (is_given(hostaddr))
			host = hostaddr;
		/* a path, or '@' and a name: a socket on this machine */
		if (!is_given(host) || host[0] == '/' || host[0] == '@')
			continue;
		if (add_host(f, host, e) == -1)
			return -1;
	}
	return 0;
}

int
db_hosts(const char *conninfo, struct arena *a, const char *const **out,
    size_t *n, struct err *e)
{
	char *why = NULL;
	AUTO(PQconninfoOption) options = PQconninfoParse(conninfo, &why);
	PQconninfoOption *o;
	struct found f = { .a = a };
	struct lists l = { NULL, NULL };

	if (options == NULL) {
		(void)err_set(e, ERR_MALFORMED, "database: %s",
		    why == NULL ? "out of memory" : why);
		PQfreemem(why);
		return -1;
	}
	for (o = options; o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (strcmp(o->keyword, "host") == 0)
			l.host = arena_strdup(a, o->val);
		if (strcmp(o->keyword, "hostaddr") == 0)
			l.hostaddr = arena_strdup(a, o->val);
	}
	if (add_all(&f, l, e) == -1)
		return -1;
	*out = f.v;
	*n = f.n;
	return 0;
}
