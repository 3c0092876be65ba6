#include "ocsp/static.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"

#define PATH_SIZE 1024
#define MAX_AGE_S 60
#define ETAG_SIZE 72
#define RANGE_SIZE 96

/* Something to serve: a file, or bytes in memory (fd is -1). */
struct thing {
	int fd;
	struct span bytes;
	uint64_t size;
	int64_t modified;
	char etag[ETAG_SIZE];
};

struct held {
	char *path;
	struct thing thing;
	struct held *next;
};

struct statics {
	char *dir;
	struct held *held;
	int64_t started;
};

/* A part of it; 'partial' says that it is not all. */
struct range {
	uint64_t from, size;
	bool partial;
};

static const struct {
	const char *suffix, *type;
} types[] = {
	{ ".crl", "application/pkix-crl" },
	{ ".cer", "application/pkix-cert" },
	{ ".crt", "application/pkix-cert" },
	{ ".der", "application/pkix-cert" },
	{ ".p7c", "application/pkcs7-mime" },
	{ ".pem", "application/x-pem-file" },
};

struct statics *
statics_new(const char *dir)
{
	struct statics *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->dir = strdup(dir)) == NULL)
		abort();
	s->started = clock_now();
	return s;
}

void
statics_free(struct statics *s)
{
	struct held *h;

	if (s == NULL)
		return;
	while ((h = s->held) != NULL) {
		s->held = h->next;
		free(h->path);
		free((void *)(uintptr_t)h->thing.bytes.p);
		free(h);
	}
	free(s->dir);
	free(s);
}

static struct held *
find_held(const struct statics *s, const char *path)
{
	struct held *h;

	for (h = s->held; h != NULL; h = h->next) {
		if (strcmp(h->path, path) == 0)
			return h;
	}
	return NULL;
}

