// Table of the control plane's options and the checks that span several of them: that names of
// transports are known, addresses and lists of peers can be read, route ids are not given twice.
// What becomes of it is main.c's.
#include "controlplane/cp_conf.h"
#include "controlplane/cp_conf_priv.h"

#include "controlplane/app/edge.h"
#include "controlplane/core/conn_tcp.h"
#include "controlplane/route/rule_mgr.h"
#include "controlplane/transport/tp_gateway.h"
#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/crypto/replay.h"
#include "lib/route/setup_plan.h"
#include "lib/wire/rail.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const offload_names[] = {"auto", "no", NULL}; // enum api_offload
static const char *const mux_names[] = {"yamux", "smux", NULL}; // enum dmsg_link_mux
static const char *const tp_type_names[] = {"rail", "stcp", "stcpr", "dmsg", NULL};
static const char *const mode_names[] = {"datagram", "reliable", NULL};
static const char *const cipher_names[] = {
	"auto", "chacha20-poly1305", "aes-256-gcm", "none", NULL};
static const char *const cc_names[] = {"bbr", "cubic", NULL};
static const char *const tp_cc_names[] = {"default", "bbr", "cubic", NULL}; // enum hop_cc
static const char *const type_names[] = {"consume", "forward", "intermediary", NULL};
static const char *const allow_names[] = {"listed", "any", NULL};
static const char *const access_names[] = {"allow", "deny", NULL};
static const char *const level_names[] = {"err", "warn", "notice", "info", "debug", NULL};
static const char *const rights_names[] = {"all", "show", "none", NULL};

const char *cp_conf_check_name(const char *text)
{
	return api_name_check(text, DPMSG_NAME_LEN) < 0
		       ? "is no name: 1 to 31 characters, no blanks and no '/'"
		       : NULL;
}

static const char *check_dir(const char *text)
{
	return text[0] == '/' ? NULL : "is not an absolute path";
}

static const char *check_file(const char *text)
{
	return text[0] == '\0' || text[0] == '/' ? NULL : "is not an absolute path, or empty";
}

static const char *check_pk(const char *text)
{
	return key_pk_wrong(text, strlen(text));
}

const char *cp_conf_check_addr(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct api_addr a;

	if (text[0] == '\0' || api_addr_parse(text, &a) == 0)
		return NULL;
	if (colon != NULL && colon[1] != '\0' &&
		colon[1 + strspn(colon + 1, "0123456789")] == '\0' &&
		(strtoul(colon + 1, NULL, 10) == 0 || strtoul(colon + 1, NULL, 10) > 65535))
		return "has a port that is not 1 to 65535";
	return "is not IP:PORT, IPv6 in brackets: 192.0.2.1:7780, [2001:db8::1]:7780";
}

static const char *check_host_port(const char *text)
{
	return conn_tcp_is_host_port(text) && strlen(text) < DMSG_SERVER_ADDRESS_LEN
		       ? NULL
		       : "must be HOST:PORT: dmsg.example.org:8081, 192.0.2.1:8081, [2001:db8::1]:8081";
}

static const char *check_sk(const char *text)
{
	struct key_sk sk;
	bool good = text[0] == '\0' || key_sk_from_text(&sk, text, strlen(text)) == 0;

	key_wipe(&sk, sizeof(sk));
	return good ? NULL : "is no secret key: 64 hex digits; leave it empty to get a new one";
}

static const char *check_optional_address(const char *text)
{
	return text[0] != '\0' ? check_host_port(text) : NULL;
}

static const char *check_if(const char *text)
{
	return strlen(text) >= IFNAMSIZ ? "is longer than the 15 characters of an interface" : NULL;
}

uint16_t cp_conf_path_mtu(const char *text)
{
	return text[0] == '\0'             ? 0
	       : strcmp(text, "auto") == 0 ? TRANSPORT_MTU_AUTO
					   : (uint16_t)strtoul(text, NULL, 10);
}

// "": as [link] says.
static const char *check_path_mtu(const char *text)
{
	unsigned long mtu = strtoul(text, NULL, 10);
	size_t len = strlen(text);

	if (len == 0 || strcmp(text, "auto") == 0 ||
		(len <= 5 && strspn(text, "0123456789") == len && mtu >= HOP_PATH_MTU_MIN &&
			mtu <= UINT16_MAX))
		return NULL;
	return "is neither auto, nor bytes of IP from 1280 to 65535";
}

#define VALUE(field) CONF_FIELD(struct cp_values, field)
#define TP(field) CONF_FIELD(struct cp_transport_values, field)
#define PEER(field) CONF_FIELD(struct cp_peer_values, field)
#define RULE(field) CONF_FIELD(struct cp_rule_values, field)
#define SERVER(field) CONF_FIELD(struct cp_server_values, field)
#define LAN(field) CONF_FIELD(struct cp_values, lan_server.field)
#define TO(field) CONF_FIELD(struct cp_route_to_values, field)
#define KEY(field) CONF_FIELD(struct cp_key_values, field)
#define SAVED(field) CONF_FIELD(struct cp_saved_lan_values, field)
#define EDGE(field) CONF_FIELD(struct cp_edge_values, field)

