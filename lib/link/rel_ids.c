// Next id -> route of one queue, for PAUSE, RESUME and GONE only (rail 3). Linear hashing: one
// bucket more with each insertion or so, never all routes moved at once; keyed, since the peer
// chooses the ids.
#include "lib/link/rel_priv.h"

enum { BUCKET_LOAD_LOG2 = 1 };

static inline struct route *route_at(const struct rel_queue *q, uint32_t route)
{
	return &q->hold->routes[route];
}

static uint32_t hash_of(const struct rel_queue *q, uint32_t id)
{
	__uint128_t x = (__uint128_t)(q->key ^ id) * 0x9e3779b97f4a7c15ull;
	uint64_t y = (uint64_t)x ^ (uint64_t)(x >> 64);

	x = (__uint128_t)(y ^ q->key) * (q->key | 1);
	return (uint32_t)((uint64_t)x ^ (uint64_t)(x >> 64));
}

static uint32_t *bucket_at(const struct rel_queue *q, uint32_t i)
{
	return &q->bucket[i >> BUCKETS_LOG2][i & ((1u << BUCKETS_LOG2) - 1)];
}

static uint32_t bucket_of(const struct rel_queue *q, uint32_t h)
{
	uint32_t mask = (2u << class_of(q->n_buckets - 1)) - 1; // of the level that is being made
	uint32_t i = h & (q->n_buckets == 1 ? 0 : mask);

	return i < q->n_buckets ? i : i & (mask >> 1);
}

uint32_t rel_ids_find(const struct rel_queue *q, uint32_t next_id)
{
	uint32_t i = q->n_buckets == 0 ? 0 : *bucket_at(q, bucket_of(q, hash_of(q, next_id)));

	while (i != 0 && route_at(q, i - 1)->id != next_id)
		i = route_at(q, i - 1)->hash_next;
	return i - 1; // REL_NO_ROUTE when it is 0
}

// One bucket more: part of another one's routes belong there.
static void split_bucket(struct rel_queue *q)
{
	uint32_t n = q->n_buckets, from, i, next;

	if (n >> BUCKETS_LOG2 >= REL_HASH_DIR)
		return; // chains get longer
	if ((n & ((1u << BUCKETS_LOG2) - 1)) == 0) {
		q->bucket[n >> BUCKETS_LOG2] = rel_hold_chunk(q->hold);
		if (q->bucket[n >> BUCKETS_LOG2] == NULL)
			return;
	}
	*bucket_at(q, n) = 0;
	q->n_buckets++;
	if (n == 0)
		return;
	from = n - (1u << class_of(n));
	i = *bucket_at(q, from);
	*bucket_at(q, from) = 0;
	for (; i != 0; i = next) {
		struct route *rt = route_at(q, i - 1);
		uint32_t *b = bucket_at(q, bucket_of(q, hash_of(q, rt->id)));

		next = rt->hash_next;
		rt->hash_next = *b;
		*b = i;
	}
}

int rel_ids_add(struct rel_queue *q, uint32_t route, uint32_t next_id)
{
	uint32_t *b;

	if (rel_ids_find(q, next_id) != REL_NO_ROUTE)
		return -EEXIST;
	if (q->n_routes >= q->n_buckets << BUCKET_LOAD_LOG2)
		split_bucket(q);
	if (q->n_buckets == 0)
		return -ENOSPC;
	b = bucket_at(q, bucket_of(q, hash_of(q, next_id)));
	route_at(q, route)->hash_next = *b;
	*b = route + 1;
	q->n_routes++;
	return 0;
}

void rel_ids_del(struct rel_queue *q, uint32_t route)
{
	uint32_t *p = bucket_at(q, bucket_of(q, hash_of(q, route_at(q, route)->id)));

	while (*p != route + 1)
		p = &route_at(q, *p - 1)->hash_next;
	*p = route_at(q, route)->hash_next;
	q->n_routes--;
}

// Some route, or REL_NO_ROUTE; for emptying the table from its end, which makes it smaller.
uint32_t rel_ids_any(struct rel_queue *q)
{
	for (; q->n_buckets > 0; q->n_buckets--)
		if (*bucket_at(q, q->n_buckets - 1) != 0)
			return *bucket_at(q, q->n_buckets - 1) - 1;
	return REL_NO_ROUTE;
}

void rel_ids_free(struct rel_queue *q)
{
	for (uint32_t c = 0; c < REL_HASH_DIR && q->bucket[c] != NULL; c++) {
		rel_hold_chunk_put(q->hold, q->bucket[c]);
		q->bucket[c] = NULL;
	}
	q->n_buckets = 0;
}
