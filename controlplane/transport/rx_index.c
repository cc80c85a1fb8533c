// Rejection sampling over a table of slots: as long as at most half of them are taken, a random
// index is free after two draws on average. A slot that was given back rests: the data plane may
// have the key of before for a while, and would refuse a new one in its place. One that rests is
// taken only when a few draws found nothing else.
#include "controlplane/transport/rx_index.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

enum {
	REST_S = 200, // keys that nothing came under live until a re-key, which is sooner
	REST_DRAWS = 16,
};

struct slot {
	uint32_t index; // 0: free
	uint32_t back_s; // when it was given back, 0: never
	void *owner;
};

struct rx_index {
	uint32_t mask, n_live;
	struct slot slots[];
};

struct rx_index *rx_index_new(unsigned bits)
{
	struct rx_index *x;

	if (bits == 0 || bits > RX_INDEX_BITS_MAX)
		return errno_null(EINVAL);
	x = calloc(1, sizeof(*x) + (sizeof(struct slot) << bits));
	if (x != NULL)
		x->mask = (1u << bits) - 1;
	return x;
}

void rx_index_free(struct rx_index *x)
{
	free(x);
}

static uint32_t now_s(void)
{
	return (uint32_t)(clock_mono_ns() / CLOCK_NS_PER_S) + 1;
}

static bool rests(const struct rx_index *x, uint32_t index, uint32_t now)
{
	const struct slot *s = &x->slots[index & x->mask];

	return s->back_s != 0 && now - s->back_s < REST_S;
}

uint32_t rx_index_take(struct rx_index *x, void *owner)
{
	uint32_t index, now = now_s();
	unsigned draws = 0;

	if (x->n_live > x->mask / 2)
		return 0;
	do {
		if (getrandom(&index, sizeof(index), 0) != sizeof(index))
			return 0;
	} while ((draws++ < REST_DRAWS && rests(x, index, now)) ||
		 rx_index_take_exact(x, index, owner) != 0);
	return index;
}

int rx_index_take_exact(struct rx_index *x, uint32_t index, void *owner)
{
	struct slot *s = &x->slots[index & x->mask];

	if (index == 0)
		return -EINVAL;
	if (s->index != 0)
		return -EEXIST;
	*s = (struct slot){.index = index, .owner = owner};
	x->n_live++;
	return 0;
}

void rx_index_put(struct rx_index *x, uint32_t index)
{
	struct slot *s;

	if (x == NULL || index == 0)
		return;
	s = &x->slots[index & x->mask];
	if (s->index != index)
		return;
	*s = (struct slot){.back_s = now_s()};
	x->n_live--;
}

void *rx_index_owner(const struct rx_index *x, uint32_t index)
{
	const struct slot *s = &x->slots[index & x->mask];

	return index != 0 && s->index == index ? s->owner : NULL;
}
