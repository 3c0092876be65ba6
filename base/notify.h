/*
 * Tells the supervisor (chancery up, or systemd) that a daemon serves now:
 * the sd_notify(3) protocol over $NOTIFY_SOCKET.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* Sends "READY=1"; without a supervisor nothing happens. */
void notify_ready(void);

#endif
