/*
 * Memory that threads read without locks: a reader marks when it looks, and
 * what a writer has taken out of sight is freed once no reader that could
 * still see it is looking.  Readers never wait.
 */
#ifndef OCSP_EPOCH_H
#define OCSP_EPOCH_H

struct epoch;
struct epoch_reader;

/* Freed with epoch_free when no reader is left; frees what is retired. */
struct epoch *epoch_new(void);
void epoch_free(struct epoch *ep);

/* A reader, used by one thread at a time. */
struct epoch_reader *epoch_reader_new(struct epoch *ep);
void epoch_reader_free(struct epoch_reader *r);

/*
 * Between enter and leave what was seen through atomic pointers stays there.
 * Not nested.
 */
void epoch_enter(struct epoch_reader *r);
void epoch_leave(struct epoch_reader *r);

/*
 * Has 'p', which new readers cannot find any more, freed by 'fn' later.
 * Any thread may call it; it frees what has become due.
 */
void epoch_retire(struct epoch *ep, void *p, void (*fn)(void *p));

/* Frees what has become due. */
void epoch_collect(struct epoch *ep);

#endif
