// Random numbers are libsodium's: they need not be secret, and they need no seed.
#include "controlplane/core/backoff.h"

#include <sodium.h>

#include "lib/base/clock.h"

uint32_t backoff_jitter(uint32_t ms)
{
	return ms - ms / 4 + randombytes_uniform(ms / 2 + 1);
}

unsigned backoff_fails(unsigned fails, uint64_t up_ns)
{
	return up_ns >= BACKOFF_STEADY_MS * CLOCK_NS_PER_MS ? 1 : fails + 1;
}

uint32_t backoff_ms(unsigned fails, uint32_t min_ms, uint32_t max_ms)
{
	uint64_t ms = min_ms;

	for (unsigned i = 1; i < fails && ms < max_ms; i++)
		ms *= 2;
	return backoff_jitter(ms < max_ms ? (uint32_t)ms : max_ms);
}

uint32_t backoff_slowly(uint32_t ms, uint32_t max_ms)
{
	ms += ms * 3 / 10;
	return ms < max_ms ? ms : max_ms;
}
