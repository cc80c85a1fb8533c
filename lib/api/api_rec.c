// The field tables of all record kinds (api_rec.h): JSON name, column head, kind. Adding a field to
// a struct means adding a line here; a test compares both. How a kind reads is in api_field.c.
#include "lib/api/api_rec.h"

#include "lib/api/api_field.h"
#include "lib/base/err.h"

#define F(member, kind_, label_, flags_)                                                           \
	{                                                                                          \
		.name = #member, .label = label_, .offset = offsetof(struct REC, member),          \
		.size = sizeof(((struct REC *)0)->member), .kind = API_K_##kind_, .flags = flags_  \
	}
#define FW(member, words_, label_, flags_)                                                         \
	{                                                                                          \
		.name = #member, .label = label_, .offset = offsetof(struct REC, member),          \
		.size = sizeof(((struct REC *)0)->member), .kind = API_K_WORD, .flags = flags_,    \
		.words = words_, .n_words = ARRAY_LEN(words_)                                      \
	}
// The same, in a group.
#define G(group_, member, kind_, label_, flags_)                                                   \
	{                                                                                          \
		.name = #member, .label = label_, .offset = offsetof(struct REC, member),          \
		.size = sizeof(((struct REC *)0)->member), .kind = API_K_##kind_, .flags = flags_, \
		.group = API_G_##group_                                                            \
	}
#define GW(group_, member, words_, label_, flags_)                                                 \
	{                                                                                          \
		.name = #member, .label = label_, .offset = offsetof(struct REC, member),          \
		.size = sizeof(((struct REC *)0)->member), .kind = API_K_WORD, .flags = flags_,    \
		.words = words_, .n_words = ARRAY_LEN(words_), .group = API_G_##group_             \
	}
#define W API_F_WIDE
#define S API_F_SPARE
#define U API_F_UNDER
#define D API_F_DASH
#define C API_F_CUT
#define N (API_F_DASH | API_F_NULL)
#define O API_F_ONES
#define Q (API_F_ONES | API_F_QUIET)

static const char *const exceptions[] = {"drop", "kernel", "tap"};
static const char *const tp_states[] = {"down", "resolving", "handshake", "up", "dead"};
static const char *const flow_states[] = {"down", "up", "silent"};
static const char *const tp_origins[] = {"configured", "added", "accepted", "adopted", "asked"};
static const char *const modes[] = {"datagram", "reliable", "carried"};
static const char *const tp_types[] = {"rail", "stcp", "stcpr", "dmsg"};
static const char *const mtu_states[] = {"-", "fixed", "base", "searching", "complete", "error"};
static const char *const congestions[] = {"-", "bbr", "cubic"};
static const char *const ciphers[] = {"-", "chacha20-poly1305", "none", "aes-256-gcm"};
static const char *const rule_types[] = {"consume", "forward", "intermediary"};
static const char *const route_types[] = {"-", "consume", "forward", "intermediary"};
static const char *const route_states[] = {"reserved", "installs", "laid"};
static const char *const rule_ins[] = {"-", "any", "local", "transport"};
static const char *const roles[] = {"in", "out", "drop", "info"};
static const char *const scopes[] = {
	"-", "worker", "port", "-", "transport", "-", "-", "-", "control"};
static const char *const offloads[] = {"auto", "no"};
static const char *const fars[] = {"-", "unknown", "packets", "super-packets"};
static const char *const conf_changes[] = {"", "changed", "new", "gone"};
static const char *const dmsg_states[] = {"waits", "dials", "open"};
static const char *const dmsg_roles[] = {"client", "server", "set-up node"};
static const char *const service_kinds[] = {
	"transport discovery", "address resolver", "route finder"};
static const char *const ways[] = {"there", "back"};
static const char *const dmsg_kinds[] = {"dialled", "accepted", "relayed"};
static const char *const dmsg_server_kinds[] = {
	"", "mesh", "found", "for a dial", "lan", "mesh found"};
static const char *const setup_kinds[] = {"route", "loop"};
static const char *const setup_states[] = {
	"reserves", "installs", "ends", "done", "undoes", "failed"};
static const char *const group_roles[] = {"initiator", "responder"};
static const char *const group_states[] = {
	"installs", "shakes", "open", "closing", "ended", "listens"};
static const char *const edge_states[] = {"detached", "attached", "rule gone", "waiting"};

