// CUBIC (RFC 9438; its sections stand at the functions) with HyStart++ (RFC 9406) and pacing: for
// operators who want a flow to share like TCP does, and to compare with. One reduction an episode;
// the window does not grow while it is not used. ECN is not used.
#include "lib/link/cc_priv.h"

#define MS_NS 1000000ull
#define NEVER UINT64_MAX

enum {
	BETA_PCT = 70, // 4.6
	ALPHA_NUM = 9, // 4.3: 3 (1 - beta) / (1 + beta)
	ALPHA_DEN = 17,
	C_TENTHS = 4, // 5.1
	DIFF_MAX_MS = 1000000, // 4 * (10^6)^3 / 1000 * 65535 fits 64 bits
	N_RTT_SAMPLE = 8, // RFC 9406 4.3
	RTT_DIVISOR = 8,
	CSS_GROWTH_DIVISOR = 4,
	CSS_ROUNDS = 5,
};
static const uint64_t rtt_thresh_min_ns = 4 * MS_NS;
static const uint64_t rtt_thresh_max_ns = 16 * MS_NS;

static const char *phase(const struct cc *c)
{
	static const char *const names[] = {[CUBIC_SLOW_START] = "slow-start",
		[CUBIC_CSS] = "css",
		[CUBIC_AVOIDANCE] = "avoidance"};

	return c->in_recovery ? "recovery" : names[c->u.cubic.now.state];
}

// ---- the curve ----

// Greatest r with r^3 <= x, a bit at a time; only at the start of an epoch.
static uint64_t cube_root(uint64_t x)
{
	uint64_t r = 0;

	for (int bit = 21; bit >= 0; bit--) {
		uint64_t t = r | (uint64_t)1 << bit;

		if (t <= 2642245 && t * t * t <= x) // 2642245^3 is the last below 2^64
			r = t;
	}
	return r;
}

// 4.2, figure 2: K in ms. (bytes / mss / 0.4) s^3 = bytes * 2.5 * 10^9 / mss ms^3
static uint64_t time_to_max(uint64_t w_max, uint64_t cwnd, uint32_t mss)
{
	if (w_max <= cwnd)
		return 0;
	return cube_root(cc_min(w_max - cwnd, UINT32_MAX) * 2500000000 / mss);
}

// 4.2, figure 1: bytes at t ms of the epoch.
static uint64_t w_cubic(const struct cc_cubic_curve *v, uint64_t t_ms, uint32_t mss)
{
	bool above = t_ms >= v->k_ms;
	uint64_t d = cc_min(above ? t_ms - v->k_ms : v->k_ms - t_ms, DIFF_MAX_MS);
	uint64_t bytes = d * d * d / 1000 * C_TENTHS * mss / 10000000;

	if (above)
		return v->w_max + bytes;
	return v->w_max - cc_min(bytes, v->w_max);
}

// 4.2 and 4.8: without a window that was too much, the plateau is where we are.
static void start_epoch(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;
	struct cc_cubic_curve *v = &q->now;

	v->epoch_ns = now_ns;
	v->k_ms = time_to_max(v->w_max, c->cwnd, c->mss);
	v->w_max = cc_max(v->w_max, c->cwnd);
	v->w_est = c->cwnd;
	v->cwnd_prior = cc_max(v->cwnd_prior, c->cwnd);
	q->cwnd_rest = 0;
	q->est_rest = 0;
}

// 4.3: what Reno would have by now.
static void grow_est(struct cc *c)
{
	struct cc_cubic *q = &c->u.cubic;
	uint64_t alpha = q->now.w_est >= q->now.cwnd_prior ? ALPHA_DEN : ALPHA_NUM;
	uint64_t den = c->cwnd * ALPHA_DEN;

	q->est_rest += c->rs.newly_acked * c->mss * alpha;
	q->now.w_est += q->est_rest / den;
	q->est_rest %= den;
}

// 4.2 to 4.5
static void avoid(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;
	struct cc_cubic_curve *v = &q->now;
	uint64_t t_ms, target;

	if (v->epoch_ns == 0)
		start_epoch(c, now_ns);
	grow_est(c);
	t_ms = (now_ns - v->epoch_ns) / MS_NS;
	if (w_cubic(v, t_ms, c->mss) < v->w_est) {
		c->cwnd = cc_max(c->cwnd, v->w_est);
		return;
	}
	target = w_cubic(v, t_ms + c->srtt_ns / MS_NS, c->mss);
	target = cc_max(cc_min(target, c->cwnd + c->cwnd / 2), c->cwnd);
	q->cwnd_rest += (target - c->cwnd) * c->rs.newly_acked;
	target = q->cwnd_rest / c->cwnd;
	q->cwnd_rest %= c->cwnd;
	c->cwnd += target;
}

// ---- slow start ----

static void enter_avoidance(struct cc *c)
{
	c->u.cubic.now.state = CUBIC_AVOIDANCE;
	c->u.cubic.now.epoch_ns = 0;
}

