// Two nodes' transport managers in one process, with the edges replaced at link time: a clock that
// stands still unless moved, a data plane that keeps hops and keys in a table, a neighbour service
// that finds everything, a wire that a test can cut. Each test is a program of its own.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka wants it
#include <cmocka.h>

#include "controlplane/transport/transport_mgr.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/link/rail_cookie.h"
#include "lib/link/rail_hs.h"
#include "lib/wire/rail.h"
#include "tests/controlplane/dp/fake_handlers.h"
#include "tests/controlplane/transport/world_conn.h"
#include "tests/controlplane/transport/world_dmsg.h"
#include "tests/controlplane/transport/world_loop.h"
#include "tests/controlplane/transport/world_neigh.h"
#include "tests/support/no_carriers.h"

enum { N_NODES = W_CLIENTS, KEYS = 8, HOPS = 64, RX_BITS = 10, PORT = 7780 };

struct w_key {
	bool live, confirmed;
	uint64_t instance_local, instance_remote; // in effect with the key
	uint8_t n_flows; // ditto
	struct dpmsg_keys k;
};

struct w_hop {
	bool live;
	struct cmd_hop_add add;
	struct w_key keys[KEYS];
	unsigned n_adds, n_rekeys, n_resets, n_paths, n_roamed;
	uint64_t instance_local, instance_remote;
	uint8_t n_flows; // in effect
	bool held; // carried: as told last
	unsigned n_holds;
};

struct dp_client {
	unsigned node;
	struct dp_handler *handlers;
	struct region_hdr info;
	bool attached;
	bool full; // commands find no room
	unsigned fail_nth; // of the next commands: there is no memory for it
	int refuse, refuse_rekey; // status of the next HOP_ADD, HOP_REKEY
	struct w_hop hops[HOPS];
	uint64_t cookie;
	struct cmd_hop_del del; // the last one
	struct cmd_cookies cookies; // as told last
	unsigned n_cookies_told;
	bool moving; // one hop at a time
	unsigned n_moves;
	unsigned full_worker; // + 1: moves to it are refused
	uint8_t *carried; // packets of carried hops that came down, one behind the other
	size_t carried_len;
	uint32_t carried_hop; // of the last one
	bool down_full;
};

struct w_node {
	struct key_pk pk;
	struct identity *id;
	struct dp_client dp;
	struct neigh neigh;
	struct transport_mgr *m;
	struct transport_watch watch;
	unsigned n_up, n_down, n_removed, n_in_dp, n_aims;
	char dir[64];
};

static struct w_node nodes[N_NODES];
static int64_t w_wall_off = 1700000000ll * 1000000000;
// Datagrams, re-keys and probes that match are lost; NULL: none.
static bool (*w_lose)(unsigned from, unsigned to, const uint8_t *bytes, size_t len);
static uint8_t w_last_init[N_NODES][RAIL_HS_MAX];
static size_t w_last_init_len[N_NODES];
static unsigned w_n_inits[N_NODES], w_n_responses[N_NODES], w_n_cookies[N_NODES];
static unsigned w_n_dgrams;
static unsigned w_hs_worker; // by which handshakes come
static uint8_t w_flows; // of managers that start, as their configuration says; 0: nothing
static uint8_t w_congestion; // ditto

static uint64_t w_mono(void)
{
	return w_now;
}

static uint64_t w_wall(void)
{
	return (uint64_t)((int64_t)w_now + w_wall_off);
}

// ---- data plane ----

#define W_EACH(c, hook, ...)                                                                       \
	do {                                                                                       \
		for (struct dp_handler *h_ = (c)->handlers; h_ != NULL; h_ = h_->next)             \
			if (h_->hook != NULL)                                                      \
				h_->hook(h_->arg, __VA_ARGS__);                                    \
	} while (0)

static struct dpmsg_addr w_addr(unsigned node)
{
	struct dpmsg_addr a = {.ip = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)node}, .port = PORT};

	return a;
}

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_add(&c->handlers, h);
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_remove(&c->handlers, h);
}

