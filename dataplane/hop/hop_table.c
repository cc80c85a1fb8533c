// The main lcore's side of all hops: checks commands, makes hops and keys, sends both to their
// owners, keeps the words by which workers find the owner, shows what owners publish, and frees
// what they let go. It never touches a hop that a worker has, but for reading `pub`.
//
// A receiver index stays in the table until its word is needed again: an owner that wiped the key
// drops what still comes for it, and whether a key still lives is seen in `pub` once the command
// that brought it is known to have taken effect.

#include "dataplane/hop/hop_table.h"

#include "dataplane/hop/hop_car.h"
#include "dataplane/hop/hop_cmd.h"
#include "dataplane/hop/hop_main.h"
#include "dataplane/hop/hop_route.h"

#include <rte_malloc.h>
#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>

enum {
	RX_BITS_MIN = 4,
	RX_BITS_MAX = 24,
	WINDOW_MIN = 6,
	WINDOW_MAX = 20,
	PART_MBUFS = 2048, // a quarter of what the pool has for a worker
	OWNER_ANY = 0xff,
};

static void worker_free(struct hop_worker *hw)
{
	if (hw == NULL)
		return;
	if (hw->cmds != NULL)
		sodium_memzero(hw->cmds, HOP_CMDS * sizeof(hw->cmds[0]));
	hop_hold_free(hw->hold);
	rte_ring_free(hw->notes);
	rte_free(hw->cmds);
	rte_free(hw->by_index);
	rte_free(hw->list);
	rte_free(hw);
}

