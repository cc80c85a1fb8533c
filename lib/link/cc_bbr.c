// BBRv3 (draft-ietf-ccwg-bbr-06; its sections stand at the functions): the states, when to leave
// them, and from state and model the window and the pacing rate. ECN is not used. Where this
// departs from the draft, docs/design/congestion-control.md says why.
#include "lib/link/cc_bbr_model.h"

#define MS_NS 1000000ull
#define S_NS 1000000000ull

enum {
	GAIN_STARTUP = 709, // 4 ln 2
	FULL_BW_ROUNDS = 3,
	STARTUP_LOSS_EVENTS = 6,
	DRAIN_ROUNDS = 3,
	UP_ROUNDS_MAX = 30,
	RENO_ROUNDS_MAX = 63,
	PACING_MARGIN_PCT = 1,
};
static const uint64_t probe_rtt_duration_ns = 200 * MS_NS;
static const uint64_t probe_wait_min_ns = 2 * S_NS;

// 5.6.1. Gains of a state, in 1/256: 2.77, 0.5, 0.9, 1.0, 1.25; 2, 2.25, 0.5.
static const struct {
	const char *name;
	uint16_t pacing;
	uint16_t cwnd;
} phases[BBR_N_STATES] = {
	[BBR_STARTUP] = {"startup", GAIN_STARTUP, 512},
	[BBR_DRAIN] = {"drain", 128, 512},
	[BBR_DOWN] = {"down", 230, 512},
	[BBR_CRUISE] = {"cruise", 256, 512},
	[BBR_REFILL] = {"refill", 256, 512},
	[BBR_UP] = {"up", 320, 576},
	[BBR_PROBE_RTT] = {"probe-rtt", 256, 128},
};

static const char *phase(const struct cc *c)
{
	return phases[c->u.bbr.state].name;
}

// ---- rate and window ----

// 5.6.2, SetPacingRateWithGain: only raised until the pipe was full once.
static void set_rate(struct cc *c, uint32_t gain)
{
	const struct cc_bbr *b = &c->u.bbr;
	uint64_t rate = b->bw * gain / BBR_UNIT * (100 - PACING_MARGIN_PCT) / 100;

	if (b->full_bw_reached || rate > c->rate)
		cc_set_rate(c, rate);
}

// 5.6.2, InitPacingRate; again when the first round trip was measured.
static void init_rate(struct cc *c, uint64_t rtt_ns)
{
	cc_set_rate(c, cc_rate_of(cc_init_cwnd(c) * GAIN_STARTUP / BBR_UNIT, rtt_ns));
}

// 5.6.4.5, ProbeRTTCwnd
static uint64_t probe_rtt_cwnd(const struct cc *c)
{
	return cc_max(cc_bbr_bdp(c, c->u.bbr.bw, phases[BBR_PROBE_RTT].cwnd), cc_min_cwnd(c));
}

// 5.6.4.7, BoundCwndForModel
static uint64_t model_cap(const struct cc *c)
{
	const struct cc_bbr *b = &c->u.bbr;
	uint64_t cap = BBR_INFINITE;

	if (b->state == BBR_CRUISE || b->state == BBR_PROBE_RTT)
		cap = cc_bbr_inflight_with_headroom(c);
	else if (cc_bbr_is_probe_bw(c))
		cap = b->inflight_longterm;
	return cc_max(cc_min(cap, b->inflight_shortterm), cc_min_cwnd(c));
}

// 5.6.4.6, SetCwnd
static void set_cwnd(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;
	uint64_t cwnd = c->cwnd;

	b->max_inflight = cc_bbr_max_inflight(c, phases[b->state].cwnd);
	if (b->full_bw_reached)
		cwnd = cc_min(cwnd + c->rs.newly_acked, b->max_inflight);
	else if (cwnd < b->max_inflight || c->delivered - b->born_delivered < cc_init_cwnd(c))
		cwnd += c->rs.newly_acked;
	cwnd = cc_max(cwnd, cc_min_cwnd(c));
	if (b->state == BBR_PROBE_RTT)
		cwnd = cc_min(cwnd, probe_rtt_cwnd(c));
	c->cwnd = cc_min(cwnd, model_cap(c));
}

// 5.6.4.4, RestoreCwnd
static void restore_cwnd(struct cc *c)
{
	c->cwnd = cc_max(c->cwnd, c->u.bbr.prior_cwnd);
}

// ---- Startup and Drain ----

