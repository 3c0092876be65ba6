#include "ctl/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

struct place {
	const char *path;
	const char *user;  /* NULL: as we are */
	const char *group; /* whose members get in; NULL: the user's own */
	mode_t mode;
};

/* Looks a user up; without separation everything stays ours. */
static int
owner_of(const struct place *p, uid_t *uid, gid_t *gid, struct err *e)
{
	const struct passwd *pw;

	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (geteuid() != 0)
		return 0;
	if (p->user != NULL) {
		pw = getpwnam(p->user);
		if (pw == NULL)
			return err_set(e, ERR_NOT_FOUND,
			    "there is no user \"%s\"", p->user);
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	if (p->group != NULL) {
		pw = getpwnam(p->group);
		if (pw == NULL)
			return err_set(e, ERR_NOT_FOUND,
			    "there is no user \"%s\"", p->group);
		*gid = pw->pw_gid;
	}
	return 0;
}

/*
 * What is there already may be somebody else's: never through a symbolic
 * link, which would hand out another directory.
 */
static int
make_place(const struct place *p, struct err *e)
{
	AUTO_FD int fd = -1;
	uid_t uid;
	gid_t gid;

	if (owner_of(p, &uid, &gid, e) == -1)
		return -1;
	if (mkdir(p->path, 0700) == -1 && errno != EEXIST)
		return err_set(e, ERR_UNAVAILABLE, "cannot make \"%s\": %s",
		    p->path, strerror(errno));
	fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return err_set(e, ERR_UNAVAILABLE, "cannot open \"%s\": %s",
		    p->path, strerror(errno));
	if (geteuid() == 0 && fchown(fd, uid, gid) == -1)
		return err_set(e, ERR_UNAVAILABLE, "cannot give \"%s\": %s",
		    p->path, strerror(errno));
	if (fchmod(fd, p->mode) == -1)
		return err_set(e, ERR_UNAVAILABLE,
		    "cannot set the mode of \"%s\": %s", p->path,
		    strerror(errno));
	return 0;
}

int
layout_prepare(struct arena *a, const struct settings *s, struct err *e)
{
	const struct settings_users *u = &s->users;
	const struct place places[] = {
		{ s->run_dir, NULL, NULL, 0755 },
		/* signd listens; one role each may connect */
		{ arena_printf(a, "%s/sign-enroll", s->run_dir), u->signd,
		    u->enroll, 02750 },
		{ arena_printf(a, "%s/sign-oper", s->run_dir), u->signd, NULL,
		    02750 },
		{ arena_printf(a, "%s/sign-pub", s->run_dir), u->signd, u->pub,
		    02750 },
		{ arena_printf(a, "%s/pg", s->run_dir), u->postgres, NULL,
		    0755 },
		{ arena_printf(a, "%s/signd", s->state_dir), u->signd, NULL,
		    0700 },
		{ arena_printf(a, "%s/enroll", s->state_dir), u->enroll, NULL,
		    0700 },
		{ arena_printf(a, "%s/pub", s->state_dir), u->pub, NULL, 0755 },
		{ arena_printf(a, "%s/pg", s->state_dir), u->postgres, NULL,
		    0700 },
	};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (make_place(&places[i], e) == -1)
			return -1;
	}
	return 0;
}

/* A daemon and the OS user that the settings give it. */
struct daemon_user {
	const char *daemon, *user;
};

static const struct daemon_user *
same_user(const struct daemon_user *all, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++) {
		if (strcmp(all[i].user, all[j].user) == 0)
			return &all[j];
	}
	return NULL;
}

bool
layout_separated(struct arena *a, const struct settings *s, const char **why)
{
	const struct daemon_user all[] = {
		{ "enrolld", s->users.enroll },
		{ "vald", s->users.vald },
		{ "signd", s->users.signd },
		{ "pubd", s->users.pub },
		{ "postgresql", s->database == NULL ? s->users.postgres : "" },
	};
	const struct daemon_user *other;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].user == NULL) {
			*why = arena_printf(
			    a, "%s has no OS user of its own", all[i].daemon);
			return false;
		}
		other = same_user(all, i);
		if (other != NULL) {
			*why = arena_printf(a,
			    "%s and %s share the OS user \"%s\"", other->daemon,
			    all[i].daemon, all[i].user);
			return false;
		}
	}
	return true;
}
