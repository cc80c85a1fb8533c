// Rejection sampling over a table of slots: as long as at most half of them are taken, a random
// index is free after two draws on average.
#include "controlplane/transport/rx_index.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lib/base/err.h"

struct slot {
	uint32_t index; // 0: free
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

uint32_t rx_index_take(struct rx_index *x, void *owner)
{
	uint32_t index;

	if (x->n_live > x->mask / 2)
		return 0;
	do {
		if (getrandom(&index, sizeof(index), 0) != sizeof(index))
			return 0;
	} while (rx_index_take_exact(x, index, owner) != 0);
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
	*s = (struct slot){0};
	x->n_live--;
}

void *rx_index_owner(const struct rx_index *x, uint32_t index)
{
	const struct slot *s = &x->slots[index & x->mask];

	return index != 0 && s->index == index ? s->owner : NULL;
}
