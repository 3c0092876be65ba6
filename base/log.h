/*
 * One line per event on stderr: time level module req=ID event key="value".
 * Values are escaped, so a line is always one line.  Log is not audit.
 * Thread-safe: a line is one write.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
	LOG__COUNT
};

/* The program name that starts the module column, and the lowest level. */
void log_init(const char *module, enum log_level lowest);

/* The request id of this thread's lines from now on; NULL ends it. */
void log_request(const char *id);

/* The request id of this thread, or NULL. */
const char *log_request_id(void);

/*
 * Writes one line.  After 'event' (a short lower-case word or phrase) come
 * pairs of key and string value (const char *; a NULL value is left out),
 * ended by a NULL key.
 */
void log_event(enum log_level level, const char *event, ...)
    __attribute__((sentinel));

/* As log_event with one formatted value under the key "msg". */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
