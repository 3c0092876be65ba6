#include "db/db_int.h"

#include <stdlib.h>
#include <string.h>

/* Seconds from 1970 to PostgreSQL's epoch, 2000-01-01. */
#define PG_EPOCH_S INT64_C(946684800)

int64_t
db_pgtime(int64_t t_s)
{
	return (t_s - PG_EPOCH_S) * 1000000;
}

static void
put(uint8_t *p, int width, int64_t v)
{
	uint64_t u = (uint64_t)v;
	int i;

	for (i = width - 1; i >= 0; i--) {
		p[i] = (uint8_t)u;
		u >>= 8;
	}
}

static int64_t
get(const uint8_t *p, int width)
{
	uint64_t u = (p[0] & 0x80) != 0 ? UINT64_MAX : 0;
	int i;

	for (i = 0; i < width; i++)
		u = u << 8 | p[i];
	return (int64_t)u;
}

static void
arg(struct db_args *a, const void *v, int len)
{
	if (a->n == DB_ARGS_MAX)
		abort();
	a->v[a->n] = v;
	a->len[a->n] = len;
	a->fmt[a->n++] = 1;
}

static void
arg_num(struct db_args *a, int width, int64_t v)
{
	if (a->n == DB_ARGS_MAX)
		abort();
	put(a->num[a->n], width, v);
	arg(a, a->num[a->n], width);
}

void
db_arg_i2(struct db_args *a, int16_t v)
{
	arg_num(a, 2, v);
}

void
db_arg_i4(struct db_args *a, int32_t v)
{
	arg_num(a, 4, v);
}

void
db_arg_i8(struct db_args *a, int64_t v)
{
	arg_num(a, 8, v);
}

void
db_arg_bool(struct db_args *a, bool v)
{
	arg_num(a, 1, v);
}

void
db_arg_time(struct db_args *a, int64_t t_s)
{
	arg_num(a, 8, db_pgtime(t_s));
}

void
db_arg_bytes(struct db_args *a, struct span v)
{
	arg(a, v.p != NULL ? (const char *)v.p : "", (int)v.n);
}

void
db_arg_text(struct db_args *a, const char *v)
{
	arg(a, v, v == NULL ? 0 : (int)strlen(v));
}

void
db_arg_null(struct db_args *a)
{
	arg(a, NULL, 0);
}

bool
db_null(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) == 1;
}

static int64_t
column(const PGresult *r, int row, int col, int width)
{
	if (PQgetlength(r, row, col) != width)
		return 0;
	return get((const uint8_t *)PQgetvalue(r, row, col), width);
}

int16_t
db_i2(const PGresult *r, int row, int col)
{
	return (int16_t)column(r, row, col, 2);
}

int32_t
db_i4(const PGresult *r, int row, int col)
{
	return (int32_t)column(r, row, col, 4);
}

int64_t
db_i8(const PGresult *r, int row, int col)
{
	return column(r, row, col, 8);
}

bool
db_bool(const PGresult *r, int row, int col)
{
	return column(r, row, col, 1) != 0;
}

int64_t
db_time_us(const PGresult *r, int row, int col)
{
	int64_t v = column(r, row, col, 8);

	if (db_null(r, row, col))
		return 0;
	if (v == INT64_MAX || v == INT64_MIN) /* infinity */
		return v;
	return v + PG_EPOCH_S * 1000000;
}

int64_t
db_time(const PGresult *r, int row, int col)
{
	return db_time_us(r, row, col) / 1000000;
}

struct span
db_bytes(struct arena *a, const PGresult *r, int row, int col)
{
	size_t n = (size_t)PQgetlength(r, row, col);

	return span_of(arena_memdup(a, PQgetvalue(r, row, col), n), n);
}

char *
db_text(struct arena *a, const PGresult *r, int row, int col)
{
	if (db_null(r, row, col))
		return NULL;
	return arena_memdup(
	    a, PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

void
db_fixed(const PGresult *r, int row, int col, uint8_t *out, size_t n)
{
	memset(out, 0, n);
	if ((size_t)PQgetlength(r, row, col) == n)
		memcpy(out, PQgetvalue(r, row, col), n);
}

const char **
db_texts(struct arena *a, const PGresult *r, int row, int col, size_t *n)
{
	struct span s =
	    span_of(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
	struct span head, item;
	uint32_t count = 0, i;
	const char **out;

	/* dimensions, null flag, type; then length and lower bound */
	if (!span_take(&s, 12, &head) || !span_u32(&s, &count) ||
	    !span_take(&s, 4, &head))
		count = 0;
	out = arena_array(a, (size_t)count + 1, sizeof(*out));
	for (i = 0; i < count && span_block(&s, &item); i++)
		out[i] = arena_memdup(a, item.p, item.n);
	*n = i;
	return out;
}

void
db_array_init(struct db_array *a, size_t max)
{
	buf_init(&a->b, max);
	a->n = 0;
}

void
db_array_clear(struct db_array *a)
{
	buf_clear(&a->b);
}

void
db_array_start(struct db_array *a, uint32_t oid)
{
	buf_reset(&a->b);
	a->n = 0;
	buf_u32(&a->b, 1); /* dimensions */
	buf_u32(&a->b, 1); /* may hold nulls */
	buf_u32(&a->b, oid);
	buf_u32(&a->b, 0); /* length, filled in later */
	buf_u32(&a->b, 1); /* lower bound */
}

void
db_array_int(struct db_array *a, int width, int64_t v)
{
	uint8_t num[8];

	put(num, width, v);
	buf_block(&a->b, span_of(num, (size_t)width));
	a->n++;
}

void
db_array_bytes(struct db_array *a, struct span v)
{
	buf_block(&a->b, v);
	a->n++;
}

void
db_array_null(struct db_array *a)
{
	buf_u32(&a->b, UINT32_MAX);
	a->n++;
}

struct span
db_array_get(struct db_array *a)
{
	if (!buf_ok(&a->b))
		return span_of(NULL, 0);
	put(a->b.p + 12, 4, a->n);
	return buf_get(&a->b);
}

struct span
db_lines(struct arena *a, const char *const *v, size_t n)
{
	size_t i, part, len = 0;
	char *p;

	for (i = 0; i < n; i++)
		len += strlen(v[i]) + 1;
	p = arena_alloc(a, len + 1);
	for (i = len = 0; i < n; i++) {
		if (i > 0)
			p[len++] = '\n';
		part = strlen(v[i]);
		memcpy(p + len, v[i], part);
		len += part;
	}
	return span_of(p, len);
}

const char **
db_split(struct arena *a, const char *lines, size_t *n)
{
	char *s = arena_strdup(a, lines == NULL ? "" : lines), *next;
	size_t i, count = *s != '\0';
	const char **out;

	for (i = 0; s[i] != '\0'; i++)
		count += s[i] == '\n';
	out = arena_array(a, count + 1, sizeof(*out));
	for (*n = 0; *n < count; s = next) {
		next = strchrnul(s, '\n');
		if (*next != '\0')
			*next++ = '\0';
		out[(*n)++] = s;
	}
	return out;
}
