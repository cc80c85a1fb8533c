// The main lcore's loop. One turn: commands, notes of the workers, a slice of a dump, expiry and
// grace periods, statistics; then everything written is published at once, and the door bell rings
// if the control plane sleeps on something that waits for it, ours or a worker's: workers ring only
// when they have nothing else to do. It spins for a moment after a command, then sleeps: the
// control plane's bell ends the sleep, for the sake of workers that always have something to do it
// is short.

#include "dataplane/ctl/ctl_priv.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	SPIN_NS = 200 * 1000, // after a command: answers within a bulk come without a sleep between
	SPIN_SOCK_EVERY = 16, // spins between two looks at the sockets
	NAP_NS = 75 * 1000, // while we ring for a worker that does not: as late it may be
	NAP_WHILE_NS = 10 * 1000 * 1000,
	SLEEP_NS = 1000 * 1000,
	GONE_BATCH = 1024, // rules ended per turn
	RECLAIM_BATCH = 64,
};

static int ring_of(struct ctl *c, uint64_t off, struct ring_shm **shm, size_t *max_len)
{
	*shm = region_ring(c->k.region, off, max_len);
	return *shm != NULL ? 0 : -EPROTO;
}

// Before any control plane is attached the header is ours alone and can be read.
static int rings_open(struct ctl *c)
{
	const struct region_hdr *h = c->k.region->hdr;
	struct ring_shm *shm;
	size_t len;
	unsigned n = 0;
	int err = ring_of(c, h->cmd_off, &shm, &len);

	if (err == 0)
		err = ring_r_attach(&c->cmd, shm, len);
	if (err == 0)
		err = ring_of(c, h->evt_off, &shm, &len);
	if (err == 0)
		err = ring_w_attach(&c->evt, shm, len);
	if (err < 0)
		return err;
	c->up = calloc(1 + 2 * (size_t)h->n_workers, sizeof(*c->up));
	if (c->up == NULL)
		return -ENOMEM;
	c->up[n++] = shm;
	for (uint32_t w = 0; w < h->n_workers && err == 0; w++) {
		err = ring_of(c, h->hs_off[w], &c->up[n++], &len);
		if (err == 0)
			err = ring_of(c, h->up_off[w], &c->up[n++], &len);
	}
	c->n_up = n;
	for (unsigned k = 0; k < DPMSG_MAX_CARRIERS && err == 0; k++)
		err = ring_of(c, h->car_up_off[k], &c->car_up[k], &len);
	return err;
}

struct ctl *ctl_new(const struct ctl_conf *conf)
{
	struct ctl *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL)
		return errno_null(ENOMEM);
	c->k = *conf;
	c->epoll_fd = c->control_fd = -1;
	c->start_ns = c->now_ns = clock_mono_ns();
	c->now_ds = (uint32_t)(c->now_ns / 100000000);
	err = rings_open(c);
	if (err == 0)
		err = ctl_sock_open(c);
	if (err < 0) {
		ctl_free(c);
		return errno_null(err);
	}
	sweeper_init(&c->sweeper, c->k.rules, c->now_ns);
	c->k.rules->gone = ctl_on_rule_gone;
	c->k.rules->gone_ctx = c;
	if (ctl_routes_open(c) < 0) {
		ctl_free(c);
		return errno_null(ENOMEM);
	}
	ctl_stats_open(c);
	return c;
}

void ctl_free(struct ctl *c)
{
	if (c->k.rules != NULL && c->k.rules->gone_ctx == c)
		c->k.rules->gone = NULL;
	ctl_routes_close(c);
	ctl_sock_close(c);
	free(c->up);
	free(c);
}

// Has it since we looked last? One that has little to do is idle for a turn or two now and then,
// and does not.
static bool rings_itself(struct ctl *c, unsigned worker)
{
	uint64_t n = worker_set_bells(c->k.workers, worker);
	bool rang = n != c->bells[worker];

	c->bells[worker] = n;
	return rang;
}

