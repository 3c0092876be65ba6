#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/ipc.h"
#include "hsm/sign_client.h"
#include "hsm/sign_proto.h"

static const struct sign_approval approvals[] = {
	{ .approver = "alice", .signature = { (const uint8_t *)"sig", 3 } },
	{ .approver = "bob", .signature = { (const uint8_t *)"", 0 } },
};

static const struct sign_ask full = {
	.verb = SIGN_VERB_SIGN,
	.sign = { .kind = SIGN_CERT,
	    .key = "tls",
	    .tbs = { (const uint8_t *)"0\0", 2 },
	    .request_id = "r-1",
	    .profile_hash = { 1, 2, 3 },
	    .approve_by = -5,
	    .max_validity_s = 77,
	    .approvals = approvals,
	    .n_approvals = 2,
	    .responder_host = "h1",
	    .responder_not_after = 99,
	    .responder_signature = { (const uint8_t *)"rs", 2 } },
};

static void
test_ask(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sign_ask got;
	struct err e;
	AUTO_BUF(b, 4096);
	size_t i;

	(void)state;
	sign_proto_ask_encode(&b, &full);
	assert_true(buf_ok(&b));
	assert_int_equal(sign_proto_ask_parse(a, buf_get(&b), &got, &e), 0);
	assert_string_equal(got.sign.key, "tls");
	assert_string_equal(got.sign.request_id, "r-1");
	assert_true(span_eq(got.sign.tbs, full.sign.tbs));
	assert_int_equal(got.sign.approve_by, -5);
	assert_int_equal(got.sign.max_validity_s, 77);
	assert_int_equal(got.sign.n_approvals, 2);
	assert_string_equal(got.sign.responder_host, "h1");
	assert_int_equal(got.sign.responder_not_after, 99);
	assert_true(span_is(got.sign.responder_signature, "rs"));
	assert_string_equal(got.sign.approvals[1].approver, "bob");
	assert_true(span_is(got.sign.approvals[0].signature, "sig"));
	assert_memory_equal(
	    got.sign.profile_hash, full.sign.profile_hash, SIGN_HASH_SIZE);
	for (i = 0; i < b.n; i++)
		assert_int_equal(
		    sign_proto_ask_parse(a, span_of(b.p, i), &got, &e), -1);
	buf_u8(&b, 0);
	assert_int_equal(sign_proto_ask_parse(a, buf_get(&b), &got, &e), -1);
	assert_int_equal(e.kind, ERR_MALFORMED);
}

static void
test_ask_bad(void **state)
{
	static const char *const bad[] = { "\1\3", "\2\4", "\2\1\11", "\2\2x" };
	AUTO(arena_auto) a = arena_new();
	struct sign_ask got;
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    sign_proto_ask_parse(a, span_str(bad[i]), &got, &e), -1);
	assert_int_equal(
	    sign_proto_ask_parse(a, span_str("\2\3"), &got, &e), 0);
}

static void
round_trip(struct arena *a, enum sign_verb verb, const struct sign_answer *in,
    struct sign_answer *out)
{
	struct err e;
	AUTO_BUF(b, 4096);
	size_t i;

	sign_proto_answer_encode(&b, verb, in);
	assert_int_equal(
	    sign_proto_answer_parse(a, buf_get(&b), verb, out, &e), 0);
	for (i = 0; i < b.n; i++) {
		struct sign_answer cut;

		assert_int_equal(
		    sign_proto_answer_parse(a, span_of(b.p, i), verb, &cut, &e),
		    -1);
	}
}

