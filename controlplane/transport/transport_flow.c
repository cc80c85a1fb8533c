// The flows of a transport: each is a hop of the data plane with a handle, receiver indices and a
// way to the peer of its own. How many the link has is agreed on by handshakes (transport_hs.c);
// what the data plane is told is transport_dp.c's.
#include "controlplane/transport/transport_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/dp/handles.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

LOG_MODULE("transport");

struct tp_flow *tp_flow_new(struct transport *t, unsigned nr)
{
	struct tp_flow **f = &t->flow[nr - 1];

	if (*f != NULL)
		return *f;
	*f = calloc(1, sizeof(**f));
	if (*f == NULL)
		return NULL;
	**f = (struct tp_flow){.t = t, .nr = (uint8_t)nr, .owner = TP_OWNER_ANY};
	return *f;
}

void tp_flows_free(struct transport *t)
{
	tp_handles_drop(t);
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++) {
		if (t->flow[i] == NULL)
			continue;
		neigh_put(t->flow[i]->ref);
		neigh_put(t->flow[i]->roam_ref);
		free(t->flow[i]);
		t->flow[i] = NULL;
	}
}

unsigned tp_flows_wanted(const struct transport *t)
{
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);
	unsigned n = t->conf.flows != 0 ? t->conf.flows : t->m->conf.flows;

	if (t->carried != NULL)
		return 1;
	if (info != NULL && n > info->udp_ports)
		n = info->udp_ports;
	if (n > RAIL_FLOWS_MAX)
		n = RAIL_FLOWS_MAX;
	return n > 1 ? n : 1;
}

// ---- handles ----

static bool hop_want(struct tp_flow *f)
{
	struct transport_mgr *m = f->t->m;

	if (f->hop == 0)
		f->hop = handles_take(m->hops);
	if (f->hop != 0)
		m->by_hop[dpmsg_handle_index(f->hop)] = f;
	return f->hop != 0;
}

unsigned tp_flows_make(struct transport *t, unsigned n)
{
	unsigned most = tp_flows_wanted(t);

	if (n > most)
		n = most;
	for (unsigned nr = 2; nr <= n; nr++) {
		struct tp_flow *f = tp_flow_new(t, nr);

		if (f == NULL || !hop_want(f)) {
			log_limited(LOG_WARN,
				"transport %s: %u flows instead of %u: the data plane's hop table is "
				"full",
				t->conf.name, nr - 1, n);
			return nr - 1;
		}
	}
	return n;
}

void tp_handles_want(struct transport *t)
{
	struct transport_mgr *m = t->m;

	if (t->tp == 0)
		t->tp = handles_take(m->tps);
	if (!hop_want(t->flow[0]) || t->tp == 0) {
		tp_state_set(t, TRANSPORT_DOWN, "the data plane's hop table is full");
		return;
	}
	m->by_tp[dpmsg_handle_index(t->tp)] = t;
	// Rules may be made before there is a link: for the flows that it will probably have.
	if (!t->in_dp && !t->adding) {
		unsigned n = tp_flows_make(t, RAIL_FLOWS_MAX);

		if (t->handshake_mono_ns == 0 || n < t->n) {
			t->aim_due |= t->handshake_mono_ns != 0;
			t->n = (uint8_t)n;
		}
	}
}

void tp_handles_unmap(struct transport *t)
{
	struct transport_mgr *m = t->m;

	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++) {
		struct tp_flow *f = t->flow[i];

		if (f != NULL && f->hop != 0 && m->by_hop[dpmsg_handle_index(f->hop)] == f)
			m->by_hop[dpmsg_handle_index(f->hop)] = NULL;
	}
	if (t->tp != 0 && m->by_tp[dpmsg_handle_index(t->tp)] == t)
		m->by_tp[dpmsg_handle_index(t->tp)] = NULL;
}

void tp_handles_drop(struct transport *t)
{
	tp_handles_unmap(t);
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++) {
		if (t->flow[i] == NULL)
			continue;
		handles_put(t->m->hops, t->flow[i]->hop);
		t->flow[i]->hop = 0;
	}
	handles_put(t->m->tps, t->tp);
	t->tp = 0;
}

