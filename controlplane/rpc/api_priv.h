// Between api_handlers.c, api_stream.c and api_dmsg.c (actions), api_list.c, api_list_tp.c and
// api_list_dmsg.c (lists) only.
#pragma once

#include "controlplane/rpc/api_handlers.h"
#include "lib/api/api_rec.h"
#include "lib/shm/stats.h"
#include "lib/wire/rail.h"

#include <sys/queue.h>

enum { API_GONE_MAX = 64, API_NEVER_MS = 0xffffffff };

// Into an array of char, cut where it ends.
#define API_COPY(dst, src) snprintf((dst), sizeof(dst), "%.*s", (int)sizeof(dst) - 1, (src))

struct api_task; // api_stream.h

enum { API_STREAM_ENDS = 512 };

struct api {
	struct api_deps d;
	struct dp_handler handler;
	struct transport_watch watch;
	// transports that were removed last, for rules that still name them
	struct {
		uint32_t tp, hop;
		uint64_t ns; // 0: none
	} gone[API_GONE_MAX];
	unsigned n_gone;
	uint64_t start_ns;
	struct evt_port ports[DPMSG_MAX_PORTS];
	unsigned n_ports;
	struct evt_worker workers[DPMSG_MAX_WORKERS];
	unsigned n_workers;
	// how busy workers are: looked at each second, for the last one to be known
	struct loop_timer *load_timer;
	TAILQ_HEAD(, api_task) tasks;
	unsigned n_tasks;
	uint32_t last_id;
	struct {
		uint32_t id;
		int err;
	} ended[API_STREAM_ENDS]; // streams, the last ones
	unsigned n_ended;
	struct {
		uint64_t cycles; // busy ones, when looked at last
		uint32_t busy_ppm;
	} load[DPMSG_MAX_WORKERS];
	uint64_t load_ns, load_epoch; // of the last look; epoch 0: there was none
};

const struct stats_view *api_stats(const struct api *a); // NULL: no data plane
// Counters of a hop, NULL: none. s may be NULL.
const struct stats_hop *api_stats_hop(const struct stats_view *s, uint32_t hop);

// Answers r with what put() makes of each transport, as fast as the client takes it, then of what
// rest (may be NULL) makes, then the end.
typedef void (*api_tp_fn)(const struct api *a, struct api_req *r, struct transport *t);
typedef void (*api_rest_fn)(const struct api *a, struct api_req *r);
void api_list_each_tp(struct api *a, struct api_req *r, api_tp_fn put, api_rest_fn rest);

struct dir_client_stats api_dir_stats(const struct api *a); // of all roles

void api_list_node(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_ports(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_workers(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_transports(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_rules(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_counters(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_rings(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_memory(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_edges(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_neighbours(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_flows(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg_servers(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg_sessions(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg_streams(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg_discoveries(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_dmsg_hypervisors(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_routes(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_groups(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_setups(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_services(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_paths(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_list_config(void *ctx, struct api_req *r, const void *payload, size_t len);

// The name of the section server or peer_server that has this key, or "".
void api_server_section(
	const struct api *a, const char *section, const struct key_pk *pk, char name[API_NAME_LEN]);
void api_dmsg_dial(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_dmsg_listen(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_dmsg_ping(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_dmsg_ip(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_route_listen(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_route_trace(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_route_close(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_route_dial(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_tp_setup(void *ctx, struct api_req *r, const void *payload, size_t len);
void api_stream_ended(void *ctx, struct api_req *r, const void *payload, size_t len);
// Ends the streams that were handed to clients.
void api_tasks_end(struct api *a);