const struct region_hdr *dp_client_info(const struct dp_client *c)
{
	return c->attached ? &c->info : NULL;
}

static struct w_hop *w_hop_find(struct dp_client *c, uint32_t handle)
{
	for (unsigned i = 0; i < HOPS; i++) {
		if (c->hops[i].live && c->hops[i].add.hop == handle)
			return &c->hops[i];
	}
	return NULL;
}

static void w_note(
	struct dp_client *c, uint16_t type, uint32_t hop, uint32_t value, uint64_t cookie)
{
	struct evt_hop_note e = {.h.type = type, .h.cookie = cookie, .hop = hop, .value = value};

	W_EACH(c, on_hop_note, &e);
}

// A sealed datagram of any kind arrives: the first one under a key is told.
static struct w_hop *w_open(struct dp_client *c, uint32_t index, const uint8_t key[32])
{
	for (unsigned i = 0; i < HOPS; i++) {
		for (unsigned k = 0; c->hops[i].live && k < KEYS; k++) {
			struct w_key *w = &c->hops[i].keys[k];

			if (!w->live || w->k.rx_index != index || memcmp(w->k.rx_key, key, 32) != 0)
				continue;
			if (!w->confirmed) {
				w->confirmed = true;
				c->hops[i].instance_local = w->instance_local;
				c->hops[i].instance_remote = w->instance_remote;
				c->hops[i].n_flows = w->n_flows;
				w_note(c, EVT_HOP_KEYED, c->hops[i].add.hop, index, 0);
			}
			return &c->hops[i];
		}
	}
	return NULL;
}

static const struct w_key *w_send_key(const struct w_hop *h)
{
	const struct w_key *best = NULL;

	for (unsigned k = 0; k < KEYS; k++) {
		if (h->keys[k].live && (h->keys[k].k.initiator || h->keys[k].confirmed))
			best = &h->keys[k];
	}
	return best;
}

enum { SEALED_PROBE, SEALED_ACK, SEALED_REKEY };

static void w_sealed_arrives(struct w_job *j);

static void w_send_sealed(
	struct dp_client *c, struct w_hop *h, int kind, const uint8_t *bytes, size_t len)
{
	const struct w_key *k = w_send_key(h);
	unsigned to = h->add.peer.ip[15];
	struct w_job *j;

	if (k == NULL || (w_lose != NULL && w_lose(c->node, to, bytes, len)))
		return;
	j = w_post(w_sealed_arrives);
	j->from = c->node;
	j->to = to;
	j->kind = kind;
	j->index = k->k.tx_index;
	memcpy(j->key, k->k.tx_key, 32);
	j->len = len;
	if (len > 0)
		memcpy(j->bytes, bytes, len);
}

static void w_sealed_arrives(struct w_job *j)
{
	struct dp_client *c = &nodes[j->to].dp;
	struct w_hop *h = c->attached ? w_open(c, j->index, j->key) : NULL;
	uint8_t buf[sizeof(struct msg_rekey) + RAIL_HS_MAX] __attribute__((aligned(8)));
	struct msg_rekey *m = (struct msg_rekey *)buf;

	if (h == NULL)
		return;
	if (j->kind == SEALED_PROBE) {
		w_send_sealed(c, h, SEALED_ACK, NULL, 0);
	} else if (j->kind == SEALED_REKEY) {
		memset(m, 0, sizeof(*m));
		m->h.type = UP_REKEY;
		m->hop = h->add.hop;
		memcpy(m->bytes, j->bytes, j->len);
		W_EACH(c, on_rekey, 0, m, j->len);
	}
}

