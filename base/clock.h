/*
 * The only source of time.  Times are seconds (or microseconds) since 1970 in
 * UTC, without leap seconds.  Tests set a fake.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* Bytes that an RFC 3339 time of seconds needs, with its NUL. */
#define CLOCK_RFC3339_SIZE 32

/* Wall-clock time in seconds and in microseconds. */
int64_t clock_now(void);
int64_t clock_now_us(void);

/* A clock that never steps, in microseconds: for durations and deadlines. */
int64_t clock_mono_us(void);

/* CPU time of this thread, in microseconds. */
int64_t clock_cpu_us(void);

/* From now on clock_now answers 'now_s'; a negative value ends the fake. */
void clock_set_fake(int64_t now_s);

/* Writes 't' as 2026-01-31T23:59:59Z into 'out'. */
void clock_rfc3339(int64_t t, char out[CLOCK_RFC3339_SIZE]);

/*
 * Reads an RFC 3339 time (section 5.6; with Z or an offset; a fraction is
 * dropped) into 't'.  MALFORMED otherwise.
 */
int clock_parse(struct span text, int64_t *t, struct err *e) MUST_USE;

/* Civil date and time in UTC. */
struct clock_civil {
	int year, month, day, hour, minute, second;
};

/* Converts to and from a civil date (years 0001 to 9999). */
void clock_to_civil(int64_t t, struct clock_civil *c);
int64_t clock_from_civil(const struct clock_civil *c);

/*
 * Writes the last 'n' decimal digits of a number that is not negative, without
 * a NUL; returns what follows them.  For those who write times all the time.
 */
char *clock_digits(char *at, int v, int n);

#endif
