#include "ca/request.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "ca/alabel.h"
#include "ca/oid.h"

static const struct {
	const char *word;
	enum tosign_gn type;
} san_words[] = {
	{ "dns", TOSIGN_GN_DNS },
	{ "ip", TOSIGN_GN_IP },
	{ "email", TOSIGN_GN_EMAIL },
	{ "uri", TOSIGN_GN_URI },
	{ "upn", TOSIGN_GN_OTHER },
};
#define N_SAN_WORDS (sizeof(san_words) / sizeof(san_words[0]))

const char *
request_san_word(enum tosign_gn type)
{
	size_t i;

	for (i = 0; i < N_SAN_WORDS; i++) {
		if (san_words[i].type == type)
			return san_words[i].word;
	}
	return "name";
}

static bool
label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static int
check_label(const char *label, size_t n, struct err *e)
{
	size_t i;

	if (n == 0)
		return err_set(e, ERR_MALFORMED, "has an empty label");
	if (n > 63)
		return err_set(
		    e, ERR_MALFORMED, "has a label of more than 63 octets");
	for (i = 0; i < n; i++) {
		if (!label_char(label[i]))
			return err_set(e, ERR_MALFORMED,
			    "has a character that a DNS name may not have");
	}
	if (label[0] == '-' || label[n - 1] == '-')
		return err_set(e, ERR_MALFORMED,
		    "has a label that starts or ends with a hyphen");
	/* RFC 5890 2.3.1: only A-labels have hyphens in places 3 and 4 */
	if (n >= 4 && label[2] == '-' && label[3] == '-' &&
	    !alabel_is_valid(span_of(label, n)))
		return err_set(e, ERR_MALFORMED,
		    "has a label with \"--\" that is not an A-label");
	return 0;
}

static int
check_labels(const char *name, struct err *e)
{
	const char *label = name;
	size_t n;

	for (;;) {
		n = strcspn(label, ".");
		if (check_label(label, n, e) == -1)
			return -1;
		if (label[n] == '\0')
			break;
		label += n + 1;
	}
	/* RFC 3696 2: the last label is not all digits: that is an address */
	if (strspn(label, "0123456789") == n)
		return err_set(
		    e, ERR_MALFORMED, "ends with a label of digits only");
	return 0;
}

int
request_dns_check(const char *name, bool wildcard, struct err *e)
{
	bool star = wildcard && strncmp(name, "*.", 2) == 0;

	if (strlen(name) > 253)
		(void)err_set(e, ERR_MALFORMED, "has more than 253 octets");
	else if (check_labels(star ? name + 2 : name, e) == 0)
		return 0;
	return err_prefix(e, "DNS name \"%.253s\"", name);
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* RFC 5321 Mailbox with an ASCII dot-atom local part and a DNS host. */
static int
check_email(const char *text, struct err *e)
{
	const char *at = strrchr(text, '@'), *p;

	if (at == NULL || at == text || at - text > 64 || text[0] == '.' ||
	    at[-1] == '.' || strstr(text, "..") != NULL)
		return err_set(
		    e, ERR_MALFORMED, "\"%.255s\" is not a mail address", text);
	for (p = text; p < at; p++) {
		if (!isalnum((unsigned char)*p) &&
		    strchr("!#$%&'*+-/=?^_`{|}~.", *p) == NULL)
			return err_set(e, ERR_MALFORMED,
			    "mail address \"%.255s\" has a character that it "
			    "may not have",
			    text);
	}
	return request_dns_check(at + 1, false, e);
}

/* The host of "[user@]host[:port]": a DNS name or an address. */
static bool
is_host(struct arena *a, const char *authority, size_t n)
{
	char *host = arena_memdup(a, authority, n), *end;
	uint8_t octets[16];

	if (strchr(host, '@') != NULL)
		host = strrchr(host, '@') + 1;
	end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
	if (host[0] == '[') {
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*end++ = '\0';
		if (inet_pton(AF_INET6, host + 1, octets) != 1)
			return false;
	}
	if (end != NULL && *end == ':') {
		*end++ = '\0';
		if (end[strspn(end, "0123456789")] != '\0')
			return false;
	}
	lower(host);
	return host[0] == '[' || inet_pton(AF_INET, host, octets) == 1 ||
	       request_dns_check(host, false, NULL) == 0;
}

/* RFC 5280 4.2.1.6: absolute, with scheme and scheme-specific part. */
static int
check_uri(struct arena *a, const char *text, struct err *e)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789+-.");
	const char *p;

	if (scheme == 0 || !isalpha((unsigned char)text[0]) ||
	    text[scheme] != ':' || text[scheme + 1] == '\0')
		return err_set(e, ERR_MALFORMED,
		    "\"%.255s\" is not an absolute URI", text);
	for (p = text; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~' || strchr("<>\"{}|\\^`", *p) != NULL)
			return err_set(e, ERR_MALFORMED,
			    "URI has a character that it may not have");
	}
	p = text + scheme + 3;
	if (strncmp(text + scheme, "://", 3) == 0 &&
	    !is_host(a, p, strcspn(p, "/?#")))
		return err_set(
		    e, ERR_MALFORMED, "URI \"%.255s\" has no host", text);
	return 0;
}