static int w_key_add(struct dp_client *c, struct w_hop *h, const struct dpmsg_keys *k,
	uint64_t instance_local, uint64_t instance_remote, uint8_t n_flows)
{
	struct w_key *slot = NULL;

	for (unsigned i = 0; i < KEYS; i++) {
		if (h->keys[i].live && !k->initiator && !h->keys[i].k.initiator &&
			!h->keys[i].confirmed)
			h->keys[i].live = false; // pending, replaced
	}
	memmove(&h->keys[0], &h->keys[1], sizeof(h->keys) - sizeof(h->keys[0]));
	slot = &h->keys[KEYS - 1];
	*slot = (struct w_key){.live = true,
		.instance_local = instance_local,
		.instance_remote = instance_remote,
		.n_flows = n_flows,
		.k = *k};
	if (k->initiator) {
		h->n_flows = n_flows;
		h->instance_local = instance_local;
		h->instance_remote = instance_remote;
		w_send_sealed(c, h, SEALED_PROBE, NULL, 0);
	}
	return 0;
}

static int w_cmd_add(struct dp_client *c, const struct cmd_hop_add *a)
{
	int refuse = c->refuse;

	c->refuse = 0;
	if (refuse != 0)
		return refuse;
	if (w_hop_find(c, a->hop) != NULL)
		return -EEXIST;
	for (unsigned i = 0; i < HOPS; i++) {
		struct w_hop *h = &c->hops[i];

		if (h->live)
			continue;
		*h = (struct w_hop){.live = true, .add = *a, .n_adds = h->n_adds + 1};
		h->instance_local = a->instance_local;
		h->instance_remote = a->instance_remote;
		h->n_flows = a->n_flows;
		return w_key_add(c, h, &a->keys, a->instance_local, a->instance_remote, a->n_flows);
	}
	return -ENOSPC;
}

static int w_cmd_rekey(struct dp_client *c, const struct cmd_hop_rekey *r)
{
	struct w_hop *h = w_hop_find(c, r->hop);
	int refuse = c->refuse_rekey;

	c->refuse_rekey = 0;
	if (refuse != 0 || h == NULL)
		return refuse != 0 ? refuse : -ENOENT;
	h->n_rekeys++;
	h->n_resets += r->flags == HOP_RESET;
	h->add.rel_window_log2 = r->rel_window_log2;
	if (r->peer.port != 0)
		h->add.peer = r->peer;
	if (r->payload_max != 0)
		h->add.payload_max = r->payload_max;
	return w_key_add(c, h, &r->keys, r->instance_local, r->instance_remote, r->n_flows);
}

static void w_command(struct w_job *j)
{
	if (j->kind == CMD_HOP_MOVE)
		nodes[j->to].dp.moving = false;
	if (j->done != NULL)
		j->done(j->arg, j->status, j->aux);
}

static int w_cmd_move(struct dp_client *c, struct w_hop *h, unsigned worker)
{
	if (c->moving)
		return -EAGAIN;
	c->n_moves++;
	if (worker + 1 == c->full_worker)
		return -ENOSPC;
	h->add.owner = (uint8_t)worker;
	return 0;
}

static int w_apply(struct dp_client *c, const void *cmd, uint64_t cookie)
{
	const struct dpmsg_hdr *hdr = cmd;
	const struct cmd_hop_del *del = cmd;
	struct w_hop *h;

	switch (hdr->type) {
	case CMD_HOP_ADD:
		return w_cmd_add(c, cmd);
	case CMD_HOP_REKEY:
		return w_cmd_rekey(c, cmd);
	case CMD_COOKIES:
		c->cookies = *(const struct cmd_cookies *)cmd;
		c->n_cookies_told++;
		return 0;
	default:
		break;
	}
	h = w_hop_find(c, del->hop); // the same place in all of these
	if (h == NULL)
		return -ENOENT;
	if (hdr->type == CMD_HOP_DEL) {
		h->live = false;
		c->del = *del;
	}
	if (hdr->type == CMD_HOP_PATH) {
		h->add.peer = ((const struct cmd_hop_path *)cmd)->peer;
		h->n_paths++;
		h->n_roamed += ((const struct cmd_hop_path *)cmd)->roamed;
	}
	if (hdr->type == CMD_HOP_HOLD) {
		h->held = ((const struct cmd_hop_hold *)cmd)->held;
		h->n_holds += h->held;
		assert_int_equal(((const struct cmd_hop_hold *)cmd)->limit_s, 28);
	}
	if (hdr->type == CMD_HOP_MOVE)
		return w_cmd_move(c, h, ((const struct cmd_hop_move *)cmd)->worker);
	if (hdr->type == CMD_HOP_PING)
		w_note(c, EVT_HOP_RTT, del->hop, 123, cookie);
	return 0;
}