#define REC api_node
static const struct api_field node_fields[] = {
	F(name, STR, "NAME", 0),
	F(pk, PK, "PUBLIC KEY", 0),
	F(version, STR, "VERSION", 0),
	F(cp_pid, UINT, "CONTROL PLANE PID", 0),
	F(cp_up_ms, MS, "CONTROL PLANE UP", 0),
	F(dp_attached, BOOL, "DATA PLANE ATTACHED", 0),
	F(dp_version, STR, "DATA PLANE VERSION", D),
	F(dpdk, STR, "DPDK", D),
	F(aead, STR, "CIPHER BACK END", D),
	F(ciphers, STR, "CIPHERS", D),
	F(dp_pid, UINT, "DATA PLANE PID", D),
	F(dp_up_ms, MS, "DATA PLANE UP", D),
	F(epoch, UINT, "EPOCH", W),
	F(udp_port, UINT, "UDP PORT", D),
	F(workers, UINT, "WORKERS", 0),
	F(ports, UINT, "PORTS", 0),
	F(transports, UINT, "TRANSPORTS", 0),
	F(transports_up, UINT, "TRANSPORTS UP", 0),
	F(rules, UINT, "RULES", 0),
	F(rule_slots, UINT, "RULE SLOTS", 0),
	F(rules_expired, UINT, "RULES EXPIRED", 0),
	F(rules_closed, UINT, "RULES CLOSED", 0),
};
#undef REC
#define REC api_port
static const struct api_field port_fields[] = {
	F(name, STR, "NAME", 0),
	G(LINK, link_up, BOOL, "LINK UP", 0),
	G(LINK, device, STR, "DEVICE", S | C),
	G(LINK, mac, MAC, "MAC", S),
	G(LINK, mtu, UINT, "MTU", 0),
	G(LINK, kernel_if, STR, "KERNEL IF", S | D),
	GW(LINK, exception, exceptions, "OTHER FRAMES", S),
	G(LINK, speed_mbps, UINT, "MBIT/S", D),
	G(QUEUE, rx_queues, UINT, "RXQ", S),
	G(QUEUE, tx_queues, UINT, "TXQ", S),
	G(LINK, number, UINT, "NO", W),
	G(LINK, numa, INT, "NUMA", W),
	G(TRAFFIC, rx_frames, UINT, "RX FRAMES", S),
	G(TRAFFIC, tx_frames, UINT, "TX FRAMES", S),
	G(TRAFFIC, rx_bytes, BYTES, "RX BYTES", 0),
	G(TRAFFIC, tx_bytes, BYTES, "TX BYTES", 0),
	G(LOSSES, rx_missed, UINT, "RX MISSED", 0),
	G(LOSSES, rx_errors, UINT, "RX ERRORS", W),
	G(LOSSES, tx_errors, UINT, "TX ERRORS", W),
	G(LOSSES, rx_nombuf, UINT, "RX NO BUFFER", W),
	G(LINK, lacks, STR, "DONE WITHOUT", S | D),
};
#undef REC
#define REC api_worker
static const struct api_field worker_fields[] = {
	F(worker, UINT, "WORKER", 0),
	G(PLACE, lcore, UINT, "LCORE", 0),
	G(PLACE, cpu, INT, "CPU", S),
	G(PLACE, numa, INT, "NUMA", W),
	G(LOAD, hops, UINT, "HOPS", 0),
	G(LOAD, queues, UINT, "QUEUES", 0),
	G(LOAD, asleep, BOOL, "ASLEEP", 0),
	G(LOAD, busy_ppm, PPM, "BUSY", 0),
	G(TRAFFIC, rx_frames, UINT, "RX FRAMES", S),
	G(TRAFFIC, tx_frames, UINT, "TX FRAMES", S),
	G(TRAFFIC, rx_packets, UINT, "RX PACKETS", 0),
	G(TRAFFIC, forwarded, UINT, "FORWARDED", 0),
	G(LOSSES, drops, UINT, "DROPS", 0),
	G(LOAD, held, UINT, "HELD", 0),
	G(LOAD, sleeps, UINT, "SLEEPS", W),
};
#undef REC
#define REC api_transport
static const struct api_field transport_fields[] = {
	F(name, STR, "NAME", C),
	GW(LINK, state, tp_states, "STATE", 0),
	G(LINK, peer, PK, "PEER", S),
	GW(LINK, type, tp_types, "TYPE", 0),
	G(LINK, remote, ADDR, "ADDRESS", D | C),
	GW(LINK, cipher, ciphers, "CIPHER", S | API_F_NULL),
	GW(LINK, mode, modes, "MODE", W),
	GW(LINK, congestion, congestions, "CONGESTION", W | API_F_NULL),
	GW(LINK, origin, tp_origins, "ORIGIN", W),
	G(LINK, initiator, BOOL, "INITIATOR", W),
	G(LINK, dial, BOOL, "DIALS", W),
	G(LINK, flows, UINT, "FLOWS", W),
	G(LINK, tp_id, UUID, "TRANSPORT ID", W),
	G(LINK, up_ms, MS, "UP FOR", D),
	G(PATH, rtt_us, US, "RTT", N),
	G(LINK, silent_ms, MS, "SILENT", D),
	G(HANDSHAKE, key_age_ms, MS, "KEY AGE", W | D),
	G(HANDSHAKE, handshake_ns, TIME, "LAST HANDSHAKE", W | D),
	G(HANDSHAKE, handshakes, UINT, "HANDSHAKES", W),
	G(HANDSHAKE, rekeys, UINT, "KEYS", W),
	G(PATH, cwnd, SIZE, "WINDOW", S | D),
	G(PATH, in_flight, SIZE, "IN FLIGHT", W),
	G(PATH, rate, RATE, "RATE", W | D),
	G(PATH, min_rtt_us, US, "MIN RTT", W | D),
	G(LOSSES, tx_lost, UINT, "TX LOST", S),
	G(LOSSES, retransmitted, UINT, "SENT AGAIN", W),
	G(LOSSES, timeouts, UINT, "TIMEOUTS", W),
	G(QUEUE, queued, BYTES, "QUEUED", 0),
	G(QUEUE, queued_packets, UINT, "QUEUED PACKETS", W),
	G(QUEUE, unacked, UINT, "UNACKED", W),
	G(QUEUE, held, UINT, "HELD", W),
	G(QUEUE, paused, UINT, "PAUSED", W),
	G(PATH, mtu, UINT, "MTU", W | N),
	GW(PATH, mtu_state, mtu_states, "MTU STATE", W | API_F_NULL),
	G(PATH, mtu_probes, UINT, "MTU PROBES", W),
	G(PATH, mtu_acked, UINT, "MTU ACKED", W),
	G(PATH, mtu_lost, UINT, "MTU LOST", W),
	G(PATH, black_holes, UINT, "BLACK HOLES", W),
	G(LINK, owner, UINT, "WORKER", W | O),
	G(TRAFFIC, rx_packets, UINT, "RX PACKETS", W),
	G(TRAFFIC, tx_packets, UINT, "TX PACKETS", W),
	G(TRAFFIC, rx_bytes, BYTES, "RX BYTES", 0),
	G(TRAFFIC, tx_bytes, BYTES, "TX BYTES", 0),
	G(LOSSES, lost, UINT, "RX LOST", S),
	G(LOSSES, replayed, UINT, "REPLAYED", W),
	G(LOSSES, bad_tag, UINT, "BAD TAG", W),
	G(LINK, note, STR, "NOTE", U),
};
#undef REC
#define REC api_flow
static const struct api_field flow_fields[] = {
	F(name, STR, "TRANSPORT", C),
	F(flow, UINT, "FLOW", 0),
	GW(LINK, state, flow_states, "STATE", 0),
	G(LINK, local_port, UINT, "OUR PORT", D),
	G(LINK, remote, ADDR, "ADDRESS", D | C),
	G(LINK, owner, UINT, "WORKER", O),
	G(PATH, mtu, UINT, "MTU", W | N),
	GW(LINK, mode, modes, "MODE", W),
	G(PATH, rtt_us, US, "RTT", N),
	G(PATH, min_rtt_us, US, "MIN RTT", W | D),
	G(PATH, cwnd, SIZE, "WINDOW", S | D),
	G(PATH, in_flight, SIZE, "IN FLIGHT", W),
	G(PATH, rate, RATE, "RATE", W | D),
	G(LOSSES, tx_lost, UINT, "TX LOST", W),
	G(LOSSES, retransmitted, UINT, "SENT AGAIN", W),
	G(LOSSES, timeouts, UINT, "TIMEOUTS", W),
	G(QUEUE, queued, BYTES, "QUEUED", S),
	G(QUEUE, queued_packets, UINT, "QUEUED PACKETS", W),
	G(QUEUE, unacked, UINT, "UNACKED", W),
	G(QUEUE, held, UINT, "HELD", W),
	G(QUEUE, paused, UINT, "PAUSED", W),
	G(LINK, rekeys, UINT, "KEYS", W),
	G(TRAFFIC, rx_packets, UINT, "RX PACKETS", W),
	G(TRAFFIC, tx_packets, UINT, "TX PACKETS", W),
	G(TRAFFIC, rx_bytes, BYTES, "RX BYTES", 0),
	G(TRAFFIC, tx_bytes, BYTES, "TX BYTES", 0),
	G(LOSSES, lost, UINT, "RX LOST", S),
	G(LOSSES, replayed, UINT, "REPLAYED", W),
	G(LOSSES, bad_tag, UINT, "BAD TAG", W),
};
#undef REC
#define REC api_rule
static const struct api_field rule_fields[] = {
	F(id, UINT, "ID", 0),
	GW(ROUTE, type, rule_types, "TYPE", 0),
	G(ROUTE, next_id, UINT, "NEXT", N),
	G(ROUTE, transport, STR, "OUT BY", N),
	GW(ROUTE, in, rule_ins, "IN", S),
	G(ROUTE, in_transport, STR, "IN BY", N),
	G(TIME, fixed, BOOL, "STATIC", S),
	G(TIME, keep_alive_ms, MS, "KEEP-ALIVE", S | N),
	G(TIME, idle_ms, MS, "IDLE", 0),
	G(TIME, expires_ms, MS, "EXPIRES IN", S | N),
	G(TIME, orphan_ms, MS, "ORPHAN FOR", N),
	G(ROUTE, owner, UINT, "WORKER", W | O),
	G(TRAFFIC, packets, UINT, "PACKETS", 0),
	G(TRAFFIC, bytes, BYTES, "BYTES", 0),
	G(TRAFFIC, freed, UINT, "FREED", W),
};
#undef REC
#define REC api_counter
static const struct api_field counter_fields[] = {
	F(of, STR, "OF", 0),
	F(name, STR, "COUNTER", 0),
	F(value, UINT, "VALUE", 0),
	F(unit, STR, "UNIT", 0),
	FW(scope, scopes, "SCOPE", W),
	F(stage, STR, "STAGE", D),
	FW(role, roles, "ROLE", W),
	F(help, STR, "MEANING", API_F_WRAP),
};
#undef REC
#define REC api_ring
static const struct api_field ring_fields[] = {
	F(name, STR, "RING", 0),
	F(size, BYTES, "SIZE", 0),
	F(used, BYTES, "USED", 0),
	F(passed, BYTES, "PASSED", 0),
	F(refused, UINT, "REFUSED", 0),
};
#undef REC
#define REC api_memory
static const struct api_field memory_fields[] = {
	F(name, STR, "WHAT", 0),
	F(bytes, BYTES, "BYTES", D),
	F(used, UINT, "USED", 0),
	F(total, UINT, "OF", D),
	F(note, STR, "NOTE", API_F_WRAP),
};
#undef REC
#define REC api_edge
static const struct api_field edge_fields[] = {
	F(name, STR, "NAME", 0),
	GW(LINK, state, edge_states, "STATE", 0),
	G(LINK, addrs, STR, "ADDRESS", S | D | C),
	G(LINK, mtu, UINT, "MTU", S),
	G(LINK, forward_id, UINT, "FORWARD", D),
	G(LINK, consume_id, UINT, "CONSUME", D),
	GW(LINK, origin, tp_origins, "ORIGIN", W),
	G(TRAFFIC, out_packets, UINT, "OUT PACKETS", S),
	G(TRAFFIC, out_bytes, BYTES, "OUT BYTES", 0),
	G(TRAFFIC, in_packets, UINT, "IN PACKETS", S),
	G(TRAFFIC, in_bytes, BYTES, "IN BYTES", 0),
	G(LOSSES, drop_detached, UINT, "OUT DROPPED", 0),
	G(LOSSES, drop_in_full, UINT, "IN DROPPED", 0),
	G(LOSSES, drop_in_bad, UINT, "IN BAD", W),
	G(QUEUE, waits, UINT, "WAITS", W),
	G(TRAFFIC, keepalives, UINT, "KEEP-ALIVES", S),
	GW(LINK, offload, offloads, "OFFLOAD", W),
	GW(LINK, far, fars, "FAR END TAKES", W),
	G(LINK, super_max, UINT, "SUPER MAX", W | D),
	G(TRAFFIC, out_supers, UINT, "OUT SUPER", S),
	G(TRAFFIC, in_supers, UINT, "IN SUPER", S),
	G(TRAFFIC, in_joined, UINT, "IN JOINED", S),
	G(TRAFFIC, out_cut, UINT, "OUT CUT", S),
	G(TRAFFIC, in_cut, UINT, "IN CUT", W),
	G(LOSSES, out_bad, UINT, "OUT BAD", W),
	G(LOSSES, in_refused, UINT, "IN REFUSED", W),
};
#undef REC
#define REC api_neighbour
static const struct api_field neighbour_fields[] = {
	F(dst, ADDR, "PEER", C),
	F(next_hop, ADDR, "NEXT HOP", S | D | C),
	F(mac, MAC, "MAC", S | D),
	F(state, STR, "STATE", 0),
	F(usable, BOOL, "USABLE", W),
	F(port, STR, "PORT", D),
	F(src, ADDR, "SOURCE", S | D | C),
	F(mtu, UINT, "MTU", D),
	F(refs, UINT, "USERS", 0),
};
#undef REC
#define REC api_conf
static const struct api_field conf_fields[] = {
	F(section, STR, "SECTION", 0),
	F(key, STR, "KEY", 0),
	F(value, STR, "VALUE", 0),
	F(standard, STR, "DEFAULT", S),
	F(origin, STR, "FROM", D | C),
	FW(change, conf_changes, "WAITS", D | N),
	F(in_force, STR, "IN FORCE", D | N | C),
};
#undef REC

