// How long to wait until a peer is tried again: doubled with each failure in a row, up to a limit,
// and each plus or minus a quarter, so that those that lost one peer do not come back to it at
// once. Any thread.
#pragma once

#include <stdint.h>

// Of sessions and streams; links between nodes have those of rail.
enum {
	BACKOFF_MIN_MS = 1000,
	BACKOFF_MAX_MS = 60000,
	BACKOFF_STEADY_MS = 30000, // what was up for so long was a good one
};

// Plus or minus a quarter.
uint32_t backoff_jitter(uint32_t ms);
// The failures in a row with one more, of what had been up for so long (0: it was not).
unsigned backoff_fails(unsigned fails, uint64_t up_ns);
// min_ms after the first failure (and before it), never more than max_ms, and jitter.
uint32_t backoff_ms(unsigned fails, uint32_t min_ms, uint32_t max_ms);
// For questions to discoveries: what follows ms, three tenths more (dmsg 8.3), max_ms at most.
uint32_t backoff_slowly(uint32_t ms, uint32_t max_ms);
