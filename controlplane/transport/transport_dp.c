// The data plane's side of transports: keys, ways and ends as commands, and hop events. A transport
// has a hop for each flow; what is said about a link goes to all of them. An event that names a hop
// we don't know is ignored, for events may be old. What lived before us is transport_adopt.c's.
#include "controlplane/transport/transport_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/link/rel.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("transport");

// ---- keys ----

struct key_cmd {
	struct key_set *set;
	struct tp_flow *flow;
	bool add;
};

// The commands that hand over the keys of one handshake.
struct key_set {
	struct transport *t;
	uint32_t rx_index, life;
	unsigned left; // answers
	int status; // of the first one that failed
	bool add; // the link was not there
	tp_keys_fn done;
	struct key_cmd cmd[];
};

static void del_flows(struct transport *t, uint32_t flows, const struct cmd_hop_del *c);

static void on_key_answer(struct key_cmd *c, int status, uint32_t aux)
{
	struct tp_flow *f = c->flow;

	if (status != 0 && c->set->status == 0)
		c->set->status = status;
	if (!c->add)
		return;
	// A dump under way may have passed its place already.
	f->seen = f->in_dp = status == 0;
	f->owner = status == 0 && aux < DPMSG_MAX_WORKERS ? (uint8_t)aux : 0xff;
	// One that we believed gone still holds our handle: away with it, the next try finds the
	// place free.
	if (status == -EEXIST)
		del_flows(f->t, 1u << (f->nr - 1), &(struct cmd_hop_del){0});
}

static void on_keys_done(void *arg, int status, uint32_t aux)
{
	struct key_cmd *c = arg;
	struct key_set *set = c->set;
	struct transport *t = set->t;
	// A link that was ended meanwhile has nothing to do with it.
	bool counts = !t->removed && status != -ECONNRESET && set->life == t->life;

	t->n_keys--;
	set->left--;
	if (counts)
		on_key_answer(c, status, aux);
	if (counts && set->left == 0) {
		if (set->add)
			t->adding = false;
		if (set->add && set->status == 0) {
			t->in_dp = true;
			tp_dp_tell(t);
		}
		set->done(t, set->status, set->rx_index);
	}
	if (set->left == 0)
		free(set);
	tp_cmd_done(t);
}

// What both ends keep: the smaller window counts (TLV 10).
static uint8_t rel_window(uint8_t peers)
{
	return peers >= RAIL_WINDOW_LOG2_MIN && peers < RAIL_WINDOW_LOG2_DEFAULT
		       ? peers
		       : (uint8_t)RAIL_WINDOW_LOG2_DEFAULT;
}

struct tp_patience tp_patience(const struct transport_mgr *m)
{
	const struct transport_mgr_conf *c = &m->conf;
	uint32_t n = c->replay_window != 0 ? c->replay_window : RAIL_REPLAY_WINDOW;

	return (struct tp_patience){.retransmit_limit = c->retransmit_limit != 0
								? c->retransmit_limit
								: REL_RETRANSMIT_LIMIT,
		.silence_s = c->silence_s != 0 ? c->silence_s : REL_SILENCE_S,
		.window_log2 = (uint8_t)__builtin_ctz(n)};
}

// Limits of reliable mode mean nothing in the other.
static bool patience_fits(const struct transport *t)
{
	struct tp_patience want = tp_patience(t->m);

	return t->patience.window_log2 == want.window_log2 &&
	       (t->conf.mode != HOP_MODE_RELIABLE ||
		       (t->patience.retransmit_limit == want.retransmit_limit &&
			       t->patience.silence_s == want.silence_s));
}

uint8_t tp_congestion(const struct transport *t)
{
	if (t->conf.congestion != HOP_CC_DEFAULT)
		return t->conf.congestion;
	return t->m->conf.congestion != HOP_CC_DEFAULT ? t->m->conf.congestion : HOP_CC_BBR;
}

uint16_t tp_path_mtu(const struct transport *t)
{
	uint16_t mtu = t->conf.path_mtu != 0 ? t->conf.path_mtu : t->m->conf.path_mtu;

	return mtu != TRANSPORT_MTU_AUTO ? mtu : 0;
}

