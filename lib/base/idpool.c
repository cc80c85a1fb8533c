// Two 32-bit words per index. perm[] holds all indices, the free ones first; state[index] packs the
// generation of the index and its place in perm[], which needs exactly index_bits. So taking a
// random free index, taking a given one and freeing are all a swap in perm[], and being live is
// being past the free part.
#include "lib/base/idpool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

// An odd multiplier: lives next to each other get generations far apart, and each life its own.
#define LIFE_STEP 0x9e3779b1u

struct idpool {
	unsigned bits;
	uint32_t mask; // of the index
	uint32_t n_free;
	idpool_random_fn random;
	void *random_arg;
	uint32_t *perm;
	uint32_t *state; // generation << bits | place in perm
};

static uint32_t place_of(const struct idpool *p, uint32_t index)
{
	return p->state[index] & p->mask;
}

static uint32_t id_of(const struct idpool *p, uint32_t index)
{
	return (p->state[index] & ~p->mask) | index;
}

static void set_generation(struct idpool *p, uint32_t index, uint32_t generation)
{
	uint32_t bits = generation << p->bits;

	// Index 0 with generation 0 would be the id 0.
	if ((bits | index) == 0)
		bits = 1u << p->bits;
	p->state[index] = bits | place_of(p, index);
}

static void move_to(struct idpool *p, uint32_t index, uint32_t place)
{
	p->perm[place] = index;
	p->state[index] = (p->state[index] & ~p->mask) | place;
}

static void swap_places(struct idpool *p, uint32_t a, uint32_t b)
{
	uint32_t index_a = p->perm[a];
	uint32_t index_b = p->perm[b];

	move_to(p, index_a, b);
	move_to(p, index_b, a);
}

struct idpool *idpool_new(const struct idpool_conf *conf)
{
	struct idpool *p;
	uint32_t n;

	if (conf->index_bits < 1 || conf->index_bits > IDPOOL_BITS_MAX || conf->random == NULL)
		return errno_null(EINVAL);
	n = 1u << conf->index_bits;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return errno_null(ENOMEM);
	*p = (struct idpool){.bits = conf->index_bits,
		.mask = n - 1,
		.n_free = n,
		.random = conf->random,
		.random_arg = conf->random_arg};
	p->perm = calloc(n, sizeof(*p->perm));
	p->state = calloc(n, sizeof(*p->state));
	if (p->perm == NULL || p->state == NULL) {
		idpool_free_pool(p);
		return errno_null(ENOMEM);
	}
	for (uint32_t i = 0; i < n; i++) {
		move_to(p, i, i);
		set_generation(p, i,
			(uint32_t)htab_hash(conf->secret, &i, sizeof(i)) + conf->life * LIFE_STEP);
	}
	return p;
}

void idpool_free_pool(struct idpool *p)
{
	if (p == NULL)
		return;
	free(p->perm);
	free(p->state);
	free(p);
}

uint32_t idpool_take(struct idpool *p)
{
	uint32_t place;

	if (p->n_free == 0)
		return 0;
	place = p->random(p->random_arg, p->n_free);
	p->n_free--;
	swap_places(p, place, p->n_free);
	return id_of(p, p->perm[p->n_free]);
}

int idpool_take_exact(struct idpool *p, uint32_t id)
{
	uint32_t index = id & p->mask;

	if (id == 0)
		return -EINVAL;
	if (place_of(p, index) >= p->n_free)
		return -EEXIST;
	p->n_free--;
	swap_places(p, place_of(p, index), p->n_free);
	set_generation(p, index, id >> p->bits);
	return 0;
}

int idpool_free(struct idpool *p, uint32_t id)
{
	uint32_t index = id & p->mask;

	if (!idpool_is_live(p, id))
		return -ENOENT;
	swap_places(p, place_of(p, index), p->n_free);
	p->n_free++;
	set_generation(p, index, (id >> p->bits) + 1);
	return 0;
}

bool idpool_is_live(const struct idpool *p, uint32_t id)
{
	uint32_t index = id & p->mask;

	return id_of(p, index) == id && place_of(p, index) >= p->n_free;
}

uint32_t idpool_n_live(const struct idpool *p)
{
	return p->mask + 1 - p->n_free;
}

uint32_t idpool_at(const struct idpool *p, uint32_t index)
{
	index &= p->mask;
	return place_of(p, index) >= p->n_free ? id_of(p, index) : 0;
}

uint32_t idpool_index(const struct idpool *p, uint32_t id)
{
	return id & p->mask;
}
