// State of the BBRv3 controller, a member of struct cc so that no memory is allocated. Written by
// cc_bbr.c alone; tests and `show` read it. Units as in cc.h; names as in draft-ietf-ccwg-bbr-06.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cc_bbr_state {
	BBR_STARTUP,
	BBR_DRAIN,
	BBR_DOWN, // the four of ProbeBW are neighbours
	BBR_CRUISE,
	BBR_REFILL,
	BBR_UP,
	BBR_PROBE_RTT,
	BBR_N_STATES,
};

enum cc_bbr_acks { // what the acks that come now tell about probing (draft 2.14)
	BBR_ACKS_INIT,
	BBR_ACKS_REFILLING,
	BBR_ACKS_STARTING,
	BBR_ACKS_FEEDBACK,
	BBR_ACKS_STOPPING,
};

#define BBR_INFINITE UINT64_MAX

struct cc_bbr {
	enum cc_bbr_state state;
	enum cc_bbr_acks ack_phase;

	// the model: rates, then volumes (draft 2.9)
	uint64_t max_bw;
	uint64_t max_bw_slot[2]; // of the cycle before and of this one
	uint64_t bw_shortterm;
	uint64_t bw;
	uint64_t min_rtt_ns; // BBR_INFINITE: no sample yet
	uint64_t min_rtt_stamp_ns;
	uint64_t max_inflight;
	uint64_t inflight_longterm;
	uint64_t inflight_shortterm;

	// the last round trip (draft 2.10)
	uint64_t bw_latest;
	uint64_t inflight_latest;
	uint64_t loss_round_delivered;
	uint32_t loss_events; // ACKs that told of loss in it
	bool loss_round_start;
	bool is_loss_in_round;

	// full pipe (draft 2.13)
	bool full_bw_reached;
	bool full_bw_now;
	uint8_t full_bw_count;
	uint64_t full_bw;
	uint64_t drain_start_round;

	// bandwidth probing (draft 2.14)
	bool is_bw_probe_sample;
	bool prev_probe_too_high;
	bool prev_probe_precautionary;
	uint8_t bw_probe_up_rounds;
	uint64_t bw_probe_up_acked;
	uint64_t probe_up_acked_per_inc;
	uint64_t rounds_since_probe_up;
	uint64_t bw_probe_wait_ns;
	uint64_t cycle_stamp_ns;

	// aggregation (draft 2.12): the best three samples of a sliding maximum
	uint64_t extra_acked;
	uint64_t extra_acked_start_ns;
	uint64_t extra_acked_delivered;
	struct cc_bbr_best {
		uint64_t value;
		uint64_t round;
	} extra_acked_best[3];

	// ProbeRTT (draft 2.16), idle, recovery and undo (draft 2.15)
	uint64_t probe_rtt_min_delay_ns;
	uint64_t probe_rtt_min_stamp_ns;
	uint64_t probe_rtt_done_ns; // 0: not yet down
	bool probe_rtt_expired;
	bool probe_rtt_round_done;
	bool idle_restart;
	bool has_rtt;
	uint8_t collapsed; // 1 by time-outs, 2 until a round trip after them ends, 0 not
	uint64_t born_delivered; // delivered at init
	uint64_t prior_cwnd;
	enum cc_bbr_state undo_state; // BBR_N_STATES: none
	uint64_t undo_bw_shortterm;
	uint64_t undo_inflight_shortterm;
	uint64_t undo_inflight_longterm;
};
