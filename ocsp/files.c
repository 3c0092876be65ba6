#include "ocsp/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/crl_partition.h"
#include "base/file.h"
#include "base/sha256.h"
#include "db/store_authority.h"
#include "db/store_crl.h"
#include "ocsp/crl_told.h"
#include "ocsp/roots.h"

#define PATH_SIZE 1024
/* For mkostemp: fixed octets, then letters and digits. */
#define TEMPORARY ".new-XXXXXX"
#define TEMPORARY_FIXED 5
#define LEFTOVER_FDS 8

static const char alphanumeric[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789";

/* What was written for an issuer and scope. */
struct done {
	unsigned issuer; /* index */
	char scope[STORE_CRL_SCOPE_MAX];
	int64_t number; /* lists up to this one are not written any more */
};

/* Whose list it is: an issuer's, or that of a CA whose lists are imported. */
struct owner {
	unsigned issuer; /* index; beyond the last one for others */
	const struct store_authority *ca; /* NULL: an issuer */
};

struct files {
	const struct settings *settings;
	struct files_conf conf;
	struct roots *roots;
	struct done *done;
	size_t n_done;
	bool cut_off; /* the database failed, not a list or a disk */
};

static bool
is_temporary(const char *name)
{
	return strncmp(name, TEMPORARY, TEMPORARY_FIXED) == 0 &&
	       strlen(name) == sizeof(TEMPORARY) - 1 &&
	       strspn(name + TEMPORARY_FIXED, alphanumeric) ==
		   sizeof(TEMPORARY) - 1 - TEMPORARY_FIXED;
}

static int
drop_leftover(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_F && is_temporary(path + at->base))
		(void)unlink(path);
	return 0;
}

struct files *
files_new(const struct settings *settings, const struct files_conf *conf)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	f->settings = settings;
	f->conf = *conf;
	f->roots = roots_new(settings);
	/* of a process that was killed while it wrote */
	(void)nftw(conf->dir, drop_leftover, LEFTOVER_FDS, FTW_PHYS);
	return f;
}

void
files_free(struct files *f)
{
	if (f == NULL)
		return;
	roots_free(f->roots);
	free(f->done);
	free(f);
}

/* Below the directory, without a component that begins with a dot. */
static bool
is_safe(const char *path)
{
	const char *p = path;

	if (path[0] == '\0' || path[0] == '/' ||
	    path[strlen(path) - 1] == '/' || strpbrk(path, "?#%\\") != NULL)
		return false;
	for (; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (*p == '.' || *p == '/')
			return false;
	}
	return true;
}

/* "http://host/path" -> "path" */
static const char *
path_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p == NULL ? NULL : strchr(p + 3, '/');
	return p == NULL ? "" : p + 1;
}

const char *
files_path(const struct settings_issuer *issuer, const char *scope, unsigned i,
    char *out, size_t size)
{
	bool delta = strncmp(scope, "delta", 5) == 0;
	const char **urls =
	    delta ? issuer->freshest_crl_urls : issuer->crl_urls;
	unsigned n =
	    delta ? issuer->freshest_crl_urls_count : issuer->crl_urls_count;
	const char *number = strchr(scope, '-');
	AUTO(arena_auto) a = arena_new();
	unsigned k;

	for (k = 0; k < n; k++) {
		if (crl_partition_marked(urls[k]) != (number != NULL) ||
		    i-- > 0)
			continue;
		(void)snprintf(out, size, "%s",
		    path_of(number == NULL ? urls[k]
					   : crl_partition_url(a, urls[k],
						 (uint32_t)strtoul(
						     number + 1, NULL, 10))));
		return strlen(out) + 1 < size && is_safe(out) ? out : NULL;
	}
	return NULL;
}

static int
failed(struct err *e, const char *path)
{
	return err_set(e, ERR_UNAVAILABLE, "cannot write \"%s\": %s", path,
	    strerror(errno));
}

/* The directories on the way to 'path'. */
static int
make_dirs(char *path, struct err *e)
{
	char *p = path;

	while ((p = strchr(p + 1, '/')) != NULL) {
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return failed(e, path);
		*p = '/';
	}
	return 0;
}

