// The pool of nodes, the budget and the events of the reliable links of one worker (rel_hold.h,
// rail 4). What a route is and when it pauses is rel_queue.c's business; limits of pauses and
// routes that hold most are in rel_limit.c.
#include "lib/link/rel_hold.h"

#include "lib/link/rel_priv.h"

enum {
	BUFS_MIN = 256,
	BUFS_MAX = 1 << 24,
	MAPS_IN_CHUNK = 30,
	BURIED_TURN = 256, // packets freed in a turn, some 20 us; fewer are freed at once
	BURIED_SHARE = 256,
};

_Static_assert(64 + MAPS_IN_CHUNK * sizeof(struct rel_map) <= REL_CHUNK_LEN, "maps of a chunk");
_Static_assert(sizeof(struct rel_node) << NODES_LOG2 == REL_CHUNK_LEN, "nodes of a chunk");

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

// Each packet takes a node and at least one buffer; the rest is for events and control frames.
static uint32_t max_nodes(const struct rel_hold_conf *conf)
{
	return conf->max_bufs + conf->max_bufs / 4 + 2 * REL_NODES_SPARE;
}

static size_t dir_len(const struct rel_hold_conf *conf)
{
	return ((max_nodes(conf) >> NODES_LOG2) + 1) * sizeof(void *);
}

size_t rel_hold_mem_size(const struct rel_hold_conf *conf)
{
	if (conf->max_bufs < BUFS_MIN || conf->max_bufs > BUFS_MAX || conf->n_accounts < 1 ||
		conf->spare_first > conf->n_routes ||
		conf->n_spare > conf->n_routes - conf->spare_first)
		return 0;
	return round64(sizeof(struct rel_hold)) + round64(dir_len(conf)) +
	       conf->n_accounts * sizeof(struct account);
}

struct rel_hold *rel_hold_init(void *mem, const struct rel_hold_conf *conf)
{
	struct rel_hold *h = mem;
	size_t size = rel_hold_mem_size(conf);

	if (size == 0)
		return NULL;
	memset(mem, 0, size);
	h->conf = *conf;
	h->routes = (struct route *)conf->routes;
	h->node_dir = (struct rel_node **)((char *)mem + round64(sizeof(*h)));
	h->accounts = (struct account *)((char *)h->node_dir + round64(dir_len(conf)));
	h->max_nodes = max_nodes(conf);
	h->n_free_nodes = h->max_nodes - 1; // 0 is none
	h->bufs_soft = conf->max_bufs - conf->max_bufs / 8;
	h->share = conf->max_bufs;
	// half of the nodes that neither packets within the budget nor REL_NODES_SPARE need
	h->ctl_max = conf->max_bufs / 8 + REL_NODES_SPARE / 2;
	for (uint32_t i = conf->n_spare; i > 0; i--)
		rel_hold_spare_free(h, conf->spare_first + i - 1);
	return h;
}

// ---- giving back ----

void rel_hold_flush(struct rel_hold *h)
{
	unsigned n = h->n_fre;

	h->n_fre = 0;
	if (n != 0)
		h->conf.free(h->conf.ctx, h->fre, n);
}

// Of a route that held very many, or a link that lost its state: to free them at once would keep
// the worker from others for a moment.
static void free_buried(struct rel_hold *h, uint32_t n)
{
	for (; n > 0 && h->buried != 0; n--) {
		struct rel_node *last = node_at(h, h->buried);
		uint32_t i = last->next;
		struct rel_node *node = node_at(h, i);

		rel_node_fetch(h, node->next);
		h->doomed -= node->bufs;
		rel_hold_account_add(h, last->arg, -(int32_t)node->bufs);
		handle_free(h, node->handle);
		last->next = node->next;
		if (node == last)
			h->buried = last->prev_in;
		node_free(h, i);
		h->n_buried--;
	}
}

// And as much as was pushed beyond the budget meanwhile.
static void free_some_buried(struct rel_hold *h)
{
	uint32_t over = h->bufs > h->conf.max_bufs ? h->bufs - h->conf.max_bufs : 0;

	free_buried(h, BURIED_TURN + h->n_buried / BURIED_SHARE + over);
}

void rel_hold_bury(struct rel_hold *h, uint32_t route, uint32_t last, uint32_t n)
{
	struct route *rt = &h->routes[route];
	uint32_t bufs = rt->bufs;

	route_charge_only(h, route, -(int32_t)bufs);
	node_at(h, last)->arg = rt->account;
	node_at(h, last)->prev_in = h->buried;
	h->buried = last;
	h->n_buried += n;
	h->doomed += bufs;
}

void rel_hold_free_few(struct rel_hold *h)
{
	if (h->n_buried <= BURIED_TURN)
		free_buried(h, h->n_buried);
}

