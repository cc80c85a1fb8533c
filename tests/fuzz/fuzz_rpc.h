// What targets of net/rpc share: calls out of the input, and what we wrote read again.
#pragma once

#include "lib/wire/netrpc.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

// Each whole call or answer of the input, until it is none.
static inline void fuzz_rpc_each(
	const uint8_t *data, size_t size, void (*fn)(const struct netrpc_rx *rx))
{
	static struct netrpc_rx rx;
	bool ready = true;

	memset(&rx, 0, sizeof(rx));
	for (size_t at = 0; at < size && ready;) {
		ssize_t n = netrpc_take(&rx, data + at, size - at, &ready);

		if (n < 0)
			break;
		at += (size_t)n;
		if (ready)
			fn(&rx);
	}
}

// One whole call or answer of a connection that has just begun; until the next one is read.
static inline const struct netrpc_rx *fuzz_rpc_again(const struct bytes_w *w, const uint8_t *out)
{
	static struct netrpc_rx again;
	bool ready;

	fuzz_check(!w->bad);
	memset(&again, 0, sizeof(again));
	fuzz_check(netrpc_take(&again, out, bytes_w_len(w), &ready) == bytes_w_done(w) && ready);
	return &again;
}
