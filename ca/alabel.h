/*
 * A-labels: the "xn--" labels of internationalized domain names (RFC 5890
 * 2.3.2.1).  Only their form is judged, not which characters a registry
 * allows.
 */
#ifndef CA_ALABEL_H
#define CA_ALABEL_H

#include <stdbool.h>

#include "base/span.h"

/*
 * Whether a label in lower case starts with "xn--" and the rest is Punycode
 * (RFC 3492) of a text that has at least one character beyond ASCII.
 */
bool alabel_is_valid(struct span label);

#endif
