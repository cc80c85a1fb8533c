// What lives in the data plane when we come, or when events were lost: hops are dumped, those of
// one transport are gathered, and their handles, receiver indices and keys taken over as they are.
// What does not make a whole link that the configuration allows is closed.
#include "controlplane/transport/transport_priv.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/dp/handles.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/link/rail_cookie.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("transport");

static struct transport *adopted_new(struct transport_mgr *m, const struct evt_hop *e)
{
	struct transport_conf conf = {.addr = e->peer,
		.mode = e->mode,
		.ciphers = (uint8_t)(1u << e->cipher | TRANSPORT_AUTO),
		.origin = e->flags & HOP_ACCEPTED ? TRANSPORT_ACCEPTED : TRANSPORT_ADOPTED};

	// What the node says holds for those that it accepts, as when it accepted them.
	if (conf.origin != TRANSPORT_ACCEPTED) {
		conf.congestion = e->congestion;
		conf.path_mtu = e->path_mtu != 0 ? e->path_mtu : TRANSPORT_MTU_AUTO;
		conf.flows = e->n_flows;
	}

	memcpy(conf.peer.b, e->peer_pk, sizeof(conf.peer.b));
	snprintf(conf.name, sizeof(conf.name), "%s", e->name);
	return tp_new(m, &conf);
}

static void indices_adopt(struct tp_flow *f, const struct evt_hop *e)
{
	struct rx_index *rx = f->t->m->rx;

	tp_indices_put(f->t, &f->rx_index, 1);
	tp_indices_put(f->t, &f->rx_old, 1);
	if (rx_index_take_exact(rx, e->rx_index[0], f->t) == 0)
		f->rx_index = e->rx_index[0];
	// Of the others one is on its way out; the other was pending for a control plane that died.
	for (int i = 1; i < 3; i++) {
		if (f->rx_old == 0 && rx_index_take_exact(rx, e->rx_index[i], f->t) == 0)
			f->rx_old = e->rx_index[i];
	}
	f->rx_old_ns = clock_mono_ns();
}

static void flow_adopt(struct tp_flow *f, const struct evt_hop *e)
{
	indices_adopt(f, e);
	f->owner = e->owner;
	f->instance_remote = e->instance_remote;
	f->peer = e->peer;
	f->dp_peer = e->peer;
	f->dp_adj = e->adj;
	f->rtt_us = e->rtt_us;
	f->dead = e->up == 0;
	tp_path_want(f);
}

// The link as it is there, keys and all.
static void link_adopt(struct transport *t, const struct evt_hop *e)
{
	t->n = e->n_flows;
	t->congestion = e->congestion;
	t->path_mtu = e->path_mtu;
	t->patience = (struct tp_patience){.retransmit_limit = e->retransmit_limit,
		.window_log2 = e->window_log2,
		.silence_s = e->silence_s};
	t->cipher = (enum aead_cipher)e->cipher;
	t->initiator = e->initiator != 0;
	t->instance_local = e->instance_local;
	t->instance_remote = e->instance_remote;
	// Only a time that the peer itself gave may be held against it.
	t->last_time_ns = t->initiator ? 0 : e->handshake_ns;
	t->payload_max = e->payload_max;
	t->handshake_mono_ns = clock_mono_ns() - (uint64_t)e->key_age_ms * CLOCK_NS_PER_MS;
}

static void adopt(struct transport *t, const struct evt_hop *e)
{
	struct tp_flow *f = tp_flow_new(t, e->flow);
	bool begins = !t->adopted;

	if (begins)
		tp_handles_drop(t);
	if (f == NULL || f->in_dp || (t->tp != e->tp && tp_handle_tp_take(t, e->tp) != 0) ||
		tp_handle_hop_take(f, e->hop) != 0) {
		log_err("transport %s: its handles in the data plane are not usable", t->conf.name);
		if (begins)
			tp_handles_drop(t);
		return;
	}
	if (begins || f->nr == 1)
		link_adopt(t, e);
	flow_adopt(f, e);
	f->in_dp = f->seen = true;
	t->adopted = true;
}

// All flows of one instance are there.
static bool is_whole(const struct transport *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct tp_flow *f = t->flow[i];

		if (f == NULL || !f->in_dp || f->instance_remote != t->instance_remote)
			return false;
	}
	return true;
}

// All that there is of t has been dumped. False: its peer may not connect, and t may be gone.
static bool adopt_end(struct transport *t, uint8_t mode)
{
	bool whole = is_whole(t), dead = whole && tp_any_dead(t);

	t->in_dp = true;
	log_info("transport %s: taken over from the data plane, flows=%u %s", t->conf.name, t->n,
		!whole ? "incomplete"
		: dead ? "down"
		       : "up");
	if (!tp_policy(t))
		return false;
	if (!whole || mode != t->conf.mode || !tp_link_fits(t)) {
		tp_link_unfit(t); // on_synced() dials
		return true;
	}
	tp_dp_flows(t, t->n);
	t->aim_due = true; // whether the one before us got to it nobody knows
	tp_dp_tell(t);
	tp_state_set(t, dead ? TRANSPORT_DEAD : TRANSPORT_UP, dead ? "silent" : NULL);
	return true;
}

