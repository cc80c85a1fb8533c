// First contact over datagrams (rail 2): our inits with their retries, and the inits of others with
// everything that stands between a stranger and our memory: limits per source and for all, allowed
// keys, time, crossing. Cookies are asked for by workers, who are told when. An init only makes
// pending keys; transport_dp.c is told when they are used.
//
//   ours:   way usable -> init -> (1, 2, 4 .. 60 s: a fresh one) -> response -> keys to the data
//   plane theirs: init -> limits -> authentic -> allowed -> later -> settled -> keys to the data
//   plane
//           -> response
#include "controlplane/transport/transport_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/core/backoff.h"
#include "lib/api/api_field.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/link/rail_cookie.h"

LOG_MODULE("handshake");

enum { PK_SHORT = 8, PK_SHORT_LEN = PK_SHORT + 1 };

static const char *pk_short(const struct key_pk *pk, char out[KEY_PK_TEXT_LEN + 1])
{
	key_pk_to_text(pk, out);
	out[PK_SHORT] = '\0';
	return out;
}

// ---- datagrams that wait for a way ----

static void out_free(struct tp_out *o)
{
	struct transport_mgr *m = o->m;

	for (struct tp_out **p = &m->outbox; *p != NULL; p = &(*p)->next) {
		if (*p == o) {
			*p = o->next;
			m->n_outbox--;
			break;
		}
	}
	neigh_put(o->ref);
	free(o);
}

static void on_out_path(void *arg, const struct neigh_path *path)
{
	struct tp_out *o = arg;
	const struct region_hdr *info = dp_client_info(o->m->conf.dp);

	if (o->len == 0 || path->state != NEIGH_USABLE || info == NULL)
		return;
	dp_client_send_datagram(o->m->conf.dp, o->worker, path->adj, (uint16_t)info->udp_port,
		o->dst.port, o->bytes, o->len);
	o->len = 0; // freed at the next tick, which keeps the way warm for a retry
}

void tp_outbox_tick(struct transport_mgr *m, uint64_t now_ns, bool all)
{
	struct tp_out *o, *next;

	for (o = m->outbox; o != NULL; o = next) {
		next = o->next;
		if (all || now_ns - o->since_ns > TP_OUTBOX_S * CLOCK_NS_PER_S)
			out_free(o);
	}
}

static const char *scope_of(struct transport_mgr *m, uint16_t port)
{
	const char *name = neigh_port_ifname(m->conf.neigh, port);

	return name != NULL ? name : "";
}

// Strangers may not take all of the data plane's adjacencies.
static bool outbox_has_room(const struct transport_mgr *m)
{
	const struct region_hdr *info = dp_client_info(m->conf.dp);

	return m->n_outbox < TP_OUTBOX_MAX && info != NULL && m->n_outbox < info->adj_max / 4;
}

static void out_new(struct transport_mgr *m, unsigned worker, const struct dpmsg_addr *dst,
	const char *scope_if, const uint8_t *bytes, size_t len)
{
	struct tp_out *o = outbox_has_room(m) ? calloc(1, sizeof(*o)) : NULL;

	if (o == NULL) {
		m->stats.drop_hs_outbox++;
		return;
	}
	o->m = m;
	o->dst = *dst;
	o->worker = worker;
	o->since_ns = clock_mono_ns();
	o->len = (uint16_t)len;
	if (len > 0)
		memcpy(o->bytes, bytes, len);
	o->next = m->outbox;
	m->outbox = o;
	m->n_outbox++;
	o->ref = neigh_resolve(m->conf.neigh, dst->ip, scope_if, on_out_path, o);
	if (o->ref == NULL)
		out_free(o);
}

// For those whom no transport stands for yet: refusals.
static void send_stray(struct transport_mgr *m, unsigned worker, const struct up_handshake *in,
	const uint8_t *bytes, size_t len)
{
	out_new(m, worker, &in->src, scope_of(m, in->port), bytes, len);
}

void tp_outbox_linger(struct transport *t)
{
	const struct tp_flow *f = t->flow[0];

	if (f->ref != NULL)
		out_new(t->m, 0, &f->peer, t->scope_if, NULL, 0);
}

// ---- our inits ----