struct dpmsg_addr tp_flow_addr(
	const struct dpmsg_addr *first, const struct rail_hs_keys *keys, unsigned nr)
{
	struct dpmsg_addr a = *first;

	if (nr > 1)
		a.port = keys->port[nr - 2];
	return a;
}

// Where its datagrams come in is known of flow 1 alone; the next ones go to the next workers.
static uint8_t flow_owner(const struct tp_keys_for *k, const struct region_hdr *info, unsigned nr)
{
	return k->owner == TP_OWNER_ANY ? TP_OWNER_ANY
					: (uint8_t)((k->owner + nr - 1) % info->n_workers);
}

static int keys_fill(struct dpmsg_keys *out, const struct rail_hs_keys *k, unsigned nr)
{
	struct rail_hs_flow f;
	int rc = rail_hs_flow_make(k, nr, &f);

	if (rc != 0)
		return rc;
	out->rx_index = f.rx_index;
	out->tx_index = f.tx_index;
	memcpy(out->rx_key, f.rx_key, sizeof(out->rx_key));
	memcpy(out->tx_key, f.tx_key, sizeof(out->tx_key));
	out->cipher = (uint8_t)k->cipher;
	out->initiator = k->initiator;
	rail_hs_flow_wipe(&f);
	return 0;
}

static int send_add(struct tp_flow *f, const struct tp_keys_for *k, struct key_cmd *cmd)
{
	struct transport *t = f->t;
	const struct transport_mgr_conf *conf = &t->m->conf;
	const struct region_hdr *info = dp_client_info(conf->dp);
	const struct tp_patience patience = tp_patience(t->m);
	struct cmd_hop_add a = {
		.h.type = CMD_HOP_ADD,
		.hop = f->hop,
		.tp = t->tp,
		.flow = f->nr,
		.n_flows = k->keys->n_flows,
		.mode = t->conf.mode,
		.owner = flow_owner(k, info, f->nr),
		.window_log2 = patience.window_log2,
		.rel_window_log2 = rel_window(k->window_log2),
		.instance_local = t->instance_local,
		.instance_remote = k->instance_remote,
		.handshake_ns = k->handshake_ns,
		.peer = tp_flow_addr(k->peer, k->keys, f->nr),
		.adj = k->adj,
		.local_port = (uint16_t)(info->udp_port + f->nr - 1),
		.payload_max = k->payload_max,
		.keepalive_ms = conf->keepalive_ms,
		.dead_ms = conf->dead_ms,
		.rekey_ms = conf->rekey_ms,
		.flags = t->conf.origin == TRANSPORT_ACCEPTED ? HOP_ACCEPTED : 0,
		.congestion = tp_congestion(t),
		.retransmit_limit = patience.retransmit_limit,
		.silence_s = patience.silence_s,
		.path_mtu = tp_path_mtu(t),
	};
	int rc;

	memcpy(a.tp_id, t->tp_id, sizeof(a.tp_id));
	memcpy(a.peer_pk, t->conf.peer.b, sizeof(a.peer_pk));
	snprintf(a.name, sizeof(a.name), "%s", t->conf.name);
	rc = keys_fill(&a.keys, k->keys, f->nr);
	if (rc == 0)
		rc = dp_client_send(conf->dp, &a, sizeof(a), on_keys_done, cmd);
	key_wipe(&a.keys, sizeof(a.keys));
	if (rc == 0) {
		t->congestion = a.congestion;
		t->path_mtu = a.path_mtu;
		t->patience = patience;
	}
	return rc;
}

// Another instance of the peer, or another number of flows: the state of before is worth nothing.
static bool is_reset(const struct tp_flow *f, const struct tp_keys_for *k)
{
	return f->instance_remote != k->instance_remote || k->keys->n_flows != f->t->n;
}

static int send_rekey(struct tp_flow *f, const struct tp_keys_for *k, struct key_cmd *cmd)
{
	struct transport *t = f->t;
	struct cmd_hop_rekey r = {
		.h.type = CMD_HOP_REKEY,
		.hop = f->hop,
		.flags = is_reset(f, k) ? HOP_RESET : 0,
		.instance_local = t->instance_local,
		.instance_remote = k->instance_remote,
		.handshake_ns = k->handshake_ns,
		.adj = k->adj,
		.payload_max = k->payload_max,
		.rel_window_log2 = is_reset(f, k) ? rel_window(k->window_log2) : 0,
		.n_flows = k->keys->n_flows,
	};
	int rc;

	if (k->peer != NULL)
		r.peer = tp_flow_addr(k->peer, k->keys, f->nr);
	rc = keys_fill(&r.keys, k->keys, f->nr);
	if (rc == 0)
		rc = dp_client_send(t->m->conf.dp, &r, sizeof(r), on_keys_done, cmd);
	key_wipe(&r.keys, sizeof(r.keys));
	return rc;
}