static const struct conf_item items[] = {
	{"node", "name", CONF_STR, .def = "skyrail", VALUE(name), .check = cp_conf_check_name,
		.help = "name of this node, shown by tools"},
	{"node", "run_dir", CONF_STR, .def = "/run/skyrail", VALUE(run_dir), .check = check_dir,
		.help = "directory of the sockets of both processes; as in dataplane.ini"},
	{"node", "state_dir", CONF_STR, VALUE(state_dir), .check = check_file,
		.help = "directory of what must survive a reboot; empty: run_dir"},
	{"node", "key_file", CONF_STR, .def = "/var/lib/skyrail/node.key", VALUE(key_file),
		.check = check_dir, .help = "secret key, mode 0600; made on the first start"},
	{"node", "ca_file", CONF_STR, VALUE(ca_file), .check = check_file,
		.help = "PEM file: who vouches for https:// services; empty: whom the system trusts"},
	{"node", "api_group", CONF_STR, .def = "skyrail", VALUE(api_group),
		.help = "group whose members may use the API; empty: root and our own user only"},
	{"node", "api_rights", CONF_ENUM, .def = "all", VALUE(api_rights), .names = rights_names,
		.help = "what members of api_group may do: all, show or none"},
	{"node", "flows", CONF_UINT, .def = "1", .min = 1, .max = RAIL_FLOWS_MAX, VALUE(flows),
		.help = "most flows of a transport that has no number of its own, or that peers make"},
	{"peers", "allow", CONF_ENUM, .def = "listed", VALUE(allow), .flags = CONF_LIVE,
		.names = allow_names,
		.help = "who may make a transport to us: listed keys, or any that is not denied"},
	{"peers", "allow_file", CONF_STR, .flags = CONF_LIVE, VALUE(allow_file),
		.check = check_file, .help = "file of keys that may, one a line; empty: none"},
	{"peers", "deny_file", CONF_STR, .flags = CONF_LIVE, VALUE(deny_file), .check = check_file,
		.help = "file of keys that never may; empty: none"},
	{"peers", "accepted_max", CONF_UINT, .def = "1024", .min = 1, .max = 1 << 20,
		VALUE(accepted_max), .help = "most transports made by peers that are not listed"},
	{"peer", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, PEER(key), .check = check_pk,
		.help = "public key of a node that may connect, or never may"},
	{"peer", "access", CONF_ENUM, .def = "allow", .flags = CONF_LIVE, PEER(access),
		.names = access_names, .help = "allow, or deny: never, whatever else says"},
	{"link", "keepalive", CONF_DURATION, .def = "10s", .min = CONF_MS(100), .max = CONF_S(3600),
		VALUE(keepalive_ns), .help = "a probe is sent when nothing was for so long"},
	{"link", "dead", CONF_DURATION, .def = "25s", .min = CONF_MS(300), .max = CONF_S(7200),
		VALUE(dead_ns), .help = "a peer silent for so long is dead"},
	{"link", "rekey", CONF_DURATION, .def = "120s", .min = CONF_S(1), .max = CONF_S(86400),
		VALUE(rekey_ns), .help = "age at which keys are changed"},
	{"link", "retransmit_limit", CONF_UINT, .def = "10", .min = 3, .max = 255,
		VALUE(retransmit_limit),
		.help = "probe time-outs in a row until a reliable link is down, and ..."},
	{"link", "silence", CONF_DURATION, .def = "15s", .min = CONF_S(1), .max = CONF_S(3600),
		VALUE(silence_ns), .help = "... for how long no ack came"},
	{"link", "replay_window", CONF_UINT, .def = "8192", .min = REPLAY_BITS_MIN, .max = 1 << 20,
		VALUE(replay_window),
		.help = "counters behind the highest that are told apart; a power of two"},
	{"link", "congestion", CONF_ENUM, .def = "bbr", VALUE(congestion), .names = cc_names,
		.help = "congestion control of reliable transports: bbr or cubic"},
	{"link", "path_mtu", CONF_STR, .def = "auto", VALUE(path_mtu), .check = check_path_mtu,
		.help = "bytes of IP that paths carry; auto: found out by probes"},
	{"log", "level", CONF_ENUM, .def = "info", VALUE(log_level), .flags = CONF_LIVE,
		.names = level_names, .help = "least severe level that is printed"},
	{"transport", "peer", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, TP(peer),
		.check = check_pk, .help = "public key of the node at the other end"},
	{"transport", "type", CONF_ENUM, .def = "rail", .flags = CONF_LIVE, TP(type),
		.names = tp_type_names,
		.help = "rail: sealed UDP between nodes of this kind; stcp, stcpr, dmsg: also to visors"},
	{"transport", "address", CONF_STR, .flags = CONF_LIVE, TP(address),
		.check = cp_conf_check_addr, .help = "IP:PORT of the peer; empty: wait for it"},
	{"transport", "interface", CONF_STR, .flags = CONF_LIVE, TP(interface), .check = check_if,
		.help = "interface of a link-local address"},
	{"transport", "mode", CONF_ENUM, .def = "reliable", .flags = CONF_LIVE, TP(mode),
		.names = mode_names,
		.help = "reliable: nothing is lost while a route lives; datagram: as in IP"},
	{"transport", "cipher", CONF_ENUM, .def = "auto", .flags = CONF_LIVE, TP(cipher),
		.names = cipher_names,
		.help = "auto: the fastest of both ends; none: no secrecy, if the peer's says so too"},
	{"transport", "congestion", CONF_ENUM, .def = "default", .flags = CONF_LIVE, TP(congestion),
		.names = tp_cc_names, .help = "default: as [link] says; bbr or cubic"},
	{"transport", "path_mtu", CONF_STR, .flags = CONF_LIVE, TP(path_mtu),
		.check = check_path_mtu,
		.help = "bytes of IP that the path carries, or auto; empty: as [link] says"},
	{"transport", "flows", CONF_UINT, .def = "0", .min = 0, .max = RAIL_FLOWS_MAX,
		.flags = CONF_LIVE, TP(flows),
		.help = "most flows, each with a UDP port; 0: as [node] says; the smaller of both ends"},
	{"transport", "dial", CONF_BOOL, .def = "yes", .flags = CONF_LIVE, TP(dial),
		.help = "make the connection; no: only accept it"},
	{"stcp", "listen", CONF_STR, .flags = CONF_LIVE, VALUE(stcp_listen),
		.check = cp_conf_check_addr,
		.help = "IP:PORT (TCP) where peers may call for stcp transports; empty: nowhere"},
	{"stcpr", "listen", CONF_STR, VALUE(stcpr_listen), .check = cp_conf_check_addr,
		.help = "the same for stcpr transports; peers find it by the address resolver"},
	{"rule", "type", CONF_ENUM, .flags = CONF_REQUIRED | CONF_LIVE, RULE(type),
		.names = type_names, .help = "what to do with packets of this route id"},
	{"rule", "id", CONF_UINT, .flags = CONF_REQUIRED | CONF_LIVE, .min = 1, .max = 0xffffffff,
		RULE(id), .help = "key route id, as packets carry it when they arrive"},
	{"rule", "next", CONF_UINT, .def = "0", .flags = CONF_LIVE, .min = 0, .max = 0xffffffff,
		RULE(next), .help = "route id at the next node (forward, intermediary)"},
	{"rule", "transport", CONF_STR, .flags = CONF_LIVE, RULE(transport),
		.help = "transport by which packets leave (forward, intermediary)"},
	{"rule", "in", CONF_STR, .flags = CONF_LIVE, RULE(in),
		.help = "transport by which packets come, any, or local; empty: as the type needs"},
	{"rule", "keep_alive", CONF_DURATION, .def = "0s", .flags = CONF_LIVE, .min = 0,
		.max = CONF_S(86400), RULE(keep_alive_ns),
		.help = "lifetime without packets; 0: never ends"},
	{"rule", "edge", CONF_STR, .flags = CONF_LIVE, RULE(edge),
		.help = "section name of the edge that this rule is for (consume, forward)"},
	{"edge", "device", CONF_STR, EDGE(device),
		.help = "name of the TUN device; empty: the section's name"},
	{"edge", "mtu", CONF_UINT, .def = "1280", .min = EDGE_MTU_MIN, .max = EDGE_MTU_MAX,
		EDGE(mtu), .help = "of the TUN device"},
	{"edge", "offload", CONF_ENUM, .def = "auto", EDGE(offload), .names = offload_names,
		.help = "auto: super-packets with kernel and far end where both can; no: never"},
	{"edge", "super_max", CONF_UINT, .def = "65535", .min = EDGE_SUPER_MIN, .max = EDGE_MTU_MAX,
		EDGE(super_max), .help = "longest super-packet that is sent, in bytes"},
	{"edge", "address", CONF_LIST, .max = API_EDGE_ADDRS, EDGE(address),
		.help = "addresses with prefix length: 10.9.0.1/24, fd00::1/64"},
	{"edge", "forward", CONF_UINT, .def = "0", .flags = CONF_LIVE, .min = 0, .max = 0xffffffff,
		EDGE(forward), .help = "forward rule that takes the device's packets"},
	{"edge", "consume", CONF_UINT, .def = "0", .flags = CONF_LIVE, .min = 0, .max = 0xffffffff,
		EDGE(consume), .help = "consume rule whose packets go to the device"},
	{"dmsg", "discovery", CONF_LIST, .max = DIR_CLIENT_URLS_MAX, VALUE(dmsg.discovery),
		.help = "URLs of dmsg discoveries: we are published there and find others; empty: none"},
	{"dmsg", "sessions", CONF_UINT, .def = "2", .min = 0, .max = DMSG_CLIENT_SERVERS_MAX,
		VALUE(dmsg.sessions),
		.help = "servers to have sessions to, [server NAME] first; 0: as many as there are"},
	{"dmsg", "mux", CONF_ENUM, .def = "yamux", VALUE(dmsg.mux), .names = mux_names,
		.help = "muxer of sessions: yamux, or smux, which servers of 2026 read in our entry"},
	{"server", "key", CONF_STR, .flags = CONF_REQUIRED, SERVER(key), .check = check_pk,
		.help = "public key of a dmsg server that a session is kept to"},
	{"server", "address", CONF_STR, .flags = CONF_REQUIRED, SERVER(address),
		.check = check_host_port, .help = "HOST:PORT of that server"},
	{"dmsg_server", "listen", CONF_STR, VALUE(dmsg_server.listen), .check = cp_conf_check_addr,
		.help = "IP:PORT (TCP) on which this node is a dmsg server; empty: it is none"},
	{"dmsg_server", "key_file", CONF_STR, .def = "/var/lib/skyrail/dmsg-server.key",
		VALUE(dmsg_server.key_file), .check = check_dir,
		.help = "its own secret key, never the node's; made on the first start"},
	{"dmsg_server", "public_address", CONF_STR, VALUE(dmsg_server.public_address),
		.check = check_optional_address,
		.help = "HOST:PORT by which clients reach the server; empty: it is not published"},
	{"dmsg_server", "discovery", CONF_LIST, .max = DIR_CLIENT_URLS_MAX,
		VALUE(dmsg_server.discovery),
		.help = "URLs of dmsg discoveries where the server is published; empty: none"},
	{"dmsg_server", "mesh_discover", CONF_BOOL, .def = "no", VALUE(dmsg_server.mesh_discover),
		.help = "be joined to all servers of the discoveries: each may name any source"},
	{"dmsg_server", "sessions_max", CONF_UINT, .def = "2048", .min = 1, .max = 1 << 20,
		VALUE(dmsg_server.sessions_max), .help = "most sessions; four of one key"},
	{"dmsg_server", "session_streams", CONF_UINT, .def = "2048", .min = 1, .max = 65536,
		VALUE(dmsg_server.session_streams), .help = "most streams of a session"},
	{"dmsg_server", "streams_max", CONF_UINT, .def = "4096", .min = 1, .max = 1 << 20,
		VALUE(dmsg_server.streams_max), .help = "most streams that are relayed"},
	{"dmsg_server", "client_streams", CONF_UINT, .def = "1024", .min = 1, .max = 1 << 20,
		VALUE(dmsg_server.client_streams), .help = "most of them that one client dialled"},
	{"peer_server", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, SERVER(key),
		.check = check_pk,
		.help = "public key of a dmsg server that our server is joined to"},
	{"peer_server", "address", CONF_STR, .flags = CONF_LIVE, SERVER(address),
		.check = check_optional_address,
		.help = "HOST:PORT of that server; empty: it dials us"},
	{"setup_node", "enable", CONF_BOOL, .def = "no", VALUE(setup_node.enable),
		.help = "this node lays routes for others, by the servers and discoveries of [dmsg]"},
	{"setup_node", "key_file", CONF_STR, .def = "/var/lib/skyrail/setup-node.key",
		VALUE(setup_node.key_file), .check = check_dir,
		.help = "its own secret key, never the node's; made on the first start"},
	{"transports", "carriers", CONF_UINT, .def = "1", .max = DPMSG_MAX_CARRIERS,
		VALUE(carriers),
		.help = "threads that carry transports over TCP; 0: the one that does all else"},
	{"transports", "discovery", CONF_STR, VALUE(services.discovery),
		.help = "URL of the transport discovery, which knows of our transports; empty: none"},
	{"transports", "address_resolver", CONF_STR, VALUE(services.address_resolver),
		.help = "URL of the address resolver, for stcpr transports; empty: none"},
	{"routing", "route_finder", CONF_STR, VALUE(routing.route_finder),
		.help = "URL of the route finder, which tells paths to other nodes; empty: none"},
	{"routing", "route_finder_timeout", CONF_DURATION, .def = "10s", .min = CONF_MS(100),
		.max = CONF_S(300), VALUE(routing.finder_timeout_ns),
		.help = "how long its answer is waited for"},
	{"routing", "no_transit", CONF_BOOL, .def = "no", .flags = CONF_LIVE,
		VALUE(routing.no_transit),
		.help = "set-up nodes may lay no routes that pass through this node"},
	{"routing", "allow_plaintext", CONF_BOOL, .def = "no", VALUE(routing.allow_plaintext),
		.help = "far ends of routes that end here need not seal what they send"},
	{"routing", "groups_max", CONF_UINT, .def = "1024", .min = 1, .max = 65536,
		VALUE(routing.groups_max), .help = "route groups that this node has at once"},
	{"routing", "groups_peer_max", CONF_UINT, .def = "256", .min = 1, .max = 65536,
		VALUE(routing.groups_peer_max), .help = "of them, towards one node"},
	{"routing", "bench_port", CONF_UINT, .def = "0", .max = 65535, VALUE(routing.bench_port),
		.help = "route port of a service that takes, gives and sends back bytes; 0: none"},
	{"routing", "min_hops", CONF_UINT, .def = "1", .min = 1, .max = SETUP_HOPS_MAX,
		.flags = CONF_LIVE, VALUE(routing.min_hops),
		.help = "routes that this node dials have so many hops at least"},
	{"routing", "max_hops", CONF_UINT, .def = "50", .min = 1, .max = SETUP_HOPS_MAX,
		.flags = CONF_LIVE, VALUE(routing.max_hops), .help = "and at most so many"},
	{"routing", "rule_keep_alive", CONF_DURATION, .def = "10m",
		.min = CONF_S(SETUP_KEEP_ALIVE_MIN_S), .max = CONF_S(SETUP_KEEP_ALIVE_MAX_S),
		.flags = CONF_LIVE, VALUE(routing.keep_alive_ns),
		.help = "rules of routes that this node dials live so long without a packet"},
	{"route_to", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, TO(key),
		.check = check_pk, .help = "public key of a destination with limits of its own"},
	{"route_to", "min_hops", CONF_UINT, .def = "1", .min = 1, .max = SETUP_HOPS_MAX,
		.flags = CONF_LIVE, TO(min_hops), .help = "as in [routing]"},
	{"route_to", "max_hops", CONF_UINT, .def = "50", .min = 1, .max = SETUP_HOPS_MAX,
		.flags = CONF_LIVE, TO(max_hops), .help = "as in [routing]"},
	{"route_setup_node", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, KEY(key),
		.check = check_pk, .help = "public key of a set-up node that may lay routes here"},
	{"transport_setup", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, KEY(key),
		.check = check_pk,
		.help = "public key of a node that may have transports made here"},
	{"hypervisor", "key", CONF_STR, .flags = CONF_REQUIRED, KEY(key), .check = check_pk,
		.help = "public key of a node that may tell this one of its LAN's dmsg server"},
	{"lan_server", "enable", CONF_BOOL, .def = "no", LAN(enable),
		.help = "be the dmsg server of this LAN, and tell the nodes of [visor] of it"},
	{"lan_server", "port", CONF_UINT, .def = "0", .max = 65535, LAN(port),
		.help = "TCP port, on all addresses; 0: the system chooses"},
	{"lan_server", "public_address", CONF_STR, LAN(public_address),
		.check = check_optional_address,
		.help = "HOST:PORT that nodes try when the LAN's address does not answer"},
	{"lan_server", "sessions_max", CONF_UINT, .def = "100", .min = 1, .max = 65536,
		LAN(sessions_max), .help = "most sessions"},
	{"lan_server", "session_streams", CONF_UINT, .def = "256", .min = 1, .max = 65536,
		LAN(session_streams), .help = "most streams of a session"},
	{"lan_server", "streams_max", CONF_UINT, .def = "1024", .min = 1, .max = 1 << 20,
		LAN(streams_max), .help = "most streams that are relayed"},
	{"lan_server", "secret_key", CONF_STR, .flags = CONF_SECRET | CONF_LIVE, LAN(secret_key),
		.check = check_sk, .help = "its own; made and written here at the first use"},
	{"visor", "key", CONF_STR, .flags = CONF_REQUIRED, KEY(key), .check = check_pk,
		.help = "public key of a node that is told of the LAN's server"},
	{"saved_lan_server", "key", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE, SAVED(key),
		.check = check_pk,
		.help = "written here by the node: a server that it was told of"},
	{"saved_lan_server", "address", CONF_STR, .flags = CONF_LIVE, SAVED(address),
		.check = check_optional_address, .help = "HOST:PORT in the LAN"},
	{"saved_lan_server", "public_address", CONF_STR, .flags = CONF_LIVE, SAVED(public_address),
		.check = check_optional_address, .help = "HOST:PORT, tried after that"},
	{"saved_lan_server", "hypervisor", CONF_STR, .flags = CONF_REQUIRED | CONF_LIVE,
		SAVED(hypervisor), .check = check_pk, .help = "who told of it"},
};