void
statics_add(struct statics *s, const char *path, struct span bytes)
{
	uint8_t hash[32];
	struct held *h;
	uint8_t *copy;
	size_t i;

	if (find_held(s, path) != NULL)
		return;
	h = calloc(1, sizeof(*h));
	copy = malloc(bytes.n + 1);
	if (h == NULL || copy == NULL || (h->path = strdup(path)) == NULL ||
	    EVP_Digest(bytes.p, bytes.n, hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	memcpy(copy, bytes.p, bytes.n);
	h->thing = (struct thing){ .fd = -1,
		.bytes = span_of(copy, bytes.n),
		.size = bytes.n,
		.modified = s->started };
	h->thing.etag[0] = '"';
	for (i = 0; i < sizeof(hash); i++)
		(void)snprintf(h->thing.etag + 1 + 2 * i, 3, "%02x", hash[i]);
	h->thing.etag[65] = '"';
	h->next = s->held;
	s->held = h;
}

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool
statics_path_ok(const char *path)
{
	const char *p;

	if (path[0] != '/' || strlen(path) >= PATH_SIZE / 2)
		return false;
	for (p = path; *p != '\0'; p++) {
		if (*p == '/' ? p[1] == '/' || p[1] == '.' || p[1] == '\0'
			      : !is_plain(*p))
			return false;
	}
	return true;
}

static int
open_file(const struct statics *s, const char *path, struct thing *out)
{
	char name[PATH_SIZE];
	struct stat st;
	int n = snprintf(name, sizeof(name), "%s%s", s->dir, path);

	if (n < 0 || (size_t)n >= sizeof(name) || !statics_path_ok(path))
		return -1;
	out->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (out->fd == -1)
		return -1;
	if (fstat(out->fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		(void)close(out->fd);
		return -1;
	}
	out->size = (uint64_t)st.st_size;
	out->modified = st.st_mtim.tv_sec;
	/* files are replaced, never changed: another one has another time */
	(void)snprintf(out->etag, sizeof(out->etag), "\"%" PRIx64 "-%lx%08lx\"",
	    out->size, (unsigned long)st.st_mtim.tv_sec,
	    (unsigned long)st.st_mtim.tv_nsec);
	return 0;
}

static const char *
type_of(const char *path)
{
	size_t n = strlen(path), i, k;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		k = strlen(types[i].suffix);
		if (n > k && strcmp(path + n - k, types[i].suffix) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

static bool
is_unchanged(const struct http_now *now, const struct thing *t)
{
	const char *tags = http_now_field(now, "If-None-Match");
	const char *since = http_now_field(now, "If-Modified-Since");
	int64_t at;

	if (tags != NULL)
		return http_etag_listed(tags, t->etag);
	if (since == NULL)
		return false;
	at = http_date_parse(since);
	return at >= 0 && t->modified <= at;
}

/* Digits of a range; UINT64_MAX when there are none or too many. */
static uint64_t
take_number(const char **p)
{
	const char *start = *p;
	uint64_t v = 0;

	while (**p >= '0' && **p <= '9' && *p - start < 18)
		v = v * 10 + (uint64_t)(*(*p)++ - '0');
	return *p == start ? UINT64_MAX : v;
}

/*
 * One range of octets (RFC 9110 14.1.2).  False: it lies behind the end.
 * What is not understood is as if it were not there.
 */
static bool
read_range(const char *text, uint64_t size, struct range *out)
{
	const char *p = text + 6;
	uint64_t first, last;

	if (strncmp(text, "bytes=", 6) != 0)
		return true;
	first = take_number(&p);
	if (*p++ != '-')
		return true;
	last = take_number(&p);
	if (*p != '\0' || (first == UINT64_MAX && last == UINT64_MAX) ||
	    (first != UINT64_MAX && first > last))
		return true;
	if (first == UINT64_MAX) {
		first = last >= size ? 0 : size - last;
		if (last == 0)
			return false;
		last = UINT64_MAX;
	}
	if (first >= size)
		return false;
	if (last >= size)
		last = size - 1;
	*out = (struct range){ first, last - first + 1, true };
	return true;
}

/* If-Range: the range counts only for what the client has the rest of. */
static bool
range_counts(const struct http_now *now, const struct thing *t)
{
	const char *cond = http_now_field(now, "If-Range");

	if (cond == NULL)
		return true;
	return cond[0] == '"' ? strcmp(cond, t->etag) == 0
			      : http_date_parse(cond) == t->modified;
}

/* Gives the file away. */
static void
send_thing(const struct http_now_request *req, struct thing *t,
    const struct http_reply *reply, const struct range *r)
{
	struct http_reply with_body = *reply;
	struct http_ready *ready;
	struct err e;
	int rc;

	if (t->fd >= 0 && r->size > 0) {
		rc =
		    http_ready_file(reply, t->fd, r->from, r->size, &ready, &e);
	} else {
		if (t->fd >= 0)
			(void)close(t->fd);
		else
			with_body.body = span_of(t->bytes.p + r->from, r->size);
		rc = http_ready_new(&with_body, &ready, &e);
	}
	if (rc == -1)
		return;
	http_now_send(req->now, ready);
	http_ready_free(ready);
}

static void
serve(const struct http_now_request *req, struct thing *t)
{
	const char *range = http_now_field(req->now, "Range");
	struct http_reply reply = { .status = 200,
		.content_type = type_of(req->path) };
	struct range r = { 0, t->size, false };
	char modified[HTTP_DATE_SIZE], age[64], where[RANGE_SIZE];

	http_date(t->modified, modified);
	(void)snprintf(
	    age, sizeof(age), "max-age=%d, public, no-transform", MAX_AGE_S);
	http_header_add(&reply, "ETag", t->etag);
	http_header_add(&reply, "Last-Modified", modified);
	http_header_add(&reply, "Cache-Control", age);
	http_header_add(&reply, "Accept-Ranges", "bytes");
	if (is_unchanged(req->now, t)) {
		/* the library leaves the body out, but tells its length */
		reply.status = 304;
		reply.content_type = NULL;
	} else if (range != NULL && strcmp(req->method, "GET") == 0 &&
		   range_counts(req->now, t) &&
		   !read_range(range, t->size, &r)) {
		reply.status = 416;
		(void)snprintf(
		    where, sizeof(where), "bytes */%" PRIu64, t->size);
		http_header_add(&reply, "Content-Range", where);
		r.size = 0;
	} else if (r.partial) {
		reply.status = 206;
		(void)snprintf(where, sizeof(where),
		    "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, r.from,
		    r.from + r.size - 1, t->size);
		http_header_add(&reply, "Content-Range", where);
	}
	send_thing(req, t, &reply, &r);
}

bool
statics_serve(const struct statics *s, const struct http_now_request *req)
{
	const struct held *h = find_held(s, req->path);
	struct thing t;

	if (h != NULL)
		t = h->thing;
	else if (open_file(s, req->path, &t) == -1)
		return false;
	serve(req, &t);
	return true;
}
