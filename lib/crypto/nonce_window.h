// Replay window of dmsg sessions: 1024 counters in 128 bytes (dmsg 3.8). Objects of different mux
// streams arrive out of order under one counter, so a session remembers which of the last 1024 it
// has seen. Header-only and constant in size; one window has one owner.
//
// Check, open the object, and only then commit: whoever can write to the mux could otherwise name a
// huge counter and blind the window. Counter 0 is never sent. Unlike replay.h the size is part of
// the protocol and lies in the struct, so that a session needs no second allocation.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { NONCE_WINDOW_LEN = 1024 };

struct nonce_window {
	uint64_t max; // highest committed counter, 0: none yet
	uint64_t bits[NONCE_WINDOW_LEN / 64]; // counter c is bit c mod 1024
};

_Static_assert(sizeof(((struct nonce_window *)0)->bits) == 128, "dmsg's window has 128 bytes");

static inline void nonce_window_init(struct nonce_window *w)
{
	memset(w, 0, sizeof(*w));
}

// May an object with this counter be accepted? Changes nothing.
static inline bool nonce_window_check(const struct nonce_window *w, uint64_t c)
{
	if (c == 0)
		return false;
	if (c > w->max)
		return true;
	if (w->max - c >= NONCE_WINDOW_LEN)
		return false;
	return !(w->bits[c % NONCE_WINDOW_LEN / 64] >> (c % 64) & 1);
}

// Note a counter that nonce_window_check() allowed and whose object was authentic.
static inline void nonce_window_commit(struct nonce_window *w, uint64_t c)
{
	if (c > w->max && c - w->max >= NONCE_WINDOW_LEN) {
		memset(w->bits, 0, sizeof(w->bits));
		w->max = c;
	}
	while (w->max < c) {
		w->max++;
		w->bits[w->max % NONCE_WINDOW_LEN / 64] &= ~(1ull << (w->max % 64));
	}
	w->bits[c % NONCE_WINDOW_LEN / 64] |= 1ull << (c % 64);
}