static bool evt_hop_is_sane(const struct transport_mgr *m, const struct evt_hop *e)
{
	struct key_pk pk;

	memcpy(pk.b, e->peer_pk, sizeof(pk.b));
	return e->flow >= 1 && e->flow <= RAIL_FLOWS_MAX && e->n_flows >= 1 &&
	       e->n_flows <= RAIL_FLOWS_MAX && e->cipher < AEAD_N_CIPHERS &&
	       e->congestion <= HOP_CC_CUBIC && e->hop != 0 && e->tp != 0 && e->peer.port != 0 &&
	       key_pk_is_valid(&pk) && key_pk_cmp(&pk, m->self.pk) != 0;
}

// A key that we knew nothing of is in use, or not the one that we believe. While commands are under
// way the record may be older than what they say: asked again.
static void keys_learn(struct tp_flow *f, const struct evt_hop *e)
{
	struct transport *t = f->t;

	if (t->n_cmds != 0)
		return;
	f->unsure = false;
	if (e->up == 0 || e->rx_index[0] == 0 || e->rx_index[0] == f->rx_index)
		return;
	log_info("transport %s: another key than ours is in use: of a control plane before us, or "
		 "since the last one was refused",
		t->conf.name);
	tp_hs_answer_drop(t);
	tp_hs_stop(t);
	tp_rekey_stop(t);
	if (e->n_flows == t->n) {
		link_adopt(t, e);
		flow_adopt(f, e);
	}
	if (e->n_flows == t->n && tp_link_fits(t)) {
		tp_dp_keyed(f, f->rx_index);
	} else {
		tp_link_unfit(t);
		tp_dial(t);
	}
}

static void on_hops_dumped(void *arg, int status, uint32_t aux)
{
	struct transport_mgr *m = arg;

	(void)status, (void)aux;
	m->dumping = m->keys_unsure = false;
	for (struct transport *t = m->first; t != NULL; t = t->next)
		for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
			m->keys_unsure |= t->flow[i] != NULL && t->flow[i]->unsure;
}

void tp_dp_ask(struct transport_mgr *m)
{
	if (m->keys_unsure && !m->dumping)
		m->dumping = dp_client_dump(m->conf.dp, DUMP_HOPS, 0, 0, on_hops_dumped, m) == 0;
}

// A hop that we know: events about it may have been lost.
static void on_known_hop(struct tp_flow *f, const struct evt_hop *e)
{
	f->seen = true;
	if (f->unsure) {
		keys_learn(f, e);
		return;
	}
	if (e->up != 0 || e->rx_index[0] != f->rx_index)
		tp_dp_keyed(f, e->rx_index[0]);
	if (e->up == 0 && !f->dead && f->t->state == TRANSPORT_UP)
		tp_dp_dead(f, "silent");
}

static void on_hop(void *arg, const struct evt_hop *e)
{
	struct transport_mgr *m = arg;
	struct key_pk pk;
	struct transport *t;
	struct tp_flow *f;

	// Of those that are carried only ours are there: the data plane keeps no other's.
	if (e->mode == HOP_MODE_CARRIED) {
		f = m->by_hop[dpmsg_handle_index(e->hop)];
		if (f != NULL && f->hop == e->hop)
			f->seen = true;
		return;
	}
	if (!evt_hop_is_sane(m, e) || m->rx == NULL)
		return;
	memcpy(pk.b, e->peer_pk, sizeof(pk.b));
	t = tp_find_rail(m, &pk);
	f = t != NULL ? t->flow[e->flow - 1] : NULL;
	if (f != NULL && t->in_dp && f->in_dp && f->hop == e->hop) {
		on_known_hop(f, e);
		return;
	}
	if (m->ready)
		return; // known, but another hop: an old record
	if (t == NULL)
		t = adopted_new(m, e);
	if (t == NULL)
		return;
	adopt(t, e);
	t->adopted_mode = e->mode;
}