// There is room for all of the commands, so they are sent all, but for want of memory somewhere.
static int send_keys(struct transport *t, const struct tp_keys_for *k, struct key_set *set)
{
	int rc = 0;

	for (unsigned i = 0; i < k->keys->n_flows && rc == 0; i++) {
		struct tp_flow *f = t->flow[i];

		set->cmd[i] = (struct key_cmd){.set = set, .flow = f, .add = !f->in_dp};
		rc = f->in_dp ? send_rekey(f, k, &set->cmd[i]) : send_add(f, k, &set->cmd[i]);
		if (rc != 0)
			break;
		// Known from the start: an init that comes again is no reset (nothing is lost).
		if (!f->in_dp)
			f->instance_remote = k->instance_remote;
		f->in_dp = true;
		set->left++;
		t->n_cmds++;
		t->n_keys++;
	}
	set->status = rc; // told with the answers to the others
	return set->left != 0 ? 0 : rc;
}

int tp_dp_keys(struct transport *t, const struct tp_keys_for *k)
{
	unsigned n = k->keys->n_flows;
	struct key_set *set;
	int rc;

	if (dp_client_info(t->m->conf.dp) == NULL)
		return -ENOTCONN;
	if (t->del_due != 0 || !dp_client_has_room(t->m->conf.dp, n, sizeof(struct cmd_hop_add)))
		return -EAGAIN; // the end of the one before is told first
	for (unsigned i = 0; i < n && k->peer == NULL; i++)
		if (!t->flow[i]->in_dp)
			return -ENOENT; // a re-key of a link that is gone
	set = calloc(1, sizeof(*set) + n * sizeof(set->cmd[0]));
	if (set == NULL)
		return -ENOMEM;
	*set = (struct key_set){.t = t,
		.rx_index = k->keys->rx_index[0],
		.life = t->life,
		.add = !t->in_dp && !t->adding,
		.done = k->done};
	rc = send_keys(t, k, set);
	if (rc != 0) {
		free(set);
		return rc;
	}
	if (set->add) {
		t->adding = true;
		t->instance_remote = k->instance_remote;
		// Nobody can have aimed rules at one that its peer makes just now.
		if (t->n != n &&
			(t->handshake_mono_ns != 0 || t->conf.origin != TRANSPORT_ACCEPTED))
			t->aim_due = true;
		t->n = (uint8_t)n;
	}
	return 0;
}

void tp_dp_tell(struct transport *t)
{
	tp_tell(t, TRANSPORT_CHANGE_IN_DP);
	if (t->aim_due) {
		t->aim_due = false;
		tp_tell(t, TRANSPORT_CHANGE_FLOWS);
	}
}

// ---- other commands ----

void tp_on_plain_done(void *arg, int status, uint32_t aux)
{
	struct transport *t = arg;

	(void)aux;
	if (status != 0 && status != -ECONNRESET && status != -ENOENT)
		log_limited(LOG_WARN, "transport %s: the data plane refused a command: %s",
			t->conf.name, strerror(-status));
	tp_cmd_done(t);
}

int tp_dp_path(struct tp_flow *f)
{
	struct transport *t = f->t;
	struct cmd_hop_path c = {.h.type = CMD_HOP_PATH, .hop = f->hop, .peer = f->peer};
	int rc;

	c.adj = neigh_path(f->ref)->adj;
	// Nothing else changes the address of a link that is there.
	c.roamed = memcmp(&f->dp_peer, &f->peer, sizeof(f->peer)) != 0;
	rc = dp_client_send(t->m->conf.dp, &c, sizeof(c), tp_on_plain_done, t);
	if (rc != 0)
		return rc;
	t->n_cmds++;
	f->dp_adj = c.adj;
	f->dp_peer = f->peer;
	return 0;
}

