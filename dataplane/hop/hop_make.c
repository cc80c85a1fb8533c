// A hop out of what HOP_ADD says: one piece of memory, near its worker, with all that its mode needs.
// Nothing of it is anybody's yet but the main lcore's.

#include "dataplane/hop/hop_main.h"
#include "dataplane/hop/hop_rel.h"

#include <rte_malloc.h>
#include <sodium.h>

static const struct part_conf part_conf = {
	.n_packets = HOP_PARTS,
	.n_segs = HOP_PART_SEGS,
	.max_bytes = HOP_PART_BYTES,
};

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static uint64_t ms_or(uint32_t ms, uint64_t default_s)
{
	return (ms != 0 ? ms : default_s * 1000) * 1000000;
}

struct hop *hop_make(
	const struct cmd_hop_add *c, const struct hop_rel_shared *rel, int socket, uint64_t now_ns)
{
	uint32_t bits = c->window_log2 != 0 ? 1u << c->window_log2 : RAIL_REPLAY_WINDOW;
	size_t replay_off = align64(sizeof(struct hop));
	size_t part_off = replay_off + align64(replay_size(bits));
	bool reliable = c->mode == HOP_MODE_RELIABLE;
	size_t rest = reliable ? hop_rel_size(c) : part_mem_size(&part_conf);
	uint8_t *mem = rte_zmalloc_socket("hop", part_off + rest, 64, socket);
	struct hop *h = (struct hop *)mem;

	if (mem == NULL)
		return NULL;
	h->handle = c->hop;
	h->tp = c->tp;
	h->send = -1;
	h->flow.nr = c->flow;
	h->flow.n = c->n_flows != 0 ? c->n_flows : 1;
	h->flow.inv = rail_flow_inv(h->flow.n);
	h->mode = c->mode;
	h->local_port = c->local_port;
	h->payload_max = c->payload_max;
	h->path_mtu = c->path_mtu != 0 ? c->path_mtu : HOP_PATH_MTU_MIN;
	h->mtu_fixed = c->path_mtu;
	if (c->path_mtu != 0)
		pmtu_init_fixed(&h->mtu, c->path_mtu);
	h->adj = c->adj;
	hop_addr_from(&h->peer, &c->peer);
	h->replay = (struct replay *)(mem + replay_off);
	replay_init(h->replay, bits);
	if (reliable)
		h->rel = hop_rel_make(mem + part_off, rel, c);
	else
		h->parts = part_init(mem + part_off, &part_conf);
	h->keepalive_ns = ms_or(c->keepalive_ms, RAIL_KEEPALIVE_S);
	h->dead_ns = ms_or(c->dead_ms, RAIL_DEAD_S);
	h->rekey_ns = ms_or(c->rekey_ms, RAIL_REKEY_S);
	h->last_rx_ns = now_ns;
	h->last_tx_ns = now_ns;
	randombytes_buf(&h->skip_rng, sizeof(h->skip_rng));
	h->skip_rng |= 1; // xorshift must not start at 0
	h->st = &h->own_stats;
	return h;
}