#define CLASS(name_, field, type_, max_)                                                           \
	{                                                                                          \
		name_, offsetof(struct cp_values, field), sizeof(type_), offsetof(type_, name),    \
			max_                                                                       \
	}
static const struct conf_class classes[] = {
	CLASS("transport", transports, struct cp_transport_values, CP_TRANSPORTS_MAX),
	CLASS("peer", peers, struct cp_peer_values, CP_PEERS_MAX),
	CLASS("rule", rules, struct cp_rule_values, CP_RULES_MAX),
	CLASS("edge", edges, struct cp_edge_values, EDGES_MAX),
	CLASS("server", servers, struct cp_server_values, DMSG_CLIENT_SERVERS_MAX),
	CLASS("peer_server", peer_servers, struct cp_server_values, DMSG_MESH_PEERS_MAX),
	CLASS("route_setup_node", route_setup_nodes, struct cp_key_values, ROUTE_PEER_NODES_MAX),
	CLASS("transport_setup", transport_setup, struct cp_key_values, TP_GATEWAY_NODES_MAX),
	CLASS("route_to", route_to, struct cp_route_to_values, ROUTE_DIAL_TO_MAX),
	CLASS("hypervisor", hypervisors, struct cp_key_values, VISOR_RPC_HYPERVISORS_MAX),
	CLASS("visor", visors, struct cp_key_values, LAN_SERVER_VISORS_MAX),
	CLASS("saved_lan_server", saved_lan, struct cp_saved_lan_values, DMSG_CLIENT_LAN_MAX),
};