static struct hop_worker *worker_new(
	const struct hop_table_conf *c, const struct hop_rel_shared *rel, unsigned i, int socket)
{
	static unsigned n_made; // ring names are global to the process
	struct hop_worker *hw = rte_zmalloc_socket("hops", sizeof(*hw), 64, socket);
	char name[RTE_RING_NAMESIZE];

	if (hw == NULL)
		return NULL;
	snprintf(name, sizeof(name), "hop_notes_%u_%u", n_made++, i);
	hw->part_mbufs = c->part_mbufs != 0 ? c->part_mbufs : PART_MBUFS;
	hw->cmds = rte_zmalloc_socket("hop cmds", HOP_CMDS * sizeof(hw->cmds[0]), 64, socket);
	hw->by_index = rte_zmalloc_socket("hops", c->hop_max * sizeof(hw->by_index[0]), 64, socket);
	hw->list = rte_zmalloc_socket("hops", c->hop_max * sizeof(hw->list[0]), 64, socket);
	hw->notes = rte_ring_create_elem(
		name, sizeof(struct dp_note), HOP_NOTES, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (rel != NULL)
		hw->hold = hop_hold_new(rel, c, i, socket);
	if (hw->cmds != NULL && hw->by_index != NULL && hw->list != NULL && hw->notes != NULL &&
		(rel == NULL || hw->hold != NULL))
		return hw;
	worker_free(hw);
	return NULL;
}

static struct hop_main *main_new(const struct hop_table_conf *c)
{
	struct hop_main *hm = calloc(1, sizeof(*hm));

	if (hm == NULL)
		return NULL;
	hm->recs = calloc(c->hop_max, sizeof(struct hop_rec *));
	if (hm->recs == NULL) {
		free(hm);
		return NULL;
	}
	hm->stats = c->stats;
	if (c->aead != NULL)
		hm->aead = *c->aead;
	for (int i = 0; i < AEAD_N_CIPHERS && c->aead == NULL; i++)
		hm->aead.be[i] = aead_backend_select((enum aead_cipher)i);
	for (unsigned i = 0; i < c->n_workers; i++)
		hm->socket[i] = c->socket != NULL ? c->socket[i] : SOCKET_ID_ANY;
	return hm;
}

static bool conf_is_valid(const struct hop_table_conf *c)
{
	return c->hop_max > 0 && c->hop_max <= 1u << DPMSG_HANDLE_BITS &&
	       c->rx_index_bits >= RX_BITS_MIN && c->rx_index_bits <= RX_BITS_MAX &&
	       c->n_workers > 0 && c->n_workers <= DPMSG_MAX_WORKERS &&
	       (c->stats == NULL || c->stats->hop_max >= c->hop_max) &&
	       (c->rel_bufs == 0 || c->rules != NULL);
}

struct hop_table *hop_table_new(const struct hop_table_conf *c)
{
	struct hop_table *t;

	if (!conf_is_valid(c))
		return errno_null(EINVAL);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->hop_max = c->hop_max;
	t->n_workers = c->n_workers;
	t->rx_mask = (1u << c->rx_index_bits) - 1;
	t->main = main_new(c);
	t->rx = rte_zmalloc("rx index", ((size_t)t->rx_mask + 1) * sizeof(t->rx[0]), 64);
	t->dir = rte_zmalloc("hop dir", c->hop_max * sizeof(t->dir[0]), 64);
	t->tp = rte_zmalloc("tp hop", c->hop_max * sizeof(t->tp[0]), 64);
	t->flows = rte_zmalloc("tp flows", c->hop_max * sizeof(t->flows[0]), 64);
	t->up = rte_zmalloc("hop up", c->hop_max, 64);
	t->n_flows = rte_zmalloc("hop flows", c->hop_max, 64);
	t->workers = calloc(c->n_workers, sizeof(struct hop_worker *));
	if (c->rel_bufs != 0)
		t->rel = hop_rel_shared_new(c);
	if (t->main == NULL || t->rx == NULL || t->dir == NULL || t->tp == NULL ||
		t->flows == NULL || t->up == NULL || t->n_flows == NULL || t->workers == NULL ||
		(c->rel_bufs != 0 && t->rel == NULL))
		goto err_parts;
	for (unsigned i = 0; i < c->n_workers; i++) {
		t->workers[i] = worker_new(c, t->rel, i, t->main->socket[i]);
		if (t->workers[i] == NULL)
			goto err_parts;
	}
	return t;

err_parts:
	hop_table_free(t);
	return errno_null(ENOMEM);
}

// The hop is main's again, or no worker runs.
static void rec_free(struct hop_table *t, uint32_t i)
{
	struct hop_main *hm = t->main;
	struct hop_rec *rec = hm->recs[i];

	if (rec == NULL)
		return;
	if (hm->stats != NULL)
		// pairs with the acquire of whoever shows statistics
		atomic_store_explicit(&stats_hop(hm->stats, i)->hop, 0, memory_order_release);
	sodium_memzero(rec->hop->keys, sizeof(rec->hop->keys));
	sodium_memzero(rec->hop->rooms, sizeof(rec->hop->rooms));
	rte_free(rec->hop);
	free(rec);
	hm->recs[i] = NULL;
}

// Packets that workers held when they stopped.
static void drain_hop(struct hop *h)
{
	struct rte_mbuf *m;

	rte_pktmbuf_free_bulk(h->pend, h->n_pend);
	h->n_pend = 0;
	if (h->rel != NULL)
		hop_rel_drain(h);
	if (h->car != NULL)
		hop_car_drain(h);
	if (h->parts == NULL)
		return;
	part_flush(h->parts);
	while ((m = part_reap(h->parts, 0)) != NULL)
		rte_pktmbuf_free(m);
}

static void flows_free(struct hop_table *t)
{
	for (uint32_t i = 0; t->flows != NULL && i < t->hop_max; i++)
		rte_free((void *)atomic_load_explicit(&t->flows[i], memory_order_relaxed));
	rte_free(t->flows);
}

void hop_table_free(struct hop_table *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; t->workers != NULL && i < t->n_workers; i++)
		if (t->workers[i] != NULL && t->workers[i]->hold != NULL)
			t->workers[i]->hold->w = NULL; // what is freed now is in no books
	for (uint32_t i = 0; t->main != NULL && i < t->hop_max; i++) {
		if (t->main->recs[i] != NULL)
			drain_hop(t->main->recs[i]->hop);
		rec_free(t, i);
	}
	for (unsigned i = 0; t->workers != NULL && i < t->n_workers; i++)
		worker_free(t->workers[i]);
	hop_rel_shared_free(t->rel);
	if (t->main != NULL)
		free(t->main->recs);
	free(t->main);
	free(t->workers);
	rte_free(t->rx);
	rte_free(t->dir);
	rte_free(t->tp);
	flows_free(t);
	rte_free(t->up);
	rte_free(t->n_flows);
	free(t);
}

