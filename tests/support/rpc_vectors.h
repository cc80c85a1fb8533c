// Calls of Go's net/rpc and their answers as vectors have them, by connection, call and side
// ("request", "response"): given to a receiver, and compared with what we write.
#pragma once

#include "lib/wire/netrpc.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static inline const json_t *rpc_call(const json_t *vectors, const char *conn, const char *call)
{
	return vectors_get(vectors_get(vectors_get(vectors, "gob_rpc"), conn), call);
}

// One whole call or answer, with what rx knows so far.
static inline void rpc_take(struct netrpc_rx *rx, const uint8_t *p, size_t len)
{
	bool ready;

	assert_int_equal(netrpc_take(rx, p, len, &ready), len);
	assert_true(ready);
}

static inline void rpc_take_call(struct netrpc_rx *rx, const json_t *call, const char *side)
{
	size_t len;
	uint8_t *p = vectors_hex_new(call, side, &len);

	rpc_take(rx, p, len);
	free(p);
}

// What was written to `out` is that.
static inline void rpc_assert_wire(
	const struct bytes_w *w, const uint8_t *out, const json_t *call, const char *side)
{
	size_t len;
	uint8_t *p = vectors_hex_new(call, side, &len);

	assert_false(w->bad);
	assert_int_equal(bytes_w_len(w), len);
	assert_memory_equal(out, p, len);
	free(p);
}