static int
check_upn(const char *text, struct err *e)
{
	static const struct dn_type upn = { "UPN", "", 0x0c, 255 };
	const char *at = strchr(text, '@');

	/* "a@evil@test" would match what allows "*@test" */
	if (at == NULL || at == text || at[1] == '\0' ||
	    strchr(at + 1, '@') != NULL)
		return err_set(
		    e, ERR_MALFORMED, "UPN does not have one \"@\" inside");
	return dn_value_check(&upn, text, e);
}

static int
check_ip(struct arena *a, struct request_san *san, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	int family = san->ip.n == 4 ? AF_INET : AF_INET6;

	if (san->ip.n != 4 && san->ip.n != 16)
		return err_set(
		    e, ERR_MALFORMED, "iPAddress is not 4 or 16 octets");
	if (inet_ntop(family, san->ip.p, text, sizeof(text)) == NULL)
		return err_set(e, ERR_INTERNAL, "address has no text");
	san->text = arena_strdup(a, text);
	return 0;
}

int
request_san_check(struct arena *a, struct request_san *san, struct err *e)
{
	char *copy;

	switch (san->type) {
	case TOSIGN_GN_DNS:
		copy = arena_strdup(a, san->text);
		lower(copy);
		san->text = copy;
		return request_dns_check(copy, true, e);
	case TOSIGN_GN_IP:
		return check_ip(a, san, e);
	case TOSIGN_GN_EMAIL:
		copy = arena_strdup(a, san->text);
		if (strrchr(copy, '@') != NULL)
			lower(strrchr(copy, '@'));
		san->text = copy;
		return check_email(copy, e);
	case TOSIGN_GN_URI:
		return check_uri(a, san->text, e);
	case TOSIGN_GN_OTHER:
		return check_upn(san->text, e);
	default:
		return err_set(e, ERR_REFUSED,
		    "subject alternative names of this type are not supported");
	}
}

/* Fills 'out' when 'text' is an address. */
static bool
parse_ip(struct arena *a, const char *text, struct request_san *out)
{
	uint8_t octets[16];
	size_t n = 0;

	if (inet_pton(AF_INET, text, octets) == 1)
		n = 4;
	else if (inet_pton(AF_INET6, text, octets) == 1)
		n = 16;
	out->type = TOSIGN_GN_IP;
	out->ip = span_of(arena_memdup(a, octets, n), n);
	return n != 0;
}

int
request_san_parse(
    struct arena *a, const char *text, struct request_san *out, struct err *e)
{
	size_t i, n;