// ---- commands to owners ----

// A zeroed slot of the owner's queue, or NULL when it is full.
static struct hop_cmd *cmd_begin(struct hop_worker *hw)
{
	uint32_t tail = atomic_load_explicit(&hw->cmd_tail, memory_order_relaxed);
	// pairs with the release in hop_commands()
	uint32_t head = atomic_load_explicit(&hw->cmd_head, memory_order_acquire);
	struct hop_cmd *c = &hw->cmds[tail & (HOP_CMDS - 1)];

	if (tail - head == HOP_CMDS)
		return NULL;
	memset(c, 0, sizeof(*c));
	return c;
}

static void cmd_end(struct hop_worker *hw)
{
	// pairs with the acquire in hop_commands()
	atomic_store_explicit(&hw->cmd_tail,
		atomic_load_explicit(&hw->cmd_tail, memory_order_relaxed) + 1,
		memory_order_release);
}

struct hop_rec *hop_rec_find(const struct hop_table *t, uint32_t handle)
{
	struct hop_rec *rec;

	if (handle == 0 || dpmsg_handle_index(handle) >= t->hop_max)
		return NULL;
	rec = t->main->recs[dpmsg_handle_index(handle)];
	return rec != NULL && !rec->going && rec->add.hop == handle ? rec : NULL;
}

// A carried hop has neither keys nor a path, and no other can be held.
static bool suits(uint8_t mode, enum hop_cmd_kind kind)
{
	if (kind == HOP_CMD_DEL)
		return true;
	return (mode == HOP_MODE_CARRIED) == (kind == HOP_CMD_HOLD);
}

// A command slot for a live hop; 0, -ENOENT, -ENOTSUP or -EAGAIN.
static int cmd_for(struct hop_table *t, uint32_t handle, enum hop_cmd_kind kind,
	struct hop_rec **rec, struct hop_cmd **c)
{
	*rec = hop_rec_find(t, handle);
	if (*rec == NULL)
		return -ENOENT;
	if (!suits((*rec)->add.mode, kind))
		return -ENOTSUP;
	*c = cmd_begin(t->workers[(*rec)->owner]);
	if (*c == NULL)
		return -EAGAIN;
	(*c)->kind = kind;
	(*c)->handle = handle;
	return 0;
}

static void cmd_send(struct hop_table *t, struct hop_rec *rec)
{
	rec->cmds_sent++;
	cmd_end(t->workers[rec->owner]);
}

// ---- receiver indices ----

static uint64_t rx_word(const struct hop_rec *rec, uint32_t index)
{
	return (uint64_t)index << 32 | (uint64_t)rec->owner << 24 |
	       dpmsg_handle_index(rec->add.hop);
}

static void rx_clear(struct hop_table *t, uint32_t index)
{
	_Atomic uint64_t *word = &t->rx[index & t->rx_mask];

	if (atomic_load_explicit(word, memory_order_relaxed) >> 32 == index)
		atomic_store_explicit(word, 0, memory_order_release);
}

static bool index_lives(const struct hop_rec *rec, unsigned i)
{
	const struct hop_pub *pub = &rec->hop->pub;

	// pairs with the release in hop_publish(): what the command did is seen
	if (atomic_load_explicit(&pub->cmds_done, memory_order_acquire) < rec->idx[i].cmd)
		return true;
	for (unsigned k = 0; k < HOP_KEYS; k++)
		if (atomic_load_explicit(&pub->rx_index[k], memory_order_relaxed) ==
			rec->idx[i].index)
			return true;
	return false;
}

