// Transports and their flows as the API lists them: what their manager knows, with what workers
// write into the statistics segment meanwhile. There may be very many: such lists pause when the
// client is slow.
#include "controlplane/rpc/api_priv.h"
#include "controlplane/transport/transport_walk.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/crypto/aead.h"
#include "lib/link/pmtu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct stats_view *api_stats(const struct api *a)
{
	const struct region *r = dp_client_region(a->d.dp);

	return r != NULL && r->view.live != NULL ? &r->view : NULL;
}

struct tp_list {
	struct api *a;
	struct api_req *r;
	struct transport_walk *walk;
	api_tp_fn put;
	api_rest_fn rest;
};

static void tp_list_free(void *arg)
{
	struct tp_list *l = arg;

	transport_walk_free(l->walk);
	free(l);
}

static void tp_list_more(void *arg)
{
	struct tp_list *l = arg;
	struct api_req *r = l->r;
	struct transport *t;

	while (!api_req_is_full(r)) {
		t = transport_walk_next(l->walk);
		if (t != NULL) {
			l->put(l->a, r, t);
			continue;
		}
		if (l->rest != NULL)
			l->rest(l->a, r);
		tp_list_free(l);
		api_req_end(r, NULL, 0);
		return;
	}
}

void api_list_each_tp(struct api *a, struct api_req *r, api_tp_fn put, api_rest_fn rest)
{
	struct tp_list *l = calloc(1, sizeof(*l));

	if (l != NULL) {
		*l = (struct tp_list){.a = a, .r = r, .put = put, .rest = rest};
		l->walk = transport_walk_new(a->d.transports);
	}
	if (l == NULL || l->walk == NULL) {
		free(l);
		api_req_fail(r, -ENOMEM, "out of memory");
		return;
	}
	api_req_pend(r, tp_list_more, tp_list_free, l);
	tp_list_more(l);
}

const struct stats_hop *api_stats_hop(const struct stats_view *s, uint32_t hop)
{
	uint32_t i = dpmsg_handle_index(hop);
	const struct stats_hop *h;

	if (s == NULL || hop == 0 || i >= s->hop_max)
		return NULL;
	h = stats_view_hop(s, i);
	return atomic_load_explicit(&h->hop, memory_order_acquire) == hop ? h : NULL;
}

