// The life of a hop at its owner: taking it over from the main lcore, keys coming and going
// (rail.md 2), up and down, timers (rail.md 3), letting it go. No packet passes through here; what
// is said to the peer is in hop_ctl.c.

#include "dataplane/hop/hop.h"

#include "dataplane/hop/hop_car.h"
#include "dataplane/hop/hop_cmd.h"
#include "dataplane/hop/hop_move.h"
#include "dataplane/hop/hop_mtu.h"
#include "dataplane/hop/hop_route.h"

#include <rte_malloc.h>
#include <sodium.h>

uint32_t hop_handle(const struct hop *h)
{
	return h->handle;
}

uint32_t hop_tp(const struct hop *h)
{
	return h->tp;
}

struct hop_flow hop_flow(const struct hop *h)
{
	return h->flow;
}

struct hop_guard *hop_guard(struct hop *h)
{
	return &h->guard;
}

_Atomic uint64_t *hop_counters(struct hop *h)
{
	return h->st->c;
}

struct hop *hop_by_handle(const struct wctx *w, uint32_t handle)
{
	uint32_t i = dpmsg_handle_index(handle);
	struct hop *h = i < w->hops->hop_max ? hop_worker(w)->by_index[i] : NULL;

	return h != NULL && h->handle == handle ? h : NULL;
}

struct hop *hop_by_word(const struct wctx *w, uint64_t word)
{
	return hop_worker(w)->by_index[dpmsg_handle_index((uint32_t)word)];
}

// ---- notes ----

bool hop_note(struct wctx *w, const struct dp_note *n)
{
	struct hop_worker *hw = hop_worker(w);

	struct dp_note copy = *n; // the ring takes no const

	if (likely(rte_ring_sp_enqueue_elem(hw->notes, &copy, sizeof(copy)) == 0))
		return true;
	atomic_store_explicit(&hw->notes_lost, 1, memory_order_relaxed);
	count(w, W_notes_lost, 1);
	return false;
}

bool hop_note_simple(struct wctx *w, const struct hop *h, enum dp_note_kind kind, uint32_t value)
{
	struct dp_note n = {.kind = kind, .hop = h->handle, .tp = h->tp, .value = value};

	if (kind == NOTE_HOP_REKEY_DUE)
		n.initiator = h->send >= 0 && h->keys[h->send].initiator;
	return hop_note(w, &n);
}

bool hop_note_addr(struct wctx *w, const struct hop *h, const struct hop_addr *a)
{
	struct dp_note n = {.kind = NOTE_HOP_ROAMED, .hop = h->handle, .tp = h->tp};

	memcpy(n.addr.ip, a->ip, 16);
	n.addr.port = a->port;
	return hop_note(w, &n);
}

bool hop_note_text(struct wctx *w, const struct hop *h, enum dp_note_kind kind, uint8_t code,
	const void *text, size_t len, bool we)
{
	struct dp_note n = {.kind = kind, .hop = h->handle, .tp = h->tp, .value = code};

	n.initiator = we;
	n.text_len = (uint8_t)(len < sizeof(n.text) ? len : sizeof(n.text));
	if (n.text_len > 0)
		memcpy(n.text, text, n.text_len);
	return hop_note(w, &n);
}

// ---- what main sees ----