static void prune(struct hop_table *t, struct hop_rec *rec)
{
	for (unsigned i = 0; i < rec->n_idx;) {
		if (index_lives(rec, i)) {
			i++;
			continue;
		}
		rx_clear(t, rec->idx[i].index);
		rec->idx[i] = rec->idx[--rec->n_idx];
	}
}

// The word for a new index is free, perhaps after a look at the hop that had it.
static bool index_is_free(struct hop_table *t, uint32_t index)
{
	_Atomic uint64_t *word = &t->rx[index & t->rx_mask];
	uint64_t v = atomic_load_explicit(word, memory_order_relaxed);
	struct hop_rec *rec;

	if (v == 0)
		return true;
	rec = t->main->recs[dpmsg_handle_index(v)];
	if (rec != NULL)
		prune(t, rec);
	return atomic_load_explicit(word, memory_order_relaxed) == 0;
}

static void index_publish(struct hop_table *t, struct hop_rec *rec, uint32_t index)
{
	rec->idx[rec->n_idx].index = index;
	rec->idx[rec->n_idx++].cmd = rec->cmds_sent;
	// pairs with the acquire in hop_table_rx_word()
	atomic_store_explicit(
		&t->rx[index & t->rx_mask], rx_word(rec, index), memory_order_release);
}

// ---- keys ----

static bool keys_are_valid(const struct dpmsg_keys *k)
{
	return k->rx_index != 0 && k->tx_index != 0 && k->cipher < AEAD_N_CIPHERS &&
	       k->initiator <= 1;
}

static int key_make(
	const struct hop_table *t, struct hop_cmd *cmd, const struct dpmsg_keys *k, uint64_t now_ns)
{
	struct hop_key *out = &cmd->key;

	out->aead = t->main->aead.be[k->cipher];
	if (out->aead == NULL)
		return -ENOTSUP;
	memcpy(cmd->secret[0], k->rx_key, AEAD_KEY_LEN);
	memcpy(cmd->secret[1], k->tx_key, AEAD_KEY_LEN);
	out->rx_index = k->rx_index;
	out->tx_index = k->tx_index;
	out->cipher = k->cipher;
	out->initiator = k->initiator;
	out->born_ns = now_ns;
	return 0;
}

// ---- HOP_ADD ----

// What a link of ours needs, as opposed to a connection of the control plane's.
static bool link_is_valid(const struct cmd_hop_add *c)
{
	return c->flow <= RAIL_FLOWS_MAX && c->n_flows <= RAIL_FLOWS_MAX &&
	       c->flow <= (c->n_flows != 0 ? c->n_flows : 1) &&
	       (c->window_log2 == 0 ||
		       (c->window_log2 >= WINDOW_MIN && c->window_log2 <= WINDOW_MAX)) &&
	       c->peer.port != 0 && c->local_port != 0 && c->payload_max >= RAIL_PAYLOAD_FLOOR &&
	       c->congestion <= HOP_CC_CUBIC &&
	       (c->path_mtu == 0 || c->path_mtu >= HOP_PATH_MTU_MIN) && keys_are_valid(&c->keys);
}

static bool add_is_valid(const struct hop_table *t, const struct cmd_hop_add *c)
{
	return c->hop != 0 && dpmsg_handle_index(c->hop) < t->hop_max && c->tp != 0 &&
	       c->tp != RULE_IN_LOCAL && c->flow >= 1 &&
	       (c->owner < t->n_workers || c->owner == OWNER_ANY) &&
	       (c->flags & ~(uint32_t)HOP_ACCEPTED) == 0 &&
	       memchr(c->name, 0, sizeof(c->name)) != NULL &&
	       (c->mode == HOP_MODE_CARRIED
			       ? c->flow == 1 && c->n_flows <= 1 && c->carrier <= DPMSG_MAX_CARRIERS
			       : c->carrier == 0 && link_is_valid(c));
}

