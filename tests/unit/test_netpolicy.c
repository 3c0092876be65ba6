#include <arpa/inet.h>
#include <netinet/in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/vald/netpolicy.h"

static struct netpolicy *
policy(const char *allow, const char *deny)
{
	struct netpolicy_conf conf = { &allow, allow != NULL, &deny,
		deny != NULL };
	struct netpolicy *p = NULL;
	struct err e;

	if (netpolicy_new(&conf, &p, &e) != 0)
		fail_msg("%s", e.text);
	return p;
}

static bool
passes(const struct netpolicy *p, const char *text)
{
	struct err e = { 0 };
	struct netaddr a;

	if (!netaddr_parse(text, &a))
		fail_msg("%s is no address", text);
	if (netpolicy_check(p, &a, &e) == 0)
		return true;
	assert_int_equal(e.kind, ERR_REFUSED);
	return false;
}

/* Denied, and with the network around it on the allow list still denied. */
static const char *const never[] = { "0.0.0.0", "0.1.2.3", "169.254.169.254",
	"192.0.0.8", "192.0.2.9", "192.88.99.1", "198.51.100.1", "203.0.113.1",
	"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "fe80::1", "febf::1", "fec0::1", "ff02::1", "100::1",
	"2001:db8::1", "64:ff9b:1::a00:1", "::ffff:169.254.169.254",
	"::ffff:0.0.0.0", "::ffff:255.255.255.255", "::169.254.169.254",
	"2002:a9fe:a9fe::1", "64:ff9b::169.254.169.254", "64:ff9b::e000:1",
	"::ffff:0:169.254.1.1", "2001:0:a9fe:a9fe::1", /* Teredo server */
	"2001:0:808:808:0:0:5601:5601", /* client 169.254.169.254 */
	"2a00:1450::5efe:a9fe:a9fe", "2a00:1450::200:5efe:e000:1" };

/* Denied unless allowed. */
static const char *const private[] = { "10.0.0.1", "10.255.255.255",
	"100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	"172.16.0.1", "172.31.255.255", "192.168.0.1", "198.18.0.1", "::1",
	"fc00::1", "fdff::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
	"::127.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::127.0.0.1",
	"64:ff9b::192.168.1.1", "2001:0:a00:1:0:0:f7f7:f7f7",
	"::ffff:0:10.0.0.1", "2001:0:808:808:0:0:80ff:fffe",
	"2a00:1450::5efe:a00:1" };

static const char *const public[] = { "8.8.8.8", "1.1.1.1", "11.0.0.1",
	"100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
	"172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1",
	"198.17.255.255", "198.20.0.1", "223.255.255.255", "2a00:1450::1",
	"2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	"2002:808:808::1" };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_default(void **state)
{
	struct netpolicy *p = policy(NULL, NULL);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(never); i++)
		if (passes(p, never[i]))
			fail_msg("%s passes", never[i]);
	for (i = 0; i < COUNT(private); i++)
		if (passes(p, private[i]))
			fail_msg("%s passes", private[i]);
	for (i = 0; i < COUNT(public); i++)
		if (!passes(p, public[i]))
			fail_msg("%s does not pass", public[i]);
	netpolicy_free(p);
	netpolicy_free(NULL);
}

static void
test_allow(void **state)
{
	static const char *const all[] = { "0.0.0.0/0", "::/0" };
	struct netpolicy_conf conf = { all, 2, NULL, 0 };
	struct netpolicy *p;
	struct err e;
	size_t i;

	(void)state;
	assert_int_equal(netpolicy_new(&conf, &p, &e), 0);
	for (i = 0; i < COUNT(never); i++)
		if (passes(p, never[i]))
			fail_msg("%s passes", never[i]);
	for (i = 0; i < COUNT(private); i++)
		if (!passes(p, private[i]))
			fail_msg("%s does not pass", private[i]);
	netpolicy_free(p);
	p = policy("10.1.0.0/17", NULL);
	assert_true(passes(p, "10.1.127.255"));
	assert_true(passes(p, "::ffff:10.1.0.1"));
	assert_false(passes(p, "10.1.128.0"));
	assert_false(passes(p, "10.0.0.1"));
	netpolicy_free(p);
	p = policy("127.0.0.1", NULL);
	assert_true(passes(p, "127.0.0.1"));
	assert_false(passes(p, "127.0.0.2"));
	assert_false(passes(p, "::1"));
	netpolicy_free(p);
}

static void
test_deny(void **state)
{
	struct netpolicy *p = policy("10.0.0.0/8", "10.9.8.0/24");
	struct netaddr a;
	struct err e;

	(void)state;
	assert_true(passes(p, "10.9.7.1"));
	assert_false(passes(p, "10.9.8.1"));
	assert_false(passes(p, "::ffff:10.9.8.1"));
	assert_false(passes(p, "64:ff9b::10.9.8.1"));
	assert_true(netaddr_parse("10.9.8.1", &a));
	assert_int_equal(netpolicy_check(p, &a, &e), -1);
	assert_string_equal(e.text, "address 10.9.8.1 may not be asked "
				    "(denied by the configuration)");
	netpolicy_free(p);
	p = policy(NULL, "8.8.8.8");
	assert_false(passes(p, "8.8.8.8"));
	assert_false(passes(p, "2002:808:808::1"));
	assert_true(passes(p, "8.8.8.9"));
	netpolicy_free(p);
}

static void
test_wrong_lists(void **state)
{
	static const char *const wrong[] = { "", "10", "10.0.0.0/33",
		"10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.1.0.0/8",
		"fd00::/129", "::g/8", "name.test", "10.0.0.0/ 8",
		"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/8" };
	struct netpolicy *p = NULL;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		struct netpolicy_conf conf = { &wrong[i], 1, NULL, 0 };

		assert_int_equal(netpolicy_new(&conf, &p, &e), -1);
		assert_int_equal(e.kind, ERR_MALFORMED);
	}
	assert_null(p);
}

static void
test_socket_addresses(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(0x7f000001) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr other = { .sa_family = AF_UNIX };
	char text[NETADDR_TEXT_SIZE];
	struct netaddr a;

	(void)state;
	assert_true(netaddr_from((struct sockaddr *)&in, &a));
	netaddr_text(&a, text);
	assert_string_equal(text, "127.0.0.1");
	assert_true(netaddr_from((struct sockaddr *)&in6, &a));
	netaddr_text(&a, text);
	assert_string_equal(text, "::1");
	assert_false(netaddr_from(&other, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_deny),
		cmocka_unit_test(test_wrong_lists),
		cmocka_unit_test(test_socket_addresses),
	};

	return cmocka_run_group_tests_name("netpolicy", tests, NULL, NULL);
}
