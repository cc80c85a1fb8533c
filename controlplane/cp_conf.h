// The control plane's configuration: the table of its keys, the values, and what several of them
// mean together. Read at start-up and again on SIGHUP; only keys marked live are then taken
// (in_force.h). One thread.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_mesh.h"
#include "controlplane/dmsg/lan_server.h"
#include "controlplane/route/route_dial.h"
#include "controlplane/route/route_peer.h"
#include "controlplane/rpc/visor_rpc.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/api/api.h"
#include "lib/conf/conf.h"

enum { CP_TRANSPORTS_MAX = 16384, CP_RULES_MAX = 65536, CP_PEERS_MAX = 16384 };

struct cp_transport_values {
	char *name;
	char *peer;
	int type; // enum transport_type
	char *address;
	char *interface;
	int mode;
	int cipher;
	int congestion;
	char *path_mtu;
	uint32_t flows;
	bool dial;
};

struct cp_peer_values {
	char *name;
	char *key;
	int access;
};

struct cp_rule_values {
	char *name;
	int type;
	uint32_t id;
	uint32_t next;
	char *transport;
	char *in;
	char *edge;
	uint64_t keep_alive_ns;
};

struct cp_edge_values {
	char *name;
	char *device;
	uint16_t mtu;
	int offload;
	uint16_t super_max;
	struct conf_list address;
	uint32_t forward;
	uint32_t consume;
};

struct cp_server_values { // [server NAME], [peer_server NAME]
	char *name;
	char *key;
	char *address;
};

struct cp_dmsg_values {
	struct conf_list discovery;
	uint32_t sessions;
	int mux; // enum dmsg_link_mux
};

struct cp_dmsg_server_values {
	char *listen;
	char *public_address;
	struct conf_list discovery;
	char *key_file;
	bool mesh_discover;
	uint32_t sessions_max;
	uint32_t session_streams;
	uint32_t streams_max;
	uint32_t client_streams;
};

struct cp_setup_node_values {
	bool enable;
	char *key_file;
};

struct cp_service_values { // [transports]: URLs or ""
	char *discovery;
	char *address_resolver;
};

// [hypervisor NAME], [visor NAME], [route_setup_node NAME], [transport_setup NAME]
struct cp_key_values {
	char *name;
	char *key;
};

struct cp_routing_values {
	bool no_transit;
	uint8_t min_hops, max_hops; // max 0: as many as there may be
	uint64_t keep_alive_ns;
	char *route_finder; // URL or ""
	uint64_t finder_timeout_ns;
	bool allow_plaintext;
	uint32_t groups_max;
	uint32_t groups_peer_max;
	uint16_t bench_port; // 0: none
};

struct cp_route_to_values {
	char *name;
	char *key;
	uint8_t min_hops, max_hops;
};

struct cp_saved_lan_values {
	char *name;
	char *key;
	char *address;
	char *public_address;
	char *hypervisor;
};

struct cp_lan_server_values {
	bool enable;
	uint16_t port;
	char *public_address;
	uint32_t sessions_max;
	uint32_t session_streams;
	uint32_t streams_max;
	char *secret_key;
};

struct cp_values {
	char *name;
	char *run_dir;
	char *state_dir;
	char *key_file;
	char *ca_file;
	char *api_group;
	int api_rights;
	uint32_t flows;
	int allow;
	char *allow_file;
	char *deny_file;
	uint32_t accepted_max;
	int congestion;
	char *path_mtu;
	uint64_t keepalive_ns;
	uint64_t dead_ns;
	uint64_t rekey_ns;
	uint32_t retransmit_limit;
	uint64_t silence_ns;
	uint32_t replay_window;
	int log_level;
	char *stcp_listen, *stcpr_listen;
	uint32_t carriers;
	struct cp_dmsg_values dmsg;
	struct cp_dmsg_server_values dmsg_server;
	struct cp_setup_node_values setup_node;
	struct cp_service_values services;
	struct cp_routing_values routing;
	struct cp_lan_server_values lan_server;
	struct conf_array transports; // struct cp_transport_values
	struct conf_array peers; // struct cp_peer_values
	struct conf_array rules; // struct cp_rule_values
	struct conf_array edges; // struct cp_edge_values
	struct conf_array servers, peer_servers; // struct cp_server_values
	// struct cp_key_values
	struct conf_array hypervisors, visors, route_setup_nodes, transport_setup;
	struct conf_array route_to; // struct cp_route_to_values
	struct conf_array saved_lan; // struct cp_saved_lan_values
};

// Who is over this node and under it, and the LAN's servers that it was told of.
struct cp_lan {
	struct key_pk hypervisors[VISOR_RPC_HYPERVISORS_MAX];
	struct key_pk visors[LAN_SERVER_VISORS_MAX];
	struct dmsg_client_lan saved[DMSG_CLIENT_LAN_MAX];
	uint32_t n_hypervisors, n_visors, n_saved;
};

struct cp_conf {
	struct conf *file; // owner
	const struct cp_values *v; // of file
	// what the sections say, checked
	struct peer_list *peers; // of [peers] and [peer NAME]
	struct transport_conf *transports;
	struct api_rule_add *rules;
	struct api_edge_add *edges; // named as their devices
	struct api_edge_attach *attach; // one an edge; ids 0 = none
	size_t n_transports, n_rules, n_edges;
	struct dpmsg_addr stcp_listen, stcpr_listen; // port 0: nowhere
	struct dmsg_server_at *servers, *peer_servers;
	size_t n_servers, n_peer_servers;
	struct key_pk *transport_setup; // v's number of them
	struct key_pk *route_setup_nodes;
	struct route_peer_policy routing; // its nodes are these, ...
	struct route_dial_to *route_to;
	struct route_dial_policy dials; // ... and its, which also has those destinations
	struct cp_lan *lan;
};

// What `path_mtu = TEXT` says, in transport_conf's terms; the table checked it.
uint16_t cp_conf_path_mtu(const char *text);
const struct conf_schema *cp_conf_schema(void);

// Read path, or the text when it is not NULL (tests). 0 or -errno; err is a line for each mistake
// with file:line or the section's name, and the fix. On failure *c is empty. Lists of peers are
// read with it.
int cp_conf_load(struct cp_conf *c, const char *path, char err[CONF_ERR_MAX]);
int cp_conf_parse(struct cp_conf *c, const char *text, size_t len, char err[CONF_ERR_MAX]);
void cp_conf_free(struct cp_conf *c);
// Keys of this node; NULL: it has no such role.
struct cp_own {
	const struct key_pk *node, *server, *setup;
};

// No section names the node itself, as a peer, a server or a hypervisor, nor its set-up node, nor
// its dmsg server, but for [server NAME]: a client of one's own. 0 or -EINVAL, and a line for each
// mistake.
int cp_conf_check_own(const struct cp_conf *c, const struct cp_own *own, char err[CONF_ERR_MAX]);
// Path of a file in run_dir or state_dir: 0 or -ENAMETOOLONG.
int cp_conf_run_path(const struct cp_conf *c, const char *file, char *out, size_t cap);
int cp_conf_state_path(const struct cp_conf *c, const char *file, char *out, size_t cap);
// "transport c", "link": as people write it. instance may be NULL or "".
void cp_conf_section(const char *section, const char *instance, char *out, size_t cap);