#define REC api_dmsg
static const struct api_field dmsg_fields[] = {
	F(client, BOOL, "CLIENT", 0),
	F(servers, UINT, "SERVERS", Q),
	F(sessions, UINT, "SESSIONS", Q),
	F(streams, UINT, "STREAMS", Q),
	F(listeners, UINT, "LISTENERS", Q),
	F(sessions_opened, UINT, "SESSIONS OPENED", Q),
	F(sessions_lost, UINT, "SESSIONS LOST", Q),
	F(sessions_failed, UINT, "SESSIONS FAILED", Q),
	F(dialled, UINT, "DIALLED", Q),
	F(dials_failed, UINT, "DIALS FAILED", Q),
	F(accepted, UINT, "ACCEPTED", Q),
	F(refused, UINT, "REFUSED", Q),
	F(dir_asked, UINT, "DISCOVERY REQUESTS", Q),
	F(dir_cached, UINT, "DISCOVERY REMEMBERED", Q),
	F(dir_failed, UINT, "DISCOVERY FAILED", Q),
	F(dir_refused, UINT, "DISCOVERY REFUSED", Q),
	F(server, BOOL, "SERVER", 0),
	F(server_pk, PK, "SERVER KEY", N | API_F_QUIET),
	F(server_port, UINT, "SERVER PORT", N | API_F_QUIET),
	F(clients, UINT, "CLIENTS", Q),
	F(relays, UINT, "RELAYS", Q),
	F(peers, UINT, "PEERS", Q),
	F(clients_opened, UINT, "CLIENTS OPENED", Q),
	F(clients_refused, UINT, "CLIENTS REFUSED", Q),
	F(clients_replaced, UINT, "CLIENTS REPLACED", Q),
	F(shakes_failed, UINT, "HANDSHAKES FAILED", Q),
	F(relayed, UINT, "RELAYED", Q),
	F(relayed_bytes, BYTES, "RELAYED BYTES", Q),
	F(mesh_out, UINT, "TO PEERS", Q),
	F(mesh_in, UINT, "FROM PEERS", Q),
	F(mesh_refused, UINT, "REFUSED BY PEERS", Q),
	F(no_destination, UINT, "NO DESTINATION", Q),
	F(not_accepted, UINT, "NOT ACCEPTED", Q),
	F(no_capacity, UINT, "NO CAPACITY", Q),
	F(bad_requests, UINT, "BAD REQUESTS", Q),
	F(ip_answered, UINT, "ADDRESSES TOLD", Q),
	F(pings, UINT, "PINGS", Q),
	F(hypervisors, UINT, "HYPERVISORS", Q),
	F(hypervisors_open, UINT, "HYPERVISORS REACHED", Q),
	F(pushes_taken, UINT, "PUSHES TAKEN", Q),
	F(pushes_refused, UINT, "PUSHES REFUSED", Q),
	F(calls_unknown, UINT, "UNKNOWN CALLS", Q),
	F(lan_server, BOOL, "LAN SERVER", 0),
	F(lan_pk, PK, "LAN SERVER KEY", N | API_F_QUIET),
	F(lan_address, STR, "LAN SERVER ADDRESS", N | API_F_QUIET),
	F(lan_clients, UINT, "LAN CLIENTS", Q),
	F(lan_relays, UINT, "LAN RELAYS", Q),
	F(visors, UINT, "VISORS", Q),
	F(pushed, UINT, "PUSHED", Q),
	F(push_failed, UINT, "PUSHES FAILED", Q),
	F(strangers, UINT, "STRANGERS", Q),
	F(setup_node, BOOL, "SET-UP NODE", 0),
	F(setup_pk, PK, "SET-UP NODE KEY", N | API_F_QUIET),
	F(setup_sessions, UINT, "SET-UP NODE SESSIONS", Q),
	F(setups, UINT, "SET-UPS NOW", Q),
	F(setups_done, UINT, "SET-UPS DONE", Q),
	F(setups_failed, UINT, "SET-UPS FAILED", Q),
	F(setups_refused, UINT, "SET-UPS REFUSED", Q),
};
#undef REC
#define REC api_dmsg_server
static const struct api_field dmsg_server_fields[] = {
	F(section, STR, "NAME", C),
	F(name, STR, "SERVER", C),
	F(pk, PK, "KEY", 0),
	FW(kind, dmsg_server_kinds, "KIND", 0),
	FW(state, dmsg_states, "STATE", 0),
	F(age_ms, MS, "FOR", 0),
	F(rtt_us, US, "RTT", N),
	F(streams, UINT, "STREAMS", 0),
	F(opened, UINT, "SESSIONS", W),
	F(rx_bytes, BYTES, "RX BYTES", S | O),
	F(tx_bytes, BYTES, "TX BYTES", S | O),
	F(by, PK, "TOLD BY", S | N),
	F(error, STR, "LAST ERROR", W | D),
	F(note, STR, "NOTE", U),
};
#undef REC
#define REC api_dmsg_hypervisor
static const struct api_field dmsg_hypervisor_fields[] = {
	F(pk, PK, "HYPERVISOR", 0),
	FW(state, dmsg_states, "STATE", 0),
	F(age_ms, MS, "FOR", 0),
	F(calls, UINT, "CALLS", 0),
	F(error, STR, "LAST ERROR", W | D),
	F(note, STR, "NOTE", U),
};
#undef REC
#define REC api_dmsg_discovery
static const struct api_field dmsg_discovery_fields[] = {
	F(name, STR, "DISCOVERY", C),
	FW(role, dmsg_roles, "ENTRY OF", 0),
	F(listed, BOOL, "LISTED", 0),
	F(age_ms, MS, "PUBLISHED", N),
	F(next_ms, MS, "NEXT", N),
	F(sequence, UINT, "SEQUENCE", W | N),
	F(published, UINT, "TIMES", W),
	F(failed, UINT, "FAILED", 0),
	F(error, STR, "LAST ERROR", W | D),
	F(note, STR, "NOTE", U),
};
#undef REC
#define REC api_dmsg_session
static const struct api_field dmsg_session_fields[] = {
	F(pk, PK, "PEER", 0),
	FW(role, dmsg_roles, "WE ARE", 0),
	FW(kind, dmsg_server_kinds, "KIND", 0),
	F(address, STR, "ADDRESS", N),
	F(age_ms, MS, "AGE", 0),
	F(rtt_us, US, "RTT", N),
	F(streams, UINT, "STREAMS", 0),
	F(rx_bytes, BYTES, "RX BYTES", 0),
	F(tx_bytes, BYTES, "TX BYTES", 0),
};
#undef REC
#define REC api_dmsg_stream
static const struct api_field dmsg_stream_fields[] = {
	FW(kind, dmsg_kinds, "KIND", 0),
	F(src, PK, "FROM", 0),
	F(src_port, UINT, "PORT", 0),
	F(dst, PK, "TO", 0),
	F(dst_port, UINT, "PORT", 0),
	F(age_ms, MS, "AGE", 0),
	F(rx_bytes, BYTES, "RX BYTES", 0),
	F(tx_bytes, BYTES, "TX BYTES", 0),
};
#undef REC
#define REC api_setup
static const struct api_field setup_fields[] = {
	F(src, PK, "FROM", API_F_NAME),
	F(src_port, UINT, "PORT", API_F_NAME),
	G(ROUTE, dst, PK, "TO", 0),
	G(ROUTE, dst_port, UINT, "PORT", 0),
	G(ROUTE, hops, UINT, "HOPS", 0),
	G(ROUTE, reverse_hops, UINT, "BACK", W),
	GW(ROUTE, kind, setup_kinds, "KIND", 0),
	GW(ROUTE, state, setup_states, "STATE", 0),
	G(TIME, age_ms, MS, "AGE", 0),
	G(TIME, took_us, US, "TOOK", 0),
	G(ROUTE, error, STR, "ERROR", D | U),
};
#undef REC
#define REC api_route
static const struct api_field route_fields[] = {
	F(id, UINT, "ID", 0),
	FW(state, route_states, "STATE", 0),
	FW(type, route_types, "TYPE", API_F_NULL),
	F(next_id, UINT, "NEXT", N),
	F(transport, STR, "OUT BY", N | C),
	F(in_transport, STR, "IN BY", N | C),
	F(setup_node, PK, "SET-UP NODE", 0),
	F(age_ms, MS, "FOR", 0),
	F(keep_alive_ms, MS, "KEEP-ALIVE", S | N),
	F(expires_ms, MS, "EXPIRES IN", N),
	F(packets, UINT, "PACKETS", 0),
	F(bytes, BYTES, "BYTES", 0),
};
#undef REC
#define REC api_route_group
static const struct api_field group_fields[] = {
	F(pk, PK, "PEER", N | API_F_NAME),
	F(remote_port, UINT, "PORT", N | API_F_NAME),
	G(ROUTE, local_port, UINT, "OURS", API_F_NAME),
	GW(ROUTE, role, group_roles, "WE ARE", 0),
	GW(ROUTE, state, group_states, "STATE", 0),
	G(PATH, rtt_us, US, "LATENCY", N),
	G(TRAFFIC, rx_bytes, BYTES, "RX BYTES", 0),
	G(TRAFFIC, tx_bytes, BYTES, "TX BYTES", 0),
	G(ROUTE, age_ms, MS, "AGE", 0),
	G(QUEUE, queued, SIZE, "QUEUED", W),
	G(PATH, payload_max, SIZE, "PAYLOAD", W | N),
	G(ROUTE, sealed, BOOL, "SEALED", W),
	G(QUEUE, paused, BOOL, "PAUSED", W),
	G(QUEUE, holds, BOOL, "HOLDS", W),
	G(PATH, peer_rate, RATE, "PEER GETS", W),
	G(TRAFFIC, rx_packets, UINT, "RX PACKETS", W),
	G(TRAFFIC, tx_packets, UINT, "TX PACKETS", W),
	G(LOSSES, rx_bad, UINT, "BAD", W),
	G(ROUTE, keep_alive_ms, MS, "KEEP-ALIVE", W | N),
	G(ROUTE, forward_id, UINT, "FORWARD", W | N),
	G(ROUTE, consume_id, UINT, "CONSUME", W | N),
	G(ROUTE, reason, STR, "REASON", D | U),
};
#undef REC
#define REC api_service
static const struct api_field service_fields[] = {
	FW(kind, service_kinds, "SERVICE", API_F_NAME),
	G(LINK, name, STR, "URL", C),
	G(TRAFFIC, asked, UINT, "ASKED", 0),
	G(TRAFFIC, refused, UINT, "REFUSED", 0),
	G(TRAFFIC, failed, UINT, "FAILED", 0),
	G(TRAFFIC, waiting, UINT, "WAITING", W),
	G(LINK, status, UINT, "LAST HTTP", N),
	G(LINK, age_ms, MS, "AGE", N),
	G(TRAFFIC, nonce, UINT, "NONCE", W | O),
	G(TRAFFIC, up, UINT, "UP", S | O),
	G(TRAFFIC, registered, UINT, "LISTED", O),
	G(TRAFFIC, mended, UINT, "PUT BACK", W | O),
	G(TRAFFIC, late, UINT, "LATE", W | O),
	G(TRAFFIC, full, UINT, "NO PLACE", W | O),
	G(LINK, error, STR, "LAST ERROR", W | D),
	G(LINK, note, STR, "NOTE", U),
};
#undef REC
#define REC api_trace_hop
static const struct api_field trace_hop_fields[] = {
	F(hop, UINT, "HOP", 0),
	F(pk, PK, "NODE", 0),
	F(tp, UUID, "TRANSPORT", W),
	F(sent, UINT, "SENT", 0),
	F(lost, UINT, "LOST", 0),
	F(min_us, US, "MIN", N),
	F(avg_us, US, "MEAN", N),
	F(max_us, US, "MAX", N),
	F(laid_us, US, "SET UP IN", N),
	F(note, STR, "NOTE", W),
};
#undef REC
#define REC api_path_hop
static const struct api_field path_hop_fields[] = {
	FW(way, ways, "WAY", 0),
	F(path, UINT, "PATH", 0),
	F(hop, UINT, "HOP", 0),
	F(from, PK, "FROM", 0),
	F(to, PK, "TO", 0),
	F(tp, UUID, "TRANSPORT", 0),
};
#undef REC
#define REC api_tp_setup
static const struct api_field tp_setup_fields[] = {
	F(tp_id, UUID, "TRANSPORT", 0),
	F(type, STR, "TYPE", 0),
	F(local, PK, "LOCAL", 0),
	F(remote, PK, "REMOTE", 0),
};
#undef REC