// The link has ended: nothing of it is known any more.
static void link_forget(struct transport *t)
{
	tp_carried_hang_up(t);
	tp_hs_stop(t);
	tp_rekey_stop(t);
	tp_hs_answer_drop(t);
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
		if (t->flow[i] != NULL)
			tp_flow_forget(t->flow[i]);
	t->instance_local = tp_random64();
	t->instance_remote = 0;
	t->in_dp = t->adding = false;
	t->life++;
}

bool tp_link_fits(const struct transport *t)
{
	if (t->carried != NULL)
		return true;
	if (t->handshake_mono_ns != 0 && (t->conf.ciphers & 1u << t->cipher) == 0)
		return false;
	if ((t->in_dp || t->adding) &&
		((t->conf.mode == HOP_MODE_RELIABLE && t->congestion != tp_congestion(t)) ||
			t->path_mtu != tp_path_mtu(t) || !patience_fits(t)))
		return false;
	if ((t->in_dp || t->adding || t->adopted) && t->n > tp_flows_wanted(t))
		return false;
	if (t->answer.on && !t->answer.sent_keys)
		return true; // nothing is agreed to yet
	return !t->pending.on || (t->conf.ciphers & 1u << t->pending.cipher) != 0;
}

void tp_link_unfit(struct transport *t)
{
	log_notice(
		"transport %s: its link is not what the configuration says: closing", t->conf.name);
	tp_dp_del(t, RAIL_CLOSE_REQUESTED, "the configuration changed");
	tp_state_set(t, TRANSPORT_DOWN, "closed: not what the configuration says");
}

// What is due; the rest when there is room.
static void send_dels(struct transport *t)
{
	bool sent = false;

	while (t->del_due != 0) {
		unsigned i = (unsigned)__builtin_ctz(t->del_due);
		int rc;

		t->del.hop = t->flow[i]->hop;
		rc = dp_client_send(t->m->conf.dp, &t->del, sizeof(t->del), tp_on_plain_done, t);
		if (rc == -EAGAIN)
			break; // on_room() is told when to try again
		t->del_due &= ~(1u << i);
		t->n_cmds += rc == 0;
		sent |= rc == 0;
	}
	if (sent)
		tp_outbox_linger(t);
	t->m->del_due |= t->del_due != 0;
}

static void del_flows(struct transport *t, uint32_t flows, const struct cmd_hop_del *c)
{
	t->del = *c;
	t->del.h.type = CMD_HOP_DEL;
	t->del_due |= flows;
	send_dels(t);
}

// Flows that have a hop, from flow `from` on, by bit.
static uint32_t flows_in_dp(const struct transport *t, unsigned from)
{
	uint32_t flows = 0;

	for (unsigned i = from - 1; i < RAIL_FLOWS_MAX; i++)
		if (t->flow[i] != NULL && t->flow[i]->in_dp)
			flows |= 1u << i;
	return flows;
}

void tp_dp_del(struct transport *t, uint8_t code, const char *text)
{
	struct cmd_hop_del c = {.send_close = 1, .code = code};
	uint32_t flows = flows_in_dp(t, 1);

	link_forget(t);
	if (flows == 0)
		return;
	c.text_len = (uint8_t)snprintf(c.text, sizeof(c.text), "%s", text);
	del_flows(t, flows, &c);
}

void tp_dp_flows(struct transport *t, unsigned n)
{
	uint32_t beyond = n < RAIL_FLOWS_MAX ? flows_in_dp(t, n + 1) : 0;

	t->aim_due |= t->n != n;
	t->n = (uint8_t)n;
	for (unsigned i = n; i < RAIL_FLOWS_MAX; i++)
		if (t->flow[i] != NULL)
			tp_flow_forget(t->flow[i]);
	if (beyond != 0) // the peer does the same
		del_flows(t, beyond, &(struct cmd_hop_del){0});
	if (t->aim_due && t->in_dp) {
		t->aim_due = false;
		tp_tell(t, TRANSPORT_CHANGE_FLOWS);
	}
}

void tp_dp_forget(struct transport *t)
{
	link_forget(t);
	for (unsigned i = 0; i < RAIL_FLOWS_MAX; i++)
		if (t->flow[i] != NULL)
			t->flow[i]->owner = 0xff;
	t->cookie_ns = 0;
}

