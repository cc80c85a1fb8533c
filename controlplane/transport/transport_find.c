// Transports by name, handle, peer or id, and what they say about themselves. Nothing here changes
// one.
#include "controlplane/transport/transport_priv.h"
#include "controlplane/transport/transport_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/wire/entry.h"
#include "lib/wire/rail_frame.h"

// ---- finding ----

struct transport *transport_mgr_find(struct transport_mgr *m, const char *name)
{
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		if (strcmp(t->conf.name, name) == 0)
			return t;
	}
	return NULL;
}

struct transport *transport_mgr_find_id(struct transport_mgr *m, const uint8_t id[16])
{
	return htab_find(m->by_id, id);
}

struct transport *transport_mgr_find_peer(
	struct transport_mgr *m, const struct key_pk *peer, int type)
{
	static const enum transport_type best[] = {
		TRANSPORT_RAIL, TRANSPORT_STCPR, TRANSPORT_STCP, TRANSPORT_DMSG};
	uint8_t id[ENTRY_ID_LEN];
	struct transport *t;

	for (size_t i = 0; type < 0 && i < ARRAY_LEN(best); i++) {
		t = transport_mgr_find_peer(m, peer, (int)best[i]);
		if (t != NULL && transport_is_up(t))
			return t;
	}
	if (type < 0 || entry_transport_id(id, m->self.pk->b, peer->b,
				transport_type_name((enum transport_type)type)) != 0)
		return NULL;
	return htab_find(m->by_id, id);
}

struct transport *tp_find_rail(struct transport_mgr *m, const struct key_pk *pk)
{
	return transport_mgr_find_peer(m, pk, TRANSPORT_RAIL);
}

struct transport *transport_mgr_find_tp(struct transport_mgr *m, uint32_t tp)
{
	struct transport *t = m->by_tp[dpmsg_handle_index(tp)];

	return t != NULL && t->tp == tp ? t : NULL;
}

struct transport *transport_mgr_find_hop(struct transport_mgr *m, uint32_t hop)
{
	struct tp_flow *f = m->by_hop[dpmsg_handle_index(hop)];

	return f != NULL && f->hop == hop ? f->t : NULL;
}

// ---- what they are ----

const char *transport_state_name(enum transport_state s)
{
	static const char *const names[] = {"down", "resolving", "handshake", "up", "dead"};

	return (size_t)s < ARRAY_LEN(names) ? names[s] : "?";
}

const char *transport_type_name(enum transport_type type)
{
	static const char *const names[TRANSPORT_N_TYPES] = {
		ENTRY_TYPE_RAIL, "stcp", "stcpr", "dmsg"};

	return (size_t)type < TRANSPORT_N_TYPES ? names[type] : "?";
}

bool transport_type_has_address(enum transport_type type)
{
	return type == TRANSPORT_RAIL || type == TRANSPORT_STCP;
}

enum transport_type transport_type(const struct transport *t)
{
	return (enum transport_type)t->conf.type;
}

const struct key_pk *transport_peer(const struct transport *t)
{
	return &t->conf.peer;
}

const uint8_t *transport_id(const struct transport *t)
{
	return t->tp_id;
}

static uint32_t age_ms(uint64_t since_ns)
{
	uint64_t ms = (clock_mono_ns() - since_ns) / CLOCK_NS_PER_MS;

	return ms < 0xffffffff ? (uint32_t)ms : 0xfffffffe;
}

const char *transport_name(const struct transport *t)
{
	return t->conf.name;
}

uint32_t transport_tp(const struct transport *t)
{
	return t->tp;
}

uint32_t transport_hop(const struct transport *t, uint32_t next_id)
{
	const struct tp_flow *f = t->flow[rail_flow_of(next_id, t->n) - 1];

	return f != NULL ? f->hop : 0;
}

unsigned transport_worker(const struct transport *t)
{
	return t->flow[0]->owner != 0xff ? t->flow[0]->owner : 0;
}

unsigned transport_worker_of(const struct transport *t, uint32_t hop)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->flow[i] != NULL && t->flow[i]->hop == hop && t->flow[i]->owner != 0xff)
			return t->flow[i]->owner;
	return transport_worker(t);
}

bool transport_flow_get(const struct transport *t, unsigned nr, struct transport_flow_info *out)
{
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);
	const struct tp_flow *f = nr >= 1 && nr <= t->n ? t->flow[nr - 1] : NULL;

	memset(out, 0, sizeof(*out));
	if (f == NULL)
		return false;
	out->nr = (uint8_t)nr;
	out->owner = f->owner;
	out->in_dp = t->in_dp && f->in_dp;
	out->dead = f->dead;
	out->up = t->carried != NULL ? transport_is_up(t)
				     : f->in_dp && f->rx_index != 0 && !f->dead && !f->unheard &&
					       t->state != TRANSPORT_DOWN;
	out->local_port =
		info != NULL && t->carried == NULL ? (uint16_t)(info->udp_port + nr - 1) : 0;
	out->hop = f->hop;
	out->rtt_us = f->rtt_us;
	out->peer = f->peer;
	return true;
}

bool transport_is_up(const struct transport *t)
{
	return t->state == TRANSPORT_UP;
}

bool transport_in_dp(const struct transport *t)
{
	return t->in_dp;
}

void transport_info_get(const struct transport *t, struct transport_info *out)
{
	const struct tp_flow *first = t->flow[0];

	memset(out, 0, sizeof(*out));
	out->conf = t->conf;
	out->state = t->state;
	out->tp = t->tp;
	out->hop = first->hop;
	out->n_flows = t->n;
	memcpy(out->tp_id, t->tp_id, sizeof(out->tp_id));
	out->peer = first->peer.port != 0 ? first->peer : t->dial_peer;
	out->owner = first->owner;
	out->cipher = (uint8_t)t->cipher;
	out->congestion = tp_congestion(t);
	out->initiator = t->initiator;
	out->in_dp = t->in_dp;
	out->age_ms = age_ms(t->state_ns);
	out->handshake_ms = t->handshake_mono_ns != 0 ? age_ms(t->handshake_mono_ns) : 0xffffffff;
	out->rtt_us = first->rtt_us;
	out->n_handshakes = t->n_handshakes;
	out->n_rekeys = t->n_rekeys;
	out->n_failures = t->n_failures;
	memcpy(out->why, t->why, sizeof(out->why));
}

// ---- walks that pause ----

struct transport_walk {
	struct transport_mgr *m;
	struct tp_iter it;
};

struct transport_walk *transport_walk_new(struct transport_mgr *m)
{
	struct transport_walk *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return errno_null(ENOMEM);
	w->m = m;
	tp_iter_begin(m, &w->it);
	return w;
}

struct transport *transport_walk_next(struct transport_walk *w)
{
	return tp_iter_next(w->m, &w->it);
}

void transport_walk_free(struct transport_walk *w)
{
	if (w == NULL)
		return;
	tp_iter_end(w->m, &w->it);
	free(w);
}
