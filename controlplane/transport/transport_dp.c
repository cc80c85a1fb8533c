// The data plane's side of transports: keys, ways and ends as commands, hop events, and adoption of
// hops that lived before us. Handles and receiver indices that live there are taken over as they
// are; an event that names a hop we don't know is ignored, for events may be old.
#include "controlplane/transport/transport_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/dp/handles.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/link/rail_cookie.h"
#include "lib/wire/entry.h"
#include "lib/wire/rail_frame.h"

LOG_MODULE("transport");

// ---- commands ----

struct key_cmd {
	struct transport *t;
	uint32_t rx_index, life;
	bool add;
	tp_keys_fn done;
};

static void send_del(struct transport *t, const struct cmd_hop_del *c);

static void on_keys_done(void *arg, int status, uint32_t aux)
{
	struct key_cmd c = *(struct key_cmd *)arg;
	struct transport *t = c.t;

	free(arg);
	t->n_keys--;
	// A link that was ended meanwhile has nothing to do with it.
	if (!t->removed && status != -ECONNRESET && c.life == t->life) {
		if (c.add)
			t->adding = false;
		if (c.add && status == 0) {
			// A dump under way may have passed its place already.
			t->in_dp = t->seen = true;
			t->owner = aux < DPMSG_MAX_WORKERS ? (uint8_t)aux : 0xff;
			tp_tell(t, TRANSPORT_CHANGE_IN_DP);
		}
		// One that we believed gone still holds our handle: away with it, the next try
		// finds the place free.
		if (c.add && status == -EEXIST)
			send_del(t, &(struct cmd_hop_del){.hop = t->hop});
		c.done(t, status, c.rx_index);
	}
	tp_cmd_done(t);
}

static void keys_fill(struct dpmsg_keys *out, const struct rail_hs_keys *k)
{
	out->rx_index = k->rx_index;
	out->tx_index = k->tx_index;
	memcpy(out->rx_key, k->rx_key, sizeof(out->rx_key));
	memcpy(out->tx_key, k->tx_key, sizeof(out->tx_key));
	out->cipher = (uint8_t)k->cipher;
	out->initiator = k->initiator;
}

// What both ends keep: the smaller window counts (TLV 10).
static uint8_t rel_window(uint8_t peers)
{
	return peers >= RAIL_WINDOW_LOG2_MIN && peers < RAIL_WINDOW_LOG2_DEFAULT
		       ? peers
		       : (uint8_t)RAIL_WINDOW_LOG2_DEFAULT;
}

