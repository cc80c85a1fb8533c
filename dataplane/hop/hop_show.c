// Hops as dump records: what HOP_ADD said, and what their owners publish. Main lcore only; the
// values of one record may be of slightly different moments.

#include "dataplane/hop/hop_main.h"

enum { MS = 1000 * 1000 };

static uint64_t get64(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static uint32_t age_ms(uint64_t now_ns, uint64_t then_ns)
{
	uint64_t ms = now_ns > then_ns ? (now_ns - then_ns) / MS : 0;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

// The one to seal with first.
static void show_indices(const struct hop_pub *pub, uint32_t out[HOP_KEYS])
{
	unsigned n = 1;

	memset(out, 0, HOP_KEYS * sizeof(out[0]));
	out[0] = atomic_load_explicit(&pub->rx_index_sends, memory_order_relaxed);
	for (unsigned k = 0; k < HOP_KEYS && n < HOP_KEYS; k++) {
		uint32_t index = atomic_load_explicit(&pub->rx_index[k], memory_order_relaxed);

		if (index != 0 && index != out[0])
			out[n++] = index;
	}
}

static void show_pub(const struct hop_pub *pub, uint64_t now_ns, struct evt_hop *out)
{
	show_indices(pub, out->rx_index);
	for (unsigned k = 0; k < 2; k++) {
		uint64_t half = get64(&pub->peer_ip[k]);

		memcpy(out->peer.ip + 8 * k, &half, 8);
	}
	out->peer.port = atomic_load_explicit(&pub->peer_port, memory_order_relaxed);
	out->adj = atomic_load_explicit(&pub->adj, memory_order_relaxed);
	out->cipher = atomic_load_explicit(&pub->cipher, memory_order_relaxed);
	out->initiator = atomic_load_explicit(&pub->initiator, memory_order_relaxed);
	out->n_flows = atomic_load_explicit(&pub->n_flows, memory_order_relaxed);
	out->payload_max = atomic_load_explicit(&pub->payload_max, memory_order_relaxed);
	out->instance_local = get64(&pub->instance_local);
	out->instance_remote = get64(&pub->instance_remote);
	out->handshake_ns = get64(&pub->handshake_ns);
	out->tx_counter = get64(&pub->tx_counter);
	out->key_age_ms = age_ms(now_ns, get64(&pub->key_born_ns));
	out->silent_ms = age_ms(now_ns, get64(&pub->last_rx_ns));
	out->rtt_us = atomic_load_explicit(&pub->rtt_us, memory_order_relaxed);
	out->up = atomic_load_explicit(&pub->dead, memory_order_relaxed) == 0;
}

static void show_add(const struct cmd_hop_add *c, struct evt_hop *out)
{
	out->h.len = sizeof(*out);
	out->h.type = EVT_HOP;
	out->hop = c->hop;
	out->tp = c->tp;
	memcpy(out->tp_id, c->tp_id, sizeof(out->tp_id));
	memcpy(out->peer_pk, c->peer_pk, sizeof(out->peer_pk));
	out->flow = c->flow;
	out->n_flows = c->n_flows != 0 ? c->n_flows : 1;
	out->mode = c->mode;
	out->rel_window_log2 = c->rel_window_log2;
	out->congestion = c->congestion;
	out->path_mtu = c->path_mtu;
	out->window_log2 = c->window_log2;
	out->silence_s = c->silence_s;
	out->retransmit_limit = c->retransmit_limit;
	out->flags = (uint8_t)c->flags;
	out->local_port = c->local_port;
	out->keepalive_ms = c->keepalive_ms;
	out->dead_ms = c->dead_ms;
	out->rekey_ms = c->rekey_ms;
	memcpy(out->name, c->name, sizeof(out->name));
	// until the owner published something, and while only a pending key is there
	out->peer = c->peer;
	out->adj = c->adj;
	out->payload_max = c->payload_max;
	out->instance_local = c->instance_local;
	out->instance_remote = c->instance_remote;
	out->handshake_ns = c->handshake_ns;
}

int hop_table_show(const struct hop_table *t, uint32_t index, uint64_t now_ns, struct evt_hop *out)
{
	const struct hop_rec *rec = index < t->hop_max ? t->main->recs[index] : NULL;

	if (rec == NULL || rec->going)
		return -ENOENT;
	memset(out, 0, sizeof(*out));
	show_add(&rec->add, out);
	out->owner = (uint8_t)rec->owner;
	// pairs with the release in hop_publish()
	if (atomic_load_explicit(&rec->hop->pub.cmds_done, memory_order_acquire) != 0)
		show_pub(&rec->hop->pub, now_ns, out);
	out->up = out->up && atomic_load_explicit(&t->up[index], memory_order_relaxed) != 0;
	return 0;
}
