// A world of nodes and links that is entirely a function of its seed: reliable links (lib/link/rel)
// over wires that lose, reorder, repeat and delay, and a node model that does what the data plane
// does with route packets, pauses and ends of routes. Every byte that arrives is checked.
//
//   source -> node 0 ==wire== node 1 ==wire== ... node n-1 -> reader      (or a ring of nodes)
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_wire_conf {
	uint32_t loss_ppm, burst_ppm; // single losses; chance that a burst of them begins
	uint32_t dup_ppm, reorder_ppm;
	uint64_t delay_ns, jitter_ns;
	uint64_t rate_Bps; // 0: any
	uint32_t queue_bytes; // of the bottleneck
	uint64_t dark_ns, dark_len_ns; // nothing gets through from .. for
};

struct sim_conf {
	uint64_t seed;
	unsigned n_nodes; // 2..8
	bool ring; // the last node has a wire to the first one, routes go half around
	unsigned n_routes; // 1..64
	uint64_t packets; // of each route
	uint32_t len_min, len_max; // of a packet, 24..65542
	uint64_t source_gap_ns; // between two packets of a route, 0: as fast as they are taken
	uint64_t start_gap_ns; // between the beginnings of two routes
	struct sim_wire_conf there, back; // of each wire, by direction
	uint32_t room, small_room; // bytes of frames; the wire shrinks at shrink_ns
	uint64_t shrink_ns;
	// Both ends begin with `room` and search for more, up to this; 0: they know. The wires
	// carry what path[] says from each time on, without a word.
	uint32_t find_max;
	struct {
		uint64_t ns;
		uint32_t carries; // 0: nothing changes
	} path[4];
	uint8_t window_log2, max_frames;
	bool runs; // rel_run.h is used where it may
	uint32_t max_bufs; // of a node
	const char *cc;
	const char *cc_other; // of the second link; NULL: the same
	bool one_bottleneck; // all wires of a direction share the first one's
	uint64_t drop_ctl; // bit n: the n-th datagram with a PAUSE or RESUME is lost
	// readers: every n-th one (0: none) ...
	unsigned slow_nth; // ... reads a packet each slow_gap_ns
	uint64_t slow_gap_ns;
	unsigned stop_nth; // ... does not read at all from stop_ns on, with this limit
	uint64_t stop_ns, stop_len_ns;
	uint16_t stop_limit_s;
	uint64_t abort_ns; // a node ends a route, 0: never
	uint64_t reset_ns; // a link loses its state
	uint64_t move_gap_ns; // between two moves of an end to the other hold of its node, 0: never
	bool one_way; // all routes go from node 0 to the last
	bool route_per_wire; // routes end at the next node, so that each wire has its own
	uint64_t limit_ns; // end of the world
	uint64_t warm_ns; // what is measured begins here
};

struct sim_result {
	char why[256]; // "" when nothing was wrong
	uint64_t ns; // how long it took
	uint64_t delivered, bytes; // packets; after warm_ns
	uint64_t route_bytes[64];
	uint64_t queue_max_ns, queue_sum_ns, queue_n; // waiting times in bottlenecks
	unsigned completed, closed; // routes
	unsigned reasons; // bit per enum rail_gone_reason
	uint64_t datagrams, lost, rtx, pto, pauses, resumes, held, joined, no_room, spurious;
	uint64_t empties;
	uint64_t mtu_probes, black_holes;
	uint32_t mtu; // that the first end found
	uint64_t moves, not_moved;
	uint32_t bufs_max, chunks_max;
	uint64_t ctl_sent, ctl_lost; // datagrams with PAUSE or RESUME; by drop_ctl
};

void sim_conf_default(struct sim_conf *c, uint64_t seed);
void sim_conf_random(struct sim_conf *c, uint64_t seed); // anything that may happen
// 0, or -1 and why.
int sim_run(const struct sim_conf *c, struct sim_result *out);