void tp_dels_retry(struct transport_mgr *m)
{
	struct transport *t, *next;

	if (!m->del_due || !m->ready)
		return;
	m->del_due = false;
	for (t = m->first; t != NULL && !m->del_due; t = t->next)
		send_dels(t);
	for (t = m->dying; t != NULL && !m->del_due; t = next) {
		next = t->next;
		send_dels(t);
		tp_settle(t);
	}
}

void tp_dels_drop(struct transport_mgr *m)
{
	struct transport *t, *next;

	m->del_due = false;
	for (t = m->first; t != NULL; t = t->next)
		t->del_due = 0;
	for (t = m->dying; t != NULL; t = next) {
		next = t->next;
		t->del_due = 0;
		tp_settle(t);
	}
}

// ---- hop events ----

// A pending key is used: what its handshake would change, but for single flows, takes effect now.
static void pending_apply(struct transport *t)
{
	struct tp_pending *p = &t->pending;

	p->applied = true;
	tp_hs_answer_wipe(t);
	t->cipher = p->cipher;
	t->initiator = false;
	t->handshake_mono_ns = clock_mono_ns();
	if (p->inside) {
		t->n_rekeys++;
		t->m->stats.rekeys++;
	} else {
		t->n_handshakes++;
		t->instance_remote = p->instance_remote;
		t->last_time_ns = p->time_ns;
		memcpy(t->scope_if, p->scope_if, sizeof(t->scope_if));
		tp_dp_flows(t, p->n);
	}
	tp_hs_stop(t);
	tp_rekey_stop(t);
}

static bool any_pending(const struct transport *t)
{
	for (unsigned i = 0; i < t->pending.n; i++)
		if (t->flow[i]->pending != 0)
			return true;
	return false;
}

static void pending_use(struct tp_flow *f)
{
	struct transport *t = f->t;
	struct tp_pending *p = &t->pending;

	if (!p->applied)
		pending_apply(t);
	tp_flow_key(f, f->pending);
	f->pending = 0;
	if (!p->inside) {
		f->instance_remote = p->instance_remote;
		f->peer = f->dp_peer = f->pending_peer;
		f->dp_adj = neigh_path(p->ref)->adj;
		// Resolved anew with our own callback; the old way goes after the new one is there.
		tp_path_want(f);
	}
	if (any_pending(t))
		return;
	neigh_put(p->ref);
	*p = (struct tp_pending){0};
}

// What is wrong with a flow, for people.
static const char *flow_why(const struct tp_flow *f, const char *what, char why[TRANSPORT_WHY_MAX])
{
	bool newer = f->pending != 0 || f->peer.port == 0;
	unsigned port = newer ? f->pending_peer.port : f->peer.port;

	snprintf(why, TRANSPORT_WHY_MAX, "flow %u: %s; does UDP port %u get through?", f->nr, what,
		port);
	return why;
}

// Every flow has to be there: routes are spread over all of them.
void tp_dp_up(struct transport *t)
{
	char why[TRANSPORT_WHY_MAX];

	for (unsigned i = 0; i < t->n; i++) {
		const struct tp_flow *f = t->flow[i];

		if (!f->dead && !f->unheard && (f->pending == 0 || !t->pending.applied))
			continue;
		if (t->state != TRANSPORT_UP)
			tp_state_set(t, t->state,
				flow_why(f, f->dead ? "silent" : "nothing came yet", why));
		return;
	}
	tp_hs_stop(t); // a link that was dead and lives needs no other
	tp_state_set(t, TRANSPORT_UP, NULL);
}

void tp_dp_keyed(struct tp_flow *f, uint32_t rx_index)
{
	if (f->pending != 0 && rx_index == f->pending) {
		pending_use(f);
	} else if (rx_index != f->rx_index && (f->crossed == 0 || rx_index != f->crossed)) {
		// An old event; or a key that a control plane before us handed over.
		f->unsure = f->t->m->keys_unsure = true;
		return;
	}
	f->dead = f->unheard = false;
	tp_dp_up(f->t);
}

static bool all_dead(const struct transport *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (!t->flow[i]->dead)
			return false;
	return true;
}