#define R(type_, name_, rec, fields_, single_, help_)                                              \
	{                                                                                          \
		.name = name_, .help = help_, .fields = fields_, .n_fields = ARRAY_LEN(fields_),   \
		.size = sizeof(struct rec), .type = type_, .single = single_                       \
	}

static const struct api_record records[] = {
	R(API_NODE, "node", api_node, node_fields, true, "this node: key, versions, life, totals"),
	R(API_PORTS, "ports", api_port, port_fields, false, "devices and what they carried"),
	R(API_WORKERS, "workers", api_worker, worker_fields, false,
		"poll-mode workers and their load"),
	R(API_TRANSPORTS, "transports", api_transport, transport_fields, false, "links to peers"),
	R(API_RULES, "rules", api_rule, rule_fields, false, "the rule table"),
	R(API_COUNTERS, "counters", api_counter, counter_fields, false,
		"every counter of the data plane"),
	R(API_RINGS, "rings", api_ring, ring_fields, false, "shared-memory rings"),
	R(API_MEMORY, "memory", api_memory, memory_fields, false, "where memory went"),
	R(API_EDGES, "edges", api_edge, edge_fields, false, "TUN devices at the ends of routes"),
	R(API_NEIGHBOURS, "neighbours", api_neighbour, neighbour_fields, false,
		"next hops of peers"),
	R(API_CONFIG, "config", api_conf, conf_fields, false, "configuration in force"),
	R(API_FLOWS, "flows", api_flow, flow_fields, false, "flows of transports"),
	R(API_DMSG, "dmsg", api_dmsg, dmsg_fields, true, "dmsg, client and server: totals"),
	R(API_DMSG_SERVERS, "servers", api_dmsg_server, dmsg_server_fields, false,
		"dmsg servers that sessions are kept to"),
	R(API_DMSG_SESSIONS, "sessions", api_dmsg_session, dmsg_session_fields, false,
		"dmsg sessions in all roles"),
	R(API_DMSG_STREAMS, "streams", api_dmsg_stream, dmsg_stream_fields, false,
		"dmsg streams: ours, and those that our server relays"),
	R(API_DMSG_DISCOVERIES, "discoveries", api_dmsg_discovery, dmsg_discovery_fields, false,
		"dmsg discoveries and our entries there"),
	R(API_DMSG_HYPERVISORS, "hypervisors", api_dmsg_hypervisor, dmsg_hypervisor_fields, false,
		"hypervisors that this node is under"),
	R(API_SETUPS, "setups", api_setup, setup_fields, false,
		"routes that our set-up node lays, and the last ones"),
	R(API_ROUTES, "routes", api_route, route_fields, false,
		"rules that set-up nodes laid here, and ids that they reserved"),
	R(API_GROUPS, "groups", api_route_group, group_fields, false,
		"routes that end here, and those that ended last"),
	R(API_SERVICES, "services", api_service, service_fields, false,
		"services of Skywire that this node asks"),
	R(API_PATHS, "paths", api_path_hop, path_hop_fields, false,
		"hops of the paths that a route finder tells"),
	R(API_ROUTE_TRACE, "trace", api_trace_hop, trace_hop_fields, false,
		"round trips to each node of a way"),
	R(API_TP_SETUP, "transports", api_tp_setup, tp_setup_fields, false,
		"transports that another node made for transport set-up nodes"),
};

const struct api_record *api_records(size_t *n)
{
	*n = ARRAY_LEN(records);
	return records;
}

const struct api_record *api_record_find(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		if (records[i].type == type)
			return &records[i];
	return NULL;
}
