// The buffers that frames live in: how many, how large, and where. The place matters to af_xdp: its
// driver gives the kernel the first n * size bytes of a pool, though buffers that don't cross pages
// lie further apart than their size. What the kernel gets of the rest, it drops and never gives
// back. So on small pages each buffer gets its share of the page whole, and the few that huge pages
// leave at the end are set aside.

#include "dataplane/io/port_priv.h"

#include <rte_ethdev.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	POOL_CACHE = 256,
	// per worker: its cache, hand-off rings, joining buffers, bursts under way; and what
	// reliable links keep
	POOL_PER_WORKER = 12288,
	SMALL_PAGE = 4096,
	POOL_OVERHEAD = 128, // of a buffer in a pool: header, spreading over memory channels
};

size_t port_pool_mbufs(unsigned n_ports, unsigned n_workers)
{
	// each port may have a TAP with one queue pair beside it
	size_t n = (size_t)n_ports * 2 * PORT_RING_LEN * (n_workers + 1) +
		   (size_t)n_workers * POOL_PER_WORKER;
	size_t p = 1;

	while (p < n)
		p <<= 1;
	// 2^k - 1 is what a ring-backed pool stores without waste; below it take the exact number
	return n > p - p / 4 ? p - 1 : n;
}

unsigned port_frame_room(unsigned mtu)
{
	unsigned frame = (mtu + PORT_PACKET_SLOT + 255) & ~255u;

	return frame < 2048 ? 2048 : frame;
}

// Bytes of a buffer's element; on small pages an element with what the pool puts around it (the
// flags of pool_new() leave that at its header) is a page, or as long as it has to be.
static size_t element(unsigned mtu, bool small_pages)
{
	size_t len = sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + port_frame_room(mtu);
	size_t page = SMALL_PAGE - RTE_ALIGN(sizeof(struct rte_mempool_objhdr), RTE_MEMPOOL_ALIGN);

	return small_pages && len < page ? page : len;
}

size_t port_pool_bytes(unsigned n_ports, unsigned n_workers, unsigned mtu_max, bool small_pages)
{
	// the stock of free buffers is a ring of pointers, up to twice as long as the pool
	size_t len = element(mtu_max, small_pages) + POOL_OVERHEAD + 2 * sizeof(void *);

	return port_pool_mbufs(n_ports, n_workers) * len;
}

// What rte_pktmbuf_pool_create() does, but for the flags. NULL with rte_errno set.
static struct rte_mempool *pool_new(const char *name, unsigned n, size_t len, int socket)
{
	struct rte_pktmbuf_pool_private room = {
		.mbuf_data_room_size = (uint16_t)(len - sizeof(struct rte_mbuf)),
	};
	// spreading over memory channels would make a page's buffer longer than the page
	struct rte_mempool *pool = rte_mempool_create_empty(name, n, (unsigned)len, POOL_CACHE,
		sizeof(room), socket, rte_eal_has_hugepages() ? 0 : RTE_MEMPOOL_F_NO_SPREAD);
	int rc;

	if (pool == NULL)
		return NULL;
	rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (rc == 0) {
		rte_pktmbuf_pool_init(pool, &room);
		rc = rte_mempool_populate_default(pool);
	}
	if (rc < 0) {
		rte_mempool_free(pool);
		rte_errno = -rc;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

int port_pool_fit_xdp(struct rte_mempool *pool)
{
	const struct rte_mempool_memhdr *first = STAILQ_FIRST(&pool->mem_list);
	uintptr_t from = (uintptr_t)first->addr & ~((uintptr_t)SMALL_PAGE - 1);
	uint32_t len = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL);
	uintptr_t to = (uintptr_t)first->addr + (uintptr_t)pool->populated_size * len;
	unsigned n = pool->populated_size, kept = 0;
	void **all = malloc(n * sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	if (rte_mempool_generic_get(pool, all, n, NULL) != 0) {
		free(all);
		return -EBUSY;
	}
	for (unsigned i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)all[i] - pool->header_size;

		if (at >= from && at + len <= to)
			all[kept++] = all[i];
	}
	rte_mempool_generic_put(pool, all, kept, NULL);
	free(all);
	return (int)(n - kept);
}

static struct rte_mempool *pool_find(const struct port_set *s, int socket)
{
	for (unsigned i = 0; i < s->n_pools; i++) {
		if (s->pool_socket[i] == socket)
			return s->pool[i];
	}
	return NULL;
}

int port_pools_make(struct port_set *s, unsigned n_asks, unsigned n_workers, const int *sockets)
{
	static unsigned n_made; // pool names are global to the process
	unsigned mtu = PORT_MTU_DEFAULT;
	size_t n = port_pool_mbufs(n_asks, n_workers);
	bool xdp = false;
	int rc;

	for (unsigned i = 0; i < s->n_all; i++) {
		if (s->p[i].mtu > mtu)
			mtu = s->p[i].mtu;
		xdp |= s->p[i].driver->xdp;
	}
	for (unsigned w = 0; w < n_workers; w++) {
		int socket = sockets != NULL ? sockets[w] : SOCKET_ID_ANY;
		struct rte_mempool *pool = pool_find(s, socket);
		char name[32];

		if (pool == NULL && s->n_pools < PORT_POOLS_MAX) {
			snprintf(name, sizeof(name), "mbufs%u", n_made++);
			pool = pool_new(
				name, (unsigned)n, element(mtu, !rte_eal_has_hugepages()), socket);
			if (pool == NULL)
				return -rte_errno;
			s->pool_socket[s->n_pools] = socket;
			s->pool[s->n_pools++] = pool;
			rc = xdp ? port_pool_fit_xdp(pool) : 0;
			if (rc < 0)
				return rc;
			s->n_aside += (unsigned)rc;
		}
		s->worker_pool[w] = pool != NULL ? pool : s->pool[0]; // far, but memory
	}
	return 0;
}

struct rte_mempool *port_set_pool(const struct port_set *s, int socket)
{
	struct rte_mempool *pool = pool_find(s, socket);

	return pool != NULL ? pool : s->pool[0];
}

void port_set_mbufs(const struct port_set *s, uint64_t *total, uint64_t *free_now)
{
	*total = 0;
	*free_now = 0;
	for (unsigned i = 0; i < s->n_pools; i++) {
		*total += s->pool[i]->size;
		*free_now += rte_mempool_avail_count(s->pool[i]);
	}
	*total -= s->n_aside;
}
