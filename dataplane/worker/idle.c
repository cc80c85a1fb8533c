// Back-off of the poll loop. A worker that found nothing for 50 us sleeps 50 us at a time: shorter
// sleeps only burn the core, since arming the timer costs as much. While frames come in bulk it
// does as a card that moderates its interrupts: it polls on for 8 us only and sleeps for up to 200,
// so that each time there are many to be worked off, but no longer than a NIC's queues hold what
// its link may bring. When ports and other workers are silent, 2 to 100 ms after they gave
// something, it is 400 us, and what there is to do then comes from the control plane, which wakes
// it: so it neither polls nor naps between two bursts. Asleep, a worker is out of the grace
// periods, so reclaim does not wait for it.

#include "dataplane/worker/idle.h"

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_msg.h"
#include "dataplane/rule/reclaim.h"
#include "dataplane/worker/uplink.h"

#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

enum {
	BELL_TURNS = 4, // after so many the control plane is told of what went up
	SILENT_TURNS = 6, // after so many it sleeps while ports are silent: the next burst is told
	SPIN_NS = 50 * 1000, // after that it sleeps while they are not
	SPIN_BULK_NS = 8 * 1000,
	SLEEP_SHORT_NS = 50 * 1000,
	SLEEP_BULK_NS = 200 * 1000,
	SLEEP_LONG_NS = 400 * 1000,
	RATE_NS = 2 * 1000 * 1000, // over which frames are counted
	BULK_FRAMES = 50, // in that time
	NAP_FRAMES = 128, // a queue has room for that many, and for a burst beside them
	NEAR_NS = 100 * 1000, // a timer of a link that is due so soon is not slept over (rail 4)
};

void idle_begin(struct idle *idle)
{
	idle->empty = 0;
	// 50 us of default slack would double the short sleep; failure only costs latency
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

uint64_t idle_nap_ns(struct idle *idle, const struct wctx *w)
{
	uint64_t ns = w->now_ns - idle->since_ns, most = SLEEP_BULK_NS;
	uint32_t bound;

	if (ns < RATE_NS)
		return idle->nap_ns;
	bound = atomic_load_explicit(&w->nap_max_ns, memory_order_relaxed);
	if (bound != 0) // whatever came until now: the next burst comes as fast as the link is
		most = RTE_MIN(most, (uint64_t)bound);
	idle->nap_ns = SLEEP_SHORT_NS;
	if (idle->frames * RATE_NS >= BULK_FRAMES * ns)
		idle->nap_ns = RTE_MAX(
			RTE_MIN(NAP_FRAMES * ns / idle->frames, most), (uint64_t)SLEEP_SHORT_NS);
	idle->frames = 0;
	idle->since_ns = w->now_ns;
	return idle->nap_ns;
}

// Silent: until the control plane sends something.
static void sleep_once(struct wctx *w, bool silent, uint64_t nap_ns)
{
	struct timespec ts = {.tv_nsec = (long)nap_ns};

	reclaim_offline(w->reclaim, w->id);
	atomic_store_explicit(&w->stats->asleep, 1, memory_order_relaxed);
	if (silent)
		uplink_wait(w, SLEEP_LONG_NS);
	else
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	atomic_store_explicit(&w->stats->asleep, 0, memory_order_relaxed);
	reclaim_online(w->reclaim, w->id);
	count(w, W_sleeps, 1);
}

static bool has_spun(struct wctx *w, const struct idle *idle, bool silent, uint64_t nap_ns)
{
	if (silent)
		return idle->empty >= SILENT_TURNS;
	return w->now_ns - idle->empty_ns >= (nap_ns > SLEEP_SHORT_NS ? SPIN_BULK_NS : SPIN_NS);
}

void idle_turn(struct wctx *w, struct idle *idle, bool worked)
{
	uint64_t nap_ns;
	bool silent;

	if (worked) {
		idle->empty = 0;
		return;
	}
	rte_pause();
	if (atomic_load_explicit(&idle->mode, memory_order_relaxed) == IDLE_POLL)
		return;
	if (unlikely(w->move != NULL)) // the others wait for us
		return;
	if (idle->empty == 0)
		idle->empty_ns = w->now_ns;
	idle->empty += idle->empty < UINT32_MAX;
	if (idle->empty == BELL_TURNS) {
		uplink_bell(w);
		stat_add(&idle->bells, 1);
	}
	silent = w->now_ns - idle->polled_ns >= idle->warm_ns;
	nap_ns = idle_nap_ns(idle, w);
	if (!has_spun(w, idle, silent, nap_ns) || hop_timer_is_near(w, NEAR_NS))
		return;
	if (nap_ns > NEAR_NS && hop_timer_is_near(w, nap_ns))
		nap_ns = NEAR_NS;
	sleep_once(w, silent && !hop_timer_is_near(w, SLEEP_LONG_NS), nap_ns);
}