static void put64(_Atomic uint64_t *to, uint64_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

static void put32(_Atomic uint32_t *to, uint32_t v)
{
	atomic_store_explicit(to, v, memory_order_relaxed);
}

static void publish_key(struct hop_pub *pub, const struct hop_key *key)
{
	put64(&pub->key_born_ns, key->born_ns);
	put64(&pub->instance_local, key->instance_local);
	put64(&pub->instance_remote, key->instance_remote);
	put64(&pub->handshake_ns, key->handshake_ns);
	atomic_store_explicit(&pub->cipher, key->cipher, memory_order_relaxed);
	atomic_store_explicit(&pub->initiator, key->initiator, memory_order_relaxed);
}

void hop_publish(struct hop *h)
{
	struct hop_pub *pub = &h->pub;
	uint64_t ip[2];

	put32(&pub->rx_index_sends, h->send >= 0 ? h->keys[h->send].rx_index : 0);
	for (unsigned k = 0; k < HOP_KEYS; k++)
		put32(&pub->rx_index[k], h->keys[k].rx_index);
	memcpy(ip, h->peer.ip, sizeof(ip));
	put64(&pub->peer_ip[0], ip[0]);
	put64(&pub->peer_ip[1], ip[1]);
	atomic_store_explicit(&pub->peer_port, h->peer.port, memory_order_relaxed);
	atomic_store_explicit(&pub->payload_max, h->payload_max, memory_order_relaxed);
	put32(&pub->adj, h->adj);
	put64(&pub->tx_counter, h->tx_counter);
	put64(&pub->last_rx_ns, h->last_rx_ns);
	atomic_store_explicit(&pub->dead, h->dead, memory_order_relaxed);
	atomic_store_explicit(&pub->n_flows, h->flow.n, memory_order_relaxed);
	if (h->rel != NULL)
		hop_rel_publish(h);
	else if (h->car != NULL)
		hop_car_publish(h);
	if (h->send >= 0)
		publish_key(pub, &h->keys[h->send]);
	// pairs with the acquire in hop_show.c and index_lives()
	atomic_store_explicit(&pub->cmds_done, h->cmds_done, memory_order_release);
}

void hop_set_up(struct wctx *w, struct hop *h)
{
	// a reliable hop keeps what it is given until its own limits say otherwise
	h->up = (h->send >= 0 || h->car != NULL) && (!h->dead || h->rel != NULL) && !h->closed;
	atomic_store_explicit(
		&w->hops->up[dpmsg_handle_index(h->handle)], h->up, memory_order_relaxed);
	if (h->up && h->rel != NULL)
		hop_rel_wake(w, h); // what waited for a key
	hop_publish(h);
}

// ---- keys ----

static void key_wipe(struct hop *h, unsigned k)
{
	sodium_memzero(&h->keys[k], sizeof(h->keys[k]));
	sodium_memzero(&h->rooms[k], sizeof(h->rooms[k]));
	if (h->send == (int)k)
		h->send = -1;
}

void hop_draw_skip(struct hop *h)
{
	h->skip_rng ^= h->skip_rng << 13;
	h->skip_rng ^= h->skip_rng >> 7;
	h->skip_rng ^= h->skip_rng << 17;
	h->skip_at = h->tx_counter + 1 + (h->skip_rng >> 15) % HOP_SKIP_SPAN;
}

void hop_drop_parts(struct wctx *w, struct hop *h)
{
	if (h->parts == NULL)
		return;
	part_flush(h->parts);
	hop_reap_parts(w, h);
	if (hop_worker(w)->most_parts == h)
		hop_worker(w)->most_parts = NULL;
}

void hop_reap_parts(struct wctx *w, struct hop *h)
{
	struct rte_mbuf *m;

	while ((m = part_reap(h->parts, w->now_ns)) != NULL) {
		rte_pktmbuf_free(m);
		h->parts_held--;
		hop_worker(w)->parts_held--;
		count(w, W_parts_dropped, 1);
	}
}

// When both ends took the initiative and answered each other, each seals with its own key: the one
// that is pending here may be the peer's, and belongs to what begins with ours.
static bool begins_with(const struct hop_key *pending, const struct hop_key *key)
{
	return key->initiator && !pending->initiator && pending->reset && !pending->confirmed &&
	       pending->instance_local == key->instance_local &&
	       pending->instance_remote == key->instance_remote;
}

// A new instance begins with keys[k]: counters mean something else from here on, so no other key
// may live.
static void begin_instance(struct wctx *w, struct hop *h, unsigned k)
{
	for (unsigned i = 0; i < HOP_KEYS; i++) {
		if (i != k && begins_with(&h->keys[i], &h->keys[k]))
			h->keys[i].reset = false;
		else if (i != k)
			key_wipe(h, i);
	}
	h->keys[k].reset = false;
	h->tx_counter = 0;
	h->n_skips = 0;
	h->next_skip = 0;
	hop_draw_skip(h);
	replay_init(h->replay, h->replay->n_bits);
	if (h->rel != NULL && h->keys[k].rel_window_log2 != 0)
		rel_set_window(h->rel->rel, h->keys[k].rel_window_log2);
	if (h->rel != NULL)
		hop_rel_reset(w, h, RAIL_GONE_RESET);
	hop_drop_parts(w, h);
	h->part_seq = 0;
	memset(h->probes, 0, sizeof(h->probes));
	h->probe_ns = 0;
	hop_mtu_forget(h);
}

// Which of the three gives way to a new key.
static unsigned key_slot(const struct hop *h, bool initiator)
{
	unsigned best = 0;
	uint64_t best_rank = UINT64_MAX;

	for (unsigned k = 0; k < HOP_KEYS; k++) {
		const struct hop_key *key = &h->keys[k];
		uint64_t rank;

		if (!initiator && key->rx_index != 0 && !key->initiator && !key->confirmed)
			return k; // a pending key that was not used is replaced
		if (key->rx_index == 0)
			rank = 0;
		else if (key->expire_ns != 0)
			rank = 1;
		else if (!key->confirmed && (int)k != h->send)
			rank = 2;
		else
			rank = (int)k == h->send && key->confirmed ? 4 : 3;
		rank = rank << 60 | key->seq; // of equals the oldest
		if (rank < best_rank) {
			best_rank = rank;
			best = k;
		}
	}
	return best;
}

static void set_flows(struct wctx *w, struct hop *h, uint8_t n)
{
	h->flow.n = n;
	h->flow.inv = rail_flow_inv(n);
	atomic_store_explicit(
		&w->hops->n_flows[dpmsg_handle_index(h->handle)], n, memory_order_relaxed);
}

// From now on we seal with keys[k].
static void use_key(struct wctx *w, struct hop *h, unsigned k)
{
	struct hop_key *key = &h->keys[k];

	h->send = (int8_t)k;
	key->first_counter = h->tx_counter;
	key->born_ns = w->now_ns;
	h->due_noted_ns = 0;
	h->dead = false;
	h->closed = false;
	h->last_rx_ns = w->now_ns;
	h->first_tx_ns = 0;
	if (key->peer.port != 0) {
		if (memcmp(h->peer.ip, key->peer.ip, sizeof(h->peer.ip)) != 0) {
			if (h->rel != NULL)
				hop_rel_moved(w, h);
			hop_mtu_forget(h);
		}
		h->peer = key->peer;
		h->trying = false;
	}
	if (key->adj != 0)
		h->adj = key->adj;
	if (key->payload_max != 0)
		h->payload_max = key->payload_max;
	if (key->n_flows != 0)
		set_flows(w, h, key->n_flows);
}

// The main lcore chose the back end, so it has the cipher; a key that can't be made is none.
static bool make_key(struct wctx *w, struct hop *h, unsigned k, const struct hop_cmd *c)
{
	struct hop_key *key = &h->keys[k];
	struct aead_room *room = h->rooms[k];

	*key = c->key;
	if (key->aead->key_init(w->aead, &key->rx, &room[0], key->cipher, c->secret[0]) == 0 &&
		key->aead->key_init(w->aead, &key->tx, &room[1], key->cipher, c->secret[1]) == 0)
		return true;
	key_wipe(h, k);
	return false;
}

static void add_key(struct wctx *w, struct hop *h, const struct hop_cmd *c)
{
	unsigned k = key_slot(h, c->key.initiator);
	struct hop_key *key = &h->keys[k];

	key_wipe(h, k);
	if (unlikely(!make_key(w, h, k, c)))
		return;
	key->seq = ++h->key_seq;
	if (key->initiator) {
		// what a handshake may break takes effect at the response, which this is
		if (key->reset)
			begin_instance(w, h, k);
		use_key(w, h, k);
	}
	hop_set_up(w, h);
	if (key->initiator)
		hop_send_probe(w, h, 0);
}

void hop_confirm(struct wctx *w, struct hop *h, unsigned k)
{
	struct hop_key *key = &h->keys[k];

	key->confirmed = true;
	if (key->reset)
		begin_instance(w, h, k);
	if (!key->initiator && (h->send < 0 || h->keys[h->send].seq < key->seq))
		use_key(w, h, k);
	for (unsigned i = 0; i < HOP_KEYS; i++) {
		struct hop_key *old = &h->keys[i];

		if (old->rx_index != 0 && old->seq < key->seq && old->expire_ns == 0)
			old->expire_ns = w->now_ns + HOP_KEY_OLD_NS;
	}
	hop_count(h, H_hop_rekeys, 1);
	hop_mtu_begin(w, h);
	hop_set_up(w, h);
	hop_note_simple(w, h, NOTE_HOP_KEYED, key->rx_index);
}

void hop_alive(struct wctx *w, struct hop *h)
{
	h->last_rx_ns = w->now_ns;
	h->first_tx_ns = 0;
	if (likely(!h->dead))
		return;
	h->dead = false;
	hop_set_up(w, h);
	hop_note_simple(w, h, NOTE_HOP_KEYED, h->send >= 0 ? h->keys[h->send].rx_index : 0);
}

void hop_shut(struct wctx *w, struct hop *h, bool we, uint8_t code, const void *text, size_t len)
{
	for (unsigned k = 0; k < HOP_KEYS; k++)
		key_wipe(h, k);
	h->closed = true;
	hop_mtu_forget(h);
	if (h->rel != NULL)
		hop_rel_reset(w, h, RAIL_GONE_HOP_DOWN);
	hop_drop_parts(w, h);
	hop_set_up(w, h);
	hop_note_text(w, h, NOTE_HOP_CLOSED, code, text, len, we);
}

// ---- commands ----

void hop_list_add(struct hop_worker *hw, struct hop *h)
{
	h->list_pos = hw->n_list;
	hw->list[hw->n_list++] = h;
	hw->by_index[dpmsg_handle_index(h->handle)] = h;
}

void hop_list_del(struct hop_worker *hw, struct hop *h)
{
	struct hop *last = hw->list[--hw->n_list];

	hw->list[h->list_pos] = last;
	last->list_pos = h->list_pos;
	hw->by_index[dpmsg_handle_index(h->handle)] = NULL;
}

// The main lcore frees hops that it was told are released; so these notes are never lost.
static void tell_released(struct wctx *w, struct hop_worker *hw)
{
	while (hw->released != NULL) {
		struct hop *h = hw->released;
		struct hop *next = h->next_pending;
		struct dp_note n = {.kind = NOTE_HOP_RELEASED, .hop = h->handle, .ptr = h};

		if (rte_ring_sp_enqueue_elem(hw->notes, &n, sizeof(n)) != 0)
			return;
		hw->released = next;
	}
}

void hop_unlink_pending(struct wctx *w, struct hop *h)
{
	struct hop **at = &w->tx_pending;

	while (*at != NULL && *at != h)
		at = &(*at)->next_pending;
	if (*at == h)
		*at = h->next_pending;
	h->pending = false;
}

static void let_go(struct wctx *w, struct hop *h, const struct hop_cmd *c)
{
	struct hop_worker *hw = hop_worker(w);

	if (h->pending) {
		hop_flush(w, h);
		hop_unlink_pending(w, h);
	}
	if (c->send_close != 0 && h->send >= 0)
		hop_send_text(w, h, RAIL_CLOSE, c->code, c->text, c->text_len);
	if (h->rel != NULL) {
		if (h->send >= 0)
			hop_rel_flush(w, h);
		hop_rel_end(w, h);
		hop_unlink_pending(w, h);
	}
	if (h->car != NULL)
		hop_car_end(w, h);
	for (unsigned k = 0; k < HOP_KEYS; k++)
		key_wipe(h, k);
	hop_drop_parts(w, h);
	h->closed = true;
	hop_set_up(w, h);
	hop_list_del(hw, h);
	h->next_pending = hw->released;
	hw->released = h;
}

static void run_cmd(struct wctx *w, const struct hop_cmd *c)
{
	struct hop *h = c->kind == HOP_CMD_ADD ? c->hop : hop_by_handle(w, c->handle);

	if (c->kind == HOP_CMD_STOP)
		w->move = c->move;
	if (h == NULL)
		return;
	h->cmds_done++;
	switch (c->kind) {
	case HOP_CMD_ADD:
		hop_list_add(hop_worker(w), h);
		h->last_rx_ns = w->now_ns;
		h->last_tx_ns = w->now_ns;
		if (h->car != NULL) {
			hop_car_begin(w, h);
			break;
		}
		if (h->rel != NULL)
			hop_rel_begin(w, h);
		hop_draw_skip(h);
		publish_key(&h->pub, &c->key); // shown until a key is in use
		add_key(w, h, c);
		break;
	case HOP_CMD_KEY:
		add_key(w, h, c);
		break;
	case HOP_CMD_PATH:
		hop_path(w, h, c);
		hop_publish(h);
		break;
	case HOP_CMD_PING:
		hop_send_probe(w, h, c->cookie);
		hop_publish(h);
		break;
	case HOP_CMD_HOLD:
		hop_car_hold(w, h, c->held, c->limit_s);
		break;
	case HOP_CMD_DEL:
		let_go(w, h, c);
		break;
	default:
		break;
	}
}

unsigned hop_commands(struct wctx *w)
{
	struct hop_worker *hw = hop_worker(w);
	uint32_t head = atomic_load_explicit(&hw->cmd_head, memory_order_relaxed);
	// pairs with the release in cmd_end()
	uint32_t tail = atomic_load_explicit(&hw->cmd_tail, memory_order_acquire);
	unsigned n = 0;

	if (unlikely(hw->released != NULL))
		tell_released(w, hw);
	if (hw->hold != NULL)
		n += hop_messages(w);
	for (unsigned done = 0; head != tail && done < HOP_CMDS_TURN; n++, done++, head++) {
		struct hop_cmd *c = &hw->cmds[head & (HOP_CMDS - 1)];

		run_cmd(w, c);
		sodium_memzero(&c->secret, sizeof(c->secret));
		// pairs with the acquire in cmd_begin()
		atomic_store_explicit(&hw->cmd_head, head + 1, memory_order_release);
	}
	return n;
}

// ---- timers ----

static void expire_keys(struct hop *h, uint64_t now_ns)
{
	for (unsigned k = 0; k < HOP_KEYS; k++)
		if (h->keys[k].expire_ns != 0 && now_ns >= h->keys[k].expire_ns)
			key_wipe(h, k);
}

static void rekey_due(struct wctx *w, struct hop *h)
{
	const struct hop_key *key = &h->keys[h->send];
	uint64_t limit = h->rekey_ns + (key->initiator ? 0 : HOP_RESPONDER_EXTRA_NS);
	uint64_t used = h->tx_counter - key->first_counter;
	bool due = w->now_ns - key->born_ns >= limit || key->bad_tags >= RAIL_SOFT_BAD_TAGS ||
		   (key->cipher == AEAD_AES_256_GCM && used >= RAIL_SOFT_DATAGRAMS_GCM);

	// told again now and then: a note may get lost
	if (due && (h->due_noted_ns == 0 || w->now_ns - h->due_noted_ns >= HOP_DUE_REPEAT_NS) &&
		hop_note_simple(w, h, NOTE_HOP_REKEY_DUE, key->rx_index))
		h->due_noted_ns = w->now_ns;
}

static void check_dead(struct wctx *w, struct hop *h)
{
	if (h->dead || h->first_tx_ns == 0 || w->now_ns - h->last_rx_ns < h->dead_ns ||
		w->now_ns - h->first_tx_ns < HOP_PROBE_REPEAT_NS)
		return;
	h->dead = true;
	hop_set_up(w, h);
	hop_note_simple(w, h, NOTE_HOP_DEAD, 0);
}

// A probe is due when nothing was sent for a while; one that got no answer is repeated, seldom to a
// peer that is dead.
static void probe_if_due(struct wctx *w, struct hop *h)
{
	uint64_t repeat_ns;

	if (h->rel != NULL) { // which repeats what is lost by itself
		if (w->now_ns - h->last_tx_ns >= h->keepalive_ns)
			hop_rel_probe(w, h, 0);
		return;
	}
	repeat_ns = h->dead ? h->keepalive_ns : HOP_PROBE_REPEAT_NS;
	if (h->probe_ns != 0 ? w->now_ns - h->probe_ns >= repeat_ns
			     : w->now_ns - h->last_tx_ns >= h->keepalive_ns)
		hop_send_probe(w, h, 0);
}

static void visit(struct wctx *w, struct hop *h)
{
	expire_keys(h, w->now_ns);
	if (h->rel != NULL)
		hop_rel_visit(w, h);
	else if (h->car != NULL)
		hop_car_visit(w, h);
	else if (!part_is_empty(h->parts))
		hop_reap_parts(w, h);
	if (h->send >= 0) {
		hop_path_timer(w, h);
		rekey_due(w, h);
		check_dead(w, h);
		probe_if_due(w, h);
		hop_mtu_visit(w, h);
	}
	hop_publish(h);
}

void hop_timers(struct wctx *w)
{
	struct hop_worker *hw = hop_worker(w);
	unsigned end;

	if (hw->hold != NULL)
		hop_rel_timers(w);
	if (hw->visit >= hw->n_list) {
		if (w->now_ns < hw->next_sweep_ns)
			return;
		hw->next_sweep_ns = w->now_ns + HOP_TICK_NS;
		hw->visit = 0;
	}
	end = hw->visit + HOP_VISITS < hw->n_list ? hw->visit + HOP_VISITS : hw->n_list;
	while (hw->visit < end)
		visit(w, hw->list[hw->visit++]);
}

bool hop_marks(const struct hop *h)
{
	return hop_keeps_order(h);
}

bool hop_keeps(const struct wctx *w)
{
	return hop_hold(w) != NULL;
}

bool hop_timer_is_near(const struct wctx *w, uint64_t ns)
{
	const struct hop_hold *hh = hop_hold(w);

	return hh != NULL && wheel_is_near(&hh->wheel, ns);
}