/* The pieces of a list, as they come. */
static int
fetch(struct files *f, struct db *db, const struct store_crl *c, int fd,
    const char *path, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct span piece;
	uint64_t size = 0;
	int n;

	if (c->size > CRLCHECK_MAX)
		return err_set(e, ERR_MALFORMED, "CRL: too large");
	for (n = 0; size < c->size; n++) {
		arena_reset(a);
		if (store_crl_piece(db, a, c->id, n, &piece, e) == -1) {
			f->cut_off = e->kind != ERR_NOT_FOUND;
			return -1;
		}
		if (file_write_all(fd, piece) == -1)
			return failed(e, path);
		size += piece.n;
	}
	if (size != c->size)
		return err_set(e, ERR_MALFORMED, "CRL: of another size");
	return 0;
}

/* Without a row: whatever list of the owner it is. */
static bool
is_by(const struct files *f, const struct owner *o, const struct store_crl *row,
    struct span crl)
{
	if (o->ca != NULL)
		return roots_signed(f->roots, o->ca->spki_sha256, crl);
	return f->conf.check == NULL ||
	       f->conf.check(f->conf.arg, o->issuer, row, crl);
}

/* Whether the file is what the row tells, and a CRL of the issuer. */
static int
check(const struct files *f, const struct owner *o, const struct store_crl *c,
    int fd, struct err *e)
{
	uint8_t hash[SHA256_SIZE];
	bool good;
	void *p = mmap(NULL, c->size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return err_set(
		    e, ERR_UNAVAILABLE, "CRL: mmap: %s", strerror(errno));
	sha256(span_of(p, c->size), hash);
	good = memcmp(hash, c->sha256, sizeof(hash)) == 0 &&
	       is_by(f, o, c, span_of(p, c->size));
	(void)munmap(p, c->size);
	if (!good)
		return err_set(e, ERR_MALFORMED,
		    "CRL: %s of \"%s\" is damaged, another one or none of this "
		    "issuer",
		    c->scope,
		    o->ca != NULL ? o->ca->name
				  : f->settings->issuers[o->issuer].name);
	return 0;
}

/* Its time is that of the list, the same on every machine. */
static int
set_time(int fd, const struct store_crl *c)
{
	/* a part of the hash: the file's ETag is the same on every node */
	const struct timespec at = { c->this_update,
		c->sha256[0] << 16 | c->sha256[1] << 8 | c->sha256[2] };
	const struct timespec t[2] = { at, at };

	return futimens(fd, t);
}

/* The number of the list that is there, when the owner has signed it; or 0. */
static int64_t
number_there(const struct files *f, const struct owner *o, const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct crlcheck c;
	struct span crl;
	struct stat st;
	int64_t n = 0;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size == 0 || (size_t)st.st_size > CRLCHECK_MAX)
		return 0;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	crl = span_of(p, (size_t)st.st_size);
	n = crl_told_number(crl, &c);
	if (n > 0 && !is_by(f, o, NULL, crl))
		n = 0;
	(void)munmap(p, crl.n);
	return n;
}