static uint16_t payload_max_of(const struct neigh_path *path)
{
	bool v4 = path->dst_ip[10] == 0xff && path->dst_ip[0] == 0;
	unsigned overhead = v4 ? 28 : 48;

	return path->mtu > RAIL_PAYLOAD_FLOOR + overhead ? (uint16_t)(path->mtu - overhead)
							 : (uint16_t)RAIL_PAYLOAD_FLOOR;
}

// What the configuration allows and the data plane has. A cipher that is slow here is left to those
// who insist on it: a peer that sees it offered may take it for the fast one (rail 2).
static void offer_ciphers(const struct transport *t, struct rail_hs_offer *o)
{
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);
	const uint32_t *ns = info != NULL ? info->cipher_ns : NULL;

	for (unsigned i = 0; ns != NULL && i < AEAD_N_CIPHERS; i++)
		if (ns[i] != 0)
			o->ciphers |= (uint8_t)(1u << i & t->conf.ciphers);
	if ((o->ciphers & TRANSPORT_AUTO) == TRANSPORT_AUTO &&
		ns[AEAD_AES_256_GCM] > ns[AEAD_CHACHA20_POLY1305])
		o->avoid = TRANSPORT_AES;
}

struct rail_hs_offer tp_offer(const struct transport *t, const uint32_t *rx_index, unsigned n,
	const struct neigh_ref *ref)
{
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);
	struct rail_hs_offer o = {
		.instance = t->instance_local,
		.n_flows = (uint8_t)n,
		.payload_max = RAIL_PAYLOAD_FLOOR,
		.mode = t->conf.mode,
		.window_log2 = RAIL_WINDOW_LOG2_DEFAULT,
	};
	const struct neigh_path *path = ref != NULL ? neigh_path(ref) : NULL;

	offer_ciphers(t, &o);
	for (unsigned i = 0; i < n; i++) {
		o.rx_index[i] = rx_index[i];
		if (i > 0 && info != NULL)
			o.port[i - 1] = (uint16_t)(info->udp_port + i);
	}
	if (path != NULL && path->state == NEIGH_USABLE)
		o.payload_max = payload_max_of(path);
	return o;
}

void tp_hs_stop(struct transport *t)
{
	neigh_put(t->dial_ref);
	t->dial_ref = NULL;
	if (!t->first.on)
		return;
	loop_timer_stop(t->timer);
	rail_hs_fini(&t->first.side);
	tp_indices_put(t, t->first.rx_index, t->first.n);
	t->first = (struct tp_try){0};
}

static uint32_t retry_ms(unsigned tries)
{
	return backoff_ms(tries, TP_RETRY_MIN_MS, TP_RETRY_MAX_MS);
}

static void retry_in(struct transport *t, uint32_t ms)
{
	t->first.next_ns = clock_mono_ns() + ms * CLOCK_NS_PER_MS;
	loop_timer_start(t->timer, ms, 0);
}

// A fresh init: new ephemeral key, new index, later time.
static void init_send(struct transport *t)
{
	struct transport_mgr *m = t->m;
	const struct neigh_path *path = neigh_path(t->dial_ref);
	const struct region_hdr *info = dp_client_info(m->conf.dp);
	uint64_t now = clock_mono_ns();
	struct rail_hs_offer offer;
	uint8_t msg[RAIL_HS_MAX];
	bool cookie = t->cookie_ns != 0 && now - t->cookie_ns < RAIL_COOKIE_S * CLOCK_NS_PER_S;
	ssize_t n;

	rail_hs_fini(&t->first.side);
	tp_indices_put(t, t->first.rx_index, t->first.n);
	t->first.n = (uint8_t)tp_flows_make(t, RAIL_FLOWS_MAX);
	if (!tp_indices_take(t, t->first.rx_index, t->first.n))
		t->first.n = 0;
	offer = tp_offer(t, t->first.rx_index, t->first.n, t->dial_ref);
	if (offer.ciphers == 0) {
		tp_state_set(t, t->state, "the data plane does not have its cipher");
		return;
	}
	n = t->first.n == 0 ? -ENOSPC
			    : rail_hs_init_make(&t->first.side, &m->self, &t->conf.peer, &offer,
				      init_time_next(m->init_time), false,
				      cookie ? t->cookie : NULL, msg, sizeof(msg));
	if (n < 0) {
		log_limited(
			LOG_ERR, "no init for transport %s: %s", t->conf.name, strerror((int)-n));
		return;
	}
	t->first.sent_ns = now;
	t->first.answers = 0;
	m->stats.hs_inits_sent++;
	// Lost like any datagram when there is no room.
	dp_client_send_datagram(m->conf.dp, transport_worker(t), path->adj,
		(uint16_t)info->udp_port, t->dial_peer.port, msg, (size_t)n);
}