void tp_cookies_tell(struct transport_mgr *m)
{
	struct cmd_cookies c = {.h.type = CMD_COOKIES};
	struct hs_limit_regime r;

	m->cookies_due |= hs_limit_turn(m->limit, clock_mono_ns());
	if (!m->cookies_due || dp_client_info(m->conf.dp) == NULL ||
		getrandom(c.salt, sizeof(c.salt), 0) != sizeof(c.salt))
		return;
	hs_limit_regime_get(m->limit, &r);
	rail_cookie_key(c.key, m->self.pk);
	memcpy(c.secret, r.secret, sizeof(c.secret));
	c.n_secrets = (uint8_t)r.n_secrets;
	c.demand = r.demand;
	if (r.demand != m->demand) {
		m->demand = r.demand;
		m->stats.hs_demands_all += r.demand;
		log_notice("%s", r.demand ? "too many handshakes: cookies are demanded"
					  : "handshakes are few again: no cookies are demanded");
	}
	// Without room the tick tries again.
	m->cookies_due = dp_client_send(m->conf.dp, &c, sizeof(c), NULL, NULL) != 0;
	key_wipe(&c, sizeof(c));
	key_wipe(&r, sizeof(r));
}

static void on_sync_begin(void *arg, enum dp_sync why)
{
	struct transport_mgr *m = arg;
	const struct region_hdr *info = dp_client_info(m->conf.dp);

	tp_packets_sync(m, true);
	m->cookies_due = true; // it may be another data plane
	tp_cookies_tell(m);
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		t->adopted = false;
		for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
			if (t->flow[i] != NULL)
				t->flow[i]->seen = false;
	}
	if (why == DP_SYNC_OVERFLOW || info == NULL)
		return;
	rx_index_free(m->rx);
	m->rx = rx_index_new(info->rx_index_bits);
	if (m->rx == NULL)
		log_err("no memory for 2^%u receiver indices", info->rx_index_bits);
	carriers_attach(m->car.threads, dp_client_region(m->conf.dp), info->hop_max);
	handles_set_max(m->hops, info->hop_max);
	handles_set_max(m->tps, info->hop_max);
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		bool fits = dpmsg_handle_index(t->tp) < info->hop_max;

		for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
			fits = fits && (t->flow[i] == NULL ||
					       dpmsg_handle_index(t->flow[i]->hop) < info->hop_max);
		// Those that live there come first; the rest choose among what is left.
		if (why == DP_SYNC_ADOPT || !fits)
			tp_handles_drop(t);
	}
}

// Hops of it are gone that should be there.
static bool is_missing(const struct transport *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->flow[i] == NULL || !t->flow[i]->seen)
			return true;
	return false;
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct transport_mgr *m = arg;
	struct transport *t;
	struct tp_iter it;

	m->ready = m->rx != NULL;
	tp_packets_sync(m, false);
	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it)) {
		if (t->adopted && !t->in_dp && !adopt_end(t, t->adopted_mode))
			continue;
		t->adopted = false;
		if (t->in_dp && why == DP_SYNC_OVERFLOW && is_missing(t)) {
			tp_dp_del(t, RAIL_CLOSE_REQUESTED, "the data plane lost it");
			tp_state_set(t, TRANSPORT_DOWN, "the data plane lost it");
		}
		tp_handles_want(t);
		if (t->state == TRANSPORT_DOWN && !t->in_dp)
			tp_state_set(t, TRANSPORT_DOWN, NULL); // that there was no data plane
		if (t->state != TRANSPORT_UP)
			tp_dial(t);
	}
}

static void on_let_go(void *arg)
{
	struct transport_mgr *m = arg;

	carriers_detach(m->car.threads);
}

static void on_detach(void *arg)
{
	struct transport_mgr *m = arg;
	struct transport *t;
	struct tp_iter it;

	m->ready = false;
	tp_calls_close(m);
	while (m->pings != NULL) // none begins while we are not ready
		tp_ping_end(m->pings, -ENOTCONN, 0);
	tp_outbox_tick(m, 0, true);
	// What was not told yet is found when we attach again.
	tp_dels_drop(m);
	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it)) {
		tp_dp_forget(t);
		tp_state_set(t, TRANSPORT_DOWN, "no data plane");
	}
	rx_index_free(m->rx);
	m->rx = NULL;
}

// The ends that found no room.
static void on_room(void *arg)
{
	tp_packets_on_room(arg);
	tp_dels_retry(arg);
}

void tp_dp_handlers(struct transport_mgr *m)
{
	m->handler = (struct dp_handler){.arg = m,
		.on_let_go = on_let_go,
		.on_detach = on_detach,
		.on_sync_begin = on_sync_begin,
		.on_synced = on_synced,
		.on_hop = on_hop,
		.on_room = on_room,
		.on_hop_note = tp_dp_notes,
		.on_rule = tp_packets_on_rule,
		.on_rule_gone = tp_packets_on_rule_gone,
		.on_route_pause = tp_packets_on_pause,
		.on_carried = tp_packets_on_carried,
		.on_route_end = tp_packets_on_end,
		.on_handshake = tp_hs_on_datagram,
		.on_rekey = tp_rekey_on_message};
	dp_client_register(m->conf.dp, &m->handler);
}
