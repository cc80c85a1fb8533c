// The loop of one worker lcore. A turn: look at the clock and at commands; receive a burst from
// each queue and sort its frames (data to its hop, handshakes up, the rest to the kernel); take
// what other workers handed over; take what the control plane sent; let timers run; seal and send
// what has gathered, and make everything visible to the others; be quiescent. Nothing in it can
// fail: all that can, main.c did before the launch. Deliberately not here: keys (hop), rules
// (forward), sleeping (idle.c).

#include "dataplane/worker/worker.h"

#include "dataplane/hop/hop.h"
#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/io/exception.h"
#include "dataplane/io/parse.h"
#include "dataplane/rule/reclaim.h"
#include "dataplane/worker/first_contact.h"
#include "dataplane/worker/forward.h"
#include "dataplane/worker/handoff.h"
#include "dataplane/worker/idle.h"
#include "dataplane/worker/move.h"
#include "dataplane/worker/uplink.h"
#include "lib/base/clock.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLOCK_TICKS_HZ = 1000, // the monotonic clock is read so often, the TSC between
	RX_BURSTS = 8, // of one queue in a turn, if it takes no longer than
	RX_HZ = 20000, // 50 us
	BUDGET_PCT = 1, // of the cycles, for foreign addresses and for handshakes each
	DS_NS = 100 * 1000 * 1000,
};

struct worker {
	struct wctx w; // first: a wctx of ours is a worker
	struct idle idle;
	_Atomic bool stop;
	_Atomic bool macs_new; // owner: main sets, worker clears
	_Atomic uint64_t mac_new[DPMSG_MAX_PORTS]; // owner: main; MAC_SET | the address
	bool prepared;
	uint16_t n_ports; // tx[] entries in use lie below
	unsigned lcore; // launched on
	bool launched;
	uint64_t base_tsc; // where the clock was read
	uint64_t base_ns;
	uint64_t tick_tsc; // cycles per look at the clock
	uint64_t rx_tsc; // cycles for the bursts of one queue
	double ns_per_tsc;
};

struct worker_set {
	unsigned n;
	struct handoff_mesh *mesh;
	struct reclaim *reclaim;
	struct hs_keys *hs_keys; // as published; NULL: none yet
	struct worker *worker[DPMSG_MAX_WORKERS];
	struct wctx *all[DPMSG_MAX_WORKERS];
};

#define MAC_SET (1ull << 48)

static const struct wctx_ops ops = {
	.handoff_tx = handoff_tx,
	.handoff_has_room = handoff_has_room,
	.handoff_raw = handoff_raw,
	.handoff_room = handoff_room,
	.handoff_given = handoff_given,
	.handoff_msg = handoff_msg,
	.uplink_rekey = uplink_rekey,
};

// ---- clock and budgets ----

// Addresses that ports got while we ran: the kernel owns the interface of an af_packet port.
static void macs_take(struct worker *k)
{
	if (!atomic_exchange_explicit(&k->macs_new, false, memory_order_acquire))
		return; // pairs with worker_set_mac()
	for (unsigned port = 0; port < DPMSG_MAX_PORTS; port++) {
		uint64_t mac = atomic_load_explicit(&k->mac_new[port], memory_order_relaxed);

		for (unsigned i = 0; (mac & MAC_SET) != 0 && i < 6; i++)
			k->w.mac[port][i] = (uint8_t)(mac >> (40 - 8 * i));
	}
}

static void clock_tick(struct worker *k, uint64_t tsc)
{
	struct wctx *w = &k->w;
	uint64_t ns = clock_mono_ns();

	k->base_tsc = tsc;
	k->base_ns = ns > w->now_ns ? ns : w->now_ns; // never back
	w->now_ds = (uint32_t)(k->base_ns / DS_NS);
	if (unlikely(atomic_load_explicit(&k->macs_new, memory_order_relaxed)))
		macs_take(k);
	atomic_store_explicit(&w->stats->held, handoff_held(w), memory_order_relaxed);
}

