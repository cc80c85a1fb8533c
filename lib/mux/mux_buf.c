// Chunks of 4 KiB: large enough that bulk needs few, small enough that a message in each of a
// thousand streams is no burden. As many as a window stay in the pool while there is traffic; the
// rest goes back to the allocator.
#include "lib/mux/mux_buf.h"

#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_LEN = 4096 - 32,
	SPARE_MAX = 64,
	SPARE_IDLE = 4
}; // an allocation of less than 4 KiB in all

struct mux_chunk {
	struct mux_chunk *next;
	uint8_t data[CHUNK_LEN];
};

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static struct mux_chunk *chunk_get(struct mux_pool *pool)
{
	struct mux_chunk *c = pool->spare;

	if (c != NULL) {
		pool->spare = c->next;
		pool->n_spare--;
		return c;
	}
	c = malloc(sizeof(*c));
	pool->n_chunks += c != NULL;
	return c;
}

static void chunk_put(struct mux_pool *pool, struct mux_chunk *c)
{
	if (pool->n_spare == SPARE_MAX) {
		free(c);
		pool->n_chunks--;
		return;
	}
	c->next = pool->spare;
	pool->spare = c;
	pool->n_spare++;
}

static void leave_spare(struct mux_pool *pool, uint32_t n)
{
	while (pool->n_spare > n) {
		struct mux_chunk *c = pool->spare;

		pool->spare = c->next;
		pool->n_spare--;
		pool->n_chunks--;
		free(c);
	}
}

void mux_pool_fini(struct mux_pool *pool)
{
	leave_spare(pool, 0);
}

void mux_pool_trim(struct mux_pool *pool)
{
	leave_spare(pool, SPARE_IDLE);
}

size_t mux_buf_put(struct mux_buf *b, struct mux_pool *pool, const void *p, size_t n)
{
	const uint8_t *from = p;
	size_t done = 0, piece;

	for (; done < n; done += piece) {
		if (b->tail == NULL || b->fill == CHUNK_LEN) {
			struct mux_chunk *c = chunk_get(pool);

			if (c == NULL)
				break;
			c->next = NULL;
			*(b->tail != NULL ? &b->tail->next : &b->head) = c;
			b->tail = c;
			b->fill = 0;
		}
		piece = min(n - done, CHUNK_LEN - b->fill);
		memcpy(b->tail->data + b->fill, from + done, piece);
		b->fill += (uint32_t)piece;
	}
	b->len += (uint32_t)done;
	return done;
}

size_t mux_buf_peek(const struct mux_buf *b, uint8_t **p)
{
	*p = b->len > 0 ? b->head->data + b->off : NULL;
	return min(b->len, CHUNK_LEN - b->off);
}

size_t mux_buf_get(struct mux_buf *b, struct mux_pool *pool, void *p, size_t n)
{
	uint8_t *to = p;
	size_t done = 0, piece;

	for (n = min(n, b->len); done < n; done += piece) {
		struct mux_chunk *c = b->head;

		piece = min(n - done, CHUNK_LEN - b->off);
		if (to != NULL)
			memcpy(to + done, c->data + b->off, piece);
		b->off += (uint32_t)piece;
		b->len -= (uint32_t)piece;
		if (b->off < CHUNK_LEN && b->len > 0)
			continue;
		b->head = c->next;
		b->off = 0;
		if (b->head == NULL)
			b->tail = NULL;
		chunk_put(pool, c);
	}
	return done;
}