void tp_hs_on_timer(void *arg)
{
	struct transport *t = arg;
	const struct neigh_path *path = t->dial_ref != NULL ? neigh_path(t->dial_ref) : NULL;

	if (!t->m->ready || t->removed)
		return;
	if (!t->first.on) {
		tp_dial(t);
		return;
	}
	if (t->first.tries > 0 && t->first.tries % 4 == 0)
		t->n_failures++;
	if (t->first.tries >= 2 && !t->first.answered && t->state != TRANSPORT_UP)
		tp_state_set(t, t->state,
			"no answer: is the peer up, and does it name this node's key?");
	t->first.answered = false;
	t->first.no_way = path == NULL || path->state != NEIGH_USABLE;
	if (!t->first.no_way) {
		init_send(t);
		t->first.tries++;
	}
	retry_in(t, retry_ms(t->first.tries));
}

void tp_hs_hurry(struct transport *t)
{
	uint32_t ms = backoff_jitter(TP_RETRY_MIN_MS);

	// Never later than it would be: who repeats an old message must not put us off.
	if (!t->first.on || t->first.next_ns <= clock_mono_ns() + ms * CLOCK_NS_PER_MS)
		return;
	t->first.tries = 0;
	retry_in(t, ms);
}

void tp_hs_start(struct transport *t)
{
	if (t->first.on || !t->m->ready)
		return;
	t->first.on = true;
	t->first.tries = 0;
	if (t->state != TRANSPORT_UP)
		tp_state_set(t, TRANSPORT_HANDSHAKE, "no answer yet");
	tp_hs_on_timer(t);
}

// Refused, or not what we can do: not at once again.
static void init_failed(struct transport *t, const char *why)
{
	unsigned tries = t->first.tries < 4 ? 4 : t->first.tries;

	t->n_failures++;
	rail_hs_fini(&t->first.side);
	t->first.tries = tries;
	t->first.answered = true;
	retry_in(t, retry_ms(tries));
	tp_state_set(t, t->state, why);
	log_limited(LOG_WARN, "transport %s: %s", t->conf.name, why);
}

// The keys of our own init are in the data plane.
static void on_initiated(struct transport *t, int status, uint32_t rx_index)
{
	(void)rx_index;
	if (status != 0) {
		char why[TRANSPORT_WHY_MAX];

		snprintf(why, sizeof(why), "the data plane refused the hop: %s", strerror(-status));
		tp_state_set(t, TRANSPORT_DOWN, why);
		log_limited(LOG_ERR, "transport %s: %s", t->conf.name, why);
		loop_timer_start(t->timer, backoff_jitter(TP_RETRY_MIN_MS * 5), 0);
		return;
	}
	t->n_handshakes++;
	log_info("transport %s: handshake done, cipher=%s", t->conf.name,
		aead_cipher_name(t->cipher));
	tp_dp_up(t);
}

// Where the handshake came in the peer's data will come in too: by the same hash of the same
// addresses. Not so with fewer queues than workers: then it is better to share the sealing.
static uint8_t owner_of(const struct transport_mgr *m, unsigned worker, uint16_t port)
{
	const struct region_hdr *info = dp_client_info(m->conf.dp);

	return info != NULL && neigh_port_queues(m->conf.neigh, port) >= info->n_workers
		       ? (uint8_t)worker
		       : TP_OWNER_ANY;
}

// Everything of a handshake of ours but its keys is in effect.
static void response_apply(struct transport *t, const struct rail_hs_terms *terms,
	const struct rail_hs_keys *keys, uint32_t adj)
{
	t->cipher = keys->cipher;
	t->initiator = true;
	t->handshake_mono_ns = clock_mono_ns();
	t->payload_max = terms->payload_max;
	t->instance_remote = terms->instance;
	memcpy(t->scope_if, t->dial_scope_if, sizeof(t->scope_if));
	for (unsigned i = 0; i < keys->n_flows; i++) {
		struct tp_flow *f = t->flow[i];

		tp_flow_key(f, keys->rx_index[i]);
		t->first.rx_index[i] = 0; // the key's now
		f->unheard = keys->n_flows > 1; // with one, we are as sure as we need to be
		f->instance_remote = terms->instance;
		f->peer = f->dp_peer = tp_flow_addr(&t->dial_peer, keys, i + 1);
		f->dp_adj = adj;
		tp_path_want(f); // before the way of the dial goes: it is the same
	}
	tp_dp_flows(t, keys->n_flows);
}

