// The public API: frames over the unix stream socket of the control plane (RUN_DIR/control.sock).
//
// Every frame begins with struct api_frame; integers are in host order (one machine), strings are
// NUL-terminated in fixed fields, structs have fixed width and no holes. The client speaks first
// and its first frame is API_HELLO with the version. A client has one request in work at a time;
// what it sends beyond that waits in the socket.
//
//   request   flags 0, id chosen by the client, payload = the request's struct (arrays follow it)
//   answer    zero or more frames with API_MORE, each one record; then one without it: the end
//
// The end carries status: 0, or -errno and a text of at most API_TEXT_MAX bytes that names the fix.
// Requests that return one struct carry it in the end frame. Records are in lib/api/api_rec.h.
// Limits: a frame is at most API_FRAME_MAX bytes; a longer or shorter one than its type allows, or
// an unknown type, is answered with an error; a frame that cannot be parsed closes the connection.
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
	API_VERSION = 4,
	API_FRAME_MAX = 1 << 20, // one bulk request, header included
	API_TEXT_MAX = 512, // of an error, with the final NUL
	API_NAME_LEN = 32, // transports, edges, ports, nodes; with the final NUL
	API_PK_LEN = 33,
	API_IF_LEN = 16, // name of a network interface, with the final NUL
	API_BULK_MAX = 8192, // rules in one request
	API_EDGE_ADDRS = 4,
};
enum api_flags { API_MORE = 1 };

struct api_frame {
	uint32_t len; // of the frame, this header included
	uint16_t type; // enum api_type, the same in the answer
	uint16_t flags;
	uint32_t id; // of the request
	int32_t status; // requests: 0
};
static_assert(sizeof(struct api_frame) == 16, "api_frame");
enum api_type {
	API_HELLO = 1,
	// lists: no payload unless said otherwise; the answer's records are those of api_rec.h
	API_NODE = 16,
	API_PORTS,
	API_WORKERS,
	API_TRANSPORTS,
	API_RULES, // payload: struct api_rules_ask
	API_COUNTERS, // payload: struct api_counters_ask
	API_RINGS,
	API_MEMORY,
	API_EDGES,
	API_NEIGHBOURS,
	API_CONFIG,
	API_FLOWS,
	API_DMSG, // this one and the next four: api_dmsg.h
	API_DMSG_SERVERS,
	API_DMSG_SESSIONS,
	API_DMSG_STREAMS,
	API_DMSG_DISCOVERIES,
	API_DMSG_HYPERVISORS,
	API_SETUPS, // this one and the next: api_route.h
	API_ROUTES,
	API_SERVICES, // this one and the next: api_service.h
	API_PATHS, // payload: struct api_paths_ask
	API_GROUPS, // api_route.h
	// actions
	API_TRANSPORT_ADD = 64,
	API_TRANSPORT_DEL,
	API_RULE_ADD,
	API_RULE_DEL,
	API_EDGE_ADD,
	API_EDGE_ATTACH,
	API_EDGE_DETACH,
	API_EDGE_DEL,
	API_PING,
	API_LOG_LEVEL,
	API_CONFIG_RELOAD, // no payload; struct api_change each, that of the last load first
	API_TRANSPORT_MOVE, // struct api_transport_move
	API_DMSG_DIAL, // struct api_dmsg_ask, as the next three
	API_DMSG_LISTEN,
	API_DMSG_PING, // struct api_dmsg_pong
	API_DMSG_IP, // struct api_dmsg_ip
	API_STREAM_ENDED, // api_stream.h
	API_ROUTE_DIAL, // struct api_route_ask, as the next one
	API_ROUTE_LISTEN,
	API_ROUTE_CLOSE, // struct api_route_close
	API_ROUTE_TRACE, // struct api_route_trace; struct api_trace_hop each, as they are measured
	API_TP_SETUP, // struct api_tp_setup_ask, of api_service.h
};

struct api_hello {
	uint32_t version; // API_VERSION, else -EPROTO
	uint32_t pad;
};
static_assert(sizeof(struct api_hello) == 8, "api_hello");
struct api_welcome {
	uint32_t version;
	uint32_t rights; // enum api_rights that this client has
	char node[API_NAME_LEN];
};
static_assert(sizeof(struct api_welcome) == 40, "api_welcome");
enum api_rights { API_RIGHT_SHOW = 1, API_RIGHT_CHANGE = 2 };

// A UDP end point; IPv4 is mapped, the address bytes are in network order. All zeros = none.
struct api_addr {
	uint8_t ip[16];
	uint16_t port;
	uint8_t pad[2];
};
static_assert(sizeof(struct api_addr) == 20, "api_addr");
struct api_rules_ask {
	uint32_t first_index; // rules whose index (low bits of the id) is not below it
	uint32_t max; // 0 = all
};
static_assert(sizeof(struct api_rules_ask) == 8, "api_rules_ask");

