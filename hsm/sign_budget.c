#include "hsm/sign_budget.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/b64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/sha256.h"

#define HOUR_S ((int64_t)3600)
#define FILE_MAX ((size_t)64 * 1024)

/* The times that still count, into 'out'; how many there are. */
static size_t
still_counting(struct span times, int64_t now_s, struct buf *out)
{
	uint64_t t;
	size_t n = 0;

	while (span_u64(&times, &t)) {
		if ((int64_t)t <= now_s - HOUR_S)
			continue;
		buf_u64(out, t);
		n++;
	}
	return n;
}

static int
take_one(struct arena *a, const char *path, const struct sign_budget *b,
    int64_t now_s, struct err *e)
{
	struct span times = span_of(NULL, 0);
	AUTO_BUF(out, FILE_MAX);

	if (file_read(a, path, FILE_MAX, &times, e) != 0 &&
	    e->kind != ERR_NOT_FOUND)
		return -1;
	if (still_counting(times, now_s, &out) >= b->per_hour)
		return err_set(e, ERR_REFUSED,
		    "per-hour: host \"%s\" has had %u certificates of \"%s\"",
		    b->host, b->per_hour, b->key);
	buf_u64(&out, (uint64_t)now_s);
	if (!buf_ok(&out))
		return err_set(e, ERR_INTERNAL, "budget file is too long");
	return file_replace(path, buf_get(&out), 0600, e);
}

int
sign_budget_take(const struct sign_budget *b, int64_t now_s, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	const char *dir = arena_printf(a, "%s/responder", b->state_dir), *path;
	const char *who = arena_printf(a, "%s\n%s", b->host, b->key);
	uint8_t hash[SHA256_SIZE];
	AUTO_FD int lock = -1;

	sha256(span_str(who), hash);
	path = arena_printf(a, "%s/%s", dir, hex_encode(a, span_of(hash, 16)));
	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		lock = open(arena_printf(a, "%s.lock", path),
		    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) != 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot lock \"%s\": %s",
		    path, strerror(errno));
	return take_one(a, path, b, now_s, e);
}