static void response_use(struct transport *t, uint8_t owner, const struct rail_hs_terms *terms,
	const struct rail_hs_keys *keys)
{
	struct tp_keys_for k = {
		.keys = keys,
		.peer = &t->dial_peer,
		.adj = neigh_path(t->dial_ref)->adj,
		.owner = owner,
		.instance_remote = terms->instance,
		.handshake_ns = clock_wall_ns(),
		.payload_max = terms->payload_max,
		.window_log2 = terms->window_log2,
		.done = on_initiated,
	};
	int rc = tp_dp_keys(t, &k);

	if (rc != 0) {
		init_failed(t, "the data plane is busy");
		return;
	}
	// At the initiator a handshake takes effect at the response. The key that was pending the
	// other way round is not ours to use any more, but the peer may: it made the same of ours.
	for (unsigned i = 0; i < RAIL_FLOWS_MAX && t->flow[i] != NULL; i++) {
		struct tp_flow *f = t->flow[i];

		tp_indices_put(t, &f->crossed, 1);
		if (i < keys->n_flows) {
			f->crossed = f->pending;
			f->pending = 0;
		}
	}
	tp_hs_answer_drop(t);
	response_apply(t, terms, keys, k.adj);
	tp_hs_stop(t);
	tp_rekey_stop(t);
}

static void on_response(
	struct transport_mgr *m, unsigned worker, const struct up_handshake *in, size_t len)
{
	const uint8_t *p = in->bytes;
	struct rail_hs_terms terms;
	struct rail_hs_keys keys;
	struct transport *t;
	struct rail_hs msg;
	char why[TRANSPORT_WHY_MAX];
	int rc;

	if (rail_hs_decode(p, len, false, &msg) != 0)
		return;
	t = rx_index_owner(m->rx, msg.receiver);
	if (t == NULL || !t->first.on || t->first.rx_index[0] != msg.receiver ||
		t->dial_ref == NULL || neigh_path(t->dial_ref)->state != NEIGH_USABLE) {
		m->stats.drop_hs_unwanted++;
		return;
	}
	if (t->first.answers >= TP_ANSWERS_MAX) {
		m->stats.drop_hs_answers++;
		return;
	}
	t->first.answers++;
	rc = rail_hs_response_take(&t->first.side, &m->self, p, len, &terms, &keys);
	if (rc == -EPROTO) {
		init_failed(t, "the peer's answer is not what we offered");
	} else if (rc != 0) {
		m->stats.drop_hs_forged++;
	} else if (terms.refusal != 0) {
		snprintf(why, sizeof(why), "the peer refuses: %s%s%s",
			rail_refusal_name(terms.refusal), terms.refusal_text[0] != '\0' ? ", " : "",
			terms.refusal_text);
		init_failed(t, why);
	} else {
		m->stats.hs_responses_taken++;
		response_use(t, owner_of(m, worker, in->port), &terms, &keys);
	}
	rail_hs_keys_wipe(&keys);
}

static void on_cookie(struct transport_mgr *m, const uint8_t *p, size_t len)
{
	struct rail_cookie c;
	struct transport *t;

	if (rail_cookie_decode(p, len, &c) != 0)
		return;
	t = rx_index_owner(m->rx, c.receiver);
	if (t == NULL || !t->first.on || t->first.rx_index[0] != c.receiver ||
		rail_hs_cookie_take(&t->first.side, p, len, t->cookie) != 0) {
		m->stats.drop_hs_unwanted++;
		return;
	}
	m->stats.hs_cookies_taken++;
	t->cookie_ns = clock_mono_ns();
}

// ---- inits of others ----

void tp_hs_answer_wipe(struct transport *t)
{
	if (t->answer.on) {
		rail_hs_keys_wipe(&t->answer.keys);
		rail_hs_fini(&t->answer.side);
	}
	t->answer.on = false;
}