int tp_handle_tp_take(struct transport *t, uint32_t tp)
{
	int rc = handles_take_exact(t->m->tps, tp);

	if (rc != 0)
		return rc;
	t->tp = tp;
	t->m->by_tp[dpmsg_handle_index(tp)] = t;
	return 0;
}

int tp_handle_hop_take(struct tp_flow *f, uint32_t hop)
{
	int rc = handles_take_exact(f->t->m->hops, hop);

	if (rc != 0)
		return rc;
	f->hop = hop;
	f->t->m->by_hop[dpmsg_handle_index(hop)] = f;
	return 0;
}

// ---- receiver indices ----

bool tp_indices_take(struct transport *t, uint32_t *rx_index, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rx_index[i] = rx_index_take(t->m->rx, t);
		if (rx_index[i] == 0) {
			tp_indices_put(t, rx_index, i);
			return false;
		}
	}
	return true;
}

void tp_indices_put(struct transport *t, uint32_t *rx_index, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		rx_index_put(t->m->rx, rx_index[i]);
		rx_index[i] = 0;
	}
}

void tp_flow_key(struct tp_flow *f, uint32_t rx_index)
{
	rx_index_put(f->t->m->rx, f->rx_old); // two back: the data plane has wiped it
	f->rx_old = f->rx_index;
	f->rx_old_ns = clock_mono_ns();
	f->rx_index = rx_index;
	f->dead = f->unheard = false;
}

void tp_flow_forget(struct tp_flow *f)
{
	struct transport_mgr *m = f->t->m;

	neigh_put(f->roam_ref);
	f->roam_ref = NULL;
	f->roamed = (struct dpmsg_addr){0};
	rx_index_put(m->rx, f->rx_index);
	rx_index_put(m->rx, f->rx_old);
	rx_index_put(m->rx, f->pending);
	rx_index_put(m->rx, f->crossed);
	f->rx_index = f->rx_old = f->pending = f->crossed = 0;
	f->instance_remote = 0;
	f->in_dp = f->dead = f->unheard = f->unsure = false;
	f->dp_adj = 0;
}

bool tp_any_dead(const struct transport *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->flow[i] != NULL && t->flow[i]->dead)
			return true;
	return false;
}

// ---- ways ----

static void on_path(void *arg, const struct neigh_path *path)
{
	struct tp_flow *f = arg;
	struct transport *t = f->t;

	if (!t->m->ready || t->removed || !f->in_dp || tp_why_no_way(path) != NULL)
		return;
	if (f->dp_adj != path->adj || memcmp(&f->dp_peer, &f->peer, sizeof(f->peer)) != 0)
		tp_dp_path(f);
}

int tp_path_want(struct tp_flow *f)
{
	struct transport *t = f->t;
	struct neigh_ref *ref =
		neigh_resolve(t->m->conf.neigh, f->peer.ip, t->scope_if, on_path, f);

	if (ref == NULL)
		return -errno;
	neigh_put(f->ref);
	f->ref = ref;
	return 0;
}

static void on_roam_path(void *arg, const struct neigh_path *path)
{
	struct tp_flow *f = arg;

	if (path->state != NEIGH_USABLE || f->roamed.port == 0)
		return;
	log_info("transport %s: the peer's address changed, flow=%u", f->t->conf.name, f->nr);
	f->peer = f->roamed;
	f->roamed = (struct dpmsg_addr){0};
	tp_path_want(f); // its callback sends the path
	neigh_put(f->roam_ref);
	f->roam_ref = NULL;
}

void tp_flow_roamed(struct tp_flow *f, const struct dpmsg_addr *to)
{
	struct transport *t = f->t;

	if (to->port == 0 || memcmp(to, &f->peer, sizeof(*to)) == 0)
		return;
	neigh_put(f->roam_ref);
	f->roamed = *to;
	f->roam_ref = neigh_resolve(t->m->conf.neigh, to->ip, t->scope_if, on_roam_path, f);
}
