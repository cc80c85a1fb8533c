// The choice of ciphers and their libraries: calls lib/crypto's, with a clock and the memory that
// it wants, and puts the result into words for the log, the control plane and --version.

#include "dataplane/dp_crypto.h"

#include "dataplane/worker/worker.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	[DP_BACKEND_AUTO] = NULL,
	[DP_BACKEND_SODIUM] = "libsodium",
	[DP_BACKEND_IPSEC_MB] = "ipsec-mb",
};

int dp_crypto_choose(struct aead_choice *c, enum dp_backend backend)
{
	void *mem = NULL;
	int rc;

	if (posix_memalign(&mem, 64, aead_ctx_size()) != 0)
		return -ENOMEM;
	rc = aead_choose(c, aead_ctx_init(mem), names[backend], clock_mono_ns);
	free(mem);
	return rc;
}

void dp_crypto_tell(const struct aead_choice *c, struct region_conf *conf)
{
	static_assert(ARRAY_LEN(conf->cipher_ns) >= AEAD_N_CIPHERS, "cipher_ns");
	for (unsigned i = 0; i < AEAD_N_CIPHERS; i++)
		if (c->be[i] != NULL)
			conf->cipher_ns[i] = c->ns[i] != 0 ? c->ns[i] : 1;
}

int dp_crypto_check(const struct aead_choice *c, struct worker_set *workers)
{
	for (unsigned w = 0; w < worker_count(workers); w++)
		for (unsigned i = 0; i < AEAD_N_CIPHERS; i++)
			if (c->be[i] != NULL && !c->be[i]->ready(worker_ctx(workers, w)->aead))
				return -EIO;
	return 0;
}

// Those with a key, in the order of speed, then those that are not available. Returns how many are.
static unsigned by_speed(const struct aead_choice *c, enum aead_cipher out[2])
{
	enum aead_cipher a = AEAD_AES_256_GCM, b = AEAD_CHACHA20_POLY1305;
	bool first = c->be[b] == NULL || (c->be[a] != NULL && c->ns[a] <= c->ns[b]);

	out[0] = first ? a : b;
	out[1] = first ? b : a;
	return (c->be[a] != NULL) + (c->be[b] != NULL);
}

void dp_crypto_ciphers(const struct aead_choice *c, char *out, size_t cap)
{
	enum aead_cipher k[2];
	unsigned n = by_speed(c, k);

	snprintf(out, cap, "%s%s%s", n > 0 ? aead_cipher_name(k[0]) : "", n > 1 ? " " : "",
		n > 1 ? aead_cipher_name(k[1]) : "");
}

void dp_crypto_backends(const struct aead_choice *c, char *out, size_t cap)
{
	enum aead_cipher k[2];
	unsigned n = by_speed(c, k);
	bool two = n > 1 && c->be[k[0]] != c->be[k[1]];

	snprintf(out, cap, "%s%s%s", n > 0 ? c->be[k[0]]->name : "none", two ? " " : "",
		two ? c->be[k[1]]->name : "");
}

static void one_text(
	const struct aead_choice *c, enum aead_cipher k, const char *sep, char *out, size_t cap)
{
	if (c->be[k] == NULL)
		snprintf(out, cap, "%s%s not available", sep, aead_cipher_name(k));
	else
		snprintf(out, cap, "%s%s by %s (%u ns)", sep, aead_cipher_name(k), c->be[k]->name,
			c->ns[k]);
}

void dp_crypto_text(const struct aead_choice *c, char *out, size_t cap)
{
	enum aead_cipher k[2];
	size_t n;

	by_speed(c, k);
	one_text(c, k[0], "", out, cap);
	n = strlen(out);
	one_text(c, k[1], ", ", out + n, cap - n);
}
