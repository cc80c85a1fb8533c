// What BBRv3 believes of the path: bandwidth, round trip, aggregation, and the volumes that losses
// speak for (draft-ietf-ccwg-bbr-06 sections 5.5 and 5.6.4.2). It takes in samples and answers
// questions; cc_bbr.c moves through the states and sets window and rate.
#include "lib/link/cc_bbr_model.h"

#define S_NS 1000000000ull

enum {
	LOSS_THRESH_PCT = 2, // draft 2.8
	BETA_PCT = 70,
	HEADROOM_PCT = 15,
	EXTRA_ACKED_ROUNDS = 10, // draft 2.12
	CHANCE_PCT = 3, // of a small window, or
	CHANCE_MSS = 3, // datagrams of a large one
};
static const uint64_t min_rtt_window_ns = 10 * S_NS; // draft 2.16
static const uint64_t probe_rtt_interval_ns = 5 * S_NS;

// 5.6.4.4. Losses and ProbeRTT pull the window down; what it was before counts.
void cc_bbr_save_cwnd(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->collapsed == 0 && b->state != BBR_PROBE_RTT)
		b->prior_cwnd = c->cwnd;
	else
		b->prior_cwnd = cc_max(b->prior_cwnd, c->cwnd);
}

// 5.5.10.3
void cc_bbr_reset_congestion_signals(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	b->is_loss_in_round = false;
	b->bw_latest = 0;
	b->inflight_latest = 0;
}

void cc_bbr_model_init(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;

	b->min_rtt_ns = BBR_INFINITE;
	b->min_rtt_stamp_ns = now_ns;
	b->probe_rtt_min_delay_ns = BBR_INFINITE;
	b->probe_rtt_min_stamp_ns = now_ns;
	b->extra_acked_start_ns = now_ns;
	b->inflight_longterm = BBR_INFINITE;
	b->loss_round_delivered = c->delivered;
	b->undo_state = BBR_N_STATES;
	cc_bbr_reset_congestion_signals(c);
	cc_bbr_reset_short_term(c);
}

// 5.5.11.1 and 5.5.10.2, NoteLoss. State is saved once an episode, not once a round: what the first
// losses changed must not be what the undo brings back.
void cc_bbr_note_loss(struct cc *c, bool first)
{
	struct cc_bbr *b = &c->u.bbr;

	if (first) {
		cc_bbr_save_cwnd(c);
		b->undo_state = BBR_N_STATES;
		b->undo_bw_shortterm = b->bw_shortterm;
		b->undo_inflight_shortterm = b->inflight_shortterm;
		b->undo_inflight_longterm = b->inflight_longterm;
	}
	if (!b->is_loss_in_round)
		b->loss_round_delivered = c->delivered;
	b->is_loss_in_round = true;
}

// 5.5.10.3, UpdateLatestDeliverySignals
static void update_latest(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	b->bw_latest = cc_max(b->bw_latest, c->rs.rate);
	b->inflight_latest = cc_max(b->inflight_latest, c->rs.delivered);
	b->loss_round_start = c->rs.prior_delivered >= b->loss_round_delivered;
	if (b->loss_round_start)
		b->loss_round_delivered = c->delivered;
}

// 5.5.5, UpdateMaxBw: the filter spans two cycles, this one and the one before.
static void update_max_bw(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (c->rs.rate == 0 || (c->rs.rate < b->max_bw && c->rs.app_limited))
		return;
	b->max_bw_slot[1] = cc_max(b->max_bw_slot[1], c->rs.rate);
	b->max_bw = cc_max(b->max_bw_slot[0], b->max_bw_slot[1]);
}

// 5.5.6. A cycle that brought no sample says nothing about the one before.
void cc_bbr_advance_max_bw(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->max_bw_slot[1] == 0)
		return;
	b->max_bw_slot[0] = b->max_bw_slot[1];
	b->max_bw_slot[1] = 0;
	b->max_bw = b->max_bw_slot[0];
}

