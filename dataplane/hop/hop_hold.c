// The memory of reliable mode: entries of routes, what each worker may hold and its chunks. Made by
// the main lcore before the workers run. All that grows with use lies in mappings of which pages
// that were never touched cost nothing, so a worker takes and gives back without asking anybody.

#include "dataplane/hop/hop_route.h"

#include <rte_malloc.h>
#include <sodium.h>
#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>

enum {
	CHUNKS_PER_HOP = 4, // one of each kind, and one of ids: a link under some load
	CHUNKS_FAST = 2048, // more for links with full windows: 32 MB
	ACCOUNTS_MIN = 2,
};

static size_t round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static void *lazy_map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

// ---- shared by all workers ----

struct hop_rel_shared *hop_rel_shared_new(const struct hop_table_conf *c)
{
	struct hop_rel_shared *s = calloc(1, sizeof(*s));
	size_t n_routes, n_info;

	if (s == NULL)
		return NULL;
	s->n_rules = c->rules->mask + 1;
	s->ctl_first = s->n_rules + (uint32_t)c->n_workers * REL_SPARE_ROUTES;
	s->cc = cc_find(c->cc != NULL ? c->cc : "bbr");
	n_routes = (size_t)s->ctl_first + c->hop_max;
	n_info = (size_t)s->n_rules + c->hop_max;
	s->map_len = n_routes * sizeof(s->routes[0]) + n_info * sizeof(s->info[0]);
	s->map = lazy_map(s->map_len);
	if (s->map == NULL || s->cc == NULL) {
		int err = s->cc == NULL ? EINVAL : ENOMEM;

		hop_rel_shared_free(s);
		return errno_null(err);
	}
	s->routes = s->map;
	s->info = (struct hop_route *)(s->routes + n_routes);
	return s;
}

void hop_rel_shared_free(struct hop_rel_shared *s)
{
	if (s != NULL && s->map != NULL)
		munmap(s->map, s->map_len);
	free(s);
}

// ---- what the hold asks for [worker] ----

static void *chunk_get(void *ctx)
{
	struct hop_hold *hh = ctx;
	void *chunk = hh->free_chunk;

	if (chunk != NULL) {
		memcpy(&hh->free_chunk, chunk, sizeof(void *));
		return chunk;
	}
	if (hh->n_used == hh->n_chunks)
		return NULL;
	return hh->chunks + (size_t)REL_CHUNK_LEN * hh->n_used++;
}

static void chunk_put(void *ctx, void *chunk)
{
	struct hop_hold *hh = ctx;

	memcpy(chunk, &hh->free_chunk, sizeof(void *));
	hh->free_chunk = chunk;
}

// One segment, ours alone, of that pool: as it is it may go back, and the second cache line of the
// mbuf, in which nobody looked since it was received, stays where it is.
static inline bool is_plain(const struct rte_mbuf *m, const struct rte_mempool *pool)
{
	return m->pool == pool && m->nb_segs == 1 && rte_mbuf_refcnt_read(m) == 1 &&
	       RTE_MBUF_DIRECT(m);
}

static void free_some(struct rte_mbuf **m, unsigned n)
{
	struct rte_mempool *pool = m[0]->pool;
	unsigned plain = 0;

	while (plain < n && likely(is_plain(m[plain], pool)))
		plain++;
	rte_mempool_put_bulk(pool, (void **)m, plain);
	if (unlikely(plain < n))
		rte_pktmbuf_free_bulk(m + plain, n - plain);
}

static void handles_free(void *ctx, void *const *handles, unsigned n)
{
	struct rte_mbuf *m[BURST];

	while (n > 0) {
		unsigned k = n < BURST ? n : BURST;

		memcpy(m, handles, k * sizeof(m[0]));
		free_some(m, k);
		handles += k;
		n -= k;
	}
}

static void packets_freed(void *ctx, uint32_t route, uint32_t n)
{
	struct hop_hold *hh = ctx;
	struct hop_route *info = hop_route_info(hh, route);
	const struct hop *h;

	if (hh->w == NULL) // the worker has stopped
		return;
	atomic_store_explicit(&info->freed,
		atomic_load_explicit(&info->freed, memory_order_relaxed) + n, memory_order_relaxed);
	count(hh->w, hop_reason_counter(W_freed_held, hh->freeing), n);
	if (info->hop == 0) {
		count(hh->w, W_sink_freed, n);
		return;
	}
	h = hop_by_handle(hh->w, info->hop);
	if (h != NULL && h->car != NULL) // links count their own
		count(hh->w, W_drop_seal_freed, n);
}

static void *split(void *ctx, void *handle, uint32_t off, uint32_t len)
{
	struct wctx *w = ((struct hop_hold *)ctx)->w;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	char *to = m != NULL ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (to == NULL) {
		rte_pktmbuf_free(m);
		count(w, W_frames_no_mbuf, 1);
		return NULL;
	}
	memcpy(to, rte_pktmbuf_mtod_offset((struct rte_mbuf *)handle, const char *, off), len);
	return m;
}

// ---- one worker's side ----