static uint8_t cipher_word(const struct transport_info *i)
{
	if (i->state != TRANSPORT_UP)
		return 0;
	if (i->conf.type != TRANSPORT_RAIL)
		return API_CIPHER_CHACHA20; // Noise records
	switch (i->cipher) {
	case AEAD_CHACHA20_POLY1305:
		return API_CIPHER_CHACHA20;
	case AEAD_AES_256_GCM:
		return API_CIPHER_AES;
	default:
		return API_CIPHER_NONE;
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static void flow_counters(const struct stats_hop *h, struct api_flow *f)
{
	f->rx_packets = stat_get(&h->c[H_hop_rx_packets]);
	f->tx_packets = stat_get(&h->c[H_hop_tx_packets]);
	f->rx_bytes = stat_get(&h->c[H_hop_rx_bytes]);
	f->tx_bytes = stat_get(&h->c[H_hop_tx_bytes]);
	f->lost = stat_get(&h->c[H_hop_lost]);
	f->replayed = stat_get(&h->c[H_hop_replayed]);
	f->bad_tag = stat_get(&h->c[H_hop_bad_tag]);
	f->rekeys = stat_get(&h->c[H_hop_rekeys]);
	f->rtt_us = atomic_load_explicit(&h->rtt_us, memory_order_relaxed);
	f->mtu = atomic_load_explicit(&h->path_mtu, memory_order_relaxed);
	if (f->mode != HOP_MODE_RELIABLE)
		return;
	f->tx_lost = stat_get(&h->c[H_hop_tx_lost]);
	f->retransmitted = stat_get(&h->c[H_hop_tx_retransmitted]);
	f->timeouts = stat_get(&h->c[H_hop_tx_timeouts]);
	f->cwnd = stat_get(&h->cwnd);
	f->in_flight = stat_get(&h->in_flight);
	f->rate = stat_get(&h->rate);
	f->min_rtt_us = atomic_load_explicit(&h->min_rtt_us, memory_order_relaxed);
	f->unacked = atomic_load_explicit(&h->unacked, memory_order_relaxed);
	f->held = atomic_load_explicit(&h->held, memory_order_relaxed);
	f->paused = atomic_load_explicit(&h->paused, memory_order_relaxed);
	f->queued = stat_get(&h->queued);
	f->queued_packets = atomic_load_explicit(&h->queued_packets, memory_order_relaxed);
}

// Flow nr of a transport, or false.
static bool flow_get(const struct api *a, const struct transport *tp,
	const struct transport_info *info, unsigned nr, struct api_flow *f)
{
	struct transport_flow_info i;
	const struct stats_hop *h;

	if (!transport_flow_get(tp, nr, &i))
		return false;
	*f = (struct api_flow){.flow = (uint8_t)nr,
		.mode = info->conf.mode,
		.state = i.dead ? API_FLOW_SILENT
			 : i.up ? API_FLOW_UP
				: API_FLOW_DOWN,
		.local_port = i.local_port,
		.owner = i.owner != 0xff ? i.owner : UINT32_MAX};
	API_COPY(f->name, info->conf.name);
	memcpy(f->remote.ip, i.peer.ip, sizeof(f->remote.ip));
	f->remote.port = i.peer.port;
	h = api_stats_hop(api_stats(a), i.hop);
	if (h != NULL)
		flow_counters(h, f);
	if (f->rtt_us == 0) // a link in datagram mode measures by pings only
		f->rtt_us = i.rtt_us;
	if (!i.up)
		f->rtt_us = 0;
	return true;
}

// Sums, the round trips of flow 1, the least of all.
static void tp_counters(const struct api *a, const struct transport *tp,
	const struct transport_info *i, struct api_transport *t)
{
	struct api_flow f;

	for (unsigned nr = 1; flow_get(a, tp, i, nr, &f); nr++) {
		t->rx_packets += f.rx_packets;
		t->tx_packets += f.tx_packets;
		t->rx_bytes += f.rx_bytes;
		t->tx_bytes += f.tx_bytes;
		t->lost += f.lost;
		t->replayed += f.replayed;
		t->bad_tag += f.bad_tag;
		t->tx_lost += f.tx_lost;
		t->retransmitted += f.retransmitted;
		t->timeouts += f.timeouts;
		t->cwnd += f.cwnd;
		t->in_flight += f.in_flight;
		t->rate += f.rate;
		t->min_rtt_us = least(t->min_rtt_us, f.min_rtt_us);
		t->unacked += f.unacked;
		t->held += f.held;
		t->paused += f.paused;
		t->queued += f.queued;
		t->queued_packets += f.queued_packets;
		if (nr > 1)
			continue;
		t->rtt_us = f.rtt_us;
		t->rekeys = f.rekeys;
	}
}

// Probes of all flows; the path is the narrowest one that is known.
static void tp_mtu(const struct api *a, const struct transport *tp, struct api_transport *t)
{
	static const uint8_t states[] = {[PMTU_FIXED] = API_MTU_FIXED,
		[PMTU_BASE] = API_MTU_BASE,
		[PMTU_SEARCHING] = API_MTU_SEARCHING,
		[PMTU_COMPLETE] = API_MTU_COMPLETE,
		[PMTU_ERROR] = API_MTU_ERROR};
	struct transport_flow_info i;

	for (unsigned nr = 1; transport_flow_get(tp, nr, &i); nr++) {
		const struct stats_hop *h = api_stats_hop(api_stats(a), i.hop);
		uint32_t state, mtu;

		if (h == NULL)
			continue;
		t->mtu_probes += stat_get(&h->c[H_hop_mtu_probes]);
		t->mtu_acked += stat_get(&h->c[H_hop_mtu_acked]);
		t->mtu_lost += stat_get(&h->c[H_hop_mtu_lost]);
		t->black_holes += stat_get(&h->c[H_hop_black_holes]);
		state = atomic_load_explicit(&h->mtu_state, memory_order_relaxed);
		mtu = atomic_load_explicit(&h->path_mtu, memory_order_relaxed);
		if (mtu == 0 || least(t->mtu, mtu) == t->mtu)
			continue;
		t->mtu = mtu;
		t->mtu_state = state < ARRAY_LEN(states) ? states[state] : 0;
	}
}

static void tp_record(const struct api *a, struct api_req *r, struct transport *tp)
{
	struct transport_info i;
	struct api_transport t = {0};

	transport_info_get(tp, &i);
	API_COPY(t.name, i.conf.name);
	memcpy(t.peer, i.conf.peer.b, sizeof(t.peer));
	t.state = (uint8_t)i.state;
	t.origin = (uint8_t)i.conf.origin;
	t.mode = i.conf.mode;
	t.type = i.conf.type;
	t.cipher = cipher_word(&i);
	t.congestion = i.conf.mode == HOP_MODE_RELIABLE ? i.congestion : 0;
	t.initiator = i.initiator;
	t.dial = i.conf.dial;
	memcpy(t.tp_id, i.tp_id, sizeof(t.tp_id));
	memcpy(t.remote.ip, i.peer.ip, sizeof(t.remote.ip));
	t.remote.port = i.peer.port;
	t.owner = i.owner != 0xff ? i.owner : UINT32_MAX;
	t.up_ms = i.state == TRANSPORT_UP ? i.age_ms : 0;
	t.silent_ms = i.state == TRANSPORT_UP ? 0 : i.age_ms;
	t.key_age_ms = i.handshake_ms == API_NEVER_MS ? 0 : i.handshake_ms;
	if (i.handshake_ms != API_NEVER_MS)
		t.handshake_ns = clock_wall_ns() - i.handshake_ms * CLOCK_NS_PER_MS;
	t.handshakes = i.n_handshakes;
	API_COPY(t.note, i.why);
	t.flows = i.n_flows;
	tp_counters(a, tp, &i, &t);
	tp_mtu(a, tp, &t);
	api_req_record(r, &t, sizeof(t));
}

void api_list_transports(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	api_list_each_tp(ctx, r, tp_record, NULL);
}

static void flow_records(const struct api *a, struct api_req *r, struct transport *tp)
{
	struct transport_info i;
	struct api_flow f;

	transport_info_get(tp, &i);
	for (unsigned nr = 1; flow_get(a, tp, &i, nr, &f); nr++)
		api_req_record(r, &f, sizeof(f));
}

void api_list_flows(void *ctx, struct api_req *r, const void *payload, size_t len)
{
	api_list_each_tp(ctx, r, flow_records, NULL);
}