static int add_is_possible(const struct hop_table *t, const struct cmd_hop_add *c)
{
	if (c->mode > HOP_MODE_CARRIED || (c->mode != HOP_MODE_DATAGRAM && t->rel == NULL))
		return -ENOTSUP;
	return c->mode == HOP_MODE_RELIABLE && hop_rel_size(c) == 0 ? -EINVAL : 0;
}

static uint16_t choose_owner(const struct hop_table *t, const struct cmd_hop_add *c)
{
	uint16_t best = 0;

	if (c->carrier != 0)
		return (uint16_t)((c->carrier - 1u) % t->n_workers);
	if (c->owner != OWNER_ANY)
		return c->owner;
	for (uint16_t i = 1; i < t->n_workers; i++)
		if (t->main->n_hops[i] < t->main->n_hops[best])
			best = i;
	return best;
}

static void stats_begin(struct hop_table *t, struct hop *h, const struct cmd_hop_add *c)
{
	struct stats_hop *st;

	if (t->main->stats == NULL)
		return;
	st = stats_hop(t->main->stats, dpmsg_handle_index(c->hop));
	stats_hop_clear(st);
	memcpy(st->name, c->name, sizeof(st->name));
	atomic_store_explicit(&st->hop, c->hop, memory_order_release);
	h->st = st;
}

static struct hop_rec *rec_make(const struct cmd_hop_add *c, uint16_t owner)
{
	struct hop_rec *rec = calloc(1, sizeof(*rec));

	if (rec == NULL)
		return NULL;
	rec->add = *c;
	sodium_memzero(&rec->add.keys, sizeof(rec->add.keys));
	rec->owner = owner;
	return rec;
}

// Where the word of a flow lies; NULL: there is no place for it.
static _Atomic uint64_t *flow_word(const struct hop_table *t, uint32_t tp, unsigned flow)
{
	uint32_t i = dpmsg_handle_index(tp);
	_Atomic uint64_t *words;

	if (i >= t->hop_max || flow < 1 || flow > RAIL_FLOWS_MAX)
		return NULL;
	if (flow == 1)
		return &t->tp[i];
	// pairs with the release in flows_make()
	words = (_Atomic uint64_t *)atomic_load_explicit(&t->flows[i], memory_order_acquire);
	return words != NULL ? &words[flow - 2] : NULL;
}

// The place stays for whatever transport has that index next, so no reader is ever in its way.
static bool flows_make(struct hop_table *t, const struct cmd_hop_add *c)
{
	uint32_t i = dpmsg_handle_index(c->tp);
	void *words;

	if (c->flow == 1 || i >= t->hop_max || flow_word(t, c->tp, c->flow) != NULL)
		return true;
	words = rte_zmalloc("tp flows", (RAIL_FLOWS_MAX - 1) * sizeof(t->tp[0]), 64);
	// pairs with the acquire in flow_word()
	atomic_store_explicit(&t->flows[i], (uintptr_t)words, memory_order_release);
	return words != NULL;
}

static bool is_of_tp(uint64_t word, uint32_t tp)
{
	return (uint32_t)word >> 8 == tp >> DPMSG_HANDLE_BITS && word != 0;
}

static uint64_t word_flags(const struct cmd_hop_add *c)
{
	return HOP_TP_LIVE | (c->mode != HOP_MODE_DATAGRAM ? HOP_TP_RELIABLE : 0);
}

// Which hop a transport's packets come by.
static void tp_publish(struct hop_table *t, const struct cmd_hop_add *c)
{
	_Atomic uint64_t *word = flow_word(t, c->tp, c->flow);

	if (word != NULL) // pairs with the acquire in hop_table_tp_word(), hop_table_in_word()
		atomic_store_explicit(word,
			(uint64_t)c->hop << 32 | (uint64_t)(c->tp >> DPMSG_HANDLE_BITS) << 8 |
				word_flags(c),
			memory_order_release);
}