// 5.3.1.2, ResetFullBW
static void reset_full_bw(struct cc *c, uint64_t baseline)
{
	c->u.bbr.full_bw = baseline;
	c->u.bbr.full_bw_count = 0;
	c->u.bbr.full_bw_now = false;
}

// 5.3.1.2, CheckFullBWReached
static void check_full_bw(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->full_bw_now || !c->round_start || c->rs.app_limited)
		return;
	if (c->rs.rate >= b->full_bw + b->full_bw / 4) {
		reset_full_bw(c, c->rs.rate);
		return;
	}
	if (++b->full_bw_count < FULL_BW_ROUNDS)
		return;
	b->full_bw_now = true;
	b->full_bw_reached = true;
}

// 5.3.1.3, CheckStartupHighLoss. ACKs that told of loss stand for ranges that were lost.
static void check_startup_loss(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;
	uint32_t events = b->loss_events;

	if (b->loss_round_start)
		b->loss_events = 0;
	if (b->full_bw_reached || !b->loss_round_start || events < STARTUP_LOSS_EVENTS ||
		!cc_bbr_is_probe_too_high(c, c->rs.lost, c->rs.tx_in_flight))
		return;
	b->undo_state = BBR_STARTUP;
	b->full_bw_reached = true;
	b->full_bw_now = true;
	b->inflight_longterm = cc_max(cc_bbr_bdp(c, b->bw, BBR_UNIT), b->inflight_latest);
}

static void start_down(struct cc *c, uint64_t now_ns);

// 5.3.1.1, CheckStartupDone, and 5.3.2
static void check_startup_and_drain(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	check_startup_loss(c);
	if (b->state == BBR_STARTUP && b->full_bw_reached) {
		b->state = BBR_DRAIN;
		b->drain_start_round = c->round;
	}
	if (b->state == BBR_DRAIN && (c->in_flight <= cc_bbr_inflight(c, b->bw, BBR_UNIT) ||
					     c->round > b->drain_start_round + DRAIN_ROUNDS))
		start_down(c, now_ns);
}

// ---- ProbeBW ----

// 5.3.3.8.3, PickProbeWait
static void pick_probe_wait(struct cc *c)
{
	uint64_t r = cc_random(c);

	c->u.bbr.rounds_since_probe_up = r >> 63;
	c->u.bbr.bw_probe_wait_ns = probe_wait_min_ns + (r & 0xffffffff) * S_NS / 0x100000000;
}

// 5.3.3.9
static void start_down(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	cc_bbr_reset_congestion_signals(c);
	b->probe_up_acked_per_inc = BBR_INFINITE;
	pick_probe_wait(c);
	b->cycle_stamp_ns = now_ns;
	b->ack_phase = BBR_ACKS_STOPPING;
	cc_start_round(c);
	b->state = BBR_DOWN;
}

// 5.3.3.9
static void start_refill(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	cc_bbr_reset_short_term(c);
	b->bw_probe_up_rounds = 0;
	b->bw_probe_up_acked = 0;
	b->prev_probe_precautionary = false;
	b->ack_phase = BBR_ACKS_REFILLING;
	cc_start_round(c);
	b->state = BBR_REFILL;
}

// 5.3.3.9, RaiseInflightLongtermSlope: 1, 2, 4, ... datagrams a round trip
static void raise_longterm_slope(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	b->probe_up_acked_per_inc = cc_max(c->cwnd >> b->bw_probe_up_rounds, c->mss);
	if (b->bw_probe_up_rounds < UP_ROUNDS_MAX)
		b->bw_probe_up_rounds++;
}

// 5.3.3.9
static void start_up(struct cc *c)
{
	c->u.bbr.ack_phase = BBR_ACKS_STARTING;
	cc_start_round(c);
	reset_full_bw(c, c->rs.rate);
	c->u.bbr.state = BBR_UP;
	raise_longterm_slope(c);
}

// 5.3.3.9, ProbeInflightLongtermUpward
static void probe_longterm_upward(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (!cc_is_cwnd_limited(c) || c->cwnd < b->inflight_longterm)
		return;
	b->bw_probe_up_acked += c->rs.newly_acked;
	if (b->bw_probe_up_acked >= b->probe_up_acked_per_inc) {
		uint64_t n = b->bw_probe_up_acked / b->probe_up_acked_per_inc;

		b->bw_probe_up_acked -= n * b->probe_up_acked_per_inc;
		b->inflight_longterm += n * c->mss;
	}
	if (c->round_start)
		raise_longterm_slope(c);
}