void rel_hold_fini(struct rel_hold *h)
{
	free_buried(h, h->n_buried);
	rel_hold_flush(h);
	while (h->map_chunks != NULL) {
		void *chunk = h->map_chunks;

		memcpy(&h->map_chunks, chunk, sizeof(void *));
		rel_hold_chunk_put(h, chunk);
	}
	for (uint32_t i = 0; i < h->n_nodes; i += 1u << NODES_LOG2)
		rel_hold_chunk_put(h, h->node_dir[i >> NODES_LOG2]);
}

// ---- memory ----

void *rel_hold_chunk(struct rel_hold *h)
{
	void *chunk = h->conf.chunk_get(h->conf.ctx);

	if (chunk == NULL)
		h->stats.no_nodes++;
	else
		h->stats.chunks++;
	return chunk;
}

void rel_hold_chunk_put(struct rel_hold *h, void *chunk)
{
	h->stats.chunks--;
	h->conf.chunk_put(h->conf.ctx, chunk);
}

// One more chunk of nodes; its first one is for the caller.
static uint32_t node_chunk(struct rel_hold *h)
{
	uint32_t first = h->n_nodes, i;
	void *chunk;

	if (first + (1u << NODES_LOG2) > h->max_nodes)
		return 0;
	chunk = rel_hold_chunk(h);
	if (chunk == NULL)
		return 0;
	h->node_dir[first >> NODES_LOG2] = chunk;
	h->n_nodes += 1u << NODES_LOG2;
	for (i = h->n_nodes - 1; i > first; i--) {
		node_at(h, i)->next = h->free_node;
		node_at(h, i)->route = REL_NO_ROUTE;
		h->free_node = i;
	}
	node_at(h, first)->route = REL_NO_ROUTE;
	return first != 0 ? first : 0;
}

uint32_t rel_hold_node_new(struct rel_hold *h, uint32_t reserve)
{
	uint32_t i = h->free_node;

	if (unlikely(h->n_free_nodes <= reserve)) {
		h->stats.no_nodes++;
		return 0;
	}
	if (unlikely(i == 0)) {
		i = node_chunk(h);
		if (i != 0) { // not from the list
			h->n_free_nodes--;
			return i;
		}
		i = h->free_node;
		if (i == 0)
			return 0;
	}
	h->free_node = node_at(h, i)->next;
	h->n_free_nodes--;
	return i;
}

struct rel_map *rel_hold_map_new(struct rel_hold *h)
{
	struct rel_map *m = h->free_map;
	char *chunk;

	if (m == NULL) {
		chunk = rel_hold_chunk(h);
		if (chunk == NULL)
			return NULL;
		memcpy(chunk, &h->map_chunks, sizeof(void *));
		h->map_chunks = chunk;
		for (unsigned i = 0; i < MAPS_IN_CHUNK; i++)
			rel_hold_map_free(h, (struct rel_map *)(chunk + 64) + i);
		m = h->free_map;
	}
	h->free_map = m->next_free;
	memset(m, 0, sizeof(*m));
	return m;
}

void rel_hold_map_free(struct rel_hold *h, struct rel_map *m)
{
	m->next_free = h->free_map;
	h->free_map = m;
}

static uint32_t link_share(const struct rel_hold *h, uint32_t all)
{
	uint32_t share = all / (h->n_links == 0 ? 1 : h->n_links);

	return share > REL_SHARE_MIN ? share : REL_SHARE_MIN;
}

void rel_hold_links(struct rel_hold *h, int n)
{
	h->n_links += (uint32_t)n;
	h->spare_share = link_share(h, h->conf.n_spare);
	h->ctl_share = link_share(h, h->ctl_max);
}

uint32_t rel_hold_spare_new(struct rel_hold *h)
{
	uint32_t i = h->free_spare;
	struct route *rt;

	if (i == 0) {
		h->stats.no_spares++;
		return REL_NO_ROUTE;
	}
	rt = &h->routes[i - 1];
	h->free_spare = rt->next;
	memset(rt, 0, sizeof(*rt));
	return i - 1;
}

void rel_hold_spare_free(struct rel_hold *h, uint32_t route)
{
	struct route *rt = &h->routes[route];

	memset(rt, 0, sizeof(*rt));
	rt->next = h->free_spare;
	h->free_spare = route + 1;
}

// ---- accounts ----

static void share_again(struct rel_hold *h)
{
	h->share = h->conf.max_bufs / (h->n_open == 0 ? 1 : h->n_open);
}

