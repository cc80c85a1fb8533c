// State of the CUBIC controller (RFC 9438, with HyStart++, RFC 9406), a member of struct cc.
// Written by cc_cubic.c alone; tests and `show` read it. Bytes and ns.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum cc_cubic_state {
	CUBIC_SLOW_START,
	CUBIC_CSS, // conservative slow start: the delay rose
	CUBIC_AVOIDANCE,
};

struct cc_cubic_curve { // what an undo brings back
	enum cc_cubic_state state;
	uint64_t cwnd;
	uint64_t ssthresh; // UINT64_MAX: never lost
	uint64_t w_max;
	uint64_t k_ms; // from the epoch's start until w_max is reached
	uint64_t epoch_ns; // start of congestion avoidance, 0: begins with the next ACK
	uint64_t w_est; // what Reno would have
	uint64_t cwnd_prior; // before the last reduction
};

struct cc_cubic {
	struct cc_cubic_curve now;
	struct cc_cubic_curve undo;
	bool can_undo;
	uint64_t last_ack_ns;
	uint64_t cwnd_rest; // remainders of the growth per ACK
	uint64_t est_rest;

	// HyStart++, initial slow start only
	uint64_t last_round_min_ns; // 0: none
	uint64_t round_min_ns;
	uint64_t css_baseline_ns;
	uint32_t n_samples; // of this round
	uint32_t css_rounds;
};