static uint64_t less(uint64_t old, uint64_t pct)
{
	return old / 100 * pct;
}

// 5.5.10.3, AdaptLowerBoundsFromCongestion. Unlike the draft, which reacts to any loss, a round
// that lost no more than probing would tolerate is let pass: with one percent of random loss the
// draft's rate falls by two percent each round trip, margin included, for as long as it cruises.
static void adapt_lower_bounds(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;
	bool probing = b->state == BBR_STARTUP || b->state == BBR_REFILL || b->state == BBR_UP;

	if (probing || !b->is_loss_in_round ||
		c->rs.lost * 100 <= c->rs.tx_in_flight * LOSS_THRESH_PCT)
		return;
	if (b->bw_shortterm == BBR_INFINITE)
		b->bw_shortterm = b->max_bw;
	if (b->inflight_shortterm == BBR_INFINITE)
		b->inflight_shortterm = c->cwnd;
	b->bw_shortterm = cc_max(b->bw_latest, less(b->bw_shortterm, BETA_PCT));
	b->inflight_shortterm = cc_max(b->inflight_latest, less(b->inflight_shortterm, BETA_PCT));
}

// 5.5.10.3, UpdateCongestionSignals
static void update_congestion_signals(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (c->round_start)
		b->rounds_since_probe_up++;
	update_max_bw(c);
	if (!b->loss_round_start)
		return;
	adapt_lower_bounds(c);
	b->is_loss_in_round = false;
}

// Sliding maximum of the last len rounds, from the best, second best and third best of sub-windows
// of it (the filter that 5.5.5 names).
static uint64_t slide(struct cc_bbr_best *best, uint64_t value, uint64_t round, uint64_t len)
{
	struct cc_bbr_best x = {.value = value, .round = round};

	if (value >= best[0].value || round - best[2].round > len) {
		best[0] = best[1] = best[2] = x;
		return value;
	}
	if (value >= best[1].value)
		best[1] = best[2] = x;
	else if (value >= best[2].value)
		best[2] = x;
	if (round - best[0].round > len) {
		best[0] = best[1];
		best[1] = best[2];
		best[2] = x;
		if (round - best[0].round > len) {
			best[0] = best[1];
			best[1] = best[2];
		}
	} else if (best[1].round == best[0].round && round - best[0].round > len / 4) {
		best[1] = best[2] = x;
	} else if (best[2].round == best[1].round && round - best[1].round > len / 2) {
		best[2] = x;
	}
	return best[0].value;
}

// 5.5.9, UpdateACKAggregation
static void update_aggregation(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;
	uint64_t expected = cc_bytes_in(b->bw, now_ns - b->extra_acked_start_ns);
	uint64_t extra;

	if (b->extra_acked_delivered <= expected) {
		b->extra_acked_delivered = 0;
		b->extra_acked_start_ns = now_ns;
		expected = 0;
	}
	b->extra_acked_delivered += c->rs.newly_acked;
	extra = cc_min(
		b->extra_acked_delivered - cc_min(expected, b->extra_acked_delivered), c->cwnd);
	b->extra_acked = slide(
		b->extra_acked_best, extra, c->round, b->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1);
}

// 5.3.4.3, UpdateMinRTT
void cc_bbr_update_min_rtt(struct cc *c, uint64_t now_ns)
{
	struct cc_bbr *b = &c->u.bbr;
	uint64_t rtt = c->rs.rtt_ns;

	b->probe_rtt_expired = now_ns > b->probe_rtt_min_stamp_ns + probe_rtt_interval_ns;
	if (rtt != 0 && (rtt < b->probe_rtt_min_delay_ns || b->probe_rtt_expired)) {
		b->probe_rtt_min_delay_ns = rtt;
		b->probe_rtt_min_stamp_ns = now_ns;
	}
	if (b->probe_rtt_min_delay_ns < b->min_rtt_ns ||
		now_ns > b->min_rtt_stamp_ns + min_rtt_window_ns) {
		b->min_rtt_ns = b->probe_rtt_min_delay_ns;
		b->min_rtt_stamp_ns = b->probe_rtt_min_stamp_ns;
	}
}

