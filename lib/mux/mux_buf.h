// Bytes of one stream in order: a chain of chunks, none while it is empty. Chunks are shared
// through the pool of a session, so neither a frame nor a small message costs an allocation. One
// thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mux_chunk;

// Open: the session counts n_chunks. Zero-initialised is empty.
struct mux_pool {
	struct mux_chunk *spare;
	uint32_t n_spare;
	uint32_t n_chunks; // in buffers and spare
};

// Zero-initialised is empty.
struct mux_buf {
	struct mux_chunk *head, *tail;
	uint32_t off; // of the first byte in head
	uint32_t fill; // bytes of tail that are used
	uint32_t len;
};

void mux_pool_fini(struct mux_pool *pool);
void mux_pool_trim(struct mux_pool *pool); // for a session without traffic

// Appends; returns how many bytes: fewer than n when memory ran out.
size_t mux_buf_put(struct mux_buf *b, struct mux_pool *pool, const void *p, size_t n);

// The bytes at the front that lie together, at most len of them; *p is valid until they are taken.
size_t mux_buf_peek(const struct mux_buf *b, uint8_t **p);

// Takes up to n bytes from the front, to p unless it is NULL; returns how many.
size_t mux_buf_get(struct mux_buf *b, struct mux_pool *pool, void *p, size_t n);
