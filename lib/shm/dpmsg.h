// Everything that crosses the shared-memory channel between data plane and control plane.
//
// Records lie in SPSC rings (lib/shm/ring.h), each begins with struct dpmsg_hdr; all integers are
// in host order (one machine, one ABI; DPMSG_VERSION and the asserted sizes guard it). Whoever
// reads a record copies it out of the ring, then checks it, then uses it: the writer may be hostile
// or dying.
//
// Rings (c = control plane, m = main lcore, w = worker):
//   cmd     c -> m   commands, each answered by EVT_DONE with its cookie
//   evt     m -> c   answers, events, dump records
//   hs[w]   w -> c   handshake datagrams and re-key messages: a ring of their own
//   up[w]   w -> c   route packets for the control plane, and those that leave by carried hops
//   down[w] c -> w   route packets and datagrams from the control plane, and by carried hops
//   car_up[k], car_down[k]  the same for the packets of carried hops alone, between a carrier (a
//           thread of the control plane) and worker k % n_workers
// Events are hints: nobody waits for them. When evt has no room the data plane sets `evt_overflow`
// in the region header and the control plane mends its picture with CMD_DUMP.
//
// Handles (rule ids aside) are index | generation << DPMSG_HANDLE_BITS and are chosen by the
// control plane; 0 is none. A transport ("tp") has one or more hops (flows); rules pin their
// ingress by tp, and their packets come by the flow that belongs to their id (rail.md, Words).
#pragma once

#include <assert.h>
#include <stdint.h>

enum {
	DPMSG_VERSION = 9,
	DPMSG_HANDLE_BITS = 20, // up to 1 M hops, transports, adjs; 12 bits of generation
	DPMSG_MAX_WORKERS = 64,
	DPMSG_MAX_PORTS = 32,
	DPMSG_MAX_CARRIERS = 16,
	DPMSG_NAME_LEN = 32, // with the final NUL
	DPMSG_TEXT_LEN = 64, // ditto
	DPMSG_ROUTE_MAX = 65542, // largest route packet, header included (skywire-routing 1.1)
};

// Where a handle's object lies in its table.
static inline uint32_t dpmsg_handle_index(uint32_t handle)
{
	return handle & ((1u << DPMSG_HANDLE_BITS) - 1);
}

enum dpmsg_type {
	DPMSG_NONE = 0,
	// cmd ring
	CMD_HELLO = 1,
	CMD_DUMP,
	CMD_ADJ_SET,
	CMD_ADJ_DEL,
	CMD_HOP_ADD,
	CMD_HOP_REKEY,
	CMD_HOP_PATH,
	CMD_HOP_DEL,
	CMD_HOP_PING,
	CMD_RULE_ADD,
	CMD_RULE_DEL,
	CMD_CONF_SET,
	CMD_COOKIES,
	CMD_ROUTE_PAUSE,
	CMD_HOP_MOVE,
	CMD_HOP_HOLD,
	// evt ring
	EVT_DONE = 64,
	EVT_PORT, // dump record, and whenever a link goes up or down
	EVT_WORKER, // dump record
	EVT_ADJ, // dump record
	EVT_HOP, // dump record
	EVT_RULE, // dump record
	EVT_RULE_GONE, // with the final counters; the id may be used again after this
	EVT_RULE_MISS, // rate-limited
	EVT_HOP_KEYED, // first authentic datagram under a key: from now on it is the one in use
	EVT_HOP_REKEY_DUE,
	EVT_HOP_ROAMED,
	EVT_HOP_DEAD,
	EVT_HOP_CLOSED, // the peer's CLOSE frame, or ours after a protocol error
	EVT_HOP_NOTICE,
	EVT_HOP_RTT,
	EVT_ROUTE_PAUSE, // packets that the control plane gives have to wait, or may go on
	// hs rings
	UP_HANDSHAKE = 128,
	UP_REKEY,
	// up rings
	UP_ROUTE = 160,
	UP_CONTROL, // route id 0
	UP_CARRIED,
	// down rings
	DOWN_DATAGRAM = 192,
	DOWN_REKEY,
	DOWN_ROUTE,
	DOWN_CONTROL,
	DOWN_CARRIED,
};