void cc_bbr_model_begin(struct cc *c, uint64_t now_ns)
{
	update_latest(c);
	update_congestion_signals(c);
	update_aggregation(c, now_ns);
}

// 5.5.10.3, AdvanceLatestDeliverySignals and BoundBWForModel
void cc_bbr_model_end(struct cc *c)
{
	struct cc_bbr *b = &c->u.bbr;

	if (b->loss_round_start) {
		b->bw_latest = c->rs.rate;
		b->inflight_latest = c->rs.delivered;
	}
	b->bw = cc_min(b->max_bw, b->bw_shortterm);
}

// 5.6.4.2, BDPMultiple
uint64_t cc_bbr_bdp(const struct cc *c, uint64_t bw, uint32_t gain)
{
	if (c->u.bbr.min_rtt_ns == BBR_INFINITE)
		return cc_init_cwnd(c);
	return cc_bytes_in(bw, c->u.bbr.min_rtt_ns) * gain / BBR_UNIT;
}

// 5.6.4.2, QuantizationBudget
static uint64_t quantize(const struct cc *c, uint64_t volume)
{
	volume = cc_max(cc_max(volume, c->quantum), cc_min_cwnd(c));
	return c->u.bbr.state == BBR_UP ? volume + 2 * (uint64_t)c->mss : volume;
}

uint64_t cc_bbr_inflight(const struct cc *c, uint64_t bw, uint32_t gain)
{
	return quantize(c, cc_bbr_bdp(c, bw, gain));
}

// 5.6.4.2, UpdateMaxInflight
uint64_t cc_bbr_max_inflight(const struct cc *c, uint32_t gain)
{
	return quantize(c, cc_bbr_bdp(c, c->u.bbr.bw, gain) + c->u.bbr.extra_acked);
}

// 5.3.3.8.3
uint64_t cc_bbr_target_inflight(const struct cc *c)
{
	return cc_min(cc_bbr_bdp(c, c->u.bbr.bw, BBR_UNIT), c->cwnd);
}

// 5.3.3.9
uint64_t cc_bbr_inflight_with_headroom(const struct cc *c)
{
	uint64_t longterm = c->u.bbr.inflight_longterm;
	uint64_t headroom;

	if (longterm == BBR_INFINITE)
		return BBR_INFINITE;
	headroom = cc_max(longterm / 100 * HEADROOM_PCT, c->mss);
	return cc_max(longterm - cc_min(headroom, longterm), cc_min_cwnd(c));
}

// 5.5.10.2, IsInflightTooHigh. A few losses more than the draft allows are chance while a window of
// a hundred datagrams is tried: without them a path that loses one in eighty is given up as full.
bool cc_bbr_is_probe_too_high(const struct cc *c, uint64_t lost, uint64_t tx_in_flight)
{
	uint64_t chance = cc_min(tx_in_flight * CHANCE_PCT, (uint64_t)100 * CHANCE_MSS * c->mss);

	return lost * 100 > tx_in_flight * LOSS_THRESH_PCT + chance;
}

// 5.5.10.2: solves (lost before + x) / (in flight before + x) = threshold for x >= 0.
uint64_t cc_bbr_inflight_at_loss(uint64_t tx_in_flight, uint64_t lost, uint32_t bytes)
{
	uint64_t before = tx_in_flight - cc_min(bytes, tx_in_flight);
	uint64_t lost_before = lost - cc_min(bytes, lost);
	uint64_t bearable = before * LOSS_THRESH_PCT;

	if (bearable <= lost_before * 100)
		return before;
	return before + (bearable - lost_before * 100) / (100 - LOSS_THRESH_PCT);
}
