/* What the stores share among themselves. */
#ifndef DB_STORE_INT_H
#define DB_STORE_INT_H

/*
 * The last number of this writer.  Each statement of a batch sees the rows
 * of the earlier ones, so the numbers are dense without a counter anywhere.
 * Should a process write once more after its number was taken over, the key
 * (writer, seq) makes one of the two wait for the other and fail.
 */
#define STORE_LAST_AUDIT                                                       \
	"(SELECT coalesce(max(seq), 0) FROM audit WHERE writer = $1::int)"
#define STORE_LAST_CHANGE                                                      \
	"(SELECT coalesce(max(seq), 0) FROM status_change WHERE writer = $1::int)"

/* The channel that hears of new certificates and status changes. */
#define STORE_CHANNEL "chancery_status"

/* The channel that hears of challenges to validate. */
#define STORE_VALD_CHANNEL "chancery_vald"

/* The states of a request row. */
#define STORE_ROW_PENDING 0
#define STORE_ROW_INTENT 1
#define STORE_ROW_VOID 2

#endif