static void refill(uint64_t *credit, uint64_t cycles, uint64_t cap)
{
	*credit = RTE_MIN(*credit + cycles * BUDGET_PCT / 100, cap);
}

static inline void clock_stage(struct worker *k)
{
	struct wctx *w = &k->w;
	uint64_t tsc = rte_rdtsc();
	uint64_t past = tsc - k->base_tsc;

	w->now_tsc = tsc;
	if (unlikely(past >= k->tick_tsc)) {
		refill(&w->foreign_credit, past, w->tsc_hz / WORKER_CREDIT_CAP_HZ);
		refill(&w->mac_credit, past, w->tsc_hz / WORKER_CREDIT_CAP_HZ);
		clock_tick(k, tsc);
		past = 0;
	}
	w->now_ns = k->base_ns + (uint64_t)((double)past * k->ns_per_tsc);
}

// ---- received datagrams ----

// Whoever owns the receiver index gets the datagrams; a run of one hop stays a burst.
static void dgram_stage(struct wctx *w, struct rx_dgram *d, unsigned n)
{
	uint64_t word[BURST];
	unsigned start = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(d[i].m, const uint8_t *);

		word[i] = hop_table_rx_word(w->hops, rail_data_receiver(p));
	}
	while (start < n) {
		unsigned end = start + 1;
		struct hop *h;

		while (end < n && word[end] == word[start])
			end++;
		if (unlikely(word[start] != 0 && hop_word_owner(word[start]) != w->id)) {
			for (; start < end; start++)
				handoff_rx(w, hop_word_owner(word[start]), &d[start]);
			continue;
		}
		h = word[start] != 0 ? hop_by_word(w, word[start]) : NULL;
		if (likely(h != NULL))
			hop_rx_burst(w, h, &d[start], end - start);
		else
			for (unsigned i = start; i < end; i++)
				drop(w, W_drop_index, d[i].m);
		start = end;
	}
}

// ---- frames of ports ----

// A burst, sorted.
struct sorted {
	unsigned n_data;
	unsigned n_other;
	struct rx_dgram data[BURST];
	struct rte_mbuf *other[BURST]; // the kernel's
};

static inline void to_dgram(struct rx_dgram *d, struct rte_mbuf *m, const struct parsed *o)
{
	d->m = m;
	memcpy(d->src_ip, o->src_ip, sizeof(d->src_ip));
	d->src_port = o->src_port;
	d->udp_len = o->len;
	// strip the outer headers and the padding behind
	rte_pktmbuf_adj(m, o->off);
	if (unlikely(m->data_len != o->len))
		rte_pktmbuf_trim(m, m->data_len - o->len);
}

static void not_data(struct wctx *w, uint16_t port, enum parse_verdict v, const struct parsed *o,
	struct rte_mbuf *m)
{
	switch (v) {
	case PARSE_HANDSHAKE:
		first_contact(w, port, o, m);
		break;
	case PARSE_FRAGMENT:
		drop(w, W_drop_frame_fragment, m);
		break;
	case PARSE_TYPE:
		drop(w, W_drop_frame_type, m);
		break;
	default:
		drop(w, W_drop_frame_malformed, m);
	}
}

static inline void sort_stage(
	struct wctx *w, uint16_t port, struct rte_mbuf **m, unsigned n, struct sorted *s)
{
	uint64_t bytes = 0;

	s->n_data = 0;
	s->n_other = 0;
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(m[i], const uint8_t *);
		struct parsed o;
		enum parse_verdict v =
			parse_frame(p, m[i]->data_len, w->mac[port], w->udp_ports, &o);

		bytes += m[i]->pkt_len;
		// ports are set up for one segment per frame
		if (unlikely(m[i]->nb_segs != 1))
			v = PARSE_MALFORMED;
		if (likely(v == PARSE_DATA))
			to_dgram(&s->data[s->n_data++], m[i], &o);
		else if (v == PARSE_OTHER)
			s->other[s->n_other++] = m[i];
		else
			not_data(w, port, v, &o, m[i]);
	}
	count(w, W_rx_frames, n);
	count(w, W_rx_bytes, bytes);
}

