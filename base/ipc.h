/*
 * Framed messages between our daemons: SOCK_SEQPACKET UNIX sockets, so that a
 * message is a packet, with the peer's identity by SO_PEERCRED.  Paths may be
 * longer than sun_path: the socket is then reached through its directory's
 * descriptor.
 */
#ifndef BASE_IPC_H
#define BASE_IPC_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* The largest message. */
#define IPC_MESSAGE_MAX ((size_t)128 * 1024)

/* Replaces 'path' by a listening socket with these permission bits. */
int ipc_listen(const char *path, mode_t mode, int *fd, struct err *e) MUST_USE;

/* Connects; UNAVAILABLE when nobody listens. */
int ipc_connect(const char *path, int *fd, struct err *e) MUST_USE;

/* Accepts a connection (non-blocking listen sockets: UNAVAILABLE if none). */
int ipc_accept(int listen_fd, int *fd, struct err *e) MUST_USE;

/* The user at the other end. */
int ipc_peer(int fd, uid_t *uid, pid_t *pid, struct err *e) MUST_USE;

/*
 * Sends one message, with 'pass_fd' attached unless it is -1, and receives
 * one into 'b' (reset first; '*pass_fd' is -1 or a descriptor that the caller
 * closes; 'pass_fd' may be NULL: attached descriptors are then closed).
 * 'deadline_us' is of clock_mono_us; negative waits for ever.  UNAVAILABLE:
 * peer gone or deadline passed; MALFORMED: message too long.
 */
int ipc_send(int fd, struct span m, int pass_fd, int64_t deadline_us,
    struct err *e) MUST_USE;
int ipc_recv(int fd, struct buf *b, int *pass_fd, int64_t deadline_us,
    struct err *e) MUST_USE;

#endif
