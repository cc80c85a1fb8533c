// Edges: TUN devices, each bound to one forward rule (out) and one consume rule (in) of a route.
// Every IP packet is one route DATA packet, super-packets too where both ends can
// (docs/design/edge.md). Over time nothing but counters is kept of a packet. One thread: the
// loop's.
//
//   detached --attach--> waiting --both rules live--> attached --rule gone, or a Close--> gone
//   waiting and gone look again every second (and when the data plane is back); detach ends all of
//   it
#pragma once

#include "controlplane/route/route_end.h"
#include "lib/api/api_rec.h"
#include "lib/wire/edge_msg.h"

struct edge_mgr;

enum {
	EDGES_MAX = 64,
	EDGE_MTU = 1280,
	EDGE_MTU_MIN = 576,
	EDGE_MTU_MAX = 65535,
	EDGE_BURST = 64,
	EDGE_BURST_BYTES = 256 * 1024,
	EDGE_SUPER_MAX = 65535
};
enum edge_state { EDGE_DETACHED, EDGE_ATTACHED, EDGE_GONE, EDGE_WAITING };
enum edge_origin { EDGE_CONFIGURED, EDGE_ADDED };

// Where packets come from and go to; controlplane/app/tun in real life, a socket in tests.
struct edge_dev {
	// Wishes super-packets: *kinds are the GSO_* that the device takes; not 0: a struct
	// gso_vnet precedes each packet.
	int (*open)(const char *name, bool offload, bool *made, uint8_t *kinds, char *err,
		size_t err_len);
	int (*setup)(const struct api_edge_add *spec, char *err, size_t err_len);
	void (*remove)(int fd);
};

struct edge_mgr_conf {
	struct loop *loop;
	struct dp_client *dp;
	struct rule_mgr *rules;
	struct route_ends *ends;
	struct route_id *ids;
	const struct edge_dev *dev; // NULL: TUN devices
	const char *state_path; // what edges there are, for the next start; NULL: nowhere
	unsigned (*worker)(void *arg, uint32_t hop); // whose down ring leads to a hop
	void *worker_arg;
};

struct edge_mgr *edge_mgr_new(const struct edge_mgr_conf *conf); // NULL and errno
// An orderly end: devices that we made go, the state file stays. NULL is allowed.
void edge_mgr_free(struct edge_mgr *m);
// Edges of the last life that nobody configured come back, with their routes.
void edge_mgr_restore(struct edge_mgr *m);

// 0 or -errno and a text. mtu 0 means EDGE_MTU, super_max 0 EDGE_SUPER_MAX.
int edge_add(struct edge_mgr *m, const struct api_edge_add *spec, enum edge_origin origin,
	char *err, size_t err_len);
// Would edge_add() take it from the configuration? One that was added and is just so becomes it.
int edge_check(struct edge_mgr *m, const struct api_edge_add *spec, char *err, size_t err_len);
bool edge_is_configured(const struct edge_mgr *m, const char *name);
int edge_del(struct edge_mgr *m, const char *name, char *err, size_t err_len);
// done once, from the loop: 0 (attached, or waiting for a rule that will come), or -errno and a
// text.
typedef void (*edge_done_fn)(void *arg, int status, const char *text);
int edge_attach(struct edge_mgr *m, const char *name, uint32_t forward_id, uint32_t consume_id,
	edge_done_fn done, void *arg, char *err, size_t err_len);
// The one who waits for an attach went away.
void edge_attach_cancel(struct edge_mgr *m, void *arg);
int edge_detach(struct edge_mgr *m, const char *name, bool close, char *err, size_t err_len);

void edge_each(
	const struct edge_mgr *m, void (*fn)(void *arg, const struct api_edge *e), void *arg);
