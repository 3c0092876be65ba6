#include "protocols/vald/http01.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"

#define URL_MAX ((size_t)4096)
#define NAME_MAX_BYTES 253

AUTO_DEFINE(CURLU, curl_url_cleanup);
typedef char curl_text;
AUTO_DEFINE(curl_text, curl_free);
typedef struct curl_slist curl_slist_auto;
AUTO_DEFINE(curl_slist_auto, curl_slist_free_all);

struct http01 {
	struct http01_conf conf;
	struct resolver *resolver;
	CURL *curl;
};

/* One request of a challenge: the first or a redirect. */
struct hop {
	struct http01 *h;
	char url[URL_MAX];
	char host[NAME_MAX_BYTES + 1];
	uint16_t port;
	int64_t deadline_us; /* of the whole challenge */
	struct buf body;
	bool refused; /* an address that the policy denies */
	struct outcome *out;
};

int
http01_new(const struct http01_conf *conf, struct resolver *resolver,
    struct http01 **out, struct err *e)
{
	struct http01 *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return err_set(e, ERR_UNAVAILABLE, "out of memory");
	h->conf = *conf;
	h->resolver = resolver;
	h->curl = curl_easy_init();
	if (h->curl == NULL) {
		free(h);
		return err_set(e, ERR_UNAVAILABLE, "libcurl does not start");
	}
	*out = h;
	return 0;
}

void
http01_free(struct http01 *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h);
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct hop *hop = arg;

	buf_add(&hop->body, p, size * n);
	return buf_ok(&hop->body) ? size * n : 0;
}

/* The last word on where a connection goes, after all of libcurl's logic. */
static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
	struct hop *hop = arg;
	struct netaddr a;

	(void)purpose;
	if (!netaddr_from(&sa->addr, &a) ||
	    netpolicy_check(hop->h->conf.policy, &a, NULL) != 0) {
		hop->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

static bool
port_allowed(const struct http01 *h, unsigned long port)
{
	return port == 80 || port == 443 || port == h->conf.port ||
	       port == h->conf.tls_port;
}

/*
 * A DNS name, and nothing that any resolver takes for an address: RFC 3696
 * section 2 has no all-numeric top-level domain.
 */
static bool
is_dns_name(const char *s)
{
	const char *last = strrchr(s, '.');
	size_t i, n = strlen(s);

	if (n == 0 || n > NAME_MAX_BYTES)
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("-_.", s[i]) == NULL)
			return false;
	last = last == NULL ? s : last + 1;
	return !isdigit((unsigned char)*last) && *last != '\0';
}

/* Reads host and port of the hop's URL and decides whether it may be asked. */
static int
check_url(struct hop *hop)
{
	AUTO(CURLU) u = curl_url();
	AUTO(curl_text) scheme = NULL;
	AUTO(curl_text) host = NULL;
	AUTO(curl_text) port = NULL;
	AUTO(curl_text) user = NULL;
	unsigned long n;

	if (u == NULL ||
	    curl_url_set(u, CURLUPART_URL, hop->url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) !=
		CURLUE_OK)
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "the redirect does not lead to a web address");
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "the redirect leads to the scheme \"%.20s\"", scheme);
	if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "the redirect carries a user name");
	if (!is_dns_name(host))
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "the redirect does not lead to a DNS name");
	n = strtoul(port, NULL, 10);
	if (!port_allowed(hop->h, n))
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "the redirect leads to port %lu", n);
	(void)snprintf(hop->host, sizeof(hop->host), "%s", host);
	hop->port = (uint16_t)n;
	return 0;
}

/* "+host:port:address,address": what libcurl uses instead of a resolver. */
static int
pin(struct hop *hop, struct curl_slist **list)
{
	struct netaddr addrs[RESOLVE_ADDRESSES_MAX];
	char text[NETADDR_TEXT_SIZE];
	int64_t until_us =
	    clock_mono_us() + (int64_t)hop->h->conf.timeout_ms * 1000;
	struct err e = { 0 };
	AUTO_BUF(b, 2048);
	size_t i, n;

	if (until_us > hop->deadline_us)
		until_us = hop->deadline_us;
	if (resolver_lookup(
		hop->h->resolver, hop->host, until_us, addrs, &n, &e) != 0)
		return outcome_set(hop->out, OUTCOME_DNS, "%s", e.text);
	buf_printf(&b, "+%s:%u:", hop->host, (unsigned)hop->port);
	for (i = 0; i < n; i++) {
		if (netpolicy_check(hop->h->conf.policy, &addrs[i], &e) != 0)
			return outcome_set(hop->out, OUTCOME_CONNECTION,
			    "%s: %s", hop->host, e.text);
		netaddr_text(&addrs[i], text);
		buf_printf(&b, addrs[i].n == 4 ? "%s%s" : "%s[%s]",
		    i == 0 ? "" : ",", text);
	}
	buf_u8(&b, 0);
	*list = buf_ok(&b) ? curl_slist_append(NULL, (const char *)b.p) : NULL;
	if (*list == NULL)
		return outcome_set(
		    hop->out, OUTCOME_CONNECTION, "out of memory");
	return 0;
}

