// A hop out of what HOP_ADD says: one piece of memory, near its worker, with all that its mode
// needs. Nothing of it is anybody's yet but the main lcore's.

#include "dataplane/hop/hop_car.h"
#include "dataplane/hop/hop_main.h"

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

static size_t rest_size(const struct cmd_hop_add *c)
{
	switch (c->mode) {
	case HOP_MODE_RELIABLE:
		return hop_rel_size(c);
	case HOP_MODE_CARRIED:
		return hop_car_size();
	default:
		return part_mem_size(&part_conf);
	}
}

static void rest_make(
	struct hop *h, void *mem, const struct cmd_hop_add *c, const struct hop_rel_shared *rel)
{
	switch (c->mode) {
	case HOP_MODE_RELIABLE:
		h->rel = hop_rel_make(mem, rel, c);
		break;
	case HOP_MODE_CARRIED:
		h->car = hop_car_make(mem, c->carrier);
		break;
	default:
		h->parts = part_init(mem, &part_conf);
	}
}

struct hop *hop_make(
	const struct cmd_hop_add *c, const struct hop_rel_shared *rel, int socket, uint64_t now_ns)
{
	uint32_t bits = c->window_log2 != 0 ? 1u << c->window_log2 : RAIL_REPLAY_WINDOW;
	bool is_link = c->mode != HOP_MODE_CARRIED;
	size_t replay_off = align64(sizeof(struct hop));
	size_t rest_off = replay_off + (is_link ? align64(replay_size(bits)) : 0);
	uint8_t *mem = rte_zmalloc_socket("hop", rest_off + rest_size(c), 64, socket);
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
	if (is_link) {
		h->replay = (struct replay *)(mem + replay_off);
		replay_init(h->replay, bits);
	}
	rest_make(h, mem + rest_off, c, rel);
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