struct dpmsg_hdr {
	uint32_t len; // of the record, this header included
	uint16_t type; // enum dpmsg_type
	uint16_t flags; // none yet: 0
	uint64_t cookie; // of a command and its answer; else 0
};
static_assert(sizeof(struct dpmsg_hdr) == 16, "dpmsg_hdr");

// A UDP end point. IPv4 is mapped (::ffff:a.b.c.d); the address bytes are in network order.
struct dpmsg_addr {
	uint8_t ip[16];
	uint16_t port; // host order
	uint8_t pad[2];
};
static_assert(sizeof(struct dpmsg_addr) == 20, "dpmsg_addr");

// ---- commands ----

struct cmd_hello {
	struct dpmsg_hdr h;
	uint32_t version; // DPMSG_VERSION, else -EPROTO
	uint32_t pid;
	uint8_t mac1_key[32]; // BLAKE2b-256("rail1 mac1" || own public key), rail.md 1
};
static_assert(sizeof(struct cmd_hello) == 56, "cmd_hello");

enum {
	DUMP_PORTS = 1,
	DUMP_WORKERS = 2,
	DUMP_ADJS = 4,
	DUMP_HOPS = 8,
	DUMP_RULES = 16,
	DUMP_ALL = 31
};

// Records of the kinds asked for, in the order of the bits, then EVT_DONE. May take many turns.
struct cmd_dump {
	struct dpmsg_hdr h;
	uint32_t what; // DUMP_*
	uint32_t first_rule; // rules with index >= this one
	uint32_t max_rules; // 0 = all
	uint32_t pad;
};
static_assert(sizeof(struct cmd_dump) == 32, "cmd_dump");

// Ready-made way to a next hop. Replaces what the handle's index held before.
struct cmd_adj_set {
	struct dpmsg_hdr h;
	uint32_t adj; // handle
	uint16_t port; // DPDK port number, as EVT_PORT told
	uint16_t mtu; // bytes of IP that the path carries
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	uint8_t src_ip[16]; // IPv4 mapped
	uint8_t dst_ip[16];
	uint8_t usable; // 0 = address not resolved: frames are dropped and counted (drop_adj)
	uint8_t ttl; // hop limit, 0 = 64
	uint8_t pad[2];
};
static_assert(sizeof(struct cmd_adj_set) == 72, "cmd_adj_set");

struct cmd_adj_del {
	struct dpmsg_hdr h;
	uint32_t adj;
	uint32_t pad;
};
static_assert(sizeof(struct cmd_adj_del) == 24, "cmd_adj_del");

// One pair of session keys. Wiped by the reader in the ring as soon as it was copied.
struct dpmsg_keys {
	uint32_t rx_index; // our receiver index, chosen by the control plane: low bits address the
			   // table
	uint32_t tx_index; // the peer's
	uint8_t rx_key[32];
	uint8_t tx_key[32];
	uint8_t cipher; // enum aead_cipher
	uint8_t initiator; // 1: send under them at once; 0: only after the first authentic datagram
	uint8_t pad[6];
};
static_assert(sizeof(struct dpmsg_keys) == 80, "dpmsg_keys");

// Carried: the control plane carries the hop's route packets over a connection of its own, both
// ways whole and in order (UP_CARRIED, DOWN_CARRIED). HOP_ADD has neither keys, adj nor addresses
// then, and its flow is the only one; it is up at once, and REKEY, PATH, PING and MOVE are not for
// it. Those of a control plane that detaches are deleted. With a carrier they cross by its rings,
// and its worker is the owner.
enum { HOP_MODE_DATAGRAM = 0, HOP_MODE_RELIABLE = 1, HOP_MODE_CARRIED = 2 };
enum { HOP_PATH_MTU_MIN = 1280 }; // bytes of IP (rail.md 5)
enum hop_cc { HOP_CC_DEFAULT = 0, HOP_CC_BBR = 1, HOP_CC_CUBIC = 2 }; // default: BBR
// flags
enum {
	HOP_RESET = 1, // instances differ: counters, sequences, chains begin anew with this key
	HOP_ACCEPTED = 2, // HOP_ADD, EVT_HOP: made by its peer, named by nobody here; only kept
};

