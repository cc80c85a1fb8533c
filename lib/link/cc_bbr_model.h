// The network path model of BBRv3: what cc_bbr.c, which decides, asks and tells it. Not for others.
// All per ACK or per lost datagram; units as in cc.h.
#pragma once

#include "lib/link/cc_priv.h"

enum { BBR_UNIT = 256 }; // gains are in 1/256

void cc_bbr_model_init(struct cc *c, uint64_t now_ns);

// Start and end of the model's part of an ACK (draft 5.2.3); in between states are decided.
void cc_bbr_model_begin(struct cc *c, uint64_t now_ns);
void cc_bbr_model_end(struct cc *c);

void cc_bbr_note_loss(struct cc *c, bool first); // first of an episode
void cc_bbr_update_min_rtt(struct cc *c, uint64_t now_ns);
void cc_bbr_advance_max_bw(struct cc *c);
void cc_bbr_reset_congestion_signals(struct cc *c);
void cc_bbr_save_cwnd(struct cc *c);

// What gain times the bandwidth-delay product is, with what it takes to keep hosts busy.
uint64_t cc_bbr_bdp(const struct cc *c, uint64_t bw, uint32_t gain);
uint64_t cc_bbr_inflight(const struct cc *c, uint64_t bw, uint32_t gain);
uint64_t cc_bbr_max_inflight(const struct cc *c, uint32_t gain);
uint64_t cc_bbr_target_inflight(const struct cc *c);
uint64_t cc_bbr_inflight_with_headroom(const struct cc *c);

// Do losses say that it was too much, when more than the known was tried?
bool cc_bbr_is_probe_too_high(const struct cc *c, uint64_t lost, uint64_t tx_in_flight);
uint64_t cc_bbr_inflight_at_loss(uint64_t tx_in_flight, uint64_t lost, uint32_t bytes);

static inline bool cc_bbr_is_probe_bw(const struct cc *c)
{
	return c->u.bbr.state >= BBR_DOWN && c->u.bbr.state <= BBR_UP;
}

// 5.5.10.3
static inline void cc_bbr_reset_short_term(struct cc *c)
{
	c->u.bbr.bw_shortterm = BBR_INFINITE;
	c->u.bbr.inflight_shortterm = BBR_INFINITE;
}