// What the short road did not take.
static void rx_general(struct wctx *w, struct rx_queue *q, struct rte_mbuf **m, unsigned n)
{
	struct sorted s;

	forward_flush(w);
	sort_stage(w, q->port, m, n, &s);
	if (likely(s.n_data != 0)) {
		struct rte_mbuf *last = s.data[s.n_data - 1].m;
		uint32_t index = rail_data_receiver(rte_pktmbuf_mtod(last, const uint8_t *));

		count(w, W_rx_data, s.n_data);
		count(w, W_dgram_in, s.n_data);
		dgram_stage(w, s.data, s.n_data);
		hop_expect(w, &q->expect, q->port, index);
	}
	if (unlikely(s.n_other != 0))
		exception_rx(w, q->port, s.other, s.n_other);
}

static inline unsigned rx_stage(struct wctx *w, struct rx_queue *q)
{
	struct rte_mbuf *m[BURST];
	unsigned n = rte_eth_rx_burst(q->port, q->queue, m, BURST);
	struct hop *routes;
	unsigned k, n_routes, off;

	if (n == 0)
		return 0;
	if (unlikely(exception_is_tap(w, q->port))) {
		exception_tap_rx(w, q->port, m, n);
		return n;
	}
	for (unsigned i = 0; i < n; i++)
		// hides the load of the headers in hop_rx_expected() or parse_frame()
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const void *));
	k = hop_rx_expected(w, &q->expect, m, n, &routes, &n_routes, &off);
	if (likely(routes != NULL))
		forward_ahead(w, routes, m, n_routes, off);
	if (unlikely(k < n))
		rx_general(w, q, m + k, n - k);
	return n;
}

// A queue that fills its bursts is asked again: what is done once per turn is shared by more
// packets, and the rules of one burst come into the cache while the next one is received.
static inline unsigned rx_queue_stage(struct worker *k, struct rx_queue *q)
{
	struct wctx *w = &k->w;
	uint64_t begin = rte_rdtsc();
	unsigned all = 0, n;

	for (unsigned i = 0; i < RX_BURSTS; i++) {
		n = rx_stage(w, q);
		all += n;
		if (n < BURST || rte_rdtsc() - begin > k->rx_tsc)
			break;
	}
	return all;
}

// ---- from other workers ----

static void handed_dgrams(struct wctx *w, const struct handoff_item *it, unsigned n)
{
	struct rx_dgram d[BURST];

	for (unsigned i = 0; i < n; i++) {
		d[i].m = it[i].m;
		memcpy(d[i].src_ip, it[i].src_ip, sizeof(d[i].src_ip));
		d[i].src_port = it[i].src_port;
		d[i].udp_len = it[i].udp_len;
	}
	dgram_stage(w, d, n);
}

// Route packets for one hop.
static void handed_packets(struct wctx *w, const struct handoff_item *it, unsigned n)
{
	struct rte_mbuf *m[BURST];
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++) {
		if (k + 1 + HANDOFF_MORE > BURST) {
			hop_give(w, it->hop, m, k, true);
			k = 0;
		}
		m[k++] = it[i].m;
		for (unsigned j = 0; j < it[i].n_more; j++)
			m[k++] = it[i].more[j];
	}
	for (unsigned i = 0; i < k; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const uint8_t *));
	hop_give(w, it->hop, m, k, true);
}

// A run of items of one kind (and hop).
static void handed_run(struct wctx *w, const struct handoff_item *it, unsigned n)
{
	if (it->kind == HANDOFF_RX) {
		handed_dgrams(w, it, n);
		return;
	}
	if (it->kind == HANDOFF_TX) {
		handed_packets(w, it, n);
		return;
	}
	if (unlikely(it->kind == HANDOFF_MSG)) {
		for (unsigned i = 0; i < n; i++)
			hop_message(w, &it[i].msg);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		tx_frame(w, it[i].port, it[i].m);
}

// hides the way of the mbufs from the other worker's cache
static inline void fetch_handed(const struct handoff_item *it, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (it[i].kind == HANDOFF_MSG)
			continue;
		rte_prefetch0(it[i].m);
		for (unsigned k = 0; k < it[i].n_more; k++)
			rte_prefetch0(it[i].more[k]);
	}
}

