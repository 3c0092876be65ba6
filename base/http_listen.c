#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/http_int.h"

typedef struct addrinfo addrinfo_auto;
AUTO_DEFINE(addrinfo_auto, freeaddrinfo);

static int
resolve(const struct http_listener *l, struct addrinfo **out, struct err *e)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
					      AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	char port[8];
	int rc;

	(void)snprintf(port, sizeof(port), "%u", (unsigned)l->port);
	rc = getaddrinfo(l->address, port, &hints, out);
	if (rc != 0)
		return err_set(e, ERR_MALFORMED, "cannot listen on \"%s\": %s",
		    l->address, gai_strerror(rc));
	return 0;
}

static int
bound_port(int fd, uint16_t *port, struct err *e)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u = { 0 };
	socklen_t n = sizeof(u);

	if (getsockname(fd, &u.sa, &n) != 0)
		return err_set(
		    e, ERR_INTERNAL, "getsockname: %s", strerror(errno));
	*port =
	    ntohs(u.sa.sa_family == AF_INET6 ? u.in6.sin6_port : u.in.sin_port);
	return 0;
}

int
http_listen(
    const struct http_listener *l, int *fd, uint16_t *port, struct err *e)
{
	AUTO(addrinfo_auto) ai = NULL;
	AUTO_FD int s = -1;
	int on = 1, off = 0;

	if (resolve(l, &ai, e) != 0)
		return -1;
	s = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot listen on %s port %u: %s", l->address,
		    (unsigned)l->port, strerror(errno));
	(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(
		    s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(s, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(s, SOMAXCONN) != 0)
		return err_set(e,
		    errno == EADDRINUSE ? ERR_CONFLICT : ERR_UNAVAILABLE,
		    "cannot listen on %s port %u: %s", l->address,
		    (unsigned)l->port, strerror(errno));
	if (bound_port(s, port, e) != 0)
		return -1;
	*fd = s;
	s = -1; /* ownership moves to the caller */
	return 0;
}

const char *
http_address_text(struct arena *a, const struct sockaddr *sa)
{
	static const char mapped[] = "::ffff:";
	char text[64];
	socklen_t n = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						: sizeof(struct sockaddr_in);

	if (getnameinfo(sa, n, text, sizeof(text), NULL, 0, NI_NUMERICHOST) !=
	    0)
		return "";
	if (strncmp(text, mapped, sizeof(mapped) - 1) == 0 &&
	    strchr(text, '.') != NULL)
		return arena_strdup(a, text + sizeof(mapped) - 1);
	return arena_strdup(a, text);
}
