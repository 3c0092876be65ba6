#include "ca/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/sha256.h"

/* RFC 7914: N 2^15, r 8, p 1: 32 MiB and about a tenth of a second. */
#define SCRYPT_N 32768
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_MEMORY ((uint64_t)64 * 1024 * 1024)

#define GENERATED_OCTETS 20

/* Threads that compare chosen secrets, the one that computes included. */
#define WAITING_MAX 3

static atomic_int comparing;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

int
secret_generate(char out[SECRET_TEXT_SIZE], struct err *e)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t raw[GENERATED_OCTETS];
	unsigned bits = 0, have = 0;
	size_t i, n = 0;

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_set(e, ERR_INTERNAL, "no random bytes");
	for (i = 0; i < sizeof(raw); i++) {
		bits = bits << 8 | raw[i];
		for (have += 8; have >= 5; have -= 5)
			out[n++] = digits[bits >> (have - 5) & 31];
	}
	out[n] = '\0';
	OPENSSL_cleanse(raw, sizeof(raw));
	OPENSSL_cleanse(&bits, sizeof(bits));
	return 0;
}

static int
derive(enum store_secret_kind kind, const uint8_t salt[STORE_SALT_SIZE],
    struct span text, uint8_t out[STORE_SECRET_HASH_SIZE])
{
	int ok;

	if (kind == STORE_SECRET_GENERATED) {
		sha256(text, out);
		return 0;
	}
	(void)pthread_mutex_lock(&one_at_a_time);
	ok = EVP_PBE_scrypt((const char *)text.p, text.n, salt, STORE_SALT_SIZE,
	    SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY, out,
	    STORE_SECRET_HASH_SIZE);
	(void)pthread_mutex_unlock(&one_at_a_time);
	return ok == 1 ? 0 : -1;
}

static bool
is_text(struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return true;
}

int
secret_hash(enum store_secret_kind kind, struct span text,
    struct store_secret *out, struct err *e)
{
	size_t min = kind == STORE_SECRET_GENERATED ? SECRET_TEXT_SIZE - 1
						    : SECRET_CHOSEN_MIN;

	if (text.n < min || text.n > SECRET_MAX)
		return err_set(e, ERR_MALFORMED, "a secret has %zu to %d bytes",
		    min, SECRET_MAX);
	if (!is_text(text))
		return err_set(
		    e, ERR_MALFORMED, "a secret has no control characters");
	out->kind = kind;
	if (getrandom(out->salt, sizeof(out->salt), 0) !=
	    (ssize_t)sizeof(out->salt))
		return err_set(e, ERR_INTERNAL, "no random bytes");
	if (derive(kind, out->salt, text, out->hash) == -1)
		return err_set(e, ERR_INTERNAL, "scrypt failed");
	return 0;
}

bool
secret_name_ok(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			return false;
	}
	return i >= 1 && i <= SECRET_NAME_MAX;
}

int
secret_matches(const struct store_secret *s, struct span text, bool *matches,
    struct err *e)
{
	uint8_t hash[STORE_SECRET_HASH_SIZE];
	bool chosen = s->kind == STORE_SECRET_CHOSEN;
	int rc = 0;

	*matches = false;
	if (text.n > SECRET_MAX)
		return 0;
	if (chosen && atomic_fetch_add(&comparing, 1) >= WAITING_MAX)
		rc = err_set(
		    e, ERR_UNAVAILABLE, "too many secrets are being compared");
	else if (derive(s->kind, s->salt, text, hash) == -1)
		rc = err_set(e, ERR_INTERNAL, "scrypt failed");
	else
		*matches = CRYPTO_memcmp(hash, s->hash, sizeof(hash)) == 0;
	if (chosen)
		atomic_fetch_sub(&comparing, 1);
	return rc;
}