static void handed_burst(struct wctx *w, const struct handoff_item *it, unsigned n)
{
	for (unsigned start = 0, end; start < n; start = end) {
		end = start + 1;
		while (end < n && it[end].kind == it[start].kind && it[end].hop == it[start].hop)
			end++;
		handed_run(w, &it[start], end - start);
	}
}

// As much from each worker as from a queue of a port: else what is received here crowds it out.
static inline unsigned handoff_stage(struct wctx *w)
{
	struct handoff_item it[BURST];
	unsigned all = 0, n;

	for (unsigned from = 0; from < w->n_workers; from++) {
		for (unsigned i = 0; i < RX_BURSTS; i++) {
			n = handoff_take(w, from, it, BURST);
			fetch_handed(it, n);
			handed_burst(w, it, n);
			all += n;
			if (n < BURST)
				break;
		}
	}
	return all;
}

// ---- the turn ----

static inline void send_stage(struct worker *k)
{
	struct wctx *w = &k->w;

	hop_tx_flush(w);
	uplink_sink(w);
	for (uint16_t port = 0; port < k->n_ports; port++)
		if (w->tx[port].n != 0)
			tx_flush(w, port);
	handoff_flush(w);
	uplink_publish(w);
}

// What can be asked of the devices only once main has opened them.
static void prepare(struct worker *k)
{
	struct wctx *w = &k->w;

	k->prepared = true;
	for (uint16_t port = 0; port < DPMSG_MAX_PORTS; port++)
		if (w->tx[port].mtu != 0)
			k->n_ports = port + 1;
	for (uint16_t i = 0; i < w->n_rxq; i++) {
		struct rte_ether_addr mac;
		uint16_t port = w->rxq[i].port;

		if (rte_eth_macaddr_get(port, &mac) == 0)
			memcpy(w->mac[port], mac.addr_bytes, sizeof(w->mac[port]));
	}
	clock_tick(k, rte_rdtsc());
	w->now_ns = k->base_ns;
}

static inline void look_what_is_away(struct wctx *w)
{
	if (w->ports_away != NULL) // pairs with port_again(), by way of a grace period
		w->away = atomic_load_explicit(w->ports_away, memory_order_relaxed);
}

void worker_settle(struct wctx *const *all, unsigned n)
{
	uint32_t held;

	for (unsigned i = 0; i < n; i++)
		look_what_is_away(all[i]); // a grace period may be over since its last turn
	do {
		held = 0;
		for (unsigned i = 0; i < n; i++) {
			handoff_stage(all[i]);
			send_stage((struct worker *)all[i]);
		}
		for (unsigned i = 0; i < n; i++)
			held += handoff_held(all[i]);
	} while (held != 0);
}

void worker_sync_clock(struct wctx *w, const struct wctx *before)
{
	w->now_ns = RTE_MAX(w->now_ns, before->now_ns);
	clock_tick((struct worker *)w, rte_rdtsc());
}

static bool turn(struct worker *k)
{
	struct wctx *w = &k->w;
	unsigned work;
	uint64_t cycles;

	look_what_is_away(w);
	work = hop_commands(w);
	for (uint16_t i = 0; i < w->n_rxq; i++)
		if (likely((w->away >> w->rxq[i].port & 1) == 0))
			work += rx_queue_stage(k, &w->rxq[i]);
	forward_flush(w);
	if (w->n_workers > 1)
		work += handoff_stage(w);
	if (work != 0)
		idle_polled(&k->idle, w->now_ns, work);
	work += uplink_down(w);
	hop_timers(w);
	send_stage(k);
	reclaim_quiescent(w->reclaim, w->id);

	cycles = rte_rdtsc() - w->now_tsc;
	count(w, work != 0 ? W_turns_busy : W_turns_idle, 1);
	count(w, work != 0 ? W_cycles_busy : W_cycles_idle, cycles);
	return work != 0;
}

