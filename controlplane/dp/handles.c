// Generations start at random, so that a handle of an earlier life of this process is not by chance
// one of this life. Free indices are walked round and round, so the last one freed is reused last.
#include "controlplane/dp/handles.h"

#include <stdlib.h>
#include <sys/random.h>

#include "lib/base/err.h"
#include "lib/shm/dpmsg.h"

enum {
	INDEX_MAX = 1 << DPMSG_HANDLE_BITS,
	// Of the 12 bits neither 0 nor all ones are used: RULE_IN_ANY and RULE_IN_LOCAL.
	N_GENERATIONS = (1 << (32 - DPMSG_HANDLE_BITS)) - 2,
	LIVE = 0x8000,
};

struct handles {
	uint32_t max, next, n_live;
	uint32_t first_generation;
	uint16_t slot[INDEX_MAX]; // LIVE | generations spent
};

struct handles *handles_new(void)
{
	struct handles *h = calloc(1, sizeof(*h));
	uint32_t r = 0;

	if (h == NULL)
		return NULL;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) == sizeof(r))
		h->first_generation = r % N_GENERATIONS;
	h->max = INDEX_MAX;
	return h;
}

void handles_free(struct handles *h)
{
	free(h);
}

void handles_set_max(struct handles *h, uint32_t max)
{
	h->max = max == 0 || max > INDEX_MAX ? INDEX_MAX : max;
}

static uint32_t handle_at(const struct handles *h, uint32_t i)
{
	uint32_t spent = h->slot[i] & ~LIVE;

	return (1 + (h->first_generation + spent) % N_GENERATIONS) << DPMSG_HANDLE_BITS | i;
}

uint32_t handles_take(struct handles *h)
{
	for (uint32_t n = 0; n < h->max; n++) {
		uint32_t i = h->next < h->max ? h->next : 0;

		h->next = i + 1;
		if ((h->slot[i] & LIVE) != 0)
			continue;
		h->slot[i] |= LIVE;
		h->n_live++;
		return handle_at(h, i);
	}
	return 0;
}

int handles_take_exact(struct handles *h, uint32_t handle)
{
	uint32_t i = handle & (INDEX_MAX - 1), generation = handle >> DPMSG_HANDLE_BITS;

	if (generation == 0 || generation > N_GENERATIONS)
		return -EINVAL;
	if ((h->slot[i] & LIVE) != 0)
		return -EEXIST;
	h->slot[i] = (uint16_t)(LIVE | (generation - 1 + N_GENERATIONS - h->first_generation) %
					       N_GENERATIONS);
	h->n_live++;
	return 0;
}

bool handles_is_live(const struct handles *h, uint32_t handle)
{
	uint32_t i = handle & (INDEX_MAX - 1);

	return (h->slot[i] & LIVE) != 0 && handle_at(h, i) == handle;
}

void handles_put(struct handles *h, uint32_t handle)
{
	uint32_t i = handle & (INDEX_MAX - 1);

	if (!handles_is_live(h, handle))
		return;
	h->slot[i] = (uint16_t)(((h->slot[i] & ~LIVE) + 1) % N_GENERATIONS);
	h->n_live--;
}