static int hold_open(
	struct hop_hold *hh, const struct hop_table_conf *c, unsigned worker, int socket)
{
	const struct hop_rel_shared *s = hh->shared;
	uint32_t accounts = c->hop_max + ACCOUNTS_MIN;
	struct rel_hold_conf conf = {.routes = s->routes,
		.n_routes = s->ctl_first + c->hop_max,
		.spare_first = s->n_rules + worker * REL_SPARE_ROUTES,
		.n_spare = REL_SPARE_ROUTES,
		.max_bufs = c->rel_bufs,
		.n_accounts = (uint16_t)(accounts < REL_ACCOUNTS_MAX ? accounts : REL_ACCOUNTS_MAX),
		.ctx = hh,
		.chunk_get = chunk_get,
		.chunk_put = chunk_put,
		.free = handles_free,
		.freed = packets_freed,
		.split = split};
	size_t hold_len = round64(rel_hold_mem_size(&conf));
	uint8_t *mem;

	if (hold_len == 0)
		return -EINVAL;
	randombytes_buf(&conf.seed, sizeof(conf.seed));
	randombytes_buf(&hh->seed, sizeof(hh->seed));
	mem = rte_zmalloc_socket("hold", hold_len + round64(rel_queue_mem_size()), 64, socket);
	if (mem == NULL)
		return -ENOMEM;
	hh->hold = rel_hold_init(mem, &conf);
	hh->sink = rel_queue_init(mem + hold_len, hh->hold);
	hh->account = (uint16_t)rel_hold_account_open(hh->hold);
	return 0;
}

static uint32_t chunks_of(const struct hop_table_conf *c)
{
	// a node for each packet, a quarter more for control frames, as many again for slack
	uint32_t nodes = c->rel_bufs / 64 + 256;

	return nodes + CHUNKS_PER_HOP * c->hop_max + CHUNKS_FAST;
}

struct hop_hold *hop_hold_new(
	const struct hop_rel_shared *s, const struct hop_table_conf *c, unsigned worker, int socket)
{
	static unsigned n_made; // ring names are global to the process
	struct hop_hold *hh = rte_zmalloc_socket("hold", sizeof(*hh), 64, socket);
	char name[RTE_RING_NAMESIZE];
	int rc = -ENOMEM;

	if (hh == NULL)
		return errno_null(ENOMEM);
	hh->shared = s;
	hh->routes = s->routes;
	hh->info = s->info;
	hh->me = (uint16_t)(worker + 1);
	hh->max_bufs = c->rel_bufs;
	snprintf(name, sizeof(name), "hop_msgs_%u_%u", n_made++, worker);
	hh->msgs = rte_ring_create_elem(
		name, sizeof(struct hop_msg), REL_MSGS, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	hh->accounts = rte_zmalloc_socket("accounts", c->hop_max * sizeof(uint16_t), 64, socket);
	hh->account_tp = rte_zmalloc_socket("accounts", c->hop_max * sizeof(uint32_t), 64, socket);
	hh->n_chunks = chunks_of(c);
	hh->chunks_len = (size_t)hh->n_chunks * REL_CHUNK_LEN;
	hh->chunks = lazy_map(hh->chunks_len);
	if (hh->msgs != NULL && hh->accounts != NULL && hh->account_tp != NULL &&
		hh->chunks != NULL)
		rc = hold_open(hh, c, worker, socket);
	if (rc == 0)
		return hh;
	hop_hold_free(hh);
	return errno_null(-rc);
}

static void forget(void *sink, uint32_t route)
{
	rel_queue_forget(sink, route);
}

void hop_hold_free(struct hop_hold *hh)
{
	if (hh == NULL)
		return;
	if (hh->hold != NULL) {
		rel_queue_each(hh->sink, forget, hh->sink); // what nobody read
		rel_queue_fini(hh->sink);
		rel_hold_fini(hh->hold);
	}
	rte_free(hh->hold);
	if (hh->chunks != NULL)
		munmap(hh->chunks, hh->chunks_len);
	rte_ring_free(hh->msgs);
	rte_free(hh->accounts);
	rte_free(hh->account_tp);
	rte_free(hh);
}

// ---- one hop's memory ----

static struct rel_conf rel_conf(const struct cmd_hop_add *c)
{
	return (struct rel_conf){
		.window_log2 = c->rel_window_log2 != 0 ? c->rel_window_log2 : REL_WINDOW_LOG2,
		.window_max_log2 = REL_WINDOW_LOG2, // a peer may come back with another
		.max_frames = REL_MAX_FRAMES,
		.room = RAIL_PAYLOAD_FLOOR - RAIL_DATA_OVERHEAD,
		.overhead = RAIL_DATA_OVERHEAD,
	};
}

size_t hop_rel_size(const struct cmd_hop_add *c)
{
	struct rel_conf conf = rel_conf(c);
	size_t len = rel_mem_size(&conf);

	return len == 0 ? 0 : round64(sizeof(struct hop_rel)) + len;
}

static const struct cc_ops *cc_of(const struct hop_rel_shared *s, uint8_t congestion)
{
	switch (congestion) {
	case HOP_CC_BBR:
		return cc_find("bbr");
	case HOP_CC_CUBIC:
		return cc_find("cubic");
	default:
		return s->cc;
	}
}

struct hop_rel *hop_rel_make(void *mem, const struct hop_rel_shared *s, const struct cmd_hop_add *c)
{
	struct hop_rel *hr = mem;

	hr->rel = (struct rel *)((uint8_t *)mem + round64(sizeof(*hr)));
	hr->cc = cc_of(s, c->congestion);
	hr->window_log2 = rel_conf(c).window_log2;
	hr->retransmit_limit = c->retransmit_limit;
	hr->silence_s = c->silence_s;
	hr->ctl = s->ctl_first + dpmsg_handle_index(c->hop);
	hr->timer.due_ns = UINT64_MAX;
	return hr;
}
