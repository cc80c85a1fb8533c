// Inside of the channel's end, shared by dp_client.c (attach, commands) and dp_recv.c (what comes
// up). Nobody else includes it.
#pragma once

#include "controlplane/dp/dp_client.h"

enum { DP_RECORD_MAX = DPMSG_ROUTE_MAX + 64 };

struct pending {
	uint64_t cookie; // 0: free
	dp_done_fn done;
	void *arg;
	uint32_t next_free;
};

struct dp_client {
	struct loop *loop;
	char *path;
	uint8_t mac1_key[32];
	struct loop_timer *retry, *room;
	struct loop_poll *sock, *bell;
	struct dp_handler *handlers;

	bool attached, hello_done, ready, syncing, stopping;
	bool dump_due; // syncing, but there was no room to ask for the dump
	bool cmd_dirty, down_dirty[DPMSG_MAX_WORKERS];
	int ask_fd; // -1, or asked for the region and not answered yet; `sock` watches it
	int last_err; // of attaching: said once
	enum dp_sync why;
	struct region r;
	struct region_hdr info;
	struct ring_w cmd, down[DPMSG_MAX_WORKERS];
	struct ring_r evt, hs[DPMSG_MAX_WORKERS], up[DPMSG_MAX_WORKERS];
	unsigned first_worker; // where the next turn begins

	struct pending *pending;
	uint32_t free_slot, n_pending;
	uint64_t serial; // high part of cookies
	struct dp_client_stats stats;
	_Alignas(8) uint8_t buf[DP_RECORD_MAX + 8];
};

// Call a hook of every handler; one may take itself off.
#define DP_EACH(c, hook, ...)                                                                      \
	do {                                                                                       \
		for (struct dp_handler *h_ = (c)->handlers, *n_; h_ != NULL; h_ = n_) {            \
			n_ = h_->next;                                                             \
			if (h_->hook != NULL)                                                      \
				h_->hook(h_->arg __VA_OPT__(, ) __VA_ARGS__);                      \
		}                                                                                  \
	} while (0)

// Bounded batches out of one ring. A handler may detach us (attached): then all is over at once.
void dp_recv_events(struct dp_client *c);
void dp_recv_handshakes(struct dp_client *c, unsigned worker);
void dp_recv_packets(struct dp_client *c, unsigned worker);
// dp_client.c: the answer of a command.
void dp_client_complete(struct dp_client *c, const struct evt_done *e);