static int
write_file(struct files *f, struct db *db, const struct owner *o,
    const struct store_crl *c, char *path, struct err *e)
{
	char tmp[PATH_SIZE * 2];
	AUTO_FD int fd = -1;

	if (make_dirs(path, e) == -1)
		return -1;
	(void)snprintf(tmp, sizeof(tmp), "%.*s/" TEMPORARY,
	    (int)(strrchr(path, '/') - path), path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return failed(e, path);
	if (fetch(f, db, c, fd, path, e) == 0 && check(f, o, c, fd, e) == 0) {
		if (fchmod(fd, 0644) == 0 && set_time(fd, c) == 0 &&
		    fsync(fd) == 0 && rename(tmp, path) == 0)
			return 0;
		(void)failed(e, path);
	}
	(void)unlink(tmp);
	return -1;
}

/* Whether an issuer's lists are served there: nobody else's ever are. */
static bool
is_issuers(const struct files *f, const char *below)
{
	const struct settings_issuer *s = f->settings->issuers;
	const char *path, *mark;
	unsigned i, k, n;

	for (i = 0; i < f->settings->issuers_count; i++) {
		n = s[i].crl_urls_count + s[i].freshest_crl_urls_count;
		for (k = 0; k < n; k++) {
			path = path_of(
			    k < s[i].crl_urls_count
				? s[i].crl_urls[k]
				: s[i].freshest_crl_urls[k -
							 s[i].crl_urls_count]);
			mark = strchr(path, '{');
			if (mark == NULL ? strcmp(path, below) == 0
					 : strncmp(path, below,
					       (size_t)(mark - path)) == 0)
				return true;
		}
	}
	return false;
}

/*
 * The 'i'th file of a list into 'path' of PATH_SIZE * 2; empty when it is not
 * served there.  False: there are no more.
 */
static bool
path_at(const struct files *f, const struct owner *o, const char *scope,
    unsigned i, char *path)
{
	char below[PATH_SIZE];
	const char *p = below;

	path[0] = '\0';
	if (o->ca == NULL) {
		if (files_path(&f->settings->issuers[o->issuer], scope, i,
			below, sizeof(below)) == NULL)
			return false;
	} else {
		if (i >= o->ca->n_paths)
			return false;
		p = o->ca->paths[i] + 1;
		if (o->ca->paths[i][0] != '/' || strlen(p) >= PATH_SIZE ||
		    !is_safe(p) || is_issuers(f, p))
			return true;
	}
	(void)snprintf(path, (size_t)PATH_SIZE * 2, "%s/%s", f->conf.dir, p);
	return true;
}

/* All files of one list. */
static int
sync_one(struct files *f, struct db *db, const struct owner *o,
    const struct store_crl *c, struct err *e)
{
	char path[PATH_SIZE * 2];
	unsigned i;

	for (i = 0; path_at(f, o, c->scope, i, path); i++) {
		if (path[0] != '\0' && write_file(f, db, o, c, path, e) == -1)
			return -1;
	}
	return 0;
}

/* What was written; at first, what is there from before. */
static struct done *
find_done(struct files *f, const struct owner *o, const char *scope)
{
	struct done *d, *more;
	char path[PATH_SIZE * 2];
	int64_t there;
	unsigned i;

	for (d = f->done; d < f->done + f->n_done; d++) {
		if (d->issuer == o->issuer && strcmp(d->scope, scope) == 0)
			return d;
	}
	more = realloc(f->done, (f->n_done + 1) * sizeof(*more));
	if (more == NULL)
		abort();
	f->done = more;
	d = &f->done[f->n_done++];
	*d = (struct done){ .issuer = o->issuer };
	(void)snprintf(d->scope, sizeof(d->scope), "%s", scope);
	for (i = 0; path_at(f, o, scope, i, path); i++) {
		there = number_there(f, o, path);
		/* the same list once more: another of its files may lack it */
		if (there > d->number + 1)
			d->number = there - 1;
	}
	return d;
}

/* Every CA with lists, as the database knows them. */
struct cas {
	struct store_authority *list;
	size_t n;
};

static bool
find_owner(const struct files *f, const struct cas *cas,
    const struct store_crl *c, struct owner *out)
{
	const unsigned n = f->settings->issuers_count;
	size_t i;

	*out = (struct owner){ .issuer = 0 };
	for (; out->issuer < n; out->issuer++) {
		if (strcmp(f->settings->issuers[out->issuer].name,
			c->issuer_name) == 0)
			return true;
	}
	for (i = 0; i < cas->n; i++) {
		if (cas->list[i].id != c->issuer || cas->list[i].n_paths == 0)
			continue;
		*out = (struct owner){ n + (unsigned)c->issuer, &cas->list[i] };
		return true;
	}
	return false;
}

int
files_sync(struct files *f, struct db *db, size_t *fresh, struct err *e)
{
	AUTO(arena_auto) a = arena_new();
	struct store_crls all;
	struct owner owner;
	struct cas cas;
	struct done *d;
	size_t i;
	int rc = 0;

	*fresh = 0;
	f->cut_off = false;
	if (store_crl_current(db, a, &all, e) == -1 ||
	    store_authority_list(db, a, &cas.list, &cas.n, e) == -1)
		return -1;
	for (i = 0; i < all.n; i++) {
		if (!find_owner(f, &cas, &all.list[i], &owner))
			continue;
		d = find_done(f, &owner, all.list[i].scope);
		/* a database that went back does not take a list back */
		if (all.list[i].number <= d->number)
			continue;
		if (sync_one(f, db, &owner, &all.list[i], e) == -1) {
			rc = -1;
			if (f->cut_off)
				break;
			continue;
		}
		d->number = all.list[i].number;
		(*fresh)++;
	}
	return rc;
}
