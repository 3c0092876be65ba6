#include "ca/renewal.h"

#include <ctype.h>
#include <string.h>

/*
 * RFC 5280 7.1: case does not count, nor does white space at the ends or more
 * than one in a row.
 */
static bool
same_value(const char *x, const char *y)
{
	x += strspn(x, " ");
	y += strspn(y, " ");
	while (*x != '\0' && *y != '\0') {
		if (*x == ' ' && *y == ' ') {
			x += strspn(x, " ");
			y += strspn(y, " ");
			continue;
		}
		if (tolower((unsigned char)*x) != tolower((unsigned char)*y))
			break;
		x++;
		y++;
	}
	return x[strspn(x, " ")] == '\0' && y[strspn(y, " ")] == '\0';
}

static bool
same_subject(const struct dn *x, const struct dn *y)
{
	size_t i;

	if (x->n != y->n)
		return false;
	for (i = 0; i < x->n; i++) {
		if (x->attrs[i].type != y->attrs[i].type ||
		    !same_value(x->attrs[i].value, y->attrs[i].value))
			return false;
	}
	return true;
}

/* Neither has a name twice. */
static bool
same_names(const struct request_want *w, const struct request_holder *h)
{
	size_t i;

	for (i = 0; i < w->n_sans; i++) {
		if (!request_san_among(&w->sans[i], h->sans, h->n_sans))
			return false;
	}
	return w->n_sans == h->n_sans;
}

int
renewal_check(const struct profile *p, const struct request_evidence *ev,
    struct request_want *want, struct err *e)
{
	const struct request_holder *h = ev->holder;

	if (h == NULL || h->profile == NULL)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "renewing takes a certificate that this CA has issued");
	if (strcmp(h->profile, p->name) != 0)
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\", rule renewal: the certificate is one of"
		    " profile \"%s\"",
		    p->name, h->profile);
	if (!same_subject(&want->subject, &h->subject))
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\", rule renewal: the subject is not that of"
		    " the certificate",
		    p->name);
	if (!same_names(want, h))
		return err_set(e, ERR_REFUSED,
		    "profile \"%s\", rule renewal: the alternative names are"
		    " not those of the certificate",
		    p->name);
	if (want->rename == NULL)
		return 0;
	if (want->rename->has_subject)
		want->subject = want->rename->subject;
	if (want->rename->has_sans) {
		want->sans = want->rename->sans;
		want->n_sans = want->rename->n_sans;
	}
	return 0;
}