void tp_hs_answer_drop(struct transport *t)
{
	tp_hs_answer_wipe(t);
	if (!t->pending.on)
		return;
	neigh_put(t->pending.ref);
	for (unsigned i = 0; i < t->pending.n; i++)
		tp_indices_put(t, &t->flow[i]->pending, 1);
	t->pending = (struct tp_pending){0};
}

static bool has_cookie(struct transport_mgr *m, const struct up_handshake *in, size_t len)
{
	uint8_t cookies[2][HS_LIMIT_COOKIE_LEN];
	unsigned n = hs_limit_cookies(m->limit, in->src.ip, in->src.port, clock_mono_ns(), cookies);

	for (unsigned i = 0; i < n; i++) {
		if (rail_mac2_is_right(in->bytes, len, cookies[i]))
			return true;
	}
	return false;
}

static bool passes_limits(struct transport_mgr *m, const struct up_handshake *in, size_t len)
{
	bool right = has_cookie(m, in, len);

	switch (hs_limit_take(m->limit, in->src.ip, right, clock_mono_ns())) {
	case HS_LIMIT_PASS:
		return true;
	case HS_LIMIT_SOURCE:
		m->stats.drop_hs_prefix++;
		return false;
	default:
		m->stats.drop_hs_load++;
		tp_cookies_tell(m); // workers ask for cookies now
		return false;
	}
}

static void refuse(struct transport_mgr *m, unsigned worker, const struct up_handshake *in,
	struct rail_hs_side *side, const struct rail_hs_terms *terms, uint8_t code,
	const char *text)
{
	uint8_t out[RAIL_HS_MAX];
	char pk[KEY_PK_TEXT_LEN + 1];
	ssize_t n = rail_hs_refusal_make(side, terms, code, text, out, sizeof(out));

	log_limited(LOG_NOTICE, "refused a handshake of %s: %s%s%s", pk_short(&terms->peer, pk),
		rail_refusal_name(code), text[0] != '\0' ? ", " : "", text);
	if (n > 0)
		send_stray(m, worker, in, out, (size_t)n);
}

// The transport that an authentic init is for; made for it where any key may come. NULL: refused.
static struct transport *transport_for(struct transport_mgr *m, unsigned worker,
	const struct up_handshake *in, struct rail_hs_side *side, const struct rail_hs_terms *terms)
{
	struct transport *t = tp_find_rail(m, &terms->peer);
	enum peer_access access;
	struct transport_conf conf = {.mode = terms->mode, // as it likes
		.ciphers = TRANSPORT_AUTO,
		.origin = TRANSPORT_ACCEPTED,
		.peer = terms->peer};
	struct api_addr src = {.port = in->src.port};
	char pk[KEY_PK_TEXT_LEN + 1], addr[64];

	access = peer_list_find(m->conf.peers, &terms->peer, conf.name);
	if (access == PEER_DENIED) {
		m->stats.drop_hs_denied++;
		refuse(m, worker, in, side, terms, RAIL_REFUSAL_NOT_ALLOWED, "");
		return NULL;
	}
	if (t != NULL)
		return t;
	if (!tp_may_come(m, &terms->peer, access)) {
		// Silence: any key is quickly made, and a node is not to be found by asking.
		m->stats.drop_hs_not_allowed++;
		memcpy(src.ip, in->src.ip, sizeof(src.ip));
		log_limited(LOG_NOTICE,
			"%s at %s wants a transport, and nothing here names its key: if it may, "
			"`skyrail transport add NAME peer=KEY`, or a [peer NAME]",
			(key_pk_to_text(&terms->peer, pk), pk),
			api_addr_text(&src, addr, sizeof(addr)));
		return NULL;
	}
	if (conf.name[0] == '\0')
		snprintf(conf.name, sizeof(conf.name), "peer-%.12s",
			(key_pk_to_text(&terms->peer, pk), pk));
	if (m->n_accepted < m->conf.accepted_max)
		t = tp_new(m, &conf);
	if (t == NULL) {
		m->stats.drop_hs_too_many++;
		refuse(m, worker, in, side, terms, RAIL_REFUSAL_TOO_MANY, "");
	}
	return t;
}

