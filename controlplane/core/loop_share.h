// The loop's share of time together with one of whoever asks: both must have some, and both pay.
// Thread: the loop's.
#pragma once

#include "controlplane/core/loop.h"
#include "lib/base/clock.h"
#include "lib/base/share.h"

static inline bool loop_share_has(struct loop *l, const struct share *own)
{
	uint64_t now_ns = clock_mono_ns(), ahead_ns = LOOP_SHARE_AHEAD_MS * CLOCK_NS_PER_MS;

	return share_has(loop_share(l), now_ns, ahead_ns) && share_has(own, now_ns, ahead_ns);
}

// own_pct: of all time, 1 to 100.
static inline void loop_share_spend(
	struct loop *l, struct share *own, uint64_t work_ns, unsigned own_pct)
{
	uint64_t now_ns = clock_mono_ns();

	share_spend(loop_share(l), now_ns, work_ns, LOOP_SHARE_PCT);
	share_spend(own, now_ns, work_ns, own_pct);
}
