// The table of AEAD back ends and the choice among them, made once when a process starts: by what
// the CPU has, by configuration, and by a measurement of some hundred microseconds. In a file of
// its own, so that programs without packets are not linked with cipher libraries that they don't
// need.

#include "lib/base/err.h"
#include "lib/crypto/aead_backend.h"

#include <assert.h>
#include <errno.h>

enum {
	PROBE_LEN = 1400,
	PROBE_BURST = 8,
	PROBE_TRIES = 5, // the quickest counts: the others were disturbed
};

static const struct aead_backend *(*const backends[])(void) = {
#if AEAD_IPSEC_MB
	aead_ipsec_mb,
#endif
	aead_sodium,
};

const struct aead_backend *aead_backend_at(unsigned i)
{
	return i < ARRAY_LEN(backends) ? backends[i]() : NULL;
}

const struct aead_backend *aead_backend_select(enum aead_cipher cipher)
{
	if ((unsigned)cipher >= AEAD_N_CIPHERS)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		const struct aead_backend *b = backends[i]();

		if (b->has(cipher))
			return b;
	}
	return NULL;
}

// ---- contexts ----

enum { CTX_LEN = 64 }; // of struct aead_ctx, with what keeps its neighbour aligned

static_assert(sizeof(struct aead_ctx) <= CTX_LEN, "aead_ctx");

size_t aead_ctx_size(void)
{
#if AEAD_IPSEC_MB
	return CTX_LEN + aead_ipsec_mb_size();
#else
	return CTX_LEN;
#endif
}

struct aead_ctx *aead_ctx_init(void *mem)
{
	struct aead_ctx *x = mem;

	*x = (struct aead_ctx){0};
#if AEAD_IPSEC_MB
	x->ipsec_mb = aead_ipsec_mb_init((uint8_t *)mem + CTX_LEN);
#endif
	return x;
}

void aead_engine_init(struct aead_engine *e, void *mem)
{
	e->x = aead_ctx_init(mem);
	e->be = aead_backend_select(AEAD_CHACHA20_POLY1305);
	if (!e->be->ready(e->x))
		e->be = aead_sodium();
}

// ---- choice ----

struct probe {
	struct aead_key key;
	struct aead_room room;
	uint8_t bytes[PROBE_LEN + AEAD_TAG_LEN];
	struct aead_op ops[PROBE_BURST];
};

// Nanoseconds of one packet, the mean of seal and open. The buffer is one for all: what is opened
// was not sealed and fails, which costs the same but for the zeros that it leaves.
static uint32_t measure(struct aead_ctx *x, const struct aead_backend *b, enum aead_cipher cipher,
	uint64_t (*now_ns)(void))
{
	static const uint8_t key[AEAD_KEY_LEN] = {1};
	struct probe p = {.bytes = {0}};
	uint64_t best = UINT64_MAX;

	if (b->key_init(x, &p.key, &p.room, cipher, key) != 0)
		return 0;
	for (unsigned i = 0; i < PROBE_BURST; i++)
		p.ops[i] = (struct aead_op){.aad = key,
			.aad_len = 16,
			.src = p.bytes,
			.dst = p.bytes,
			.len = PROBE_LEN,
			.tag = p.bytes + PROBE_LEN};
	for (unsigned i = 0; i < PROBE_TRIES; i++) {
		uint64_t start = now_ns(), ns;

		b->seal(x, &p.key, p.ops, PROBE_BURST);
		b->open(x, &p.key, p.ops, PROBE_BURST);
		ns = now_ns() - start;
		best = ns < best ? ns : best;
	}
	best /= 2 * PROBE_BURST;
	return best == 0 ? 1 : best > UINT32_MAX ? UINT32_MAX : (uint32_t)best;
}

static void consider(struct aead_choice *c, struct aead_ctx *x, const struct aead_backend *b,
	enum aead_cipher cipher, uint64_t (*now_ns)(void))
{
	uint32_t ns = now_ns != NULL ? measure(x, b, cipher, now_ns) : 0;

	if (c->be[cipher] != NULL && (ns == 0 || ns >= c->ns[cipher]))
		return;
	c->be[cipher] = b;
	c->ns[cipher] = ns;
}

int aead_choose(
	struct aead_choice *c, struct aead_ctx *x, const char *only, uint64_t (*now_ns)(void))
{
	bool found = only == NULL;

	*c = (struct aead_choice){.be = {NULL}};
	c->be[AEAD_NONE] = aead_backend_select(AEAD_NONE);
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		const struct aead_backend *b = backends[i]();

		if (!b->ready(x) || (only != NULL && strcmp(only, b->name) != 0))
			continue;
		for (int k = 0; k < AEAD_N_CIPHERS; k++) {
			if (k == AEAD_NONE || !b->has((enum aead_cipher)k))
				continue;
			consider(c, x, b, (enum aead_cipher)k, now_ns);
			found = true;
		}
	}
	return found ? 0 : -ENOENT;
}
