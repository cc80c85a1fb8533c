// Time for everything that waits or ages. Two clocks: monotonic (differences, deadlines) and wall
// (handshake times, logs). Tests put their own source in; nothing else ever does. Any thread.
#pragma once

#include <stdint.h>

#define CLOCK_NS_PER_S 1000000000ull
#define CLOCK_NS_PER_MS 1000000ull
#define CLOCK_NS_PER_US 1000ull

struct clock_source {
	uint64_t (*mono_ns)(void);
	uint64_t (*wall_ns)(void); // since 1970-01-01T00:00:00Z
};

// NULL puts the real clocks back. To be called while no other thread reads the time.
void clock_source_set(const struct clock_source *src);

// Nanoseconds since an arbitrary moment; never goes back.
uint64_t clock_mono_ns(void);

// Whole seconds of the monotonic clock, for stamps that live in shared tables. Wraps after 136
// years of uptime.
uint32_t clock_coarse_s(void);

// Milliseconds until that moment of the monotonic clock, rounded up; 1 when it is over: for timers
// and limits of which 0 means something else.
uint32_t clock_left_ms(uint64_t deadline_ns);

// Nanoseconds since the epoch; jumps when somebody sets the clock.
uint64_t clock_wall_ns(void);