static uint8_t replay_log2(const struct transport_mgr_conf *conf)
{
	uint32_t n = conf->replay_window != 0 ? conf->replay_window : RAIL_REPLAY_WINDOW;

	return (uint8_t)__builtin_ctz(n);
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

static int send_add(struct transport *t, const struct tp_keys_for *k, struct key_cmd *cmd)
{
	const struct transport_mgr_conf *conf = &t->m->conf;
	const struct region_hdr *info = dp_client_info(conf->dp);
	struct cmd_hop_add a = {
		.h.type = CMD_HOP_ADD,
		.hop = t->hop,
		.tp = t->tp,
		.flow = 1,
		.mode = t->conf.mode,
		.owner = k->owner,
		.window_log2 = replay_log2(conf),
		.rel_window_log2 = rel_window(k->window_log2),
		.instance_local = t->instance_local,
		.instance_remote = k->instance_remote,
		.handshake_ns = k->handshake_ns,
		.peer = *k->peer,
		.adj = k->adj,
		.payload_max = k->payload_max,
		.keepalive_ms = conf->keepalive_ms,
		.dead_ms = conf->dead_ms,
		.rekey_ms = conf->rekey_ms,
		.flags = t->conf.origin == TRANSPORT_ACCEPTED ? HOP_ACCEPTED : 0,
		.congestion = tp_congestion(t),
		.retransmit_limit = conf->retransmit_limit,
		.silence_s = conf->silence_s,
		.path_mtu = tp_path_mtu(t),
	};
	int rc;

	if (info == NULL)
		return -ENOTCONN;
	a.local_port = (uint16_t)info->udp_port;
	memcpy(a.tp_id, t->tp_id, sizeof(a.tp_id));
	memcpy(a.peer_pk, t->conf.peer.b, sizeof(a.peer_pk));
	snprintf(a.name, sizeof(a.name), "%s", t->conf.name);
	keys_fill(&a.keys, k->keys);
	rc = dp_client_send(conf->dp, &a, sizeof(a), on_keys_done, cmd);
	key_wipe(&a.keys, sizeof(a.keys));
	if (rc == 0) {
		t->congestion = a.congestion;
		t->path_mtu = a.path_mtu;
	}
	return rc;
}

static int send_rekey(struct transport *t, const struct tp_keys_for *k, struct key_cmd *cmd)
{
	struct cmd_hop_rekey r = {
		.h.type = CMD_HOP_REKEY,
		.hop = t->hop,
		.flags = k->reset ? HOP_RESET : 0,
		.instance_local = t->instance_local,
		.instance_remote = k->instance_remote,
		.handshake_ns = k->handshake_ns,
		.adj = k->adj,
		.payload_max = k->payload_max,
		.rel_window_log2 = k->reset ? rel_window(k->window_log2) : 0,
	};
	int rc;

	if (k->peer != NULL)
		r.peer = *k->peer;
	keys_fill(&r.keys, k->keys);
	rc = dp_client_send(t->m->conf.dp, &r, sizeof(r), on_keys_done, cmd);
	key_wipe(&r.keys, sizeof(r.keys));
	return rc;
}

int tp_dp_keys(struct transport *t, const struct tp_keys_for *k)
{
	struct key_cmd *cmd = malloc(sizeof(*cmd));
	bool add = !t->in_dp && !t->adding;
	int rc;

	if (cmd == NULL)
		return -ENOMEM;
	*cmd = (struct key_cmd){.t = t,
		.rx_index = k->keys->rx_index,
		.life = t->life,
		.add = add,
		.done = k->done};
	if (t->del_due)
		rc = -EAGAIN; // it would be told before the end of the one before
	else if (add && k->peer == NULL)
		rc = -ENOENT; // a re-key of a link that is gone
	else
		rc = add ? send_add(t, k, cmd) : send_rekey(t, k, cmd);
	if (rc != 0) {
		free(cmd);
		return rc;
	}
	if (add) {
		t->adding = true;
		// Known from the start: an init that comes again is no reset (nothing is lost).
		t->instance_remote = k->instance_remote;
	}
	t->n_cmds++;
	t->n_keys++;
	return 0;
}

void tp_on_plain_done(void *arg, int status, uint32_t aux)
{
	struct transport *t = arg;

	(void)aux;
	if (status != 0 && status != -ECONNRESET && status != -ENOENT)
		log_limited(LOG_WARN, "transport %s: the data plane refused a command: %s",
			t->conf.name, strerror(-status));
	tp_cmd_done(t);
}

int tp_dp_path(struct transport *t)
{
	struct cmd_hop_path c = {.h.type = CMD_HOP_PATH, .hop = t->hop, .peer = t->peer};
	int rc;

	c.adj = neigh_path(t->ref)->adj;
	// Nothing else changes the address of a link that is there.
	c.roamed = memcmp(&t->dp_peer, &t->peer, sizeof(t->peer)) != 0;
	rc = dp_client_send(t->m->conf.dp, &c, sizeof(c), tp_on_plain_done, t);
	if (rc != 0)
		return rc;
	t->n_cmds++;
	t->dp_adj = c.adj;
	t->dp_peer = t->peer;
	return 0;
}

// The link has ended: nothing of it is known any more.
static void link_forget(struct transport *t)
{
	struct transport_mgr *m = t->m;

	tp_hs_stop(t);
	tp_rekey_stop(t);
	tp_hs_answer_drop(t);
	neigh_put(t->roam_ref);
	t->roam_ref = NULL;
	t->roamed = (struct dpmsg_addr){0};
	rx_index_put(m->rx, t->rx_index);
	rx_index_put(m->rx, t->rx_old);
	t->rx_index = t->rx_old = 0;
	t->instance_local = tp_random64();
	t->instance_remote = 0;
	t->in_dp = t->adding = t->keys_unsure = false;
	t->dp_adj = 0;
	t->life++;
}

bool tp_link_fits(const struct transport *t)
{
	if (t->handshake_mono_ns != 0 && (t->conf.ciphers & 1u << t->cipher) == 0)
		return false;
	if ((t->in_dp || t->adding) &&
		((t->conf.mode == HOP_MODE_RELIABLE && t->congestion != tp_congestion(t)) ||
			t->path_mtu != tp_path_mtu(t)))
		return false;
	if (t->answer.on && !t->answer.sent_keys)
		return true; // nothing is agreed to yet
	return t->pending.rx_index == 0 || (t->conf.ciphers & 1u << t->pending.cipher) != 0;
}

void tp_link_unfit(struct transport *t)
{
	log_notice(
		"transport %s: its link is not what the configuration says: closing", t->conf.name);
	tp_dp_del(t, RAIL_CLOSE_REQUESTED, "the configuration changed");
	tp_state_set(t, TRANSPORT_DOWN, "closed: not what the configuration says");
}

static void send_del(struct transport *t, const struct cmd_hop_del *c)
{
	int rc;

	t->del = *c;
	t->del.h.type = CMD_HOP_DEL;
	rc = dp_client_send(t->m->conf.dp, &t->del, sizeof(t->del), tp_on_plain_done, t);
	if (rc == 0) {
		t->n_cmds++;
		tp_outbox_linger(t);
	}
	t->del_due = rc == -EAGAIN; // on_room() is told when to try again
	t->m->del_due |= t->del_due;
}

void tp_dp_del(struct transport *t, uint8_t code, const char *text)
{
	struct cmd_hop_del c = {.hop = t->hop, .send_close = 1, .code = code};
	bool there = t->in_dp || t->adding;

	link_forget(t);
	if (!there)
		return;
	c.text_len = (uint8_t)snprintf(c.text, sizeof(c.text), "%s", text);
	send_del(t, &c);
}

void tp_dp_forget(struct transport *t)
{
	link_forget(t);
	t->owner = 0xff;
	t->cookie_ns = 0;
}

// ---- hop events ----

void tp_key_swap(struct transport *t, uint32_t rx_index, enum aead_cipher cipher, bool initiator)
{
	uint64_t now = clock_mono_ns();

	rx_index_put(t->m->rx, t->rx_old); // two back: the data plane has wiped it
	t->rx_old = t->rx_index;
	t->rx_old_ns = now;
	t->rx_index = rx_index;
	t->cipher = cipher;
	t->initiator = initiator;
	t->handshake_mono_ns = now;
}

// The pending key is used: what its handshake would change takes effect now.
static void pending_apply(struct transport *t)
{
	struct tp_pending *p = &t->pending;

	tp_key_swap(t, p->rx_index, p->cipher, false);
	if (p->inside) {
		t->n_rekeys++;
		t->m->stats.rekeys++;
	} else {
		t->n_handshakes++;
		t->instance_remote = p->instance_remote;
		t->last_time_ns = p->time_ns;
		t->peer = p->peer;
		memcpy(t->scope_if, p->scope_if, sizeof(t->scope_if));
		t->dp_peer = p->peer;
		t->dp_adj = neigh_path(p->ref)->adj;
		// Resolved anew with our own callback; the old way goes after the new one is there.
		tp_path_want(t);
	}
	p->rx_index = 0; // the key's now
	tp_hs_answer_drop(t);
	neigh_put(p->ref);
	*p = (struct tp_pending){0};
	tp_hs_stop(t);
	tp_rekey_stop(t);
}

void tp_dp_keyed(struct transport *t, uint32_t rx_index)
{
	if (t->pending.rx_index != 0 && rx_index == t->pending.rx_index)
		pending_apply(t);
	else if (rx_index != t->rx_index) {
		// An old event; or a key that a control plane before us handed over.
		t->keys_unsure = t->m->keys_unsure = true;
		return;
	}
	tp_hs_stop(t); // a link that was dead and lives needs no other
	tp_state_set(t, TRANSPORT_UP, NULL);
}

static void on_roam_path(void *arg, const struct neigh_path *path)
{
	struct transport *t = arg;

	if (path->state != NEIGH_USABLE || t->roamed.port == 0)
		return;
	log_info("transport %s: the peer's address changed", t->conf.name);
	t->peer = t->roamed;
	t->roamed = (struct dpmsg_addr){0};
	tp_path_want(t); // its callback sends the path
	neigh_put(t->roam_ref);
	t->roam_ref = NULL;
}

static void on_roamed(struct transport *t, const struct evt_hop_note *e)
{
	if (e->peer.port == 0 || memcmp(&e->peer, &t->peer, sizeof(t->peer)) == 0)
		return;
	neigh_put(t->roam_ref);
	t->roamed = e->peer;
	t->roam_ref = neigh_resolve(t->m->conf.neigh, e->peer.ip, t->scope_if, on_roam_path, t);
}

static void on_dead(struct transport *t)
{
	if (t->state != TRANSPORT_UP)
		return;
	log_notice("transport %s: the peer is silent", t->conf.name);
	tp_rekey_stop(t);
	tp_state_set(t, TRANSPORT_DEAD, "the peer fell silent");
	tp_dial(t);
}

// The hop stays in the data plane, down; the next handshake resets it.
static void on_closed(struct transport *t, const struct evt_hop_note *e)
{
	char why[DPMSG_TEXT_LEN + 64];

	snprintf(why, sizeof(why), "closed by %s: code %u%s%s", e->initiator ? "us" : "the peer",
		e->value, e->text[0] != '\0' ? ", " : "", e->text);
	log_notice("transport %s: %s", t->conf.name, why);
	// Keys that were handed over are newer than this note: the link that they make has the
	// instance of before.
	if (t->n_keys != 0) {
		tp_state_set(t, TRANSPORT_DOWN, why);
		return;
	}
	tp_hs_stop(t);
	tp_rekey_stop(t);
	tp_hs_answer_drop(t);
	t->instance_local = tp_random64();
	t->instance_remote = 0;
	tp_state_set(t, TRANSPORT_DOWN, why);
	if (t->conf.dial)
		loop_timer_start(t->timer,
			tp_jitter(e->value == RAIL_CLOSE_PATH ? TP_RETRY_MAX_MS
							      : TP_RETRY_MIN_MS * 2),
			0);
}

static void on_rtt(struct transport *t, const struct evt_hop_note *e)
{
	t->rtt_us = e->value;
	for (struct tp_ping *p = t->m->pings; p != NULL; p = p->next) {
		if (e->h.cookie != 0 && p->cookie == e->h.cookie && p->t == t) {
			tp_ping_end(p, 0, e->value);
			return;
		}
	}
}

static void on_hop_note(void *arg, const struct evt_hop_note *e)
{
	struct transport *t = transport_mgr_find_hop(arg, e->hop);

	if (t == NULL || (!t->in_dp && !t->adding))
		return;
	switch (e->h.type) {
	case EVT_HOP_KEYED:
		tp_dp_keyed(t, e->value);
		break;
	case EVT_HOP_REKEY_DUE:
		tp_rekey_start(t);
		break;
	case EVT_HOP_ROAMED:
		on_roamed(t, e);
		break;
	case EVT_HOP_DEAD:
		on_dead(t);
		break;
	case EVT_HOP_CLOSED:
		on_closed(t, e);
		break;
	case EVT_HOP_NOTICE:
		log_limited(LOG_NOTICE, "transport %s: the peer says: code %u %s", t->conf.name,
			e->value, e->text);
		break;
	case EVT_HOP_RTT:
		on_rtt(t, e);
		break;
	default:
		break;
	}
}

// ---- agreeing with what lives in the data plane ----

static void handles_map(struct transport *t)
{
	t->m->by_hop[dpmsg_handle_index(t->hop)] = t;
	t->m->by_tp[dpmsg_handle_index(t->tp)] = t;
}

void tp_handles_want(struct transport *t)
{
	struct transport_mgr *m = t->m;

	if (t->hop == 0)
		t->hop = handles_take(m->hops);
	if (t->tp == 0)
		t->tp = handles_take(m->tps);
	if (t->hop == 0 || t->tp == 0)
		tp_state_set(t, TRANSPORT_DOWN, "the data plane's hop table is full");
	else
		handles_map(t);
}

void tp_handles_unmap(struct transport *t)
{
	if (t->hop != 0 && t->m->by_hop[dpmsg_handle_index(t->hop)] == t)
		t->m->by_hop[dpmsg_handle_index(t->hop)] = NULL;
	if (t->tp != 0 && t->m->by_tp[dpmsg_handle_index(t->tp)] == t)
		t->m->by_tp[dpmsg_handle_index(t->tp)] = NULL;
}

void tp_handles_drop(struct transport *t)
{
	tp_handles_unmap(t);
	handles_put(t->m->hops, t->hop);
	handles_put(t->m->tps, t->tp);
	t->hop = t->tp = 0;
}

static struct transport *adopted_new(struct transport_mgr *m, const struct evt_hop *e)
{
	struct transport_conf conf = {.addr = e->peer,
		.mode = e->mode,
		.ciphers = (uint8_t)(1u << e->cipher | TRANSPORT_AUTO),
		.congestion = e->congestion,
		.path_mtu = e->path_mtu != 0 ? e->path_mtu : TRANSPORT_MTU_AUTO,
		.origin = e->flags & HOP_ACCEPTED ? TRANSPORT_ACCEPTED : TRANSPORT_ADOPTED};

	memcpy(conf.peer.b, e->peer_pk, sizeof(conf.peer.b));
	snprintf(conf.name, sizeof(conf.name), "%s", e->name);
	return tp_new(m, &conf);
}

static void indices_adopt(struct transport *t, const struct evt_hop *e)
{
	struct rx_index *rx = t->m->rx;

	rx_index_put(rx, t->rx_index);
	rx_index_put(rx, t->rx_old);
	t->rx_index = t->rx_old = 0;
	if (rx_index_take_exact(rx, e->rx_index[0], t) == 0)
		t->rx_index = e->rx_index[0];
	// Of the others one is on its way out; the other was pending for a control plane that died.
	for (int i = 1; i < 3; i++) {
		if (t->rx_old == 0 && rx_index_take_exact(rx, e->rx_index[i], t) == 0)
			t->rx_old = e->rx_index[i];
	}
	t->rx_old_ns = clock_mono_ns();
}

// The link as it is there, keys and all.
static void link_adopt(struct transport *t, const struct evt_hop *e)
{
	indices_adopt(t, e);
	t->owner = e->owner;
	t->congestion = e->congestion;
	t->path_mtu = e->path_mtu;
	t->cipher = (enum aead_cipher)e->cipher;
	t->initiator = e->initiator != 0;
	t->instance_local = e->instance_local;
	t->instance_remote = e->instance_remote;
	// Only a time that the peer itself gave may be held against it.
	t->last_time_ns = t->initiator ? 0 : e->handshake_ns;
	t->peer = e->peer;
	t->dp_peer = e->peer;
	t->dp_adj = e->adj;
	t->payload_max = e->payload_max;
	t->rtt_us = e->rtt_us;
	t->handshake_mono_ns = clock_mono_ns() - (uint64_t)e->key_age_ms * CLOCK_NS_PER_MS;
	tp_path_want(t);
}

static void adopt(struct transport *t, const struct evt_hop *e)
{
	tp_handles_drop(t);
	if (handles_take_exact(t->m->hops, e->hop) == 0)
		t->hop = e->hop;
	if (handles_take_exact(t->m->tps, e->tp) == 0)
		t->tp = e->tp;
	if (t->hop == 0 || t->tp == 0) {
		log_err("transport %s: its handles in the data plane are not usable", t->conf.name);
		tp_handles_drop(t);
		return;
	}
	handles_map(t);
	link_adopt(t, e);
	t->in_dp = t->seen = true;
	log_info("transport %s: taken over from the data plane, %s", t->conf.name,
		e->up ? "up" : "down");
	if (!tp_policy(t))
		return;
	if (e->mode != t->conf.mode || !tp_link_fits(t)) {
		tp_link_unfit(t); // on_synced() dials
		return;
	}
	tp_tell(t, TRANSPORT_CHANGE_IN_DP);
	tp_state_set(t, e->up ? TRANSPORT_UP : TRANSPORT_DEAD, e->up ? NULL : "silent");
}

static bool evt_hop_is_sane(const struct transport_mgr *m, const struct evt_hop *e)
{
	struct key_pk pk;

	memcpy(pk.b, e->peer_pk, sizeof(pk.b));
	return e->flow == 1 && e->cipher < AEAD_N_CIPHERS && e->congestion <= HOP_CC_CUBIC &&
	       e->hop != 0 && e->tp != 0 && e->peer.port != 0 && key_pk_is_valid(&pk) &&
	       key_pk_cmp(&pk, m->self.pk) != 0;
}

// A key that we knew nothing of is in use. While commands are under way the record may be older
// than what they say: asked again.
static void keys_learn(struct transport *t, const struct evt_hop *e)
{
	if (t->n_cmds != 0)
		return;
	t->keys_unsure = false;
	if (e->up == 0 || e->rx_index[0] == 0 || e->rx_index[0] == t->rx_index)
		return;
	log_info("transport %s: a key of a control plane before us is in use", t->conf.name);
	tp_hs_answer_drop(t);
	tp_hs_stop(t);
	tp_rekey_stop(t);
	link_adopt(t, e);
	if (tp_link_fits(t)) {
		tp_state_set(t, TRANSPORT_UP, NULL);
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
		m->keys_unsure |= t->keys_unsure;
}

void tp_dp_ask(struct transport_mgr *m)
{
	if (m->keys_unsure && !m->dumping)
		m->dumping = dp_client_dump(m->conf.dp, DUMP_HOPS, 0, 0, on_hops_dumped, m) == 0;
}

static void on_hop(void *arg, const struct evt_hop *e)
{
	struct transport_mgr *m = arg;
	struct key_pk pk;
	struct transport *t;

	if (!evt_hop_is_sane(m, e) || m->rx == NULL)
		return;
	memcpy(pk.b, e->peer_pk, sizeof(pk.b));
	t = tp_find_pk(m, &pk);
	if (t != NULL && t->in_dp && t->hop == e->hop) { // events were lost
		t->seen = true;
		if (t->keys_unsure) {
			keys_learn(t, e);
			return;
		}
		if (e->up != 0 || e->rx_index[0] != t->rx_index)
			tp_dp_keyed(t, e->rx_index[0]);
		if (e->up == 0)
			on_dead(t);
		return;
	}
	if (m->ready)
		return; // known, but another hop: an old record
	if (t == NULL)
		t = adopted_new(m, e);
	if (t != NULL)
		adopt(t, e);
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

	m->cookies_due = true; // it may be another data plane
	tp_cookies_tell(m);
	for (struct transport *t = m->first; t != NULL; t = t->next)
		t->seen = false;
	if (why == DP_SYNC_OVERFLOW || info == NULL)
		return;
	rx_index_free(m->rx);
	m->rx = rx_index_new(info->rx_index_bits);
	if (m->rx == NULL)
		log_err("no memory for 2^%u receiver indices", info->rx_index_bits);
	handles_set_max(m->hops, info->hop_max);
	handles_set_max(m->tps, info->hop_max);
	for (struct transport *t = m->first; t != NULL; t = t->next) {
		// Those that live there come first; the rest choose among what is left.
		if (why == DP_SYNC_ADOPT || dpmsg_handle_index(t->hop) >= info->hop_max ||
			dpmsg_handle_index(t->tp) >= info->hop_max)
			tp_handles_drop(t);
	}
}

static void on_synced(void *arg, enum dp_sync why)
{
	struct transport_mgr *m = arg;
	struct transport *t;
	struct tp_iter it;

	m->ready = m->rx != NULL;
	for (t = tp_iter_first(m, &it); t != NULL; t = tp_iter_next(m, &it)) {
		if (t->in_dp && !t->seen && why == DP_SYNC_OVERFLOW) {
			tp_dp_forget(t);
			tp_state_set(t, TRANSPORT_DOWN, "the data plane lost it");
		}
		tp_handles_want(t);
		if (t->state != TRANSPORT_UP)
			tp_dial(t);
	}
}

static void on_detach(void *arg)
{
	struct transport_mgr *m = arg;
	struct transport *t;
	struct tp_iter it;

	m->ready = false;
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
	struct transport_mgr *m = arg;
	struct transport *t, *next;

	if (!m->del_due || !m->ready)
		return;
	m->del_due = false;
	for (t = m->first; t != NULL && !m->del_due; t = t->next) {
		if (t->del_due)
			send_del(t, &t->del);
	}
	for (t = m->dying; t != NULL && !m->del_due; t = next) {
		next = t->next;
		if (t->del_due)
			send_del(t, &t->del);
		tp_settle(t);
	}
}

void tp_dels_drop(struct transport_mgr *m)
{
	struct transport *t, *next;

	m->del_due = false;
	for (t = m->first; t != NULL; t = t->next)
		t->del_due = false;
	for (t = m->dying; t != NULL; t = next) {
		next = t->next;
		t->del_due = false;
		tp_settle(t);
	}
}

void tp_dp_handlers(struct transport_mgr *m)
{
	m->handler = (struct dp_handler){.arg = m,
		.on_detach = on_detach,
		.on_sync_begin = on_sync_begin,
		.on_synced = on_synced,
		.on_hop = on_hop,
		.on_room = on_room,
		.on_hop_note = on_hop_note,
		.on_handshake = tp_hs_on_datagram,
		.on_rekey = tp_rekey_on_message};
	dp_client_register(m->conf.dp, &m->handler);
}