	*out = (struct request_san){ 0 };
	for (i = 0; i < N_SAN_WORDS; i++) {
		n = strlen(san_words[i].word);
		if (strncmp(text, san_words[i].word, n) != 0 || text[n] != ':')
			continue;
		out->type = san_words[i].type;
		out->text = arena_strdup(a, text + n + 1);
		if (out->type == TOSIGN_GN_IP && !parse_ip(a, out->text, out))
			return err_set(e, ERR_MALFORMED,
			    "\"%.100s\" is not an IP address", out->text);
		return request_san_check(a, out, e);
	}
	if (!parse_ip(a, text, out)) {
		out->type =
		    strchr(text, '@') == NULL ? TOSIGN_GN_DNS : TOSIGN_GN_EMAIL;
		out->text = arena_strdup(a, text);
	}
	return request_san_check(a, out, e);
}

bool
request_san_eq(const struct request_san *x, const struct request_san *y)
{
	if (x->type != y->type)
		return false;
	if (x->type == TOSIGN_GN_IP)
		return span_eq(x->ip, y->ip);
	return strcmp(x->text, y->text) == 0;
}

bool
request_san_among(
    const struct request_san *san, const struct request_san *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (request_san_eq(&list[i], san))
			return true;
	}
	return false;
}

void
request_sans_dedup(struct request_want *w)
{
	size_t i, j, n = 0;

	for (i = 0; i < w->n_sans; i++) {
		for (j = 0; j < n; j++) {
			if (request_san_eq(&w->sans[i], &w->sans[j]))
				break;
		}
		if (j == n)
			w->sans[n++] = w->sans[i];
	}
	w->n_sans = n;
}

/* The text of an IA5String or UTF8String that may stand in messages. */
static int
text_from(struct arena *a, const struct tosign_general_name *in,
    const char **out, struct err *e)
{
	size_t i;

	for (i = 0; i < in->value.n; i++) {
		if (in->value.p[i] == 0)
			return err_set(e, ERR_MALFORMED,
			    "subject alternative name has a NUL octet");
		if (in->value.p[i] >= 0x80 && in->tag != TOSIGN_GN_OTHER)
			return err_set(e, ERR_MALFORMED,
			    "subject alternative name is not ASCII");
	}
	*out = arena_memdup(a, in->value.p, in->value.n);
	return 0;
}

static int
san_from(struct arena *a, const struct tosign_general_name *in,
    struct request_san *out, struct err *e)
{
	out->type = in->tag;
	if (in->tag == TOSIGN_GN_OTHER &&
	    (!tosign_oid_is(in->oid, OID_UPN) || in->other_tag != 0x0c))
		return err_set(e, ERR_REFUSED, "otherName %s is not supported",
		    tosign_oid_text(a, in->oid));
	if (in->tag == TOSIGN_GN_DIRNAME || in->tag == TOSIGN_GN_RID)
		return request_san_check(a, out, e);
	if (in->tag == TOSIGN_GN_IP)
		out->ip = span_dup(a, in->value);
	else if (text_from(a, in, &out->text, e) == -1)
		return -1;
	return request_san_check(a, out, e);
}

int
request_sans_decode(
    struct arena *a, struct span der, struct request_want *out, struct err *e)
{
	struct tosign_general_name *names;
	size_t n, i;

	if (tosign_general_names_parse(a, der, &names, &n, e) == -1)
		return -1;
	if (n > REQUEST_SANS_MAX)
		return err_set(e, ERR_REFUSED,
		    "request has %zu alternative names, at most %d are allowed",
		    n, REQUEST_SANS_MAX);
	out->sans = arena_array(a, n, sizeof(*out->sans));
	for (i = 0; i < n; i++) {
		if (san_from(a, &names[i], &out->sans[i], e) == -1)
			return -1;
	}
	out->n_sans = n;
	request_sans_dedup(out);
	return 0;
}