int dp_client_send_cookie(
	struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg, uint64_t *cookie)
{
	struct w_job *j;

	if (!c->attached)
		return -ENOTCONN;
	if (c->full)
		return -EAGAIN;
	if (c->fail_nth != 0 && --c->fail_nth == 0)
		return -ENOMEM;
	*cookie = ++c->cookie;
	j = w_post(w_command);
	j->to = c->node;
	j->done = done;
	j->arg = arg;
	j->status = w_apply(c, cmd, *cookie);
	j->aux = 0;
	if (((const struct dpmsg_hdr *)cmd)->type == CMD_HOP_MOVE && j->status != -EAGAIN) {
		j->kind = CMD_HOP_MOVE;
		j->aux = ((const struct cmd_hop_move *)cmd)->worker;
		c->moving = true;
	}
	return 0;
}

int dp_client_send(struct dp_client *c, void *cmd, uint32_t len, dp_done_fn done, void *arg)
{
	uint64_t cookie;

	return dp_client_send_cookie(c, cmd, len, done, arg, &cookie);
}

int dp_client_send_rekey(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *msg, size_t len)
{
	struct w_hop *h = w_hop_find(c, hop);

	if (h != NULL)
		w_send_sealed(c, h, SEALED_REKEY, msg, len);
	return 0;
}

int dp_client_send_carried(
	struct dp_client *c, unsigned worker, uint32_t hop, const void *packet, size_t len)
{
	if (!c->attached)
		return -ENOTCONN;
	if (c->down_full)
		return -EAGAIN;
	assert_non_null(w_hop_find(c, hop));
	c->carried = realloc(c->carried, c->carried_len + len);
	assert_non_null(c->carried);
	memcpy(c->carried + c->carried_len, packet, len);
	c->carried_len += len;
	c->carried_hop = hop;
	return 0;
}

bool dp_client_has_room(struct dp_client *c, unsigned n, uint32_t len)
{
	(void)n, (void)len;
	return !c->full;
}

static void w_dgram_arrives(struct w_job *j);

// What a worker does with an init while cookies are demanded. True: it goes no further.
static bool w_wants_cookie(
	struct dp_client *c, const struct dpmsg_addr *src, const uint8_t *bytes, size_t len)
{
	static const uint8_t nonce[RAIL_COOKIE_NONCE_LEN];
	uint8_t value[RAIL_COOKIE_VALUE_LEN];
	struct w_job *j;

	if (!c->cookies.demand || rail_classify(bytes, len) != RAIL_INIT)
		return false;
	for (unsigned i = 0; i < c->cookies.n_secrets; i++) {
		rail_cookie_value(value, c->cookies.secret[i], src->ip, src->port);
		if (rail_mac2_is_right(bytes, len, value))
			return false;
	}
	rail_cookie_value(value, c->cookies.secret[0], src->ip, src->port);
	w_n_cookies[c->node]++;
	if (src->ip[15] >= N_NODES)
		return true; // goes to nobody
	j = w_post(w_dgram_arrives);
	j->from = c->node;
	j->to = src->ip[15];
	j->len = RAIL_COOKIE_LEN;
	assert_int_equal(rail_cookie_make(j->bytes, c->cookies.key, bytes, len, nonce, value), 0);
	return true;
}