static void
test_answer(void **state)
{
	AUTO(arena_auto) a = arena_new();
	struct sign_answer in = { 0 }, out;

	(void)state;
	in.reply.signature = span_str("signature");
	in.reply.receipt.slot = 9;
	in.reply.receipt.seq = UINT64_MAX;
	in.reply.receipt.head[31] = 4;
	round_trip(a, SIGN_VERB_SIGN, &in, &out);
	assert_true(span_is(out.reply.signature, "signature"));
	assert_int_equal(out.reply.receipt.slot, 9);
	assert_true(out.reply.receipt.seq == UINT64_MAX);
	assert_int_equal(out.reply.receipt.head[31], 4);
	round_trip(a, SIGN_VERB_RECALL, &in, &out);
	assert_false(out.found);
	in.found = true;
	in.reply.tbs = span_str("tbs");
	round_trip(a, SIGN_VERB_RECALL, &in, &out);
	assert_true(out.found);
	assert_true(span_is(out.reply.tbs, "tbs"));
	in.status.seq = 3;
	in.status.keys = "a,b";
	round_trip(a, SIGN_VERB_STATUS, &in, &out);
	assert_null(out.status.fault);
	in.status.fault = "no token";
	round_trip(a, SIGN_VERB_STATUS, &in, &out);
	assert_string_equal(out.status.fault, "no token");
	assert_string_equal(out.status.keys, "a,b");
	(void)err_set(&in.err, ERR_REFUSED, "rule x");
	round_trip(a, SIGN_VERB_SIGN, &in, &out);
	assert_int_equal(out.err.kind, ERR_REFUSED);
	assert_string_equal(out.err.text, "rule x");
}

/* A signer that answers 'n' requests on one connection and hangs up. */
struct fake {
	int listen_fd, n, connections;
};

static void *
fake_signer(void *arg)
{
	struct fake *f = arg;
	struct sign_answer r = { .reply = { .signature = { NULL, 0 } } };
	AUTO_BUF(in, IPC_MESSAGE_MAX);
	AUTO_BUF(out, IPC_MESSAGE_MAX);
	struct err e;
	int fd, i, c;

	r.reply.receipt.seq = 5;
	for (c = 0; c < f->connections; c++) {
		if (ipc_accept(f->listen_fd, &fd, &e) != 0)
			return NULL;
		for (i = 0; i < f->n; i++) {
			if (ipc_recv(fd, &in, NULL, -1, &e) != 0)
				break;
			buf_reset(&out);
			sign_proto_answer_encode(&out, SIGN_VERB_SIGN, &r);
			if (ipc_send(fd, buf_get(&out), -1, -1, &e) != 0)
				break;
		}
		(void)close(fd);
	}
	return NULL;
}

/* A connection that died between requests is replaced without an error. */
static void
test_reconnect(void **state)
{
	char dir[] = "/tmp/signclient-XXXXXX", sub[64], path[80];
	struct fake f = { .n = 1, .connections = 3 };
	AUTO(arena_auto) a = arena_new();
	struct sign_request req = full.sign;
	struct sign_client *c;
	struct sign_reply r;
	pthread_t t;
	struct err e;
	uint8_t slot;
	int i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/sign-enroll", dir);
	(void)snprintf(path, sizeof(path), "%s/0a", sub);
	c = sign_client_new(dir, "enroll", 2000);
	assert_int_equal(sign_client_slot(c, &slot, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(ipc_listen(path, 0600, &f.listen_fd, &e), 0);
	assert_int_equal(pthread_create(&t, NULL, fake_signer, &f), 0);
	assert_int_equal(sign_client_slot(c, &slot, &e), 0);
	assert_int_equal(slot, 10);
	req.slot = slot;
	for (i = 0; i < 3; i++) {
		assert_int_equal(sign_client_sign(c, a, &req, &r, &e), 0);
		assert_int_equal(r.receipt.seq, 5);
		usleep(20000); /* the far end has hung up by now */
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	(void)close(f.listen_fd);
	assert_int_equal(sign_client_sign(c, a, &req, &r, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	sign_client_free(c);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* No reply within the timeout: UNAVAILABLE, and no second request. */
static void
test_silence(void **state)
{
	char dir[] = "/tmp/signclient-XXXXXX", sub[64], path[80];
	AUTO(arena_auto) a = arena_new();
	struct sign_request req = full.sign;
	struct sign_client *c;
	struct sign_reply r;
	struct err e;
	AUTO_BUF(in, IPC_MESSAGE_MAX);
	int l, fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sub, sizeof(sub), "%s/sign-oper", dir);
	(void)snprintf(path, sizeof(path), "%s/00", sub);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(ipc_listen(path, 0600, &l, &e), 0);
	c = sign_client_new(dir, "oper", 30);
	req.slot = 0;
	assert_int_equal(sign_client_sign(c, a, &req, &r, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(ipc_accept(l, &fd, &e), 0);
	assert_int_equal(ipc_recv(fd, &in, NULL, 0, &e), 0);
	assert_int_equal(ipc_recv(fd, &in, NULL, 0, &e), -1);
	(void)close(fd);
	(void)close(l);
	sign_client_free(c);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_bad),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