// Not a replay, and not one that ours has precedence over.
static bool init_counts(struct transport *t, const struct rail_hs_terms *terms)
{
	uint64_t now = clock_mono_ns(), sent_ns;

	if (terms->time_ns <= t->last_time_ns || terms->time_ns <= t->pending_time_ns) {
		t->m->stats.drop_hs_replayed++;
		log_limited(LOG_NOTICE,
			"transport %s: an init that is not later than the last was ignored",
			t->conf.name);
		return false;
	}
	// Also once the response to ours is there: else each end would seal with its own keys, and
	// hear nothing under them. A peer that began anew meanwhile is another matter.
	sent_ns = t->first.sent_ns;
	if (!t->first.on) // the response may have waited for a way to us
		sent_ns = t->initiator && terms->instance == t->instance_remote
				  ? t->handshake_mono_ns
				  : 0;
	if (sent_ns != 0 && key_pk_cmp(t->m->self.pk, &t->conf.peer) < 0 &&
		now - sent_ns < RAIL_CROSS_S * CLOCK_NS_PER_S) {
		t->m->stats.drop_hs_crossed++;
		tp_hs_hurry(t); // ours may be lost
		return false;
	}
	return true;
}

// The pending keys are in the data plane: now the peer may know.
static void on_answered(struct transport *t, int status, uint32_t rx_index)
{
	const struct neigh_path *path = t->pending.ref != NULL ? neigh_path(t->pending.ref) : NULL;
	const struct region_hdr *info = dp_client_info(t->m->conf.dp);

	if (!t->answer.on || t->flow[0]->pending != rx_index)
		return; // replaced meanwhile
	rail_hs_keys_wipe(&t->answer.keys);
	t->answer.on = false;
	if (status != 0 || path == NULL || info == NULL) {
		log_limited(LOG_ERR, "transport %s: the data plane refused the hop: %s",
			t->conf.name, strerror(-status));
		tp_hs_answer_drop(t);
		return;
	}
	dp_client_send_datagram(t->m->conf.dp, t->answer.worker, path->adj,
		(uint16_t)info->udp_port, t->pending.peer.port, t->answer.bytes, t->answer.len);
}

bool tp_pending_begin(struct transport *t, unsigned n)
{
	uint32_t rx_index[RAIL_FLOWS_MAX];

	tp_hs_answer_drop(t);
	n = tp_flows_make(t, n);
	if (!tp_indices_take(t, rx_index, n))
		return false;
	t->pending.on = true;
	t->pending.n = (uint8_t)n;
	t->pending.since_ns = clock_mono_ns();
	for (unsigned i = 0; i < n; i++)
		t->flow[i]->pending = rx_index[i];
	return true;
}

struct rail_hs_offer tp_pending_offer(const struct transport *t, const struct neigh_ref *ref)
{
	uint32_t rx_index[RAIL_FLOWS_MAX];

	for (unsigned i = 0; i < t->pending.n; i++)
		rx_index[i] = t->flow[i]->pending;
	return tp_offer(t, rx_index, t->pending.n, ref);
}

// The way to the peer's address is known, and with it what it carries: the response is made and its
// keys go to the data plane.
static void on_answer_path(void *arg, const struct neigh_path *path)
{
	struct transport *t = arg;
	struct tp_answer *a = &t->answer;
	struct rail_hs_offer offer;
	struct tp_keys_for k = {
		.keys = &a->keys,
		.peer = &t->pending.peer,
		.owner = a->owner,
		.adj = path->adj,
		.instance_remote = t->pending.instance_remote,
		.handshake_ns = t->pending.time_ns,
		.payload_max = a->terms.payload_max,
		.window_log2 = a->terms.window_log2,
		.done = on_answered,
	};

	ssize_t n;

	if (!a->on || a->sent_keys || path->state != NEIGH_USABLE)
		return;
	if (path->mtu < TP_MTU_MIN) {
		tp_state_set(t, t->state, "the path carries less than 1280 bytes of IP");
		tp_hs_answer_drop(t);
		return;
	}
	offer = tp_pending_offer(t, t->pending.ref);
	n = rail_hs_response_make(
		&a->side, &t->m->self, &offer, &a->terms, a->bytes, sizeof(a->bytes), &a->keys);
	rail_hs_fini(&a->side);
	a->sent_keys = true;
	a->len = (uint16_t)n;
	t->pending.cipher = a->keys.cipher;
	for (unsigned i = 0; n > 0 && i < a->keys.n_flows; i++)
		t->flow[i]->pending_peer = tp_flow_addr(&t->pending.peer, &a->keys, i + 1);
	if (n < 0 || tp_dp_keys(t, &k) != 0)
		tp_hs_answer_drop(t); // the peer tries again
}