// RFC 9406 4.2, at the start of a round
static void hystart_round(struct cc *c)
{
	struct cc_cubic *q = &c->u.cubic;

	q->last_round_min_ns = q->round_min_ns;
	q->round_min_ns = NEVER;
	q->n_samples = 0;
	if (q->now.state == CUBIC_CSS && ++q->css_rounds >= CSS_ROUNDS) {
		q->now.ssthresh = c->cwnd;
		enter_avoidance(c);
	}
}

// RFC 9406 4.2, for each round trip sample
static void hystart_sample(struct cc *c)
{
	struct cc_cubic *q = &c->u.cubic;
	uint64_t thresh;

	if (c->rs.rtt_ns == 0)
		return;
	q->round_min_ns = cc_min(q->round_min_ns, c->rs.rtt_ns);
	if (++q->n_samples < N_RTT_SAMPLE)
		return;
	if (q->now.state == CUBIC_CSS) {
		if (q->round_min_ns < q->css_baseline_ns)
			q->now.state = CUBIC_SLOW_START; // it was jitter
		return;
	}
	if (q->last_round_min_ns == NEVER)
		return;
	thresh = cc_max(
		rtt_thresh_min_ns, cc_min(q->last_round_min_ns / RTT_DIVISOR, rtt_thresh_max_ns));
	if (q->round_min_ns < q->last_round_min_ns + thresh)
		return;
	q->now.state = CUBIC_CSS;
	q->css_baseline_ns = q->round_min_ns;
	q->css_rounds = 0;
}

// 4.10. HyStart++ is for the first slow start, whose end is not known.
static void slow_start(struct cc *c)
{
	struct cc_cubic *q = &c->u.cubic;

	if (q->now.ssthresh == NEVER) {
		if (c->round_start)
			hystart_round(c);
		hystart_sample(c);
	}
	if (!cc_is_cwnd_limited(c))
		return;
	c->cwnd += q->now.state == CUBIC_CSS ? c->rs.newly_acked / CSS_GROWTH_DIVISOR
					     : c->rs.newly_acked;
	if (c->cwnd >= q->now.ssthresh)
		enter_avoidance(c);
}

// ---- what the common part calls ----

static void pace(struct cc *c)
{
	uint64_t gain_pct = c->u.cubic.now.state == CUBIC_SLOW_START ? 200 : 125;

	cc_set_rate(c, cc_rate_of(c->cwnd * gain_pct / 100, c->srtt_ns != 0 ? c->srtt_ns : MS_NS));
}

static void cubic_init(struct cc *c, uint64_t now_ns)
{
	c->u.cubic = (struct cc_cubic){
		.now = {.state = CUBIC_SLOW_START, .ssthresh = NEVER},
		.last_ack_ns = now_ns,
		.last_round_min_ns = NEVER,
		.round_min_ns = NEVER,
	};
	pace(c);
}

// 4.2: time in which the window was not used does not count.
static void skip_time(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;

	if (q->now.epoch_ns != 0)
		q->now.epoch_ns += now_ns - q->last_ack_ns;
	q->last_ack_ns = now_ns;
}

static void cubic_ack(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;

	if (c->rs.has_data && !c->in_recovery) {
		if (q->now.state != CUBIC_AVOIDANCE)
			slow_start(c);
		else if (cc_is_cwnd_limited(c))
			avoid(c, now_ns);
		else
			skip_time(c, now_ns);
	}
	q->last_ack_ns = now_ns;
	pace(c);
}

// 4.6 and 4.7: the plateau aimed at is lower when it was not reached again.
static void reduce(struct cc *c)
{
	struct cc_cubic_curve *v = &c->u.cubic.now;

	v->cwnd_prior = c->cwnd;
	v->w_max = c->cwnd < v->w_max ? c->cwnd * (100 + BETA_PCT) / 200 : c->cwnd;
	v->ssthresh = cc_max(c->cwnd * BETA_PCT / 100, cc_min_cwnd(c));
	c->cwnd = v->ssthresh;
	enter_avoidance(c);
}

static void cubic_lost(
	struct cc *c, const struct cc_pkt *p, uint32_t bytes, bool first, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;

	if (!first)
		return;
	q->undo = q->now;
	q->undo.cwnd = c->cwnd;
	q->can_undo = true;
	reduce(c);
}

// 4.9.2
static void cubic_spurious(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;

	if (!q->can_undo)
		return;
	q->can_undo = false;
	q->now = q->undo;
	c->cwnd = cc_max(c->cwnd, q->undo.cwnd);
}

// 4.8. Slow start begins again, up to what a reduction would have left; then a new plateau.
static void cubic_collapse(struct cc *c, uint64_t now_ns)
{
	struct cc_cubic *q = &c->u.cubic;

	reduce(c);
	q->can_undo = false;
	q->now.w_max = 0;
	q->now.state = CUBIC_SLOW_START;
	c->cwnd = cc_min_cwnd(c);
	pace(c);
}

static const struct cc_ops ops = {
	.name = "cubic",
	.init = cubic_init,
	.on_idle = skip_time,
	.on_ack = cubic_ack,
	.on_lost = cubic_lost,
	.on_spurious = cubic_spurious,
	.on_collapse = cubic_collapse,
	.phase = phase,
};

const struct cc_ops *cc_cubic(void)
{
	return &ops;
}