static void
set_options(struct hop *hop, struct curl_slist *pinned)
{
	int64_t left_ms = (hop->deadline_us - clock_mono_us()) / 1000;
	long ms = hop->h->conf.timeout_ms;
	CURL *c = hop->h->curl;

	if (left_ms < ms)
		ms = left_ms < 1 ? 1 : (long)left_ms;
	curl_easy_reset(c);
	(void)curl_easy_setopt(c, CURLOPT_URL, hop->url);
	(void)curl_easy_setopt(c, CURLOPT_RESOLVE, pinned);
	(void)curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	(void)curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, hop);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, hop);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, ms);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, ms);
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	(void)curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(
	    c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "chancery-vald");
	/* a redirect to https proves nothing by its certificate: the first
	 * request was not protected either (RFC 8555 section 8.3) */
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
	(void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
}

static int
transfer_failed(struct hop *hop, CURLcode rc)
{
	enum outcome_kind kind = OUTCOME_CONNECTION;

	if (hop->refused)
		return outcome_set(hop->out, kind,
		    "%s: the address may not be asked", hop->host);
	if (!buf_ok(&hop->body))
		return outcome_set(hop->out, OUTCOME_INCORRECT,
		    "%s answered with more than %zu bytes", hop->host,
		    HTTP01_BODY_MAX);
	if (rc == CURLE_SSL_CONNECT_ERROR || rc == CURLE_SSL_CIPHER ||
	    rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CERTPROBLEM)
		kind = OUTCOME_TLS;
	return outcome_set(hop->out, kind, "%s port %u: %s", hop->host,
	    (unsigned)hop->port, curl_easy_strerror(rc));
}

/*
 * What came from the host must not spoil the row that it is recorded in: a
 * redirect may have any octets.
 */
static void
make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

static void
note_evidence(struct hop *hop, long status)
{
	char *ip = NULL;

	(void)curl_easy_getinfo(hop->h->curl, CURLINFO_PRIMARY_IP, &ip);
	(void)snprintf(hop->out->evidence, sizeof(hop->out->evidence),
	    "http-01 address=%s port=%u status=%ld url=%s",
	    ip == NULL ? "" : ip, (unsigned)hop->port, status, hop->url);
	make_printable(hop->out->evidence);
}

/* Asks once; '*status' is what the host answered. */
static int
fetch(struct hop *hop, long *status)
{
	AUTO(curl_slist_auto) pinned = NULL;
	CURLcode rc;

	if (check_url(hop) != 0 || pin(hop, &pinned) != 0)
		return -1;
	if (clock_mono_us() >= hop->deadline_us)
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "%s: the time is up", hop->host);
	buf_reset(&hop->body);
	hop->refused = false;
	set_options(hop, pinned);
	rc = curl_easy_perform(hop->h->curl);
	(void)curl_easy_getinfo(hop->h->curl, CURLINFO_RESPONSE_CODE, status);
	note_evidence(hop, *status);
	/* a redirect's body does not matter, not even its length */
	if (rc == CURLE_WRITE_ERROR && *status / 100 == 3)
		rc = CURLE_OK;
	return rc == CURLE_OK ? 0 : transfer_failed(hop, rc);
}

static bool
is_redirect(long status)
{
	return (status >= 301 && status <= 303) || status == 307 ||
	       status == 308;
}

static int
follow(struct hop *hop)
{
	char *url = NULL;

	(void)curl_easy_getinfo(hop->h->curl, CURLINFO_REDIRECT_URL, &url);
	if (url == NULL || strlen(url) >= sizeof(hop->url))
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "%s redirects to nowhere", hop->host);
	(void)snprintf(hop->url, sizeof(hop->url), "%s", url);
	return 0;
}

static int
compare(struct hop *hop, const char *want)
{
	size_t n = hop->body.n, len = strlen(want);

	while (n > 0 && isspace(hop->body.p[n - 1]))
		n--;
	if (n == len && (n == 0 || memcmp(hop->body.p, want, n) == 0))
		return 0;
	return outcome_set(hop->out, OUTCOME_INCORRECT,
	    "%s answered with another key authorization", hop->host);
}

static int
ask(struct hop *hop, const char *want)
{
	long status = 0;
	int hops;

	for (hops = 0; hops <= HTTP01_REDIRECTS_MAX; hops++) {
		if (fetch(hop, &status) != 0)
			return -1;
		if (!is_redirect(status))
			break;
		if (follow(hop) != 0)
			return -1;
	}
	if (is_redirect(status))
		return outcome_set(hop->out, OUTCOME_CONNECTION,
		    "more than %d redirects", HTTP01_REDIRECTS_MAX);
	if (status != 200)
		return outcome_set(hop->out, OUTCOME_UNAUTHORIZED,
		    "%s answered with status %ld", hop->host, status);
	return compare(hop, want);
}

void
http01_check(
    struct http01 *h, const struct http01_request *req, struct outcome *out)
{
	struct hop hop = { .h = h, .out = out };

	*out = (struct outcome){ .kind = OUTCOME_VALID };
	if (!is_dns_name(req->name)) {
		(void)outcome_set(
		    out, OUTCOME_DNS, "the identifier is no DNS name");
		return;
	}
	hop.deadline_us = clock_mono_us() + (int64_t)h->conf.timeout_ms * 2000;
	buf_init(&hop.body, HTTP01_BODY_MAX);
	(void)snprintf(hop.url, sizeof(hop.url),
	    "http://%s:%u/.well-known/acme-challenge/%s", req->name,
	    (unsigned)h->conf.port, req->token);
	(void)ask(&hop, req->key_authorization);
	buf_clear(&hop.body);
}