static void w_deliver_from(
	const struct dpmsg_addr *src, unsigned to, const uint8_t *bytes, size_t len)
{
	uint8_t buf[sizeof(struct up_handshake) + RAIL_HS_MAX] __attribute__((aligned(8)));
	struct up_handshake *m = (struct up_handshake *)buf;

	if (to >= N_NODES || !nodes[to].dp.attached ||
		w_wants_cookie(&nodes[to].dp, src, bytes, len))
		return;
	memset(m, 0, sizeof(*m));
	m->h.type = UP_HANDSHAKE;
	m->src = *src;
	m->dst = w_addr(to);
	memcpy(m->bytes, bytes, len);
	W_EACH(&nodes[to].dp, on_handshake, w_hs_worker, m, len);
}

static void w_deliver(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	struct dpmsg_addr src = w_addr(from);

	w_deliver_from(&src, to, bytes, len);
}

static void w_dgram_arrives(struct w_job *j)
{
	w_deliver(j->from, j->to, j->bytes, j->len);
}

int dp_client_send_datagram(struct dp_client *c, unsigned worker, uint32_t adj, uint16_t src_port,
	uint16_t dst_port, const void *msg, size_t len)
{
	const uint8_t *p = msg;
	unsigned to = adj & 0xff;
	struct w_job *j;

	assert_int_equal(src_port, PORT);
	assert_int_equal(dst_port, PORT);
	assert_true(c->attached && len <= RAIL_HS_MAX);
	w_n_dgrams++;
	w_n_inits[c->node] += p[0] == RAIL_INIT;
	w_n_responses[c->node] += p[0] == RAIL_RESPONSE;
	if (p[0] == RAIL_INIT) {
		memcpy(w_last_init[c->node], p, len);
		w_last_init_len[c->node] = len;
	}
	if (w_lose != NULL && w_lose(c->node, to, p, len))
		return 0;
	j = w_post(w_dgram_arrives);
	j->from = c->node;
	j->to = to;
	j->len = len;
	memcpy(j->bytes, p, len);
	return 0;
}

static void w_room(unsigned i)
{
	nodes[i].dp.full = false;
	for (struct dp_handler *h = nodes[i].dp.handlers; h != NULL; h = h->next) {
		if (h->on_room != NULL)
			h->on_room(h->arg);
	}
}

// ---- nodes ----

static void w_on_change(void *arg, struct transport *t, enum transport_change what)
{
	struct w_node *n = arg;

	n->n_up += what == TRANSPORT_CHANGE_UP;
	n->n_down += what == TRANSPORT_CHANGE_DOWN;
	n->n_removed += what == TRANSPORT_CHANGE_REMOVED;
	n->n_in_dp += what == TRANSPORT_CHANGE_IN_DP;
	n->n_aims += what == TRANSPORT_CHANGE_FLOWS;
}

static uint8_t w_retransmit_limit = 7;
static uint16_t w_silence_s = 20;
static uint32_t w_replay_window = 1024;
static bool w_allow_any;
static uint32_t w_accepted_max; // 0: the default

static unsigned loop_node(const struct loop *l)
{
	return (unsigned)((const struct w_node *)l - nodes);
}

static void w_mgr_start(unsigned i)
{
	struct w_node *n = &nodes[i];
	struct transport_mgr_conf conf = {.loop = (struct loop *)n,
		.allow_any = w_allow_any,
		.accepted_max = w_accepted_max,
		.dp = &n->dp,
		.neigh = &n->neigh,
		.id = n->id,
		.state_dir = n->dir};

	conf.retransmit_limit = w_retransmit_limit;
	conf.silence_s = w_silence_s;
	conf.replay_window = w_replay_window;
	conf.flows = w_flows;
	conf.congestion = w_congestion;

	n->m = transport_mgr_new(&conf);
	assert_non_null(n->m);
	n->watch = (struct transport_watch){.fn = w_on_change, .arg = n};
	transport_mgr_watch(n->m, &n->watch);
}

static void w_nothing(struct w_job *j)
{
}

static void w_dump(struct w_job *j);