static bool waits(struct ring_shm *up)
{
	return atomic_load_explicit(&up->head, memory_order_acquire) !=
	       atomic_load_explicit(&up->tail, memory_order_relaxed);
}

// Ring if the control plane, or a carrier of its, sleeps and any ring towards it holds something. A
// ring that it emptied between our two looks costs a bell in vain; one that was filled after them
// is seen next turn. When we had to, for a worker that does not ring, is remembered.
static void bell(struct ctl *c)
{
	const struct region *r = c->k.region;
	unsigned n_carriers = region_n_carriers(r->hdr), n_workers = c->k.region_conf->n_workers;
	bool any = atomic_load_explicit(&r->hdr->evt_overflow, memory_order_relaxed) != 0;
	bool itself[DPMSG_MAX_WORKERS], late = false;

	for (unsigned w = 0; w < n_workers; w++)
		itself[w] = rings_itself(c, w);
	// behind that of events, of which we are told in time, each worker has two
	for (unsigned i = 0; i < c->n_up; i++) {
		bool it = waits(c->up[i]);

		any |= it;
		late |= it && i > 0 && !itself[(i - 1) / 2];
	}
	if (c->control_fd < 0)
		return;
	if (any && region_wake(&r->hdr->cp_sleeping, r->bell_cp) && late)
		c->up_ns = c->now_ns;
	for (unsigned k = 0; k < n_carriers; k++)
		if (waits(c->car_up[k]) && region_wake(&r->hdr->car[k].sleeping, r->bell_car[k]) &&
			!itself[k % n_workers])
			c->up_ns = c->now_ns;
}

bool ctl_turn(struct ctl *c, uint64_t now_ns)
{
	bool more;

	c->now_ns = now_ns;
	c->now_ds = (uint32_t)(now_ns / 100000000);
	more = ctl_commands(c);
	more = ctl_dump_turn(c) || more;
	if (more)
		c->busy_ns = now_ns;
	more = ctl_notes(c) || more;
	sweeper_tick(&c->sweeper, now_ns, c->now_ds);
	more = ctl_routes_turn(c) || more;
	c->k.rules->now_ns = now_ns;
	rule_table_poll(c->k.rules, GONE_BATCH);
	reclaim_poll(c->k.reclaim, RECLAIM_BATCH);
	adj_poll(c->k.adjs);
	ctl_stats_turn(c);
	if (c->evt_dirty) {
		c->evt_dirty = false;
		ring_w_publish(&c->evt);
	}
	bell(c);
	return more;
}

uint64_t ctl_nap_ns(struct ctl *c)
{
	if (ring_r_empty(&c->cmd))
		return c->now_ns - c->up_ns < NAP_WHILE_NS ? NAP_NS : SLEEP_NS;
	if (!ctl_room_for_answer(c))
		return SLEEP_NS; // who reads answers rings, and who does not is to cost little
	return c->held ? NAP_NS : 0;
}

// The other half of the protocol in region.h: we say that we sleep, look once more, and sleep.
// Sockets are looked at in any case: the end of a control plane that does not read is told there.
static void nap(struct ctl *c)
{
	struct region_hdr *h = c->k.region->hdr;

	atomic_store_explicit(&h->dp_sleeping, 1, memory_order_seq_cst);
	ctl_sock_turn(c, ctl_nap_ns(c));
	atomic_store_explicit(&h->dp_sleeping, 0, memory_order_seq_cst);
}

void ctl_run(struct ctl *c, const _Atomic bool *stop)
{
	unsigned spins = 0;

	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); // the default adds 50 us to each nap
	while (!atomic_load_explicit(stop, memory_order_relaxed)) {
		uint64_t now = clock_mono_ns();
		bool more = ctl_turn(c, now);

		if (!more && now - c->busy_ns >= SPIN_NS)
			nap(c);
		else if (++spins % SPIN_SOCK_EVERY == 0)
			ctl_sock_turn(c, 0);
		else
			sched_yield(); // the control plane may share this core
	}
}
