#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t fake_now = -1;

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return clock_now_us() / 1000000;
}

int64_t
clock_now_us(void)
{
	int64_t fake = atomic_load(&fake_now);

	return fake >= 0 ? fake * 1000000 : read_us(CLOCK_REALTIME);
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_cpu_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}

void
clock_set_fake(int64_t now_s)
{
	atomic_store(&fake_now, now_s);
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t
days_from_civil(int64_t y, int m, int d)
{
	int64_t era, doe, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

void
clock_to_civil(int64_t t, struct clock_civil *c)
{
	int64_t days = t / 86400, rest = t % 86400;
	int64_t era, doe, yoe, doy, mp;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = (int)(yoe + era * 400 + (c->month <= 2));
	c->hour = (int)(rest / 3600);
	c->minute = (int)(rest / 60 % 60);
	c->second = (int)(rest % 60);
}

char *
clock_digits(char *at, int v, int n)
{
	int i;

	for (i = n - 1; i >= 0; i--, v /= 10)
		at[i] = (char)('0' + v % 10);
	return at + n;
}

int64_t
clock_from_civil(const struct clock_civil *c)
{
	return days_from_civil(c->year, c->month, c->day) * 86400 +
	       c->hour * 3600 + c->minute * 60 + c->second;
}

void
clock_rfc3339(int64_t t, char out[CLOCK_RFC3339_SIZE])
{
	struct clock_civil c;

	clock_to_civil(t, &c);
	(void)snprintf(out, CLOCK_RFC3339_SIZE,
	    "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year % 10000, c.month, c.day,
	    c.hour, c.minute, c.second);
}

static bool
digits(struct span *s, int n, int *out)
{
	uint8_t c;
	int i;

	*out = 0;
	for (i = 0; i < n; i++) {
		if (!span_u8(s, &c) || c < '0' || c > '9')
			return false;
		*out = *out * 10 + (c - '0');
	}
	return true;
}

static bool
literal(struct span *s, char a, char b)
{
	uint8_t c;

	return span_u8(s, &c) && (c == (uint8_t)a || c == (uint8_t)b);
}

static bool
parse_offset(struct span *s, int64_t *seconds)
{
	int h, m, sign;
	uint8_t c;

	*seconds = 0;
	if (!span_u8(s, &c))
		return false;
	if (c == 'Z' || c == 'z')
		return true;
	if (c != '+' && c != '-')
		return false;
	sign = c == '+' ? -1 : 1;
	if (!digits(s, 2, &h) || !literal(s, ':', ':') || !digits(s, 2, &m) ||
	    h > 23 || m > 59)
		return false;
	*seconds = (int64_t)sign * (h * 3600 + m * 60);
	return true;
}

static bool
civil_in_range(const struct clock_civil *c)
{
	struct clock_civil back;

	if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > 31 ||
	    c->hour > 23 || c->minute > 59 || c->second > 60 || c->year < 1)
		return false;
	clock_to_civil(clock_from_civil(c), &back);
	return c->second == 60 ||
	       (back.day == c->day && back.month == c->month);
}

int
clock_parse(struct span text, int64_t *t, struct err *e)
{
	struct clock_civil c;
	int64_t offset;
	bool ok;

	ok = digits(&text, 4, &c.year) && literal(&text, '-', '-') &&
	     digits(&text, 2, &c.month) && literal(&text, '-', '-') &&
	     digits(&text, 2, &c.day) && literal(&text, 'T', 't') &&
	     digits(&text, 2, &c.hour) && literal(&text, ':', ':') &&
	     digits(&text, 2, &c.minute) && literal(&text, ':', ':') &&
	     digits(&text, 2, &c.second);
	if (ok && text.n > 1 && text.p[0] == '.') {
		text.p++, text.n--;
		ok = text.p[0] >= '0' && text.p[0] <= '9';
		while (text.n > 0 && text.p[0] >= '0' && text.p[0] <= '9')
			text.p++, text.n--;
	}
	if (!ok || !parse_offset(&text, &offset) || text.n != 0 ||
	    !civil_in_range(&c))
		return err_set(e, ERR_MALFORMED, "not an RFC 3339 time");
	*t = clock_from_civil(&c) + offset;
	return 0;
}
