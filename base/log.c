#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 4096

static const char *log_module = "chancery";
static enum log_level log_lowest = LOG_INFO;
static __thread char request_id[64];

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warning",
	[LOG_ERROR] = "error",
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG__COUNT,
    "every level has a name");

struct line {
	char text[LINE_MAX_BYTES];
	size_t n;
};

void
log_init(const char *module, enum log_level lowest)
{
	log_module = module;
	log_lowest = lowest;
}

void
log_request(const char *id)
{
	(void)snprintf(
	    request_id, sizeof(request_id), "%s", id == NULL ? "" : id);
}

const char *
log_request_id(void)
{
	return request_id[0] == '\0' ? NULL : request_id;
}

static void
put(struct line *l, const char *s, size_t n)
{
	size_t room = sizeof(l->text) - 1 - l->n;

	if (n > room)
		n = room;
	memcpy(l->text + l->n, s, n);
	l->n += n;
}

static void
put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void
put_value(struct line *l, const char *s)
{
	char esc[8];

	put(l, "\"", 1);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			(void)snprintf(esc, sizeof(esc), "\\%c", c);
			put_str(l, esc);
		} else if (c < 0x20 || c == 0x7f) {
			(void)snprintf(esc, sizeof(esc), "\\x%02x", c);
			put_str(l, esc);
		} else {
			put(l, s, 1);
		}
	}
	put(l, "\"", 1);
}

static void
start_line(struct line *l, enum log_level level, const char *event)
{
	char when[CLOCK_RFC3339_SIZE], head[160];
	int64_t us = clock_now_us();

	clock_rfc3339(us / 1000000, when);
	when[strlen(when) - 1] = '\0';
	l->n = 0;
	(void)snprintf(head, sizeof(head), "%s.%03dZ %s %s ", when,
	    (int)(us / 1000 % 1000), level_names[level], log_module);
	put_str(l, head);
	if (request_id[0] != '\0') {
		put_str(l, "req=");
		put_str(l, request_id);
		put(l, " ", 1);
	}
	put_str(l, event);
}

static void
put_pair(struct line *l, const char *key, const char *value)
{
	if (value == NULL)
		return;
	put(l, " ", 1);
	put_str(l, key);
	put(l, "=", 1);
	put_value(l, value);
}

static void
end_line(struct line *l)
{
	l->text[l->n++] = '\n';
	/* a log that cannot be written has nobody left to tell */
	if (write(STDERR_FILENO, l->text, l->n) < 0)
		return;
}

void
log_event(enum log_level level, const char *event, ...)
{
	const char *key;
	struct line l;
	va_list ap;

	if (level < log_lowest)
		return;
	start_line(&l, level, event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL)
		put_pair(&l, key, va_arg(ap, const char *));
	va_end(ap);
	end_line(&l);
}

void
log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
	char text[1024];
	struct line l;
	va_list ap;

	if (level < log_lowest)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	start_line(&l, level, event);
	put_pair(&l, "msg", text);
	end_line(&l);
}