static const struct conf_schema schema = {
	items, ARRAY_LEN(items), classes, ARRAY_LEN(classes), sizeof(struct cp_values), true};

const struct conf_schema *cp_conf_schema(void)
{
	return &schema;
}

// ---- peers ----

static int load_peer(struct cp_conf *c, const struct cp_peer_values *v, char *err)
{
	struct key_pk pk;
	int rc;

	if (cp_conf_check_name(v->name) != NULL)
		return BAD(c, err, "peer", v->name, NULL, "%s", cp_conf_check_name(v->name));
	key_pk_from_text(&pk, v->key, strlen(v->key)); // the table checked it
	if (!key_pk_is_valid(&pk))
		return BAD(
			c, err, "peer", v->name, "key", "key is no public key: a digit is wrong");
	rc = peer_list_add(c->peers, &pk, v->access == 1 ? PEER_DENIED : PEER_ALLOWED, v->name);
	return rc == 0 ? 0 : BAD(c, err, "peer", v->name, NULL, "too many keys, or out of memory");
}

static int load_list(
	struct cp_conf *c, const char *key, const char *path, enum peer_access access, char *err)
{
	char why[PEER_LIST_ERR_MAX];
	int rc = path[0] != '\0' ? peer_list_read(c->peers, path, access, why) : 0;

