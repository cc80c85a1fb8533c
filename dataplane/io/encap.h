// Ways to next hops (adjs) and what is put before a UDP payload: Ethernet, IPv4 or IPv6, UDP.
//
// An adj is an immutable template behind an atomic pointer; main replaces the pointer and frees the
// old template after a grace period, so workers see a change as a whole or not at all. Handles are
// the control plane's: index | generation << DPMSG_HANDLE_BITS; a stale one finds nothing.
//
// Outer packets are never fragmented (DF), the IPv4 UDP checksum is 0 (the payload authenticates
// itself), the IPv6 one is computed.
#pragma once

#include "dataplane/rule/reclaim.h"
#include "dataplane/worker/wctx.h"
#include "lib/base/bytes.h"
#include "lib/shm/dpmsg.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
	ENCAP_HDR_MAX = 14 + 40 + 8,
	ENCAP_HDR4_LEN = 14 + 20 + 8,
	ENCAP_UDP4 = 20 + 8, // bytes of IP that are not UDP payload
	ENCAP_UDP6 = 40 + 8,
};

struct adj {
	// owner: main until published, then immutable
	_Alignas(64) uint32_t handle;
	uint16_t port;
	uint16_t payload_max; // UDP payload that fits the path's MTU
	uint8_t hdr_len; // of tmpl: 42 or 62
	uint8_t ip6;
	uint16_t pad;
	uint32_t sum; // IPv4: header sum without length, folded; IPv6: pseudo-header without length
	uint8_t tmpl[64]; // lengths, ports and checksums are zero in it
	// -- cold, owner: main --
	struct cmd_adj_set set; // as it came, without its header
	struct adj *next_retired;
};

struct adj_table;

// [main] Room for handles with index < n_adjs. NULL with errno set.
struct adj_table *adj_table_new(uint32_t n_adjs, struct reclaim *reclaim);
void adj_table_free(struct adj_table *t); // [main] workers have stopped
// [main] Make or replace what the handle's index holds. -EINVAL: handle 0 or index out of range,
// port not below DPMSG_MAX_PORTS, mtu < 1280 of a usable adj, address families differ.
int adj_set(struct adj_table *t, const struct cmd_adj_set *c);
int adj_del(struct adj_table *t, uint32_t adj); // [main] -ENOENT: no such handle
// [main] Free what has passed its grace period. Called now and then; never blocks.
void adj_poll(struct adj_table *t);
uint32_t adj_count(const struct adj_table *t); // [main] live ones
// [main] The adj with this index as a dump record; -ENOENT when there is none.
int adj_show(const struct adj_table *t, uint32_t index, struct evt_adj *out);

// [worker] The template of a usable adj, or NULL. Valid until this worker's next quiescent state.
const struct adj *adj_find(const struct adj_table *t, uint32_t adj);

// [worker] Greatest UDP payload that goes this way as one frame; 0 when the port is not there.
static inline uint32_t encap_payload_max(const struct wctx *w, const struct adj *a)
{
	uint32_t udp = a->ip6 ? ENCAP_UDP6 : ENCAP_UDP4;
	uint32_t mtu = w->tx[a->port].mtu;
	uint32_t port_max = mtu > udp ? mtu - udp : 0;

	return a->payload_max < port_max ? a->payload_max : port_max;
}

static inline uint16_t encap_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// [worker] The ENCAP_HDR4_LEN bytes before a UDP payload over IPv4, but for lengths and checksum.
// Ports in host order.
static inline void encap_head4(
	const struct adj *a, uint8_t *head, uint16_t src_port, uint16_t dst_port)
{
	memcpy(head, a->tmpl, ENCAP_HDR4_LEN);
	be16_put(head + ENCAP_HDR4_LEN - 8, src_port);
	be16_put(head + ENCAP_HDR4_LEN - 6, dst_port);
}

// [worker] ... and these, for udp_len bytes of payload. sum: the adj's. p: where the frame begins.
static inline void encap_lengths4(uint32_t sum, uint8_t *p, uint32_t udp_len)
{
	uint16_t ip_len = (uint16_t)(udp_len + ENCAP_UDP4);

	be16_put(p + 16, ip_len);
	sum += ip_len; // of two 16-bit numbers: one carry at most
	be16_put(p + 24, (uint16_t) ~(sum + (sum >> 16)));
	be16_put(p + 38, (uint16_t)(udp_len + 8));
}

// [worker] Put headers before n frames (mbuf data = UDP payload, one segment, ENCAP_HDR_MAX bytes
// of headroom) and add them to w->tx[]. Takes the mbufs; counts tx_built and the drops of stage
// send. a == NULL: no way, all are dropped (drop_adj). Ports in host order.
void encap_burst(struct wctx *w, const struct adj *a, struct rte_mbuf **m, unsigned n,
	uint16_t src_port, uint16_t dst_port);
// [worker] One frame by adj handle, for handshakes.
void encap(struct wctx *w, uint32_t adj, struct rte_mbuf *m, uint16_t src_port, uint16_t dst_port);
// [worker] A ready Ethernet frame for a port: of another worker (w owns a queue of the port), or
// from the kernel. Takes the mbuf. The caller counted tx_built unless encap did at the other
// worker.
void tx_frame(struct wctx *w, uint16_t port, struct rte_mbuf *m);
// [worker] Give the port what w->tx[port] holds (or hand it to the worker that owns the queue);
// counts tx_frames, tx_bytes, drop_tx_full, drop_tx_away.
void tx_flush(struct wctx *w, uint16_t port);