struct cmd_hop_add {
	struct dpmsg_hdr h;
	uint32_t hop; // handle; stable for the life of the transport
	uint32_t tp; // handle of the transport
	uint8_t tp_id[16]; // Skywire transport id
	uint8_t peer_pk[33];
	uint8_t flow; // 1..n
	uint8_t mode; // HOP_MODE_*
	uint8_t owner; // worker wanted, 0xff = let the data plane choose
	uint8_t window_log2; // replay window: 13 = 8192 counters
	uint8_t rel_window_log2; // reliable: packets that may be unacked (TLV 10), 0 = 18
	uint16_t path_mtu; // bytes of IP that the path carries; 0 = it is searched for
	uint64_t instance_local;
	uint64_t instance_remote;
	uint64_t handshake_ns; // wall clock of the last handshake; returned by DUMP
	struct dpmsg_addr peer;
	uint32_t adj; // handle
	uint16_t local_port; // UDP source port
	uint16_t payload_max; // greatest UDP payload the peer takes (TLV 7)
	uint32_t keepalive_ms; // PROBE when nothing was sent for so long; 0 = 10 000
	uint32_t dead_ms; // EVT_HOP_DEAD after so long a silence; 0 = 25 000
	uint32_t rekey_ms; // EVT_HOP_REKEY_DUE this long after a key came into use; 0 = 120 000
	char name[DPMSG_NAME_LEN]; // of the transport, for statistics
	uint16_t flags; // HOP_ACCEPTED
	uint8_t congestion; // reliable: enum hop_cc
	uint8_t retransmit_limit; // reliable: probe time-outs in a row, 0 = 10, and ...
	uint16_t silence_s; // ... seconds without an ack, 0 = 15, until the link is down
	uint8_t n_flows; // of the transport, as agreed; 0 = 1
	uint8_t carrier; // carried: k + 1 whose rings its packets go by; 0 = those of its worker
	uint8_t pad[4];
	struct dpmsg_keys keys;
};
static_assert(sizeof(struct cmd_hop_add) == 272, "cmd_hop_add");

// Adds a key beside the present ones (rail.md 2, re-key and pending keys); the pending key that was
// not used yet is replaced, with its HOP_RESET: until EVT_HOP_KEYED, each that follows says it
// again. With HOP_RESET, everything that the handshake could break takes effect at the first
// authentic datagram under it.
struct cmd_hop_rekey {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t flags; // HOP_RESET
	uint64_t instance_local;
	uint64_t instance_remote;
	uint64_t handshake_ns;
	struct dpmsg_addr peer; // port 0: unchanged; takes effect with the key, as do the next two
	uint32_t adj; // 0: unchanged
	uint16_t payload_max; // 0: unchanged
	uint8_t rel_window_log2; // with HOP_RESET, as in HOP_ADD; 0: unchanged
	uint8_t n_flows; // 0: unchanged
	uint8_t pad[4];
	struct dpmsg_keys keys;
};
static_assert(sizeof(struct cmd_hop_rekey) == 160, "cmd_hop_rekey");

// The address or the way to it changed (netlink, or after EVT_HOP_ROAMED).
struct cmd_hop_path {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t adj;
	struct dpmsg_addr peer;
	uint16_t payload_max; // 0: unchanged
	uint8_t roamed; // 1: as EVT_HOP_ROAMED told; followed only if nothing newer came from
			// elsewhere
	uint8_t pad;
};
static_assert(sizeof(struct cmd_hop_path) == 48, "cmd_hop_path");

struct cmd_hop_del {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint8_t send_close; // 1: seal a CLOSE frame first
	uint8_t code;
	uint8_t text_len;
	uint8_t pad;
	char text[DPMSG_TEXT_LEN];
};
static_assert(sizeof(struct cmd_hop_del) == 88, "cmd_hop_del");