	return rc == 0 ? 0 : BAD(c, err, "peers", "", key, "%s %s", key, why);
}

static int load_peers(struct cp_conf *c, char *err)
{
	const struct cp_peer_values *v = c->v->peers.v;
	int rc = 0;

	for (size_t i = 0; i < c->v->peers.n; i++)
		rc = cp_conf_worse(rc, load_peer(c, &v[i], err));
	rc = cp_conf_worse(rc, load_list(c, "allow_file", c->v->allow_file, PEER_ALLOWED, err));
	rc = cp_conf_worse(rc, load_list(c, "deny_file", c->v->deny_file, PEER_DENIED, err));
	if (rc == 0)
		peer_list_done(c->peers);
	return rc;
}

static bool has_transport(const struct cp_conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_transports; i++)
		if (strcmp(c->transports[i].name, name) == 0)
			return true;
	return false;
}

// ---- rules ----

static int rule_in(
	const struct cp_conf *c, const struct cp_rule_values *v, struct api_rule_add *r, char *err)
{
	if (v->in[0] == '\0') {
		r->in = API_IN_DEFAULT;
	} else if (strcmp(v->in, "any") == 0) {
		r->in = API_IN_ANY;
	} else if (strcmp(v->in, "local") == 0) {
		r->in = API_IN_LOCAL;
	} else if (has_transport(c, v->in)) {
		r->in = API_IN_TRANSPORT;
		snprintf(r->in_transport, sizeof(r->in_transport), "%s", v->in);
	} else {
		return BAD(c, err, "rule", v->name, "in",
			"in = any, local or a transport: no [transport %s]", v->in);
	}
	return 0;
}

