/*
 * One slot of signd: a single-threaded process with its own sockets, token
 * sessions and log.  It never forks, and it ends when a token session is
 * lost: the parent puts a replacement in its place.
 */
#ifndef HSM_SLOT_H
#define HSM_SLOT_H

#include <stddef.h>
#include <stdint.h>

#include "hsm/sign_policy.h"

struct slot_conf {
	const struct sign_policy *policy;
	uint8_t octet;
	const char *state_dir;
	const int *listen_fds; /* SIGN_ROLE__COUNT of them; -1: none */
	int ready_fd;          /* gets one octet when the slot can sign */
	unsigned tries;        /* start attempts that have failed in a row */
};

/* Exit statuses of a slot process. */
enum slot_exit {
	SLOT_EXIT_DONE = 0,
	SLOT_EXIT_LOST = 3,     /* token session lost: replace at once */
	SLOT_EXIT_NOT_READY = 4 /* could not start; has waited already */
};

/* The file in the state directory that stops all logins after a wrong PIN. */
#define SLOT_PIN_FLAG "pin-refused"

/*
 * Runs the slot until SIGTERM; the result is for _exit.  When a token or the
 * log cannot be opened it answers UNAVAILABLE with the reason for a while,
 * then returns SLOT_EXIT_NOT_READY; after a wrong PIN it goes on answering.
 */
int slot_run(const struct slot_conf *conf);

#endif
