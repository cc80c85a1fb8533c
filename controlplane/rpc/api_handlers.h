// What the API's requests do: one static table, request -> function, rights and sizes. No sockets
// and no frames here (api_server has those), no printing (the CLI does that). One thread: the
// loop's.
#pragma once

#include "controlplane/app/edge.h"
#include "controlplane/core/identity.h"
#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "controlplane/dmsg/lan_server.h"
#include "controlplane/dp/neigh.h"
#include "controlplane/http/http_client.h"
#include "controlplane/reload.h"
#include "controlplane/route/route_dial.h"
#include "controlplane/route/route_group.h"
#include "controlplane/route/route_peer.h"
#include "controlplane/route/route_trace.h"
#include "controlplane/route/rule_mgr.h"
#include "controlplane/route/setup_node.h"
#include "controlplane/rpc/api_server.h"
#include "controlplane/rpc/visor_rpc.h"
#include "controlplane/services.h"
#include "controlplane/transport/tp_gateway.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/conf/conf.h"

struct api;

// All borrowed, alive longer than the API.
struct api_deps {
	struct loop *loop;
	struct dp_client *dp;
	struct neigh *neigh;
	struct identity *identity;
	struct transport_mgr *transports;
	struct rule_mgr *rules;
	struct route_id *ids;
	struct route_ends *ends;
	struct edge_mgr *edges;
	struct route_groups *groups;
	const struct route_peer *routes; // NULL: no set-up node reaches us
	struct dmsg_client *dmsg; // NULL: the node has no such role, as the next three
	struct dmsg_server *dmsg_server;
	struct lan_server *lan_server;
	struct visor_rpc *visor;
	struct route_dialler *dialler; // ditto
	struct route_tracer *tracer; // ditto
	const struct tp_gateway *tp_gateway; // ditto
	const struct setup_node *setup; // ditto, with its key and its client
	const struct key_pk *setup_pk;
	struct dmsg_client *setup_client;
	// of client, server and set-up node; NULL: no discovery
	const struct services *services; // NULL: none
	struct dir_client *dir, *server_dir, *setup_dir;
	struct http_client *http, *setup_http; // NULL: nobody asks by HTTP
	const struct conf *(*conf)(void *arg); // as it was loaded last
	void *conf_arg;
	struct in_force *in_force; // what of it waits for a restart
	// Read it again: 0 and what is different, as reload_diff(); or -errno, err: what is wrong.
	int (*reload)(void *conf_arg, reload_change_fn fn, void *arg, char *err, size_t cap);
	const char *node; // name
};

// Registers with the data plane's client to know ports and workers. NULL and errno. Owner: main.
struct api *api_new(const struct api_deps *deps);
void api_free(struct api *a); // after the server; NULL is allowed
const struct api_method *api_methods(size_t *n);