bool worker_turn(struct wctx *w)
{
	struct worker *k = (struct worker *)w;

	if (unlikely(!k->prepared))
		prepare(k);
	if (unlikely(w->move != NULL) && move_turn(w))
		return false;
	clock_stage(k);
	return turn(k);
}

bool worker_turn_at(struct wctx *w, uint64_t now_ns)
{
	struct worker *k = (struct worker *)w;

	if (!k->prepared)
		prepare(k);
	if (w->move != NULL && move_turn(w))
		return false;
	w->now_tsc = rte_rdtsc();
	clock_tick(k, w->now_tsc);
	w->now_ns = now_ns;
	return turn(k);
}

void worker_pass(struct wctx *w)
{
	idle_turn(w, &((struct worker *)w)->idle, worker_turn(w));
}

int worker_run(void *wctx)
{
	struct worker *k = wctx;

	idle_begin(&k->idle);
	reclaim_online(k->w.reclaim, k->w.id);
	while (!atomic_load_explicit(&k->stop, memory_order_relaxed))
		worker_pass(&k->w);
	reclaim_offline(k->w.reclaim, k->w.id);
	return 0;
}

// ---- start and end ----

static struct worker *worker_new(const struct worker_conf *c, struct worker_set *s, unsigned i)
{
	int socket = c->socket == NULL ? SOCKET_ID_ANY : c->socket[i];
	struct worker *k = rte_zmalloc_socket("worker", sizeof(*k), 64, socket);
	struct wctx *w;
	void *mem;

	if (k == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	w = &k->w;
	w->id = (uint16_t)i;
	w->n_workers = (uint16_t)c->n_workers;
	w->stats = stats_worker(c->region->stats, i);
	w->c = w->stats->c;
	w->rules = c->rules;
	w->adjs = c->adjs;
	w->hops = c->hops;
	w->reclaim = c->reclaim;
	w->sink = forward_burst;
	w->ops = &ops;
	w->handoff = handoff_end(s->mesh, i);
	w->tsc_hz = rte_get_tsc_hz();
	w->udp_ports = c->udp_ports;
	w->socket = (int16_t)socket;
	w->rng = rte_rdtsc() | 1;
	k->tick_tsc = w->tsc_hz / CLOCK_TICKS_HZ;
	k->rx_tsc = w->tsc_hz / RX_HZ;
	k->ns_per_tsc = 1e9 / (double)w->tsc_hz;
	atomic_init(&k->idle.mode, c->idle);
	w->uplink = uplink_new(c->region, i);
	if (w->uplink == NULL) {
		rte_free(k);
		return NULL;
	}
	mem = rte_zmalloc_socket("ciphers", aead_ctx_size(), 64, socket);
	if (mem == NULL) {
		uplink_free(w->uplink);
		rte_free(k);
		errno = ENOMEM;
		return NULL;
	}
	w->aead = aead_ctx_init(mem);
	return k;
}

struct worker_set *worker_set_new(const struct worker_conf *conf)
{
	struct worker_set *s;
	int err;

	if (conf->n_workers == 0 || conf->n_workers > DPMSG_MAX_WORKERS) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->reclaim = conf->reclaim;
	s->mesh = handoff_mesh_new(conf->n_workers);
	if (s->mesh == NULL)
		goto err_set;
	for (; s->n < conf->n_workers; s->n++) {
		s->worker[s->n] = worker_new(conf, s, s->n);
		if (s->worker[s->n] == NULL)
			goto err_set;
		s->all[s->n] = &s->worker[s->n]->w;
		s->all[s->n]->all = s->all;
	}
	return s;
err_set:
	err = errno;
	worker_set_free(s);
	errno = err;
	return NULL;
}

static void keys_free(void *ctx, uint64_t arg)
{
	explicit_bzero(ctx, sizeof(struct hs_keys));
	free(ctx);
}

void worker_set_free(struct worker_set *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->n; i++) {
		struct wctx *w = &s->worker[i]->w;

		for (unsigned p = 0; p < DPMSG_MAX_PORTS; p++)
			rte_pktmbuf_free_bulk(w->tx[p].m, w->tx[p].n);
		uplink_free(w->uplink);
		rte_free(w->aead);
		rte_free(s->worker[i]);
	}
	handoff_mesh_free(s->mesh);
	if (s->hs_keys != NULL)
		keys_free(s->hs_keys, 0);
	free(s);
}