// Seals a PROBE now; EVT_DONE at once, EVT_HOP_RTT with this cookie when it was acked.
struct cmd_hop_ping {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t pad;
};
static_assert(sizeof(struct cmd_hop_ping) == 24, "cmd_hop_ping");

// Gives the hop to another worker. Answered when it is there: -ENOSPC: no room for what it holds.
struct cmd_hop_move {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint16_t worker;
	uint16_t pad;
};
static_assert(sizeof(struct cmd_hop_move) == 24, "cmd_hop_move");

// The connection of a carried hop takes no more, or takes again: meanwhile nothing is sent up for
// it. Routes are held up, and what holds packets of a hop that was held for so long ends (stalled).
struct cmd_hop_hold {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint16_t limit_s; // 0 = never
	uint8_t held; // 0: go on
	uint8_t pad;
};
static_assert(sizeof(struct cmd_hop_hold) == 24, "cmd_hop_hold");

// Same values as in rule bytes (skywire-routing 2.1).
enum dpmsg_rule_type { RULE_CONSUME = 0, RULE_FORWARD = 1, RULE_INTERMEDIARY = 2 };
// flags
enum {
	RULE_STATIC = 1, // never expires
	RULE_PAUSED = 2, // EVT_RULE: EVT_ROUTE_PAUSE says so
	RULE_ANY = 4, // EVT_RULE: made with RULE_IN_ANY; its in_tp is the pin, when there is one
};
#define RULE_IN_ANY 0u // in_tp: the first packet on an authentic transport pins the rule
#define RULE_IN_LOCAL 0xffffffffu // in_tp: packets come from the control plane only

struct cmd_rule_add {
	struct dpmsg_hdr h;
	uint32_t id; // key route id: index in the low bits, generation in the rest, never 0
	uint32_t next_id; // forward, intermediary
	uint32_t tx_hop; // ditto; the hop that carries it
	uint32_t in_tp; // transport handle or RULE_IN_*
	uint32_t keep_alive_ms; // the rule's own; ignored when static
	uint8_t type; // enum dpmsg_rule_type
	uint8_t flags; // RULE_STATIC
	uint8_t pad[2];
};
static_assert(sizeof(struct cmd_rule_add) == 40, "cmd_rule_add");

struct cmd_rule_del {
	struct dpmsg_hdr h;
	uint32_t id;
	uint32_t pad;
};
static_assert(sizeof(struct cmd_rule_del) == 24, "cmd_rule_del");

// The control plane takes no more packets of a consume rule, or takes them again. They wait in the
// data plane if they came by a reliable transport; in the end its peer is paused.
struct cmd_route_pause {
	struct dpmsg_hdr h;
	uint32_t id;
	uint16_t limit_s; // the route is closed (stalled) when it was paused for so long; 0 = never
	uint8_t paused; // 0: resume
	uint8_t pad;
};
static_assert(sizeof(struct cmd_route_pause) == 24, "cmd_route_pause");

enum conf_set_key { CONF_LOG_LEVEL = 1, CONF_IDLE = 2 };

struct cmd_conf_set {
	struct dpmsg_hdr h;
	uint32_t key; // enum conf_set_key
	uint32_t value; // log level, or the data plane's idle mode
	char name[DPMSG_NAME_LEN]; // log module or "all"
};
static_assert(sizeof(struct cmd_conf_set) == 56, "cmd_conf_set");

// What workers need to ask for cookies and to know them (rail.md 1). Valid until the next one or
// HELLO, after which no cookies are asked for. Wiped by the reader like keys.
struct cmd_cookies {
	struct dpmsg_hdr h;
	uint8_t key[32]; // seals cookies: BLAKE2b-256("rail1 cookie" || own public key)
	uint8_t secret[2][32]; // the present one, and the one before
	uint8_t salt[16]; // of nonces; another one in each command
	uint8_t n_secrets; // 1 or 2
	uint8_t demand; // 1: every init needs a cookie; 0: a worker asks when it has too many
	uint8_t pad[6];
};
static_assert(sizeof(struct cmd_cookies) == 136, "cmd_cookies");

