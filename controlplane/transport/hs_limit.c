// Buckets lie in a fixed array under a keyed hash of the prefix; two prefixes that meet share one,
// which nobody can arrange without the key. Refusing is counted by the caller.
#include "controlplane/transport/hs_limit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/htab.h"
#include "lib/link/rail_cookie.h"

enum { N_BUCKETS = 8192, MILLI = 1000 };

struct bucket {
	uint64_t at_ns;
	uint32_t spent; // thousandths of a token
};

struct hs_limit {
	uint8_t hash_key[HTAB_SECRET_LEN];
	uint8_t secret[2][RAIL_COOKIE_SECRET_LEN]; // [0] is the present one
	uint64_t secret_ns;
	bool has_old;
	struct bucket all;
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
	return h;
}

void hs_limit_free(struct hs_limit *h)
{
	if (h != NULL)
		key_wipe(h, sizeof(*h));
	free(h);
}

static void refill(struct bucket *b, uint32_t per_s, uint64_t now_ns)
{
	uint64_t back = (now_ns - b->at_ns) / CLOCK_NS_PER_MS * per_s;

	if (back == 0 && b->spent > 0)
		return; // keep at_ns: less than a millisecond adds up too
	b->at_ns = now_ns;
	b->spent = back >= b->spent ? 0 : b->spent - (uint32_t)back;
}

static bool spend(struct bucket *b, uint32_t burst)
{
	if (b->spent + MILLI > burst * MILLI)
		return false;
	b->spent += MILLI;
	return true;
}

static struct bucket *bucket_of(struct hs_limit *h, const uint8_t ip[16])
{
	size_t n = memcmp(ip, v4_prefix, sizeof(v4_prefix)) == 0 ? 16 : 8;

	return &h->source[htab_hash(h->hash_key, ip, n) % N_BUCKETS];
}

enum hs_verdict hs_limit_take(
	struct hs_limit *h, const uint8_t ip[16], bool has_cookie, uint64_t now_ns)
{
	struct bucket *b = bucket_of(h, ip);

	refill(b, HS_LIMIT_SOURCE_PER_S, now_ns);
	refill(&h->all, HS_LIMIT_ALL_PER_S, now_ns);
	// Half of the common bucket is for those who showed that they receive at their address.
	if (!has_cookie && h->all.spent > HS_LIMIT_ALL_BURST * MILLI / 2)
		return spend(b, HS_LIMIT_SOURCE_BURST) ? HS_LIMIT_COOKIE : HS_LIMIT_DROP;
	if (!spend(b, HS_LIMIT_SOURCE_BURST) || !spend(&h->all, HS_LIMIT_ALL_BURST))
		return HS_LIMIT_DROP;
	return HS_LIMIT_PASS;
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
}

void hs_limit_cookies(struct hs_limit *h, const uint8_t ip[16], uint16_t port, uint64_t now_ns,
	uint8_t out[2][HS_LIMIT_COOKIE_LEN])
{
	secrets_turn(h, now_ns);
	rail_cookie_value(out[0], h->secret[0], ip, port);
	if (h->has_old)
		rail_cookie_value(out[1], h->secret[1], ip, port);
	else
		memset(out[1], 0, HS_LIMIT_COOKIE_LEN);
}
