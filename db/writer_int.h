/*
 * What the stores hand to the writer: one row of one statement.  Not for
 * other folders.
 *
 * A statement takes the writer number as $1 (integer), then one array per
 * column, then, if it has child rows, an array of the ordinals of their
 * parents (integer) and one array per child column.  It does all its inserts
 * and returns (ordinal int8, code int4, value int8) for the rows it has an
 * answer for, in any order; a row without an answer is a CONFLICT.  It may
 * not depend on the order in which rows of one batch were submitted.
 *
 * A statement that is run for every certificate may assume that all is well
 * and raise an error when a row does not fit; its careful form, which finds
 * out which rows do, then runs in its place (docs/adr/0003).
 */
#ifndef DB_WRITER_INT_H
#define DB_WRITER_INT_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "db/db_int.h"
#include "db/writer.h"

#define WRITER_COLS_MAX 20

/* Codes that a statement answers with. */
enum writer_code {
	WRITER_OK,
	WRITER_CONFLICT,
	WRITER_NOT_FOUND,
	WRITER_BAD_KEY,
	WRITER_UNAUTHENTICATED,
	WRITER_REFUSED
};

/*
 * Column types, a letter each: i int4, l int8, t timestamptz (seconds), b
 * bytea, s text, ? bool.
 */
struct writer_stmt {
	struct db_stmt db;
	struct db_stmt careful;      /* no name: there is only one form */
	const char *cols, *kid_cols; /* kid_cols NULL: no children */
	const char *notify;          /* channel told once per batch, or NULL */
	bool unnumbered; /* writes no row keyed by (writer, sequence) */
};

/* One value; which member counts follows from the column's type. */
struct writer_val {
	bool null;
	int64_t i;
	struct span s;
};

struct writer_row {
	const struct writer_stmt *stmt;
	struct writer_val cols[WRITER_COLS_MAX];
	int n;
	const struct writer_val *kids; /* n_kids times the child columns */
	size_t n_kids;
};

/* Each adds the next column; bytes are borrowed until writer_do returns. */
void writer_int(struct writer_row *r, int64_t v);
void writer_bytes(struct writer_row *r, struct span v);
void writer_text(struct writer_row *r, const char *v); /* NULL: SQL null */
void writer_null(struct writer_row *r);

/*
 * Submits the row and waits until its transaction is durable or failed.
 * 'value' (may be NULL) takes the statement's third column.  CONFLICT,
 * the others of enum writer_code carry a general text that stores replace;
 * other kinds as db_sqlstate_kind.
 */
int writer_do(struct writer *w, const struct writer_row *r, int64_t *value,
    struct err *e) MUST_USE;

/* As writer_do, but waits in the caller's way; NULL: in the usual one. */
int writer_do_with(struct writer *w, const struct writer_row *r,
    const struct writer_wait *how, int64_t *value, struct err *e) MUST_USE;

/*
 * Submits 'n' rows at once and waits for all of them; what writer_do would
 * say of each is in 'errs', with ERR_NONE for done.
 */
void writer_do_all(struct writer *w, const struct writer_row *rows, size_t n,
    struct err *errs);

/* One row in the queue; lives on its caller's stack. */
struct writer_job {
	const struct writer_row *row;
	const struct writer_wait *how; /* NULL: 'done' */
	struct writer_job *next;
	sem_t done;
	bool answered;
	enum writer_code code;
	int64_t value;
	int rc;
	struct err err;
};

/* The arrays of one batch, reused; owned by the writer's thread. */
struct batch;
struct batch *batch_new(void);
void batch_free(struct batch *b);

/* Who writes: the fence is left out when 'number' is 0. */
struct batch_writer {
	int32_t number;
	int64_t epoch;
};

/* What to write, over which connection. */
struct batch_work {
	struct db *db;
	const struct batch_writer *writer;
	struct writer_job *const *jobs;
	size_t n;
	bool careful; /* use the careful forms */
	bool lost;    /* out: the writer number is somebody else's now */
};

/*
 * Writes the rows of the jobs in one transaction and fills in answered, code
 * and value; on failure nothing was written, or, when the connection was
 * lost (UNAVAILABLE), it is not known.
 */
int batch_run(struct batch *b, struct batch_work *work, struct err *e) MUST_USE;

#define BATCH_MAX 256

#endif
