/*
 * Serves the files below a directory (CRLs) by the path of their URL, and
 * bytes in memory (CA certificates), with what caches and resuming clients
 * need: ETag, Last-Modified, conditional requests, ranges (RFC 9110 8.8, 13,
 * 14), HEAD.  Nothing but regular files below the directory, and no path with
 * a component that begins with a dot.
 */
#ifndef OCSP_STATIC_H
#define OCSP_STATIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/http.h"
#include "base/span.h"

struct statics;

/* The directory may come into being later. */
struct statics *statics_new(const char *dir);
void statics_free(struct statics *s);

/*
 * Adds bytes (copied) at a path such as "/ca/tls.cer"; before the first
 * request.  A path that is there already keeps its bytes.
 */
void statics_add(struct statics *s, const char *path, struct span bytes);

/*
 * Answers a GET or HEAD; false when there is nothing at this path, and then
 * nothing was sent.
 */
bool statics_serve(const struct statics *s, const struct http_now_request *req);

/* Whether a path may name a file: what is served, and what may be written. */
bool statics_path_ok(const char *path);

#endif