static void tp_clear(struct hop_table *t, const struct cmd_hop_add *c)
{
	_Atomic uint64_t *word = flow_word(t, c->tp, c->flow);

	if (word != NULL && atomic_load_explicit(word, memory_order_relaxed) >> 32 == c->hop)
		atomic_store_explicit(word, 0, memory_order_release);
}

uint64_t hop_table_in_word(const struct hop_table *t, uint32_t tp, uint32_t id)
{
	uint64_t first = hop_table_tp_word(t, tp), word;
	const _Atomic uint64_t *at;
	unsigned n, flow;

	if (first == 0)
		return 0;
	n = atomic_load_explicit(
		&t->n_flows[dpmsg_handle_index((uint32_t)(first >> 32))], memory_order_relaxed);
	if (n <= 1)
		return first;
	flow = rail_flow_fast(id, n, rail_flow_inv(n));
	if (flow == 1)
		return first;
	at = flow_word(t, tp, flow);
	// pairs with the release in tp_publish()
	word = at != NULL ? atomic_load_explicit(at, memory_order_acquire) : 0;
	return is_of_tp(word, tp) ? word : 0;
}

int hop_table_add(
	struct hop_table *t, const struct cmd_hop_add *c, uint64_t now_ns, uint16_t *owner)
{
	const bool has_key = c->mode != HOP_MODE_CARRIED;
	struct hop_main *hm = t->main;
	uint32_t i = dpmsg_handle_index(c->hop);
	struct hop_rec *rec;
	struct hop_cmd *cmd;
	int rc;

	if (!add_is_valid(t, c))
		return -EINVAL;
	rc = add_is_possible(t, c);
	if (rc < 0)
		return rc;
	if (hm->recs[i] != NULL)
		return hm->recs[i]->going ? -EAGAIN : -EEXIST;
	if (has_key && !index_is_free(t, c->keys.rx_index))
		return -EEXIST;
	*owner = choose_owner(t, c);
	cmd = cmd_begin(t->workers[*owner]);
	if (cmd == NULL)
		return -EAGAIN;
	rc = has_key ? key_make(t, cmd, &c->keys, now_ns) : 0;
	if (rc < 0)
		return rc;
	cmd->key.instance_local = c->instance_local;
	cmd->key.instance_remote = c->instance_remote;
	cmd->key.handshake_ns = c->handshake_ns;
	rec = flows_make(t, c) ? rec_make(c, *owner) : NULL;
	cmd->hop = hop_make(c, t->rel, hm->socket[*owner], now_ns);
	if (rec == NULL || cmd->hop == NULL) {
		sodium_memzero(&cmd->secret, sizeof(cmd->secret));
		rte_free(cmd->hop);
		free(rec);
		return -ENOMEM;
	}
	stats_begin(t, cmd->hop, c);
	atomic_store_explicit(&t->n_flows[i], cmd->hop->flow.n, memory_order_relaxed);
	cmd->kind = HOP_CMD_ADD;
	cmd->handle = c->hop;
	rec->hop = cmd->hop;
	hm->recs[i] = rec;
	hm->n_live++;
	hm->n_hops[*owner]++;
	cmd_send(t, rec);
	atomic_store_explicit(&t->dir[i],
		(uint64_t)c->hop << 32 | (uint64_t)*owner << 24 | word_flags(c),
		memory_order_release);
	tp_publish(t, c);
	if (has_key)
		index_publish(t, rec, c->keys.rx_index);
	return 0;
}