// 5.3.3.9, AdaptLongTermModel. True: it decided about the state.
static bool adapt_long_term(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->ack_phase == BBR_ACKS_STARTING && c->round_start)
		b->ack_phase = BBR_ACKS_FEEDBACK;
	if (b->ack_phase == BBR_ACKS_STOPPING && c->round_start) {
		b->is_bw_probe_sample = false;
		b->ack_phase = BBR_ACKS_INIT;
		if (cc_bbr_is_probe_bw(c) && !c->rs.app_limited)
			cc_bbr_advance_max_bw(c);
		if (cc_bbr_is_probe_bw(c) && b->prev_probe_precautionary &&
			!b->prev_probe_too_high) {
			start_refill(c);
			return true;
		}
	}
	if (cc_bbr_is_probe_too_high(c, c->rs.lost, c->rs.tx_in_flight) ||
		b->inflight_longterm == BBR_INFINITE)
		return false;
	b->inflight_longterm = cc_max(b->inflight_longterm, c->rs.tx_in_flight);
	if (b->state == BBR_UP)
		probe_longterm_upward(c);
	return false;
}

// 5.3.3.8.3, IsTimeToProbeBW: by the clock, or after as many rounds as Reno would need
static bool is_time_to_probe(const struct cc *c, uint64_t now_ns)
{
	const struct cc_bbr *b = &c->u.bbr;
	uint64_t reno_rounds = cc_bbr_target_inflight(c) / c->mss;

	return now_ns > b->cycle_stamp_ns + b->bw_probe_wait_ns ||
	       b->rounds_since_probe_up >= cc_min(reno_rounds, RENO_ROUNDS_MAX);
}

// 5.3.3.9
static bool is_time_to_cruise(const struct cc *c)
{
	return c->in_flight <= cc_bbr_inflight_with_headroom(c) &&
	       c->in_flight <= cc_bbr_inflight(c, c->u.bbr.max_bw, BBR_UNIT);
}

// 5.3.3.9
static bool is_time_to_go_down(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->prev_probe_too_high && c->in_flight >= b->inflight_longterm) {
		b->prev_probe_precautionary = true;
		return true;
	}
	if (cc_is_cwnd_limited(c) && c->cwnd >= b->inflight_longterm) {
		reset_full_bw(c, c->rs.rate);
		return false;
	}
	return b->full_bw_now;
}

// 5.3.3.9, UpdateProbeBWCyclePhase
static void update_cycle(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	if (!b->full_bw_reached || adapt_long_term(c) || !cc_bbr_is_probe_bw(c))
		return;
	if (b->state == BBR_REFILL) {
		if (!c->round_start)
			return;
		b->is_bw_probe_sample = true;
		start_up(c);
	} else if (b->state == BBR_UP) {
		if (!is_time_to_go_down(c))
			return;
		b->prev_probe_too_high = false;
		start_down(c, now_ns);
	} else if (is_time_to_probe(c, now_ns)) {
		start_refill(c);
	} else if (b->state == BBR_DOWN && is_time_to_cruise(c)) {
		b->state = BBR_CRUISE;
	}
}

// ---- ProbeRTT ----

// 5.3.4.3, CheckProbeRTTDone, and 5.3.4.4
static void check_probe_rtt_done(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->probe_rtt_done_ns == 0 || now_ns <= b->probe_rtt_done_ns)
		return;
	b->probe_rtt_min_stamp_ns = now_ns;
	restore_cwnd(c);
	cc_bbr_reset_short_term(c);
	if (!b->full_bw_reached) {
		b->state = BBR_STARTUP;
		return;
	}
	start_down(c, now_ns);
	b->state = BBR_CRUISE; // in flight is less than the path holds
}

// 5.3.4.3, HandleProbeRTT
static void handle_probe_rtt(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	cc_mark_app_limited(c);
	if (b->probe_rtt_done_ns == 0) {
		if (c->in_flight > probe_rtt_cwnd(c))
			return;
		b->probe_rtt_done_ns = now_ns + probe_rtt_duration_ns;
		b->probe_rtt_round_done = false;
		cc_start_round(c);
		return;
	}
	if (c->round_start)
		b->probe_rtt_round_done = true;
	if (b->probe_rtt_round_done)
		check_probe_rtt_done(c, now_ns);
}

// 5.3.4.3, CheckProbeRTT
static void check_probe_rtt(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->state != BBR_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart) {
		cc_bbr_save_cwnd(c);
		b->state = BBR_PROBE_RTT;
		b->probe_rtt_done_ns = 0;
		b->ack_phase = BBR_ACKS_STOPPING;
		cc_start_round(c);
	}
	if (b->state == BBR_PROBE_RTT)
		handle_probe_rtt(c, now_ns);
	if (c->rs.delivered > 0)
		b->idle_restart = false;
}