void tp_dp_dead(struct tp_flow *f, const char *what)
{
	struct transport *t = f->t;
	char why[TRANSPORT_WHY_MAX];

	f->dead = true;
	if (all_dead(t))
		snprintf(why, sizeof(why), "the peer fell silent");
	else
		flow_why(f, what, why);
	if (t->state != TRANSPORT_DEAD)
		log_notice("transport %s: %s", t->conf.name, why);
	tp_rekey_stop(t);
	tp_state_set(t, TRANSPORT_DEAD, why);
	tp_dial(t);
}

static void on_dead(struct tp_flow *f)
{
	const struct transport *t = f->t;

	// one that is being dialed has nothing to lose, but for flows that we wait for
	if (t->state == TRANSPORT_UP || (t->n > 1 && !t->first.on && t->in_dp))
		tp_dp_dead(f, "silent");
}

// The hops of its other flows are closed, at both ends.
static void close_sisters(struct transport *t)
{
	tp_dp_del(t, RAIL_CLOSE_REQUESTED, "another flow of the transport was closed");
}

// The hop stays in the data plane, down; the next handshake resets it.
static void link_closed(struct transport *t)
{
	tp_hs_stop(t);
	tp_rekey_stop(t);
	tp_hs_answer_drop(t);
	t->instance_local = tp_random64();
	t->instance_remote = t->flow[0]->instance_remote = 0;
}

static void on_closed(struct tp_flow *f, const struct evt_hop_note *e)
{
	struct transport *t = f->t;
	char why[TRANSPORT_WHY_MAX], flow[32] = "";

	if (t->n > 1)
		snprintf(flow, sizeof(flow), "flow %u, port %u: ", f->nr, f->peer.port);
	snprintf(why, sizeof(why), "%sclosed by %s: %s (code %u)%s%s", flow,
		e->initiator ? "us" : "the peer", rail_close_name(e->value), e->value,
		e->text[0] != '\0' ? ", " : "", e->text);
	log_notice("transport %s: %s", t->conf.name, why);
	// Keys that were handed over are newer than this note: the link that they make has the
	// instance of before.
	if (t->n_keys != 0) {
		tp_state_set(t, TRANSPORT_DOWN, why);
		return;
	}
	if (t->n == 1)
		link_closed(t);
	else
		close_sisters(t);
	tp_state_set(t, TRANSPORT_DOWN, why);
	if (t->conf.dial)
		loop_timer_start(t->timer,
			backoff_jitter(e->value == RAIL_CLOSE_PATH ? TP_RETRY_MAX_MS
								   : TP_RETRY_MIN_MS * 2),
			0);
}

static void on_rtt(struct tp_flow *f, const struct evt_hop_note *e)
{
	f->rtt_us = e->value;
	for (struct tp_ping *p = f->t->m->pings; p != NULL; p = p->next) {
		if (e->h.cookie != 0 && p->cookie == e->h.cookie && p->t == f->t) {
			tp_ping_end(p, 0, e->value);
			return;
		}
	}
}

void tp_dp_notes(void *arg, const struct evt_hop_note *e)
{
	struct transport_mgr *m = arg;
	struct tp_flow *f = m->by_hop[dpmsg_handle_index(e->hop)];
	struct transport *t = f != NULL ? f->t : NULL;

	if (f == NULL || f->hop != e->hop || !f->in_dp || t->carried != NULL)
		return;
	switch (e->h.type) {
	case EVT_HOP_KEYED:
		tp_dp_keyed(f, e->value);
		break;
	case EVT_HOP_REKEY_DUE:
		// all flows are due at once, and one re-key serves them all
		if (e->value == 0 || e->value == f->rx_index)
			tp_rekey_start(t);
		break;
	case EVT_HOP_ROAMED:
		tp_flow_roamed(f, &e->peer);
		break;
	case EVT_HOP_DEAD:
		on_dead(f);
		break;
	case EVT_HOP_CLOSED:
		on_closed(f, e);
		break;
	case EVT_HOP_NOTICE:
		log_limited(LOG_NOTICE, "transport %s: the peer says: code %u %s", t->conf.name,
			e->value, e->text);
		break;
	case EVT_HOP_RTT:
		on_rtt(f, e);
		break;
	default:
		break;
	}
}