int hop_table_rekey(struct hop_table *t, const struct cmd_hop_rekey *c, uint64_t now_ns)
{
	struct hop_rec *rec = hop_rec_find(t, c->hop);
	struct hop_cmd *cmd;
	int rc;

	if ((c->flags & ~(uint32_t)HOP_RESET) != 0 || !keys_are_valid(&c->keys) ||
		(c->rel_window_log2 != 0 && (c->rel_window_log2 < REL_WINDOW_LOG2_MIN ||
						    c->rel_window_log2 > REL_WINDOW_LOG2_MAX)) ||
		(c->payload_max != 0 && c->payload_max < RAIL_PAYLOAD_FLOOR) ||
		c->n_flows > RAIL_FLOWS_MAX)
		return -EINVAL;
	if (rec == NULL)
		return -ENOENT;
	prune(t, rec);
	if (!index_is_free(t, c->keys.rx_index))
		return -EEXIST;
	if (rec->n_idx == HOP_IDX_MAX)
		return -EAGAIN;
	rc = cmd_for(t, c->hop, HOP_CMD_KEY, &rec, &cmd);
	if (rc < 0)
		return rc;
	rc = key_make(t, cmd, &c->keys, now_ns);
	if (rc < 0)
		return rc;
	cmd->key.instance_local = c->instance_local;
	cmd->key.instance_remote = c->instance_remote;
	cmd->key.handshake_ns = c->handshake_ns;
	cmd->key.reset = (c->flags & HOP_RESET) != 0;
	cmd->key.rel_window_log2 = cmd->key.reset ? c->rel_window_log2 : 0;
	if (cmd->key.rel_window_log2 != 0)
		rec->add.rel_window_log2 = c->rel_window_log2;
	cmd->key.adj = c->adj;
	cmd->key.payload_max = c->payload_max;
	cmd->key.n_flows = c->n_flows;
	hop_addr_from(&cmd->key.peer, &c->peer);
	cmd_send(t, rec);
	index_publish(t, rec, c->keys.rx_index);
	return 0;
}

int hop_table_path(struct hop_table *t, const struct cmd_hop_path *c)
{
	struct hop_rec *rec;
	struct hop_cmd *cmd;
	int rc;

	if (c->payload_max != 0 && c->payload_max < RAIL_PAYLOAD_FLOOR)
		return -EINVAL;
	rc = cmd_for(t, c->hop, HOP_CMD_PATH, &rec, &cmd);
	if (rc < 0)
		return rc;
	cmd->adj = c->adj;
	cmd->payload_max = c->payload_max;
	cmd->roamed = c->roamed;
	hop_addr_from(&cmd->peer, &c->peer);
	cmd_send(t, rec);
	return 0;
}

int hop_table_ping(struct hop_table *t, const struct cmd_hop_ping *c)
{
	struct hop_rec *rec;
	struct hop_cmd *cmd;
	int rc = cmd_for(t, c->hop, HOP_CMD_PING, &rec, &cmd);

	if (rc < 0)
		return rc;
	cmd->cookie = c->h.cookie;
	cmd_send(t, rec);
	return 0;
}

int hop_table_hold(struct hop_table *t, const struct cmd_hop_hold *c)
{
	struct hop_rec *rec;
	struct hop_cmd *cmd;
	int rc;

	if (c->held > 1)
		return -EINVAL;
	rc = cmd_for(t, c->hop, HOP_CMD_HOLD, &rec, &cmd);
	if (rc < 0)
		return rc;
	cmd->held = c->held;
	cmd->limit_s = c->limit_s;
	cmd_send(t, rec);
	return 0;
}

int hop_table_del(struct hop_table *t, const struct cmd_hop_del *c)
{
	struct hop_rec *rec;
	struct hop_cmd *cmd;
	int rc;

	if (c->send_close > 1 || c->text_len > sizeof(c->text))
		return -EINVAL;
	rc = cmd_for(t, c->hop, HOP_CMD_DEL, &rec, &cmd);
	if (rc < 0)
		return rc;
	cmd->send_close = c->send_close;
	cmd->code = c->code;
	cmd->text_len = c->text_len;
	memcpy(cmd->text, c->text, c->text_len);
	rec->going = true;
	t->main->n_live--;
	t->main->n_hops[rec->owner]--;
	atomic_store_explicit(&t->dir[dpmsg_handle_index(c->hop)], 0, memory_order_release);
	for (unsigned i = 0; i < rec->n_idx; i++)
		rx_clear(t, rec->idx[i].index);
	rec->n_idx = 0;
	tp_clear(t, &rec->add);
	cmd_send(t, rec);
	return 0;
}

