// One place a key, found by a keyed hash and by nothing else: what would have to be looked for or
// evicted is not worth it for a hint that lasts seconds.

#include "lib/dmsg/peer_mem.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"

struct place {
	struct key_pk pk; // null: empty
	uint8_t there; // peer
	uint64_t there_until_ns;
	uint64_t refused; // bits of peers
	uint64_t refused_until_ns;
};

struct peer_mem {
	uint8_t secret[PEER_MEM_SECRET_LEN];
	uint32_t mask;
	struct place place[];
};

struct peer_mem *peer_mem_new(uint32_t n_keys, const uint8_t secret[PEER_MEM_SECRET_LEN])
{
	struct peer_mem *m;

	if (n_keys == 0 || (n_keys & (n_keys - 1)) != 0)
		return errno_null(EINVAL);
	m = calloc(1, sizeof(*m) + n_keys * sizeof(m->place[0]));
	if (m == NULL)
		return NULL;
	m->mask = n_keys - 1;
	memcpy(m->secret, secret, sizeof(m->secret));
	return m;
}

void peer_mem_free(struct peer_mem *m)
{
	free(m);
}

static uint32_t index_of(const struct peer_mem *m, const struct key_pk *pk)
{
	return (uint32_t)htab_hash(m->secret, pk->b, sizeof(pk->b)) & m->mask;
}

static struct place *take_place(struct peer_mem *m, const struct key_pk *pk)
{
	struct place *p = &m->place[index_of(m, pk)];

	if (key_pk_cmp(&p->pk, pk) != 0)
		*p = (struct place){.pk = *pk};
	return p;
}

void peer_mem_there(struct peer_mem *m, const struct key_pk *pk, unsigned peer, uint64_t now_ns)
{
	struct place *p = take_place(m, pk);

	p->there = (uint8_t)peer;
	p->there_until_ns = now_ns + PEER_MEM_THERE_MS * CLOCK_NS_PER_MS;
	p->refused &= ~(UINT64_C(1) << peer);
}

void peer_mem_not_there(struct peer_mem *m, const struct key_pk *pk, unsigned peer, uint64_t now_ns)
{
	struct place *p = take_place(m, pk);

	if (now_ns >= p->refused_until_ns) {
		p->refused = 0;
		p->refused_until_ns = now_ns + PEER_MEM_NOT_THERE_MS * CLOCK_NS_PER_MS;
	}
	if (now_ns >= p->there_until_ns || p->there != peer)
		p->refused |= UINT64_C(1) << peer;
}

void peer_mem_forget(struct peer_mem *m, unsigned peer)
{
	for (uint32_t i = 0; i <= m->mask; i++) {
		struct place *p = &m->place[i];

		if (p->there == peer)
			p->there_until_ns = 0;
		p->refused &= ~(UINT64_C(1) << peer);
	}
}

int peer_mem_next(
	const struct peer_mem *m, const struct key_pk *pk, uint64_t peers, uint64_t now_ns)
{
	const struct place *p = &m->place[index_of(m, pk)];

	if (key_pk_cmp(&p->pk, pk) == 0) {
		if (now_ns < p->there_until_ns && (peers >> p->there & 1) != 0)
			return p->there;
		if (now_ns < p->refused_until_ns)
			peers &= ~p->refused;
	}
	return peers != 0 ? __builtin_ctzll(peers) : -1;
}
