/*
 * Cleanup attributes: AUTO(X509) x = ...; frees x on every return, so that a
 * failure is one return statement.  A type takes part when its owner module
 * (or the block below, for foreign types of libcrypto) defines AUTO_DEFINE.
 */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

/* Declares a pointer to 'type' that is freed when it goes out of scope. */
#define AUTO(type) __attribute__((cleanup(auto_free_##type))) type *

/* Defines how AUTO(type) is freed; NULL is never passed to 'fn'. */
#define AUTO_DEFINE(type, fn)                                                  \
	static inline void auto_free_##type(type **p)                          \
	{                                                                      \
		if (*p != NULL)                                                \
			fn(*p);                                                \
	}                                                                      \
	struct auto_needs_semicolon

/* AUTO_FD int fd: closed when it goes out of scope, unless negative. */
#define AUTO_FD __attribute__((cleanup(auto_close)))

/* Closes '*fd' if it is a descriptor. */
void auto_close(int *fd);

#endif
