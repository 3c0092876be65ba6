#include "hsm/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/auto.h"
#include "hsm/sign_policy.h"

/* Reads up to the first line feed or the end. */
static int
read_line(int fd, const char *name, char *out, struct err *e)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, out + n, 1)) == 1 && out[n] != '\n') {
		if (++n > SECRET_MAX)
			return err_set(
			    e, ERR_UNAVAILABLE, "\"%s\" is too long", name);
	}
	if (got < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\": %s",
		    name, strerror(errno));
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE, "\"%s\" is empty", name);
	out[n] = '\0';
	return 0;
}

static int
read_terminal(const char *what, char *out, struct err *e)
{
	AUTO_FD int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios was, quiet;
	int r;

	if (fd < 0 || tcgetattr(fd, &was) != 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "no terminal to ask for %s", what);
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	(void)dprintf(fd, "%s: ", what);
	r = read_line(fd, what, out, e);
	(void)tcsetattr(fd, TCSAFLUSH, &was);
	(void)dprintf(fd, "\n");
	return r;
}

static int
read_file(const char *path, char *out, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot read \"%s\": %s",
		    path, strerror(errno));
	return read_line(fd, path, out, e);
}

static int
read_credential(const char *name, char *out, struct err *e)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];

	if (dir == NULL || strchr(name, '/') != NULL)
		return err_set(
		    e, ERR_UNAVAILABLE, "no credential \"%s\"", name);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return read_file(path, out, e);
}

static int
copy(const char *given, char *out, struct err *e)
{
	size_t n = strlen(given);

	if (n > SECRET_MAX)
		return err_set(e, ERR_UNAVAILABLE, "secret is too long");
	memcpy(out, given, n + 1);
	return 0;
}

int
secret_read(
    const struct sign_secret *s, const char *what, char **out, struct err *e)
{
	int r;

	*out = OPENSSL_secure_zalloc(SECRET_MAX + 2);
	if (*out == NULL)
		return err_set(e, ERR_UNAVAILABLE, "no secure memory");
	if (s->given != NULL)
		r = copy(s->given, *out, e);
	else if (s->file != NULL)
		r = read_file(s->file, *out, e);
	else if (s->credential != NULL)
		r = read_credential(s->credential, *out, e);
	else
		r = read_terminal(what, *out, e);
	if (r != 0) {
		secret_free(*out);
		*out = NULL;
	}
	return r;
}

void
secret_free(char *secret)
{
	if (secret != NULL)
		OPENSSL_secure_clear_free(secret, SECRET_MAX + 2);
}
