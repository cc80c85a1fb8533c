// Buckets lie in a fixed array under a keyed hash of the prefix; two prefixes that meet share one,
// which nobody can arrange without the key. Refusing is counted by the caller.
#include "controlplane/transport/hs_limit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/link/rail_cookie.h"

enum { N_BUCKETS = 8192, MILLI = 1000, COST_MAX_US = 5000 };

static_assert(HS_LIMIT_ALL_BURST * HS_LIMIT_INIT_US == HS_LIMIT_BURST_US, "burst");
static_assert(HS_LIMIT_ALL_PER_S * HS_LIMIT_INIT_US == 10000 * HS_LIMIT_SHARE_PCT, "rate");
static_assert(HS_LIMIT_REKEY_BURST * HS_LIMIT_REKEY_US == HS_LIMIT_BURST_US, "burst of re-keys");
static_assert(HS_LIMIT_REKEY_PER_S * HS_LIMIT_REKEY_US == 10000 * HS_LIMIT_REKEY_PCT, "re-keys");
static_assert((int)HS_LIMIT_SECRET_LEN == (int)RAIL_COOKIE_SECRET_LEN, "secret");

struct bucket {
	uint64_t at_ns;
	uint32_t spent; // of a source: thousandths of an init; of a share: microseconds
};

struct hs_limit {
	uint8_t hash_key[HTAB_SECRET_LEN];
	uint8_t secret[2][RAIL_COOKIE_SECRET_LEN]; // [0] is the present one
	uint64_t secret_ns;
	uint64_t over_ns; // when an init found no time the last time
	bool has_old, demand, changed;
	struct bucket all, rekeys;
	struct bucket *passed; // whose the one that passed last is
	uint32_t paid_us; // what was taken for it
	struct bucket source[N_BUCKETS];
};

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct hs_limit *hs_limit_new(uint64_t now_ns)
{
	struct hs_limit *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	if (getrandom(h->hash_key, sizeof(h->hash_key), 0) != sizeof(h->hash_key) ||
		getrandom(h->secret[0], sizeof(h->secret[0]), 0) != sizeof(h->secret[0])) {
		free(h);
		return NULL;
	}
	h->secret_ns = now_ns;
	h->changed = true;
	return h;
}

void hs_limit_free(struct hs_limit *h)
{
	if (h != NULL)
		key_wipe(h, sizeof(*h));
	free(h);
}

static void refill(struct bucket *b, uint32_t per_ms, uint64_t now_ns)
{
	uint64_t ms = (now_ns - b->at_ns) / CLOCK_NS_PER_MS, back = ms * per_ms;

	b->at_ns += ms * CLOCK_NS_PER_MS; // what is left of a millisecond counts the next time
	b->spent = back >= b->spent ? 0 : b->spent - (uint32_t)back;
}

static bool spend(struct bucket *b, uint32_t n, uint32_t cap)
{
	if (b->spent + n > cap)
		return false;
	b->spent += n;
	return true;
}

size_t hs_limit_prefix_len(const uint8_t ip[16])
{
	return memcmp(ip, v4_prefix, sizeof(v4_prefix)) == 0 ? 16 : 8;
}

static struct bucket *bucket_of(struct hs_limit *h, const uint8_t ip[16])
{
	return &h->source[htab_hash(h->hash_key, ip, hs_limit_prefix_len(ip)) % N_BUCKETS];
}

// Of one share. The second half is for those who may.
static bool pass(struct hs_limit *h, struct bucket *share, uint32_t us, bool may_all)
{
	if (!spend(share, us, may_all ? HS_LIMIT_BURST_US : HS_LIMIT_BURST_US / 2))
		return false;
	h->passed = share;
	h->paid_us = us;
	return true;
}

enum hs_verdict hs_limit_take(
	struct hs_limit *h, const uint8_t ip[16], bool has_cookie, uint64_t now_ns)
{
	struct bucket *b = bucket_of(h, ip);

	refill(b, HS_LIMIT_SOURCE_PER_S * MILLI / 1000, now_ns);
	refill(&h->all, HS_LIMIT_SHARE_PCT * 1000 / 100, now_ns);
	if (!spend(b, MILLI, HS_LIMIT_SOURCE_BURST * MILLI))
		return HS_LIMIT_SOURCE;
	if (pass(h, &h->all, HS_LIMIT_INIT_US, has_cookie))
		return HS_LIMIT_PASS;
	h->over_ns = now_ns;
	h->changed |= !h->demand;
	h->demand = true;
	return HS_LIMIT_LOAD;
}

bool hs_limit_take_rekey(struct hs_limit *h, bool is_due, uint64_t now_ns)
{
	refill(&h->rekeys, HS_LIMIT_REKEY_PCT * 1000 / 100, now_ns);
	return pass(h, &h->rekeys, HS_LIMIT_REKEY_US, is_due);
}

void hs_limit_spent(struct hs_limit *h, uint64_t ns)
{
	uint64_t us = ns / 1000;
	struct bucket *b = h->passed;

	// A thread that lost its core for long did not work for long.
	us = us < COST_MAX_US ? us : COST_MAX_US;
	if (b == NULL || us <= h->paid_us)
		return;
	b->spent += (uint32_t)us - h->paid_us;
	if (b->spent > HS_LIMIT_BURST_US)
		b->spent = HS_LIMIT_BURST_US;
}

static void secrets_turn(struct hs_limit *h, uint64_t now_ns)
{
	uint64_t age = now_ns - h->secret_ns, life = (uint64_t)RAIL_COOKIE_S * CLOCK_NS_PER_S;

	if (age < life)
		return;
	memcpy(h->secret[1], h->secret[0], sizeof(h->secret[1]));
	// A secret nobody asked for in two lives must not come back as the previous one.
	h->has_old = age < 2 * life;
	if (getrandom(h->secret[0], sizeof(h->secret[0]), 0) == sizeof(h->secret[0]))
		h->secret_ns = now_ns;
	h->changed = true;
}

bool hs_limit_turn(struct hs_limit *h, uint64_t now_ns)
{
	bool changed;

	secrets_turn(h, now_ns);
	if (h->demand && now_ns - h->over_ns >= HS_LIMIT_CALM_S * CLOCK_NS_PER_S) {
		h->demand = false;
		h->changed = true;
	}
	changed = h->changed;
	h->changed = false;
	return changed;
}

void hs_limit_regime_get(const struct hs_limit *h, struct hs_limit_regime *out)
{
	memcpy(out->secret, h->secret, sizeof(out->secret));
	out->n_secrets = h->has_old ? 2 : 1;
	out->demand = h->demand;
}

unsigned hs_limit_cookies(struct hs_limit *h, const uint8_t ip[16], uint16_t port, uint64_t now_ns,
	uint8_t out[2][HS_LIMIT_COOKIE_LEN])
{
	secrets_turn(h, now_ns);
	rail_cookie_value(out[0], h->secret[0], ip, port);
	if (h->has_old)
		rail_cookie_value(out[1], h->secret[1], ip, port);
	return h->has_old ? 2 : 1;
}
