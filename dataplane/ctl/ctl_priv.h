// Inside of dataplane/ctl: the state that its files share. Owner: main lcore, all of it.
#pragma once

#include "dataplane/ctl/ctl.h"

enum {
	CTL_BATCH = 256, // commands per turn: the rest of the turn waits ~100 us at most
	CTL_DUMP_BATCH = 512, // records and empty slots per turn, ditto
	CTL_DUMPS_MAX = 8, // waiting
	CTL_CONNS_MAX = 16, // connections that have not asked yet
	CTL_NOTES = 64, // per worker and turn
	CTL_CMD_MAX = 512, // longest command, and room to see that one is too long
};

struct dump {
	uint64_t cookie;
	uint32_t what; // DUMP_* still to do
	uint32_t at; // next index in the lowest kind
	uint32_t rule_first;
	uint32_t rule_left; // rules still wanted; 0xffffffff: all
};

// A hop lost its state: rules that are older are to be closed.
struct ctl_reset {
	uint32_t handle; // hop or transport, 0: none
	uint32_t born; // rules with less are older
	uint8_t reason; // enum rail_gone_reason
};

// The same for what comes by a transport: a rule's packets come by the flow of its id, which is
// another one when the number of flows changes. Then all of them are reset.
struct ctl_resets {
	uint32_t handle; // of the transport, 0: none
	uint8_t n_flows; // that ids were spread over last
	uint8_t n_live; // hops
	struct ctl_reset all;
	struct ctl_reset *flow; // RAIL_FLOWS_MAX; NULL: none was needed yet
};

struct ctl {
	struct ctl_conf k;
	struct sweeper sweeper;
	uint64_t now_ns;
	uint32_t now_ds;

	struct ring_r cmd;
	struct ring_w evt;
	bool hello; // the control plane that is attached has said it
	bool evt_dirty; // something was written and not published
	bool held; // a command waits for workers

	bool moving; // a hop; no command is taken until it is there
	uint16_t move_to; // worker
	uint64_t move_cookie; // to be answered with, 0: nobody waits any more
	int move_status; // the answer, once it is over
	uint16_t move_owner;

	bool orphans; // carried hops of a control plane that is gone; no command is taken before
		      // they are
	uint32_t orphans_at; // index of the next one

	struct dump dumps[CTL_DUMPS_MAX]; // [0] is under way
	unsigned n_dumps;

	// sockets
	int epoll_fd;
	int control_fd; // the attached control plane's connection, or -1
	int conns[CTL_CONNS_MAX]; // not asked yet, or -1
	uint64_t conn_since_ns[CTL_CONNS_MAX];

	// sleep
	uint64_t busy_ns; // last command, or part of a dump
	uint64_t up_ns; // when we rang last for a worker that had not
	unsigned n_up; // rings towards the control plane
	struct ring_shm **up;
	struct ring_shm *car_up[DPMSG_MAX_CARRIERS]; // the same of its carriers
	uint64_t bells[DPMSG_MAX_WORKERS]; // of each worker, as last seen

	struct ctl_reset *reset_hop; // by hop index: rules that leave by it are to be closed
	struct ctl_resets *reset_tp; // by transport index: ... that come by it
	uint32_t reset_left; // slots still to be looked at
	uint32_t reset_at;

	uint64_t next_ports_ns;
	uint64_t next_pools_ns;
	uint64_t start_ns;
};

// ctl.c: after a turn that had no more to do, for how long. 0: a command came meanwhile.
uint64_t ctl_nap_ns(struct ctl *c);

// ctl_event.c: into the evt ring. False: no room, evt_overflow is set.
bool ctl_emit(struct ctl *c, const void *rec, uint32_t len);
// Room for n answers beyond what a dump may take.
bool ctl_room_for_answer(struct ctl *c);
void ctl_done(struct ctl *c, uint64_t cookie, int status, uint32_t aux);
bool ctl_notes(struct ctl *c); // from the workers; true if there were any
void ctl_notes_of(struct ctl *c, unsigned worker); // all of one
void ctl_on_rule_gone(void *ctx, const struct evt_rule *final);
void ctl_port_event(struct ctl *c, unsigned port);

// ctl_cmd.c
bool ctl_commands(struct ctl *c);
void ctl_orphan(struct ctl *c); // nobody is there any more that carries what leaves by carried hops

// ctl_route.c: what becomes of rules whose packets leave or come by reliable hops
int ctl_routes_open(struct ctl *c); // 0 or -ENOMEM
void ctl_routes_close(struct ctl *c);
bool ctl_routes_turn(struct ctl *c); // a slice of the walk after a reset; true: not the last
void ctl_route_hop_added(struct ctl *c, const struct cmd_hop_add *m);
void ctl_route_hop_gone(struct ctl *c, uint32_t hop, uint32_t tp, unsigned flow, bool reliable);
bool ctl_route_note(struct ctl *c, const struct dp_note *n); // false: it is another kind
int ctl_route_pause(struct ctl *c, const struct cmd_route_pause *m);

// ctl_dump.c
int ctl_dump_begin(struct ctl *c, const struct cmd_dump *d);
bool ctl_dump_turn(struct ctl *c);

// ctl_sock.c
int ctl_sock_open(struct ctl *c);
void ctl_sock_close(struct ctl *c);
// Wait up to timeout_ns for sockets and the door bell, and serve what came.
bool ctl_sock_turn(struct ctl *c, uint64_t timeout_ns);

// ctl_stats.c
void ctl_stats_open(struct ctl *c);
void ctl_stats_turn(struct ctl *c);
