// The two clocks, behind one replaceable table. It does no arithmetic on deadlines and keeps no
// cached "now": a caller that needs the same moment twice asks once.
#include "lib/base/clock.h"

#include <stddef.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t real_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

static uint64_t real_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

static const struct clock_source real_source = {.mono_ns = real_mono_ns, .wall_ns = real_wall_ns};
static const struct clock_source *source = &real_source;

void clock_source_set(const struct clock_source *src)
{
	source = src != NULL ? src : &real_source;
}

uint64_t clock_mono_ns(void)
{
	return source->mono_ns();
}

uint32_t clock_coarse_s(void)
{
	return (uint32_t)(source->mono_ns() / CLOCK_NS_PER_S);
}

uint64_t clock_wall_ns(void)
{
	return source->wall_ns();
}

uint32_t clock_left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_mono_ns(), left_ms = 1;

	if (deadline_ns > now_ns)
		left_ms = (deadline_ns - now_ns - 1) / CLOCK_NS_PER_MS + 1;
	return left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
}