// As dp_client_stop(): what is under way is answered now.
static void w_cancel(unsigned i)
{
	nodes[i].dp.attached = nodes[i].dp.moving = false;
	for (struct w_job *j = w_jobs; j != NULL; j = j->next) {
		if ((j->fn != w_command && j->fn != w_dump) || j->to != i)
			continue;
		j->fn = w_nothing;
		if (j->done != NULL)
			j->done(j->arg, -ECONNRESET, 0);
	}
}

static void w_mgr_stop(unsigned i)
{
	w_cancel(i);
	transport_mgr_free(nodes[i].m);
	nodes[i].m = NULL;
	nodes[i].dp.handlers = NULL;
	w_settle();
	w_reap_timers();
}

static void w_evt_hop(struct dp_client *c, const struct w_hop *h)
{
	const struct w_key *k = w_send_key(h);
	struct evt_hop e = {.hop = h->add.hop,
		.tp = h->add.tp,
		.flow = h->add.flow,
		.n_flows = h->n_flows,
		.mode = h->add.mode,
		.instance_local = h->instance_local,
		.instance_remote = h->instance_remote,
		.handshake_ns = h->add.handshake_ns,
		.peer = h->add.peer,
		.adj = h->add.adj,
		.flags = (uint8_t)h->add.flags,
		.up = k != NULL && k->confirmed};

	e.congestion = h->add.congestion;
	e.path_mtu = h->add.path_mtu;
	e.window_log2 = h->add.window_log2;
	e.silence_s = h->add.silence_s;
	e.retransmit_limit = h->add.retransmit_limit;
	memcpy(e.peer_pk, h->add.peer_pk, sizeof(e.peer_pk));
	memcpy(e.name, h->add.name, sizeof(e.name));
	if (k != NULL) {
		e.cipher = k->k.cipher;
		e.initiator = k->k.initiator;
		e.rx_index[0] = k->k.rx_index;
	}
	W_EACH(c, on_hop, &e);
}

static void w_dump(struct w_job *j)
{
	struct dp_client *c = &nodes[j->to].dp;

	for (unsigned h = 0; h < HOPS; h++) {
		if (c->hops[h].live)
			w_evt_hop(c, &c->hops[h]);
	}
	j->done(j->arg, 0, 0);
}

int dp_client_dump(struct dp_client *c, uint32_t what, uint32_t first_rule, uint32_t max_rules,
	dp_done_fn done, void *arg)
{
	struct w_job *j;

	if (!c->attached)
		return -ENOTCONN;
	if (c->full)
		return -EAGAIN;
	assert_int_equal(what, DUMP_HOPS);
	j = w_post(w_dump);
	j->to = c->node;
	j->done = done;
	j->arg = arg;
	return 0;
}

static void w_attach(unsigned i, enum dp_sync why)
{
	struct dp_client *c = &nodes[i].dp;

	c->attached = true;
	W_EACH(c, on_sync_begin, why);
	for (unsigned h = 0; h < HOPS; h++) {
		if (c->hops[h].live)
			w_evt_hop(c, &c->hops[h]);
	}
	W_EACH(c, on_synced, why);
}

// The data plane dies; with `wipe`, all its hops too.
static void w_detach(unsigned i, bool wipe)
{
	struct dp_client *c = &nodes[i].dp;

	w_settle();
	c->attached = false;
	for (struct dp_handler *h = c->handlers; h != NULL; h = h->next) {
		if (h->on_detach != NULL)
			h->on_detach(h->arg);
	}
	if (wipe)
		memset(c->hops, 0, sizeof(c->hops));
}

static void w_quiet(void *arg, enum log_level level, const char *module, const char *text)
{
	if (getenv("WORLD_LOG") != NULL)
		fprintf(stderr, "%10.3f %d %s: %s\n", (double)w_now / 1e9, level, module, text);
}