enum api_scope {
	API_SCOPE_WORKER = 1,
	API_SCOPE_PORT = 2,
	API_SCOPE_TRANSPORT = 4,
	API_SCOPE_CONTROL = 8
};
struct api_counters_ask {
	uint32_t scopes; // API_SCOPE_*, 0 = all
	uint32_t pad;
};
static_assert(sizeof(struct api_counters_ask) == 8, "api_counters_ask");
enum api_cipher {
	API_CIPHER_AUTO = 0,
	API_CIPHER_CHACHA20 = 1,
	API_CIPHER_NONE = 2,
	API_CIPHER_AES = 3
};
// Carried: whole packets over a byte stream, so nothing is lost; never asked for.
enum api_mode { API_MODE_DATAGRAM = 0, API_MODE_RELIABLE = 1, API_MODE_CARRIED = 2 };
enum { API_PATH_MTU_AUTO = 1 };
enum api_transport_type { API_TP_RAIL = 0, API_TP_STCP = 1, API_TP_STCPR = 2, API_TP_DMSG = 3 };
enum api_congestion { API_CC_DEFAULT = 0, API_CC_BBR = 1, API_CC_CUBIC = 2 };

struct api_transport_add {
	char name[API_NAME_LEN];
	uint8_t peer[API_PK_LEN];
	uint8_t cipher; // enum api_cipher
	uint8_t mode; // enum api_mode
	uint8_t dial; // 1: make the handshake; 0: wait for the peer's
	struct api_addr addr; // port 0: not known, wait for the peer
	char interface[API_IF_LEN]; // of a link-local address, else ""
	uint16_t path_mtu; // bytes of IP; API_PATH_MTU_AUTO; 0: as the node's configuration says
	uint8_t congestion; // enum api_congestion
	uint8_t flows; // most of them; 0: as the node's configuration says
	uint8_t type; // enum api_transport_type; what is of rails alone counts for rails alone
	uint8_t pad[3];
};
static_assert(sizeof(struct api_transport_add) == 112, "api_transport_add");

struct api_name_ask { // TRANSPORT_DEL, EDGE_DEL
	char name[API_NAME_LEN];
};
static_assert(sizeof(struct api_name_ask) == 32, "api_name_ask");

struct api_transport_move {
	char name[API_NAME_LEN];
	uint32_t worker; // that is to own it
	uint32_t flow; // 1..; 0: all, each one by the worker after that of the one before
};
static_assert(sizeof(struct api_transport_move) == 40, "api_transport_move");

enum api_rule_type { API_RULE_CONSUME = 0, API_RULE_FORWARD = 1, API_RULE_INTERMEDIARY = 2 };
enum api_rule_in { API_IN_DEFAULT = 0, API_IN_ANY, API_IN_LOCAL, API_IN_TRANSPORT };

// API_RULE_ADD: n <= API_BULK_MAX rules follow struct api_bulk. The answer's end frame has struct
// api_bulk_done and then one struct api_rule_done for each rule, in order; its status is 0 even
// when rules failed, and rules that could be installed stay installed.
struct api_bulk {
	uint32_t n;
	uint32_t pad;
};
static_assert(sizeof(struct api_bulk) == 8, "api_bulk");

struct api_rule_add {
	uint32_t id; // key route id, 0 = the node chooses
	uint32_t next_id; // forward, intermediary
	uint32_t keep_alive_ms; // 0 = static: never expires
	uint8_t type; // enum api_rule_type
	uint8_t in; // enum api_rule_in; DEFAULT: local for forward rules, else any
	uint8_t pad[2];
	char transport[API_NAME_LEN]; // egress: forward, intermediary
	char in_transport[API_NAME_LEN]; // API_IN_TRANSPORT
};
static_assert(sizeof(struct api_rule_add) == 80, "api_rule_add");

struct api_bulk_done {
	uint32_t n_ok;
	uint32_t n_failed;
	uint32_t first_failed; // index into the request, when n_failed
	int32_t first_status;
	char text[256]; // why the first one failed
};
static_assert(sizeof(struct api_bulk_done) == 272, "api_bulk_done");

struct api_rule_done {
	uint32_t id;
	int32_t status; // 0, -EINPROGRESS (static, waits for its transport), or why not
};
static_assert(sizeof(struct api_rule_done) == 8, "api_rule_done");

// API_RULE_DEL: struct api_bulk, then n ids (uint32_t). Answer as for API_RULE_ADD.

enum api_offload { API_OFFLOAD_AUTO = 0, API_OFFLOAD_NO = 1 };
struct api_edge_add {
	char name[16]; // of the TUN device
	uint16_t mtu; // 0 = 1280
	uint8_t n_addrs;
	uint8_t offload; // enum api_offload
	uint16_t super_max; // longest super-packet that is sent; 0 = standard
	uint8_t pad[2];
	struct {
		uint8_t ip[16]; // IPv4 mapped
		uint8_t prefix; // 0..32 for IPv4
		uint8_t pad[3];
	} addrs[API_EDGE_ADDRS];
};
static_assert(sizeof(struct api_edge_add) == 104, "api_edge_add");

struct api_edge_attach { // EDGE_ATTACH, EDGE_DETACH
	char name[16];
	uint32_t forward_id; // detach: 0
	uint32_t consume_id; // detach: 0
	uint32_t close; // detach: 1 = send Close(requested) on the forward rule
	uint32_t pad;
};
static_assert(sizeof(struct api_edge_attach) == 32, "api_edge_attach");

struct api_ping {
	char name[API_NAME_LEN];
	uint32_t timeout_ms; // 1..60000
	uint32_t pad;
};
static_assert(sizeof(struct api_ping) == 40, "api_ping");
struct api_pong {
	uint32_t rtt_us;
	uint32_t pad;
};
static_assert(sizeof(struct api_pong) == 8, "api_pong");
struct api_log_level {
	char module[API_NAME_LEN]; // or "all"
	char level[16]; // err, warn, notice, info, debug
};
static_assert(sizeof(struct api_log_level) == 48, "api_log_level");