// ---- what the common part calls ----

// 5.2.1
static void bbr_init(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	*b = (struct cc_bbr){
		.state = BBR_STARTUP,
		.probe_up_acked_per_inc = BBR_INFINITE,
		.born_delivered = c->delivered,
	};
	cc_bbr_model_init(c, now_ns);
	init_rate(c, MS_NS);
}

// 5.4.1
static void bbr_idle(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	b->idle_restart = true;
	b->extra_acked_start_ns = now_ns;
	b->extra_acked_delivered = 0;
	if (cc_bbr_is_probe_bw(c))
		set_rate(c, BBR_UNIT);
	else if (b->state == BBR_PROBE_RTT)
		check_probe_rtt_done(c, now_ns);
}

// After a collapse the window grows from the smallest for one round trip; then what was known
// counts again (5.6.4.4, end of recovery).
static void check_collapse(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->collapsed == 1) {
		b->collapsed = 2;
		cc_start_round(c);
	} else if (b->collapsed == 2 && c->round_start) {
		b->collapsed = 0;
		restore_cwnd(c);
	}
}

// 5.2.3
static void bbr_ack(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	if (c->rs.newly_lost > 0)
		b->loss_events++;
	if (c->rs.has_data) {
		if (!b->has_rtt && c->srtt_ns != 0) {
			b->has_rtt = true;
			init_rate(c, c->srtt_ns);
		}
		cc_bbr_model_begin(c, now_ns);
		check_full_bw(c);
		check_startup_and_drain(c, now_ns);
		update_cycle(c, now_ns);
		cc_bbr_update_min_rtt(c, now_ns);
		check_probe_rtt(c, now_ns);
		cc_bbr_model_end(c);
		check_collapse(c);
	}
	set_rate(c, phases[b->state].pacing);
	set_cwnd(c);
}

// 5.5.10.2, HandleLostPacket and HandleInflightTooHigh
static void bbr_lost(
	struct cc *c, const struct cc_pkt *p, uint32_t bytes, bool first, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;
	uint64_t lost = c->lost - p->lost;

	cc_bbr_note_loss(c, first);
	if (!b->is_bw_probe_sample || !cc_bbr_is_probe_too_high(c, lost, p->tx_in_flight))
		return;
	b->prev_probe_too_high = true;
	b->is_bw_probe_sample = false;
	if (!p->app_limited)
		b->inflight_longterm = cc_max(cc_bbr_inflight_at_loss(p->tx_in_flight, lost, bytes),
			cc_bbr_target_inflight(c) * 7 / 10);
	if (b->state == BBR_UP) {
		b->undo_state = BBR_UP;
		start_down(c, now_ns);
	}
}

// 5.5.11.2. Infinity is the greatest number, so that the maximum is right.
static void bbr_spurious(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;
	enum cc_bbr_state was = b->undo_state;

	restore_cwnd(c);
	b->is_loss_in_round = false;
	reset_full_bw(c, 0);
	b->bw_shortterm = cc_max(b->bw_shortterm, b->undo_bw_shortterm);
	b->inflight_shortterm = cc_max(b->inflight_shortterm, b->undo_inflight_shortterm);
	b->inflight_longterm = cc_max(b->inflight_longterm, b->undo_inflight_longterm);
	b->undo_state = BBR_N_STATES;
	if (was == BBR_STARTUP && b->state != BBR_STARTUP) {
		b->full_bw_reached = false;
		if (b->state != BBR_PROBE_RTT)
			b->state = BBR_STARTUP;
	} else if (was == BBR_UP && b->state != BBR_UP && b->state != BBR_PROBE_RTT) {
		start_refill(c);
	}
}

// 5.6.4.4, OnEnterRTO
static void bbr_collapse(struct cc *c, uint64_t now_ns)
{
	cc_bbr_note_loss(c, true);
	c->u.bbr.collapsed = 1;
	c->cwnd = cc_min_cwnd(c);
}

static const struct cc_ops ops = {
	.name = "bbr",
	.init = bbr_init,
	.on_idle = bbr_idle,
	.on_ack = bbr_ack,
	.on_lost = bbr_lost,
	.on_spurious = bbr_spurious,
	.on_collapse = bbr_collapse,
	.phase = phase,
};

const struct cc_ops *cc_bbr(void)
{
	return &ops;
}