static int load_rule(
	const struct cp_conf *c, const struct cp_rule_values *v, struct api_rule_add *r, char *err)
{
	int rc;

	r->type = (uint8_t)v->type;
	r->id = v->id;
	r->keep_alive_ms = (uint32_t)(v->keep_alive_ns / CLOCK_NS_PER_MS);
	if (v->keep_alive_ns != 0 && r->keep_alive_ms < RULE_KEEP_ALIVE_MIN_MS)
		return BAD(c, err, "rule", v->name, "keep_alive",
			"keep_alive must be 0 (static) or at least 100ms");
	rc = rule_in(c, v, r, err);
	if (rc < 0 || conf_is_told(c->file, "rule", v->name, "type"))
		return rc;
	if (r->type == API_RULE_CONSUME) {
		if (v->next != 0 || v->transport[0] != '\0')
			return BAD(c, err, "rule", v->name, v->next != 0 ? "next" : "transport",
				"a consume rule has neither next nor transport");
		return 0;
	}
	if (v->next == 0)
		return BAD(c, err, "rule", v->name, NULL,
			"next = the route id at the next node is missing");
	if (v->transport[0] == '\0')
		return BAD(c, err, "rule", v->name, NULL,
			"transport = the name of a [transport NAME] is missing");
	if (!has_transport(c, v->transport))
		return BAD(c, err, "rule", v->name, "transport", "no [transport %s]", v->transport);
	r->next_id = v->next;
	snprintf(r->transport, sizeof(r->transport), "%s", v->transport);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct cp_rule_values *x = *(const struct cp_rule_values *const *)a;
	const struct cp_rule_values *y = *(const struct cp_rule_values *const *)b;

	return x->id != y->id ? (x->id < y->id ? -1 : 1) : (x < y ? -1 : x > y);
}

