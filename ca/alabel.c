#include "ca/alabel.h"

#include <stdint.h>
#include <string.h>

/* RFC 3492 section 5 */
#define BASE 36
#define T_MIN 1
#define T_MAX 26
#define SKEW 38
#define DAMP 700
#define INITIAL_BIAS 72
#define INITIAL_N 0x80
#define PRINTABLE_MIN 0xa1
#define UNICODE_MAX 0x10ffff

static bool
take_digit(struct span *s, uint32_t *out)
{
	uint8_t c;

	if (!span_u8(s, &c))
		return false;
	if (c >= 'a' && c <= 'z')
		*out = c - 'a';
	else if (c >= '0' && c <= '9')
		*out = c - '0' + 26U;
	else
		return false;
	return true;
}

/* RFC 3492 6.1 */
static uint32_t
adapt(uint32_t delta, uint32_t points, bool first)
{
	uint32_t k = 0;

	delta = first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
		delta /= BASE - T_MIN;
	return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* A generalized variable-length integer, RFC 3492 3.3. */
static bool
take_delta(struct span *s, uint32_t bias, uint32_t *out)
{
	uint64_t sum = 0, weight = 1;
	uint32_t digit, t, k;

	for (k = BASE;; k += BASE) {
		if (!take_digit(s, &digit))
			return false;
		sum += digit * weight;
		t = k <= bias ? T_MIN : k - bias > T_MAX ? T_MAX : k - bias;
		if (sum > UINT32_MAX)
			return false;
		if (digit < t)
			break;
		weight *= BASE - t;
		if (weight > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)sum;
	return true;
}

/* RFC 3492 6.2, without the text: only whether there is one. */
static bool
decodes(struct span s, uint32_t points)
{
	uint64_t i = 0, n = INITIAL_N;
	uint32_t bias = INITIAL_BIAS, delta;
	bool first = true;

	for (; s.n > 0; i++) {
		if (!take_delta(&s, bias, &delta))
			return false;
		points++;
		bias = adapt(delta, points, first);
		first = false;
		i += delta;
		n += i / points;
		i %= points;
		if (n < PRINTABLE_MIN || n > UNICODE_MAX ||
		    (n >= 0xd800 && n <= 0xdfff))
			return false;
	}
	return !first;
}

bool
alabel_is_valid(struct span label)
{
	const uint8_t *hyphen;
	uint32_t basic = 0;

	if (label.n < 5 || memcmp(label.p, "xn--", 4) != 0)
		return false;
	label = span_of(label.p + 4, label.n - 4);
	hyphen = memrchr(label.p, '-', label.n);
	if (hyphen == label.p)
		return false;
	if (hyphen != NULL) {
		basic = (uint32_t)(hyphen - label.p);
		label = span_of(hyphen + 1, label.n - basic - 1);
	}
	return decodes(label, basic);
}