static int w_setup(void **state)
{
	static const struct clock_source src = {.mono_ns = w_mono, .wall_ns = w_wall};

	clock_source_set(&src);
	log_sink_set(w_quiet, NULL);
	w_conns_setup(loop_node);
	w_allow_any = false;
	w_accepted_max = 0;
	w_lose = NULL;
	w_no_path = false;
	w_mtu = 1500;
	w_hs_worker = 0;
	w_flows = 0;
	w_congestion = HOP_CC_DEFAULT;
	w_queues = 1;
	memset(w_refs, 0, sizeof(w_refs));
	w_n_dgrams = 0;
	w_now += 1000ull * CLOCK_NS_PER_S;
	memset(w_n_inits, 0, sizeof(w_n_inits));
	memset(w_n_responses, 0, sizeof(w_n_responses));
	memset(w_n_cookies, 0, sizeof(w_n_cookies));
	for (unsigned i = 0; i < N_NODES; i++) {
		struct w_node *n = &nodes[i];
		struct key_sk sk;

		memset(n, 0, sizeof(*n));
		memset(sk.b, (int)i + 1, sizeof(sk.b));
		n->id = identity_from_sk(&sk);
		assert_non_null(n->id);
		n->pk = *identity_pk(n->id);
		n->dp.node = n->neigh.node = i;
		n->dp.info.udp_port = PORT;
		n->dp.info.udp_ports = 8;
		n->dp.info.hop_max = 256;
		n->dp.info.adj_max = 256;
		n->dp.info.rx_index_bits = RX_BITS;
		n->dp.info.n_workers = 1;
		n->dp.info.cipher_ns[AEAD_CHACHA20_POLY1305] = 400;
		n->dp.info.cipher_ns[AEAD_AES_256_GCM] = 100;
		n->dp.info.cipher_ns[AEAD_NONE] = 1;
		snprintf(n->dir, sizeof(n->dir), "/tmp/skyrail-world-XXXXXX");
		assert_non_null(mkdtemp(n->dir));
		w_dmsg_setup(i, &n->pk, (struct loop *)n);
		w_mgr_start(i);
		w_attach(i, DP_SYNC_FRESH);
	}
	return 0;
}

static int w_teardown(void **state)
{
	char path[96];

	for (unsigned i = 0; i < N_NODES; i++) {
		if (nodes[i].m != NULL)
			w_mgr_stop(i);
		identity_free(nodes[i].id);
		free(nodes[i].dp.carried);
		snprintf(path, sizeof(path), "%s/last_init", nodes[i].dir);
		unlink(path);
		rmdir(nodes[i].dir);
	}
	w_settle();
	w_conns_teardown();
	for (struct loop_timer *t = w_timers; t != NULL; t = t->next)
		t->dead = true; // of dials that stand
	w_reap_timers();
	clock_source_set(NULL);
	log_sink_set(NULL, NULL);
	return 0;
}

// c without name, peer and address
static struct transport *w_add_conf(unsigned i, unsigned j, struct transport_conf c)
{
	char err[128] = "";

	snprintf(c.name, sizeof(c.name), "to-%u", j);
	c.peer = nodes[j].pk;
	if (c.dial && c.addr.port == 0)
		c.addr = w_addr(j);
	assert_int_equal(transport_mgr_add(nodes[i].m, &c, err, sizeof(err)), 0);
	return transport_mgr_find(nodes[i].m, c.name);
}

static struct transport *w_add_with(unsigned i, unsigned j, bool dial, uint8_t ciphers)
{
	return w_add_conf(i, j,
		(struct transport_conf){
			.mode = HOP_MODE_DATAGRAM, .ciphers = ciphers, .dial = dial});
}

// Reliable, of several flows.
static struct transport *w_add_flows(unsigned i, unsigned j, bool dial, uint8_t flows)
{
	return w_add_conf(i, j,
		(struct transport_conf){.mode = HOP_MODE_RELIABLE,
			.ciphers = TRANSPORT_AUTO,
			.flows = flows,
			.dial = dial});
}

static struct transport *w_add(unsigned i, unsigned j, bool dial)
{
	return w_add_with(i, j, dial, TRANSPORT_AUTO);
}

#include "tests/controlplane/transport/world_look.h" // uses all of it
