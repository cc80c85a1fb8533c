// One pair of rings and a bell. Nothing that comes up is believed; what the packets mean is the
// carrier's business, and when to sleep is its loop's.
#include "controlplane/dp/dp_lane.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"

enum {
	// Bytes given before the worker sees them, so that it works at the same time if it is
	// awake, and before it is woken: that costs as much as a few packets.
	PUBLISH_BYTES = 16 * 1024,
	WAKE_BYTES = 64 * 1024,
};

struct dp_lane {
	struct region r;
	unsigned k, worker;
	struct ring_w down;
	struct ring_r up;
	uint32_t unseen; // bytes that are not published
	uint32_t untold; // bytes since the worker was woken
};

bool dp_carried_has_room(struct ring_w *w)
{
	uint32_t most = w->size / DP_CARRIED_PART;

	return (uint32_t)(w->head - w->tail) <= most || w->size - ring_w_room(w) <= most;
}

// The offsets were checked when the region was attached; they are read again here, so they are
// checked again.
int dp_lane_open(struct dp_lane *l)
{
	struct ring_shm *shm;
	size_t len;
	int rc;

	shm = region_ring(&l->r, l->r.hdr->car_down_off[l->k], &len);
	rc = shm == NULL ? -EPROTO : ring_w_attach(&l->down, shm, len);
	if (rc != 0)
		return rc;
	shm = region_ring(&l->r, l->r.hdr->car_up_off[l->k], &len);
	return shm == NULL ? -EPROTO : ring_r_attach(&l->up, shm, len);
}

struct dp_lane *dp_lane_new(const struct region *r, unsigned k)
{
	// read once: the other process may write there what it wants
	unsigned n_workers = *(const volatile uint32_t *)&r->hdr->n_workers;
	struct dp_lane *l;
	int rc;

	if (n_workers == 0 || n_workers > DPMSG_MAX_WORKERS)
		return errno_null(-EPROTO);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->k = k;
	rc = region_share(r, k, &l->r);
	if (rc != 0) {
		free(l);
		return errno_null(rc);
	}
	l->worker = k % n_workers;
	return l;
}

void dp_lane_free(struct dp_lane *l)
{
	if (l == NULL)
		return;
	region_close(&l->r);
	free(l);
}

static void show(struct dp_lane *l)
{
	l->unseen = 0;
	ring_w_publish(&l->down);
}

int dp_lane_send_carried(struct dp_lane *l, uint32_t hop, const void *packet, size_t len)
{
	struct msg_route *rec;
	uint32_t all;

	if (len == 0 || len > DPMSG_ROUTE_MAX)
		return -EMSGSIZE;
	if (!dp_carried_has_room(&l->down))
		return -EAGAIN;
	all = (uint32_t)(sizeof(*rec) + len);
	rec = ring_w_reserve(&l->down, all);
	if (rec == NULL)
		return -EAGAIN;
	*rec = (struct msg_route){.h = {.len = all, .type = DOWN_CARRIED}, .hop = hop};
	memcpy(rec->bytes, packet, len);
	l->unseen += all;
	l->untold += all;
	if (l->untold >= WAKE_BYTES)
		dp_lane_publish(l);
	else if (l->unseen >= PUBLISH_BYTES)
		show(l);
	return 0;
}

void dp_lane_publish(struct dp_lane *l)
{
	if (l->untold == 0)
		return;
	if (l->unseen > 0)
		show(l);
	l->untold = 0;
	region_worker_wake(l->r.hdr, l->worker);
}

void dp_lane_look(struct dp_lane *l)
{
	ring_r_look(&l->up);
}

int dp_lane_recv(struct dp_lane *l, unsigned max, dp_lane_fn fn, void *arg)
{
	bool more = true;
	unsigned done;

	for (done = 0; done < max && more && ring_r_knows(&l->up); done++) {
		struct msg_route m;
		uint32_t len;
		const uint8_t *shm = ring_r_peek(&l->up, &len);

		if (shm == NULL)
			break;
		if (len > sizeof(m)) {
			memcpy(&m, shm, sizeof(m));
			if (m.h.type == UP_CARRIED)
				more = fn(arg, m.hop, shm + sizeof(m), len - sizeof(m));
		}
		ring_r_next(&l->up);
	}
	if (l->up.broken) {
		ring_r_resync(&l->up);
		return -EPROTO;
	}
	if (done != 0)
		ring_r_release(&l->up);
	return (int)done;
}

int dp_lane_bell(const struct dp_lane *l)
{
	return l->r.bell_car[l->k];
}

bool dp_lane_sleeps(struct dp_lane *l)
{
	// pairs with the exchange of who rings, after the worker published
	atomic_store_explicit(&l->r.hdr->car[l->k].sleeping, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_r_empty(&l->up))
		return true;
	atomic_store_explicit(&l->r.hdr->car[l->k].sleeping, 0, memory_order_relaxed);
	return false;
}

void dp_lane_awake(struct dp_lane *l)
{
	uint64_t n;

	atomic_store_explicit(&l->r.hdr->car[l->k].sleeping, 0, memory_order_relaxed);
	if (read(dp_lane_bell(l), &n, sizeof(n)) < 0)
		return; // nobody rang
}