static int load_rules(struct cp_conf *c, char *err)
{
	const struct cp_rule_values *v = c->v->rules.v;
	size_t n = c->v->rules.n;
	const struct cp_rule_values **sorted = calloc(n + 1, sizeof(*sorted));
	int rc = 0;

	if (sorted == NULL) {
		conf_err_add(err, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		rc = cp_conf_worse(rc, load_rule(c, &v[i], &c->rules[i], err));
		sorted[i] = &v[i];
		c->n_rules++;
	}
	qsort(sorted, n, sizeof(*sorted), by_id);
	for (size_t i = 1; i < n; i++)
		if (sorted[i]->id == sorted[i - 1]->id)
			rc = cp_conf_worse(rc, BAD(c, err, "rule", sorted[i]->name, "id",
						       "[rule %s] has id = %u too",
						       sorted[i - 1]->name, sorted[i]->id));
	free(sorted);
	return rc;
}

// ---- edges ----

static int load_edge(const struct cp_conf *c, const struct cp_edge_values *v,
	struct api_edge_add *e, struct api_edge_attach *a, char *err)
{
	const char *device = v->device[0] != '\0' ? v->device : v->name;

	if (api_name_check(device, sizeof(e->name)) < 0 || strlen(device) >= sizeof(e->name))
		return BAD(c, err, "edge", v->name, "device",
			"a device's name has 1 to 15 characters, no blanks, no '/'");
	snprintf(e->name, sizeof(e->name), "%s", device);
	snprintf(a->name, sizeof(a->name), "%s", device);
	e->mtu = v->mtu;
	e->offload = (uint8_t)v->offload;
	e->super_max = v->super_max;
	a->forward_id = v->forward;
	a->consume_id = v->consume;
	for (size_t k = 0; k < v->address.n; k++)
		if (api_nets_parse(v->address.v[k], e) < 0)
			return BAD(c, err, "edge", v->name, "address",
				"'%.60s' is not IP/PREFIX: 10.9.0.1/24; several with commas",
				v->address.v[k]);
	return 0;
}

// `edge = NAME` in a rule is the same as forward or consume there.
static int rules_of_edges(struct cp_conf *c, char *err)
{
	const struct cp_rule_values *r = c->v->rules.v;
	const struct cp_edge_values *e = c->v->edges.v;
	int rc = 0;

	for (size_t i = 0; i < c->n_rules; i++) {
		size_t k = 0;
		uint32_t *id;

		if (r[i].edge[0] == '\0' || conf_is_told(c->file, "rule", r[i].name, "type"))
			continue;
		while (k < c->n_edges && strcmp(e[k].name, r[i].edge) != 0)
			k++;
		if (k == c->n_edges || r[i].type == API_RULE_INTERMEDIARY) {
			rc = cp_conf_worse(rc,
				BAD(c, err, "rule", r[i].name, "edge",
					k == c->n_edges
						? "no [edge %s]"
						: "edge = %s is for forward and consume rules only",
					r[i].edge));
			continue;
		}
		id = r[i].type == API_RULE_FORWARD ? &c->attach[k].forward_id
						   : &c->attach[k].consume_id;
		if (*id != 0 && *id != r[i].id)
			rc = cp_conf_worse(
				rc, BAD(c, err, "rule", r[i].name, "edge",
					    "[edge %s] has another rule of this type", r[i].edge));
		*id = r[i].id;
	}
	return rc;
}

static int load_edges(struct cp_conf *c, char *err)
{
	const struct cp_edge_values *v = c->v->edges.v;
	int rc = 0;

	for (size_t i = 0; i < c->v->edges.n; i++, c->n_edges++) {
		size_t k = 0;

		rc = cp_conf_worse(rc, load_edge(c, &v[i], &c->edges[i], &c->attach[i], err));
		while (k < i && strcmp(c->edges[k].name, c->edges[i].name) != 0)
			k++;
		if (k < i && c->edges[i].name[0] != '\0')
			rc = cp_conf_worse(rc, BAD(c, err, "edge", v[i].name, "device",
						       "[edge %s] has the same device", v[k].name));
	}
	rc = cp_conf_worse(rc, rules_of_edges(c, err));
	for (size_t i = 0; rc == 0 && conf_is_good(c->file) && i < c->n_edges; i++)
		if ((c->attach[i].forward_id == 0) != (c->attach[i].consume_id == 0) ||
			(c->attach[i].forward_id != 0 &&
				c->attach[i].forward_id == c->attach[i].consume_id))
			rc = BAD(c, err, "edge", v[i].name, "forward",
				"forward and consume go together and name two rules");
	return rc;
}

// ---- the whole ----

static int cross_check(const struct cp_conf *c, char *err)
{
	int rc = 0;

	if (c->v->dead_ns <= c->v->keepalive_ns && !conf_is_told(c->file, "link", "", "keepalive"))
		rc = BAD(c, err, "link", "", "dead", "dead must be longer than keepalive");
	if ((c->v->replay_window & (c->v->replay_window - 1)) != 0)
		rc = BAD(c, err, "link", "", "replay_window", "replay_window is a power of two");
	return rc;
}

static int take(struct cp_conf *c, struct conf *file, char *err)
{
	int rc = -ENOMEM;

	memset(c, 0, sizeof(*c));
	if (file == NULL)
		return errno != 0 ? -errno : -EINVAL;
	c->file = file;
	c->v = conf_values(file);
	c->peers = peer_list_new();
	c->transports = calloc(c->v->transports.n + 1, sizeof(*c->transports));
	c->rules = calloc(c->v->rules.n + 1, sizeof(*c->rules));
	c->edges = calloc(c->v->edges.n + 1, sizeof(*c->edges));
	c->attach = calloc(c->v->edges.n + 1, sizeof(*c->attach));
	c->servers = calloc(c->v->servers.n + 1, sizeof(*c->servers));
	c->peer_servers = calloc(c->v->peer_servers.n + 1, sizeof(*c->peer_servers));
	c->route_setup_nodes = calloc(c->v->route_setup_nodes.n + 1, sizeof(*c->route_setup_nodes));
	c->transport_setup = calloc(c->v->transport_setup.n + 1, sizeof(*c->transport_setup));
	c->route_to = calloc(c->v->route_to.n + 1, sizeof(*c->route_to));
	c->lan = calloc(1, sizeof(*c->lan));
	if (c->peers != NULL && c->transports != NULL && c->rules != NULL && c->edges != NULL &&
		c->attach != NULL && c->servers != NULL && c->peer_servers != NULL &&
		c->route_setup_nodes != NULL && c->transport_setup != NULL && c->route_to != NULL &&
		c->lan != NULL) {
		rc = cp_conf_worse(conf_is_good(file) ? 0 : -EINVAL, cross_check(c, err));
		rc = cp_conf_worse(rc, load_peers(c, err));
		rc = cp_conf_worse(rc, cp_conf_load_listen(c, err));
		rc = cp_conf_worse(rc, cp_conf_load_transports(c, err));
		rc = cp_conf_worse(rc, load_rules(c, err));
		rc = cp_conf_worse(rc, load_edges(c, err));
		rc = cp_conf_worse(rc, cp_conf_load_dmsg(c, err));
		rc = cp_conf_worse(rc, cp_conf_load_routing(c, err));
		rc = cp_conf_worse(rc, cp_conf_load_setup(c, err));
	} else {
		conf_err_add(err, "out of memory");
	}
	if (rc < 0)
		cp_conf_free(c);
	return rc;
}

int cp_conf_load(struct cp_conf *c, const char *path, char err[CONF_ERR_MAX])
{
	errno = 0;
	return take(c, conf_load(&schema, path, err), err);
}

int cp_conf_parse(struct cp_conf *c, const char *text, size_t len, char err[CONF_ERR_MAX])
{
	errno = 0;
	return take(c, conf_parse(&schema, "controlplane.ini", text, len, err), err);
}

void cp_conf_free(struct cp_conf *c)
{
	if (c->file != NULL)
		conf_free(c->file);
	peer_list_free(c->peers);
	free(c->transports);
	free(c->rules);
	free(c->edges);
	free(c->attach);
	free(c->servers);
	free(c->peer_servers);
	free(c->route_setup_nodes);
	free(c->transport_setup);
	free(c->route_to);
	free(c->lan);
	memset(c, 0, sizeof(*c));
}

static int join(const char *dir, const char *file, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s/%s", dir, file);

	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

int cp_conf_run_path(const struct cp_conf *c, const char *file, char *out, size_t cap)
{
	return join(c->v->run_dir, file, out, cap);
}

int cp_conf_state_path(const struct cp_conf *c, const char *file, char *out, size_t cap)
{
	return join(c->v->state_dir[0] != '\0' ? c->v->state_dir : c->v->run_dir, file, out, cap);
}

void cp_conf_section(const char *section, const char *instance, char *out, size_t cap)
{
	bool named = instance != NULL && instance[0] != '\0';

	snprintf(out, cap, "%s%s%s", section, named ? " " : "", named ? instance : "");
}