// ---- events ----

struct evt_done {
	struct dpmsg_hdr h; // cookie of the command
	int32_t status; // 0 or -errno
	uint32_t aux; // HOP_ADD, HOP_MOVE: owner worker
};
static_assert(sizeof(struct evt_done) == 24, "evt_done");

enum { PORT_DROP = 0, PORT_KERNEL_COPY = 1, PORT_TAP = 2 }; // who gets frames that are not ours

struct evt_port {
	struct dpmsg_hdr h;
	char name[DPMSG_NAME_LEN]; // from the configuration
	char device[DPMSG_TEXT_LEN]; // as given to EAL
	char kernel_if[16]; // interface whose addresses and neighbours count; "" if none
	char lacks[DPMSG_TEXT_LEN]; // what is done without, "" if nothing
	uint16_t port; // DPDK number
	uint16_t mtu;
	uint8_t mac[6];
	uint8_t link_up;
	uint8_t exception; // PORT_*
	uint16_t n_rxq;
	uint16_t n_txq;
	uint32_t speed_mbps; // 0 = unknown
	int32_t socket; // NUMA node, -1 unknown
};
static_assert(sizeof(struct evt_port) == 216, "evt_port");

struct evt_worker {
	struct dpmsg_hdr h;
	uint16_t worker;
	uint16_t lcore;
	int16_t cpu;
	int16_t socket;
	uint32_t n_hops;
	uint32_t n_queues;
};
static_assert(sizeof(struct evt_worker) == 32, "evt_worker");

struct evt_adj {
	struct dpmsg_hdr h;
	struct cmd_adj_set set; // its own header is zero
};
static_assert(sizeof(struct evt_adj) == 88, "evt_adj");

// What HOP_ADD said, as it is now (never the keys), for a control plane that was started again.
struct evt_hop {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t tp;
	uint8_t tp_id[16];
	uint8_t peer_pk[33];
	uint8_t flow;
	uint8_t mode;
	uint8_t owner;
	uint8_t cipher;
	uint8_t initiator; // of the key in use
	uint8_t up; // 1: a key is in use and the peer is not dead
	uint8_t flags; // HOP_ACCEPTED
	uint64_t instance_local;
	uint64_t instance_remote;
	uint64_t handshake_ns;
	uint64_t tx_counter;
	struct dpmsg_addr peer;
	uint32_t adj;
	uint16_t local_port;
	uint16_t payload_max;
	uint32_t keepalive_ms;
	uint32_t dead_ms;
	uint32_t rekey_ms;
	uint32_t key_age_ms;
	uint32_t silent_ms; // since the last authentic datagram
	uint32_t rx_index[3]; // live receiver indices, 0 = none; [0] is the one in use
	uint32_t rtt_us; // datagram mode: last measured, reliable: smoothed; 0 = none
	char name[DPMSG_NAME_LEN];
	uint8_t rel_window_log2;
	uint8_t congestion; // enum hop_cc
	uint16_t path_mtu; // as HOP_ADD said
	uint8_t n_flows; // in effect
	uint8_t window_log2; // this and the next two as HOP_ADD said
	uint16_t silence_s;
	uint8_t retransmit_limit;
	uint8_t pad[7];
};
static_assert(sizeof(struct evt_hop) == 224, "evt_hop");

enum rule_gone {
	RULE_GONE_DEL = 1,
	RULE_GONE_EXPIRED,
	RULE_GONE_CLOSE,
	RULE_GONE_RESET, // a transport of it lost its state
	RULE_GONE_HELD, // it held too much
	RULE_GONE_STALLED, // it was held up for too long
	RULE_GONE_HOP_DOWN,
	RULE_GONE_PEER, // a neighbour ended it
	RULE_GONE_COUNT
};