int rel_hold_account_open(struct rel_hold *h)
{
	for (unsigned i = 0; i < h->conf.n_accounts; i++) {
		if (h->accounts[i].open)
			continue;
		h->accounts[i].open = true;
		h->n_open++;
		share_again(h);
		return (int)i;
	}
	return -ENOSPC;
}

static void account_end(struct rel_hold *h, struct account *a)
{
	a->open = false;
	a->closing = false;
	h->n_open--;
	share_again(h);
}

void rel_hold_account_close(struct rel_hold *h, uint16_t account)
{
	struct account *a = &h->accounts[account];

	a->closing = true;
	if (a->bufs == 0)
		account_end(h, a);
}

uint32_t rel_hold_account_bufs(const struct rel_hold *h, uint16_t account)
{
	return h->accounts[account].bufs;
}

static uint32_t left_of(uint32_t most, uint32_t bufs)
{
	return bufs < most ? most - bufs : 0;
}

uint32_t rel_hold_room(const struct rel_hold *h, uint16_t account, uint32_t most)
{
	uint32_t own = left_of(h->share - h->share / 8, h->accounts[account].bufs);
	uint32_t lent = left_of(most, h->bufs);
	uint32_t all = left_of(h->conf.max_bufs - h->conf.max_bufs / 16, h->bufs);

	own = own < all ? own : all;
	return own > lent ? own : lent;
}

uint32_t rel_hold_bufs(const struct rel_hold *h)
{
	return h->bufs;
}

static void account_unlink(struct rel_hold *h, uint16_t id)
{
	struct account *a = &h->accounts[id];

	if (a->prev != 0)
		h->accounts[a->prev - 1].next = a->next;
	else
		h->rich[class_of(a->bufs)] = a->next;
	if (a->next != 0)
		h->accounts[a->next - 1].prev = a->prev;
}

static void account_link(struct rel_hold *h, uint16_t id)
{
	struct account *a = &h->accounts[id];
	uint16_t *head = &h->rich[class_of(a->bufs)];

	a->prev = 0;
	a->next = *head;
	if (a->next != 0)
		h->accounts[a->next - 1].prev = (uint16_t)(id + 1);
	*head = (uint16_t)(id + 1);
}

void rel_hold_account_move(struct rel_hold *h, uint16_t account, uint32_t bufs)
{
	struct account *a = &h->accounts[account];

	if (a->bufs != 0)
		account_unlink(h, account);
	a->bufs = bufs;
	if (bufs != 0)
		account_link(h, account);
	else if (a->closing)
		account_end(h, a);
}

// ---- events ----

static bool is_repeated(struct rel_hold *h, const struct rel_event *ev)
{
	const struct rel_node *n = node_at(h, h->ev_tail);

	return ev->kind == REL_EV_EMPTY && n->ev == REL_EV_EMPTY && n->link == ev->link &&
	       n->pkt_off == ev->route_id;
}

bool rel_hold_tell(struct rel_hold *h, const struct rel_event *ev)
{
	struct rel_node *n;
	uint32_t i;

	if (h->ev_head != 0 && is_repeated(h, ev))
		return true;
	i = rel_hold_node_new(h, 0);
	if (i == 0)
		return false;
	h->ev_told++;
	n = node_at(h, i);
	n->ev = (uint8_t)ev->kind;
	n->kind = ev->reason;
	n->n = ev->ok;
	n->arg = ev->limit_s;
	n->route = ev->route;
	n->pkt_off = ev->route_id;
	n->len = ev->tag;
	n->off = ev->rtt_us;
	n->link = ev->link;
	n->next = 0;
	if (h->ev_head == 0)
		h->ev_head = i;
	else
		node_at(h, h->ev_tail)->next = i;
	h->ev_tail = i;
	return true;
}

bool rel_hold_event(struct rel_hold *h, struct rel_event *out)
{
	const struct rel_node *n;
	uint32_t i = h->ev_head;

	if (i == 0) {
		if (unlikely(h->buried != 0))
			free_some_buried(h);
		rel_hold_flush(h);
		return false;
	}
	n = node_at(h, i);
	*out = (struct rel_event){.kind = n->ev,
		.reason = n->kind,
		.ok = n->n != 0,
		.limit_s = n->arg,
		.route = n->route,
		.route_id = n->pkt_off,
		.tag = n->len,
		.rtt_us = n->off,
		.link = n->link};
	h->ev_head = n->next;
	h->ev_taken++;
	node_free(h, i);
	return true;
}

uint32_t rel_hold_route_bufs(const struct rel_hold *h, uint32_t route)
{
	return h->routes[route].bufs;
}

void rel_hold_stats(const struct rel_hold *h, struct rel_hold_stats *out)
{
	*out = h->stats;
	out->bufs = h->bufs;
	out->bufs_max = h->bufs_max;
}