// ---- another owner ----

int hop_table_move(struct hop_table *t, uint32_t hop, uint16_t worker)
{
	struct hop_rec *rec = hop_rec_find(t, hop);
	struct hop_move *mv = &t->main->move;

	if (worker >= t->n_workers)
		return -EINVAL;
	if (rec == NULL)
		return -ENOENT;
	if (rec->add.mode == HOP_MODE_CARRIED)
		return -ENOTSUP;
	if (mv->n_workers != 0)
		return -EBUSY;
	if (rec->owner == worker)
		return -EALREADY;
	for (unsigned i = 0; i < t->n_workers; i++)
		if (cmd_begin(t->workers[i]) == NULL)
			return -EAGAIN;
	mv->hop = hop;
	mv->from = rec->owner;
	mv->to = worker;
	mv->n_workers = t->n_workers;
	atomic_store_explicit(&mv->awake, 0, memory_order_relaxed);
	atomic_store_explicit(&mv->parked, 0, memory_order_relaxed);
	atomic_store_explicit(&mv->left, 0, memory_order_relaxed);
	atomic_store_explicit(&mv->done, false, memory_order_relaxed);
	for (unsigned i = 0; i < t->n_workers; i++) {
		struct hop_cmd *cmd = cmd_begin(t->workers[i]);

		cmd->kind = HOP_CMD_STOP;
		cmd->move = mv;
		cmd_end(t->workers[i]);
	}
	return 0;
}

int hop_table_moved(struct hop_table *t, int *status, uint16_t *from, uint16_t *owner)
{
	struct hop_main *hm = t->main;
	struct hop_move *mv = &hm->move;
	struct hop_rec *rec = hop_rec_find(t, mv->hop);

	if (mv->n_workers == 0)
		return -ENOENT;
	// pairs with tell() in worker/move.c
	if (atomic_load_explicit(&mv->left, memory_order_acquire) < mv->n_workers)
		return -EINPROGRESS;
	*status = mv->status;
	*from = mv->from;
	*owner = mv->status == 0 ? mv->to : mv->from;
	if (mv->status == 0 && rec != NULL) {
		rec->owner = mv->to;
		hm->n_hops[mv->from]--;
		hm->n_hops[mv->to]++;
	}
	mv->n_workers = 0;
	return 0;
}

// ---- what main learns ----

unsigned hop_table_notes(
	struct hop_table *t, unsigned worker, struct dp_note *out, unsigned max, bool *lost)
{
	struct hop_worker *hw = t->workers[worker];
	unsigned n = 0;

	while (n < max && rte_ring_sc_dequeue_elem(hw->notes, &out[n], sizeof(out[n])) == 0) {
		if (out[n].kind == NOTE_HOP_RELEASED)
			rec_free(t, dpmsg_handle_index(out[n].hop));
		else
			n++;
	}
	if (lost != NULL)
		*lost = atomic_exchange_explicit(&hw->notes_lost, 0, memory_order_relaxed) != 0;
	return n;
}

uint32_t hop_table_count(const struct hop_table *t)
{
	return t->main->n_live;
}

uint32_t hop_table_worker_hops(const struct hop_table *t, unsigned worker)
{
	return t->main->n_hops[worker];
}

uint32_t hop_table_tp(const struct hop_table *t, uint32_t hop)
{
	const struct hop_rec *rec = hop_rec_find(t, hop);

	return rec != NULL ? rec->add.tp : 0;
}
