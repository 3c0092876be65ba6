#include "ocsp/crl_bound.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "hsm/crlcheck.h"
#include "hsm/tosign.h"
#include "ocsp/crl_told.h"
#include "ocsp/delegate_int.h"

#define DEPTH_MAX 4
#define REASON_HOLD 6

struct walk {
	const struct authority *list;
	size_t n, counted;
	void (*fn)(void *arg, const struct crl_bound_entry *entry);
	void *arg;
};

static bool
is_signed(const struct authority *issuer, struct span tbs, struct span alg,
    struct span signature)
{
	const uint8_t *p = issuer->cert.p;
	AUTO(X509) ca = d2i_X509(NULL, &p, (long)issuer->cert.n);

	return ca != NULL &&
	       crl_told_signed(X509_get0_pubkey(ca), tbs, alg, signature);
}

/* The authority whose list it is: several may have this name, not this key. */
static const struct authority *
find_issuer(const struct walk *w, struct span name, struct span tbs,
    struct span alg, struct span signature)
{
	uint8_t hash[20];
	size_t i;

	if (EVP_Digest(name.p, name.n, hash, NULL, EVP_sha1(), NULL) != 1)
		return NULL;
	for (i = 0; i < w->n; i++) {
		if (memcmp(w->list[i].name_hash[OCSP_HASH_SHA1], hash, 20) ==
			0 &&
		    is_signed(&w->list[i], tbs, alg, signature))
			return &w->list[i];
	}
	return NULL;
}

static void
read_list(struct walk *w, struct span der)
{
	struct crl_bound_entry out = { .issuer = NULL };
	struct span tbs, alg, signature;
	struct crlcheck_entry entry;
	struct crlcheck crl;
	struct err e;

	if (tosign_unwrap(der, &tbs, &alg, &signature, &e) == -1 ||
	    crlcheck_read(tbs, &crl, &e) == -1 || crl.delta)
		return;
	out.issuer = find_issuer(w, crl.issuer, tbs, alg, signature);
	if (out.issuer == NULL)
		return;
	w->counted++;
	out.this_update = crl.this_update;
	while (crlcheck_next(&crl.list, &entry)) {
		out.serial = entry.serial;
		out.reason = entry.reason;
		if (entry.reason != REASON_HOLD)
			w->fn(w->arg, &out);
	}
}

static void
read_file(struct walk *w, int fd, size_t size)
{
	void *p;

	if (size == 0 || size > CRLCHECK_MAX)
		return;
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return;
	read_list(w, span_of(p, size));
	(void)munmap(p, size);
}

static void walk_dir(struct walk *w, const char *path, int depth);

static void
visit(struct walk *w, const char *dir, const char *name, int depth)
{
	AUTO(arena_auto) a = arena_new();
	const char *path = arena_printf(a, "%s/%s", dir, name);
	AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	size_t n = strlen(name);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return;
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		walk_dir(w, path, depth + 1);
	else if (S_ISREG(st.st_mode) && n > 4 &&
		 strcmp(name + n - 4, ".crl") == 0)
		read_file(w, fd, (size_t)st.st_size);
}

static void
walk_dir(struct walk *w, const char *path, int depth)
{
	DIR *d = opendir(path);
	const struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] != '.')
			visit(w, path, entry->d_name, depth);
	}
	if (d != NULL)
		(void)closedir(d);
}

size_t
crl_bound_each(const char *dir, const struct authority *list, size_t n,
    void (*fn)(void *arg, const struct crl_bound_entry *entry), void *arg)
{
	struct walk w = { list, n, 0, fn, arg };

	walk_dir(&w, dir, 0);
	return w.counted;
}