struct wctx *worker_ctx(struct worker_set *s, unsigned i)
{
	return i < s->n ? &s->worker[i]->w : NULL;
}

unsigned worker_count(const struct worker_set *s)
{
	return s->n;
}

int worker_launch(struct worker_set *s, unsigned i, unsigned lcore)
{
	struct worker *k = s->worker[i];
	int err = rte_eal_remote_launch(worker_run, k, lcore);

	if (err < 0)
		return err;
	k->lcore = lcore;
	k->launched = true;
	return 0;
}

void worker_stop(struct worker_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		atomic_store_explicit(&s->worker[i]->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->worker[i]->launched)
			rte_eal_wait_lcore(s->worker[i]->lcore);
		s->worker[i]->launched = false;
	}
}

static int hs_keys_set(struct worker_set *s, const struct hs_keys *keys)
{
	struct hs_keys *old = s->hs_keys;
	struct hs_keys *copy;

	if (!reclaim_has_room(s->reclaim))
		return -EAGAIN;
	copy = malloc(sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	*copy = *keys;
	for (unsigned i = 0; i < s->n; i++)
		// pairs with the acquire in first_contact()
		atomic_store_explicit(&s->worker[i]->w.hs_keys, copy, memory_order_release);
	s->hs_keys = copy;
	if (old != NULL)
		reclaim_defer(s->reclaim, keys_free, old, 0);
	return 0;
}

int worker_set_mac1_key(struct worker_set *s, const uint8_t key[32])
{
	struct hs_keys keys = {.n_secrets = 0};

	memcpy(keys.mac1, key, sizeof(keys.mac1));
	return hs_keys_set(s, &keys);
}

int worker_set_cookies(struct worker_set *s, const struct cmd_cookies *c)
{
	struct hs_keys keys;
	int err;

	if (s->hs_keys == NULL || c->n_secrets < 1 || c->n_secrets > 2 || c->demand > 1)
		return -EINVAL;
	keys = *s->hs_keys;
	memcpy(keys.cookie, c->key, sizeof(keys.cookie));
	memcpy(keys.secret, c->secret, sizeof(keys.secret));
	memcpy(keys.salt, c->salt, sizeof(keys.salt));
	keys.n_secrets = c->n_secrets;
	keys.demand = c->demand != 0;
	err = hs_keys_set(s, &keys);
	explicit_bzero(&keys, sizeof(keys));
	return err;
}

void worker_set_mac(struct worker_set *s, uint16_t port, const uint8_t mac[6])
{
	uint64_t word = MAC_SET;

	for (unsigned i = 0; i < 6; i++)
		word |= (uint64_t)mac[i] << (40 - 8 * i);
	for (unsigned i = 0; port < DPMSG_MAX_PORTS && i < s->n; i++) {
		atomic_store_explicit(&s->worker[i]->mac_new[port], word, memory_order_relaxed);
		// pairs with the exchange in macs_take()
		atomic_store_explicit(&s->worker[i]->macs_new, true, memory_order_release);
	}
}

void worker_set_idle(struct worker_set *s, enum idle_mode mode)
{
	for (unsigned i = 0; i < s->n; i++)
		atomic_store_explicit(&s->worker[i]->idle.mode, mode, memory_order_relaxed);
}

uint64_t worker_set_bells(const struct worker_set *s, unsigned i)
{
	return stat_get(&s->worker[i]->idle.bells);
}