struct evt_rule { // EVT_RULE, EVT_RULE_GONE
	struct dpmsg_hdr h;
	uint32_t id;
	uint32_t next_id;
	uint32_t tx_hop;
	uint32_t in_tp; // pinned, wanted, or RULE_IN_*
	uint32_t keep_alive_ms;
	uint32_t age_ms; // since last activity
	uint8_t type;
	uint8_t flags;
	uint8_t owner;
	uint8_t reason; // in EVT_RULE_GONE: enum rule_gone
	uint32_t freed; // packets of `packets` that were freed here, not delivered
	uint64_t packets;
	uint64_t bytes; // payload, without the 7-byte header
};
static_assert(sizeof(struct evt_rule) == 64, "evt_rule");

// EVT_HOP_KEYED, REKEY_DUE, ROAMED, DEAD, CLOSED, NOTICE, RTT.
struct evt_hop_note {
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t value; // KEYED: the receiver index in use; RTT: microseconds; CLOSED, NOTICE: code
	struct dpmsg_addr peer; // ROAMED: the new address
	uint8_t initiator; // REKEY_DUE: role under the present key; CLOSED: 1 = we closed
	uint8_t text_len;
	uint8_t pad[2];
	char text[DPMSG_TEXT_LEN];
};
static_assert(sizeof(struct evt_hop_note) == 112, "evt_hop_note");

// Packets that the control plane gives, of its own by a forward rule or with a rule's id by a
// carried hop: no more of them, please, or go on. Those that are given all the same are kept until
// the route is closed for holding too much. A rule that is gone is paused no longer, without a
// word.
struct evt_route_pause { // EVT_ROUTE_PAUSE
	struct dpmsg_hdr h;
	uint32_t id;
	uint16_t limit_s; // the route is closed when it was paused for so long; 0 = never
	uint8_t paused;
	uint8_t pad;
	uint32_t hop; // 0: those of its own; else the carried hop that they come by
	uint32_t pad2;
};
static_assert(sizeof(struct evt_route_pause) == 32, "evt_route_pause");

struct evt_rule_miss {
	struct dpmsg_hdr h;
	uint32_t id;
	uint32_t tp;
};
static_assert(sizeof(struct evt_rule_miss) == 24, "evt_rule_miss");

// ---- packet records: a fixed part, then the bytes up to hdr.len ----

struct up_handshake { // UP_HANDSHAKE: mac1 was right (cookies have none), mac2 if demanded
	struct dpmsg_hdr h;
	struct dpmsg_addr src;
	struct dpmsg_addr dst;
	uint16_t port; // DPDK number
	uint8_t pad[6];
	uint8_t bytes[]; // the UDP payload
};
static_assert(sizeof(struct up_handshake) == 64, "up_handshake");

struct msg_rekey { // UP_REKEY, DOWN_REKEY
	struct dpmsg_hdr h;
	uint32_t hop;
	uint32_t pad;
	uint8_t bytes[]; // handshake message without its two macs
};
static_assert(sizeof(struct msg_rekey) == 24, "msg_rekey");

// CARRIED: down with the route id that the peer wrote, never 0: control packets of a carried
// transport (its pings) are the control plane's own business; up with the next id in it.
struct msg_route { // UP_ROUTE, UP_CONTROL, UP_CARRIED, DOWN_ROUTE, DOWN_CONTROL, DOWN_CARRIED
	struct dpmsg_hdr h;
	uint32_t id; // ROUTE: key id of the consume (up) or forward (down) rule; else 0
	uint32_t hop; // UP_ROUTE, UP_CONTROL, DOWN_CARRIED: the hop it came by; UP_CARRIED,
		      // DOWN_CONTROL: the hop it leaves by; DOWN_ROUTE: 0
	uint8_t bytes[]; // whole route packet; for ROUTE the data plane writes its id on the way
			 // down
};
static_assert(sizeof(struct msg_route) == 24, "msg_route");

struct down_datagram { // DOWN_DATAGRAM: a handshake message
	struct dpmsg_hdr h;
	uint32_t adj;
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t bytes[];
};
static_assert(sizeof(struct down_datagram) == 24, "down_datagram");
