// Between the common part of congestion control (cc.c) and the controllers; the link includes cc.h.
// The common part keeps the books (flight, rate samples, rounds, loss episodes); a controller sets
// cwnd and, by cc_set_rate, the pacing rate, and keeps its state in struct cc's union.
#pragma once

#include "lib/link/cc.h"

struct cc_ops {
	const char *name;
	void (*init)(struct cc *c, uint64_t now_ns);
	// sending begins again after the flow had nothing to send and nothing in flight
	void (*on_idle)(struct cc *c, uint64_t now_ns);
	// c->rs is complete; called when something was acked or lost
	void (*on_ack)(struct cc *c, uint64_t now_ns);
	// first: of a new episode; the books have it already
	void (*on_lost)(
		struct cc *c, const struct cc_pkt *p, uint32_t bytes, bool first, uint64_t now_ns);
	void (*on_spurious)(struct cc *c, uint64_t now_ns); // the latest episode was none
	void (*on_collapse)(struct cc *c, uint64_t now_ns); // second time-out in a row
	const char *(*phase)(const struct cc *c);
};

const struct cc_ops *cc_bbr(void);
const struct cc_ops *cc_cubic(void);

// Clamps to what is sensible, and sets the quantum (draft 5.6.3).
void cc_set_rate(struct cc *c, uint64_t rate);

// From what is sent from now on counts the next round trip (draft 5.5.1, StartRound).
static inline void cc_start_round(struct cc *c)
{
	c->next_round_delivered = c->delivered;
}

// Samples of what is sent from now until the present flight is acked are app-limited.
static inline void cc_mark_app_limited(struct cc *c)
{
	c->app_limited = c->delivered + c->in_flight > 0 ? c->delivered + c->in_flight : 1;
}

static inline bool cc_is_cwnd_limited(const struct cc *c)
{
	return c->limited_now || c->limited_before;
}

static inline uint64_t cc_min_cwnd(const struct cc *c)
{
	return (uint64_t)CC_MIN_MSS * c->mss;
}

static inline uint64_t cc_init_cwnd(const struct cc *c)
{
	return (uint64_t)CC_INIT_MSS * c->mss;
}

static inline uint64_t cc_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t cc_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

// Bytes that a rate up to CC_RATE_MAX brings in that time (less than 34 years of it).
static inline uint64_t cc_bytes_in(uint64_t rate, uint64_t ns)
{
	return ns / 1000000000 * rate + ns % 1000000000 * rate / 1000000000;
}

uint64_t cc_rate_of(uint64_t bytes, uint64_t ns); // at most CC_RATE_MAX
uint64_t cc_random(struct cc *c);