// Answer an init that counts, when the way back is known. side is ours from now on.
static void answer(struct transport *t, unsigned worker, const struct up_handshake *in,
	struct rail_hs_side *side, const struct rail_hs_terms *terms)
{
	struct tp_answer *a = &t->answer;

	if (!tp_pending_begin(t, terms->n_flows))
		return;
	a->on = true;
	a->sent_keys = false;
	a->worker = worker;
	a->owner = owner_of(t->m, worker, in->port);
	a->side = *side;
	a->terms = *terms;
	t->pending.instance_remote = terms->instance;
	t->pending.time_ns = t->pending_time_ns = terms->time_ns;
	t->pending.peer = in->src;
	snprintf(t->pending.scope_if, sizeof(t->pending.scope_if), "%s", scope_of(t->m, in->port));
	t->pending.ref =
		neigh_resolve(t->m->conf.neigh, in->src.ip, t->pending.scope_if, on_answer_path, t);
	// Ours goes on until the key is used: anybody can send an old init again.
	if (t->pending.ref == NULL)
		tp_hs_answer_drop(t);
}

// For the operators of both ends.
static const char *refusal_text(const struct transport *t, uint8_t code)
{
	if (code == RAIL_REFUSAL_MODE)
		return t->conf.mode == HOP_MODE_RELIABLE
			       ? "the transport is mode = reliable at the refusing end"
			       : "the transport is mode = datagram at the refusing end";
	if (code != RAIL_REFUSAL_CIPHER)
		return "";
	switch (t->conf.ciphers) {
	case TRANSPORT_CHACHA:
		return "the refusing end takes chacha20-poly1305 only";
	case TRANSPORT_AES:
		return "the refusing end takes aes-256-gcm only";
	case TRANSPORT_NONE:
		return "the refusing end takes cipher = none only";
	default:
		return "the refusing end has cipher = auto";
	}
}

// What this end shows.
static void refused(struct transport *t, uint8_t code)
{
	const char *text = refusal_text(t, code);
	char why[TRANSPORT_WHY_MAX];

	if (t->state == TRANSPORT_UP)
		return; // an init of a peer that was configured anew: the link is as it was
	snprintf(why, sizeof(why), "we refused the peer: %s%s%s", rail_refusal_name(code),
		text[0] != '\0' ? ", " : "", text);
	tp_state_set(t, t->state, why);
}

static void on_init(
	struct transport_mgr *m, unsigned worker, const struct up_handshake *in, size_t len)
{
	struct rail_hs_side side;
	struct rail_hs_terms terms;
	struct rail_hs_offer offer;
	struct transport *t;
	uint64_t begin_ns;
	uint8_t bit, code;
	int rc;

	if (!passes_limits(m, in, len))
		return;
	begin_ns = clock_mono_ns();
	rc = rail_hs_init_take(&side, &m->self, in->bytes, len, false, &terms);
	hs_limit_spent(m->limit, clock_mono_ns() - begin_ns);
	if (rc != 0) {
		m->stats.drop_hs_forged++;
		return;
	}
	t = transport_for(m, worker, in, &side, &terms);
	if (t != NULL && init_counts(t, &terms)) {
		m->stats.hs_inits_taken++;
		offer = tp_offer(t, NULL, 0, NULL);
		code = rail_hs_settle(&offer, &terms, &bit);
		if (code != 0) {
			m->stats.drop_hs_refused++;
			refuse(m, worker, in, &side, &terms, code, refusal_text(t, code));
			refused(t, code);
		} else {
			answer(t, worker, in, &side, &terms);
			tp_hs_hurry(t); // the answer may be lost
		}
	}
	rail_hs_fini(&side);
}

void tp_hs_on_datagram(void *arg, unsigned worker, const struct up_handshake *in, size_t len)
{
	struct transport_mgr *m = arg;

	if (!m->ready || m->rx == NULL || in->src.port == 0)
		return;
	switch (rail_classify(in->bytes, len)) {
	case RAIL_INIT:
		on_init(m, worker, in, len);
		break;
	case RAIL_RESPONSE:
		on_response(m, worker, in, len);
		break;
	case RAIL_COOKIE:
		on_cookie(m, in->bytes, len);
		break;
	default:
		m->stats.drop_hs_forged++;
	}
}
