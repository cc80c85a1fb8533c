// A link has two halves, the main loop's and the carrier's, in one struct: each touches its own
// only, and what passes between them are messages (core/mailbox). The carrier frees its half when
// told to close and says so; then main frees the struct, which no message names any more.
//
//   main -> carrier   RINGS, LET_GO, TAKE, READ, SAY, HEARD, HELD, FAIL, CLOSE, STOP
//   carrier -> main   CONTROL, BLOCKED, END, GONE, NO_RINGS
//
// Those that end something are part of what they end, so that they find memory.
//
// What may be under way is bounded: a link is not read while 64 of its control packets were not
// heard, and is not told to say anything while it is blocked.
#include "controlplane/transport/carrier.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/core/mailbox.h"
#include "controlplane/dp/dp_lane.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("transport");

enum {
	UP_BURST = 256, // packets read between two looks at the sockets
	RINGS_AGAIN_MS = 500, // after rings that could not be had
	ROOM_POLL_MS = 1, // nobody tells us that a ring has room again
	UNHEARD_MAX = 64,
	// Unsent bytes of a link that is blocked and that the data plane was not told of yet: no
	// more is read then.
	UNSENT_MAX = 16 << 20,
};

enum mail_type {
	// to the carrier
	RINGS,
	LET_GO, // main waits for it
	TAKE,
	READ,
	SAY,
	HEARD,
	HELD,
	FAIL,
	CLOSE,
	STOP,
	// to main
	CONTROL,
	BLOCKED,
	END,
	GONE,
	NO_RINGS, // the RINGS that failed, sent back
};

struct carry_mail {
	struct mail mail;
	uint8_t type; // enum mail_type
	bool part; // of its link or carrier: not to be freed
	bool on; // READ, BLOCKED
	int err; // END, NO_RINGS
	uint32_t serial; // BLOCKED, HELD: of the blocks of a link; RINGS: of those of a carrier
	struct carrier_link *k;
	struct dp_lane *lane; // RINGS
	uint32_t hop_max; // RINGS
	size_t len; // SAY, CONTROL
	uint8_t *bytes; // of len, behind it
};

struct carrier_link {
	struct carrier *c; // both: constant
	uint32_t hop; // ditto

	// -- main's --
	const struct carried_link_events *ev;
	void *arg;
	bool closed;
	uint32_t n_blocks; // as told last
	struct carry_mail take, fail, close;
	bool failing; // `fail` is on its way, or was

	// -- the carrier's --
	struct noise_conn_moved *moved; // until it is taken
	struct carrier_link *next, **prev;
	struct carried_link *link; // NULL: it could not be made
	bool reading; // as main says
	bool blocked, held;
	bool failed; // END was told
	uint32_t blocks;
	unsigned n_unheard;
	struct carry_mail end, gone;
};

struct carrier {
	unsigned nr;
	// main's
	pthread_t thread;
	bool started;
	bool attached; // has rings, or is about to
	const struct region *region; // NULL: no data plane
	uint32_t region_hops;
	uint32_t n_rings; // orders
	struct loop_timer *again;
	unsigned n_links;
	struct mailbox *to_main;
	struct carry_mail let_go, stop;
	sem_t gone; // posted by the carrier when it has let go
	// the thread's, main's before it runs
	struct loop *loop;
	struct mailbox *to_carrier;
	struct carried_links *links;
	struct loop_timer *room;
	struct dp_lane *lane; // NULL: no data plane
	struct loop_poll *bell;
	struct carrier_link *first;
	struct carrier_link **by_hop; // by index of the handle
	uint32_t hop_max;
	struct carrier_link *stuck; // has too much to write: nothing is read until it is held
	// either's
	_Atomic uint64_t bytes, late;
};

struct carriers {
	unsigned n;
	struct carrier c[DPMSG_MAX_CARRIERS];
};

static struct carry_mail mail_of(enum mail_type type, struct carrier_link *k)
{
	return (struct carry_mail){.type = (uint8_t)type, .part = true, .k = k};
}

static struct carry_mail *mail_new(
	enum mail_type type, struct carrier_link *k, const uint8_t *p, size_t len)
{
	struct carry_mail *m = calloc(1, sizeof(*m) + len);

	if (m == NULL)
		return NULL;
	*m = (struct carry_mail){.type = (uint8_t)type, .k = k, .len = len};
	m->bytes = (uint8_t *)(m + 1);
	if (len > 0)
		memcpy(m->bytes, p, len);
	return m;
}

static void mail_done(struct carry_mail *m)
{
	if (!m->part)
		free(m);
}

static void count(_Atomic uint64_t *n, uint64_t by)
{
	atomic_store_explicit(
		n, atomic_load_explicit(n, memory_order_relaxed) + by, memory_order_relaxed);
}

// ---- the carrier's side: events of its links ----

static void tell(struct carrier *c, struct carry_mail *m)
{
	mailbox_post(c->to_main, &m->mail);
}

static void read_set(struct carrier_link *k)
{
	carried_link_read(k->link, k->reading && k->n_unheard < UNHEARD_MAX);
}

static bool on_packet(void *arg, const uint8_t *p, size_t len)
{
	struct carrier_link *k = arg;
	struct carrier *c = k->c;

	if (c->lane == NULL)
		return true; // the link is about to end
	if (dp_lane_send_carried(c->lane, k->hop, p, len) == -EAGAIN) {
		if (!loop_timer_is_on(c->room))
			loop_timer_start(c->room, ROOM_POLL_MS, 0);
		return false;
	}
	count(&c->bytes, len);
	return true;
}

static void on_control(void *arg, const uint8_t *p, size_t len)
{
	struct carrier_link *k = arg;
	struct carry_mail *m = mail_new(CONTROL, k, p, len);

	if (m == NULL)
		return; // as if it was lost on the way
	tell(k->c, m);
	if (++k->n_unheard == UNHEARD_MAX)
		read_set(k);
}

static void unstick(struct carrier_link *k)
{
	if (k->c->stuck == k)
		k->c->stuck = NULL;
}

static void on_end(void *arg, int err)
{
	struct carrier_link *k = arg;

	if (k->failed)
		return;
	k->failed = true;
	k->end = mail_of(END, k);
	k->end.err = err;
	tell(k->c, &k->end);
}

static void on_blocked(void *arg, bool blocked)
{
	struct carrier_link *k = arg;
	struct carry_mail *m = mail_new(BLOCKED, k, NULL, 0);

	if (m == NULL) {
		on_end(k, -ENOMEM);
		return;
	}
	k->blocked = blocked;
	k->held = false;
	k->blocks += blocked;
	if (!blocked)
		unstick(k);
	m->on = blocked;
	m->serial = k->blocks;
	tell(k->c, m);
}

static const struct carried_link_events link_events = {
	.packet = on_packet, .control = on_control, .blocked = on_blocked, .end = on_end};

// ---- the carrier's side: packets up ----

static bool on_up(void *arg, uint32_t hop, const uint8_t *shm, size_t len)
{
	struct carrier *c = arg;
	uint32_t i = dpmsg_handle_index(hop);
	struct carrier_link *k = i < c->hop_max ? c->by_hop[i] : NULL;
	int rc = k != NULL && k->hop == hop && k->link != NULL ? carried_link_put(k->link, shm, len)
							       : -EBADMSG;

	if (rc == -EBADMSG) {
		count(&c->late, 1);
		return true;
	}
	count(&c->bytes, len);
	if (rc < 0)
		on_end(k, rc);
	if (k->blocked && !k->held && carried_link_unsent(k->link) > UNSENT_MAX)
		c->stuck = k;
	return c->stuck == NULL;
}

static void read_up(struct carrier *c)
{
	int rc = c->stuck == NULL ? dp_lane_recv(c->lane, UP_BURST, on_up, c) : 0;

	if (rc == -EPROTO) // bytes of somebody's stream are missing
		for (struct carrier_link *k = c->first; k != NULL; k = k->next)
			on_end(k, -EPROTO);
	carried_links_flush(c->links);
}

static bool before_sleep(void *arg)
{
	struct carrier *c = arg;

	if (c->lane == NULL)
		return false;
	dp_lane_publish(c->lane);
	return c->stuck == NULL && !dp_lane_sleeps(c->lane);
}

static void after_sleep(void *arg)
{
	struct carrier *c = arg;

	if (c->lane == NULL)
		return;
	dp_lane_publish(c->lane);
	dp_lane_awake(c->lane);
	dp_lane_look(c->lane);
	// A link was told to us before the data plane heard of its hop. Mail may change the lane.
	mailbox_empty(c->to_carrier);
	if (c->lane != NULL)
		read_up(c);
}

static void on_bell(void *arg, bool readable, bool writable)
{
	(void)arg, (void)readable, (void)writable; // after_sleep() takes it from here
}

static void on_room(void *arg)
{
	struct carrier *c = arg;

	carried_links_room(c->links);
}

// ---- the carrier's side: what main says ----

static void rings_drop(struct carrier *c)
{
	loop_poll_free(c->bell);
	c->bell = NULL;
	dp_lane_free(c->lane);
	c->lane = NULL;
	free(c->by_hop);
	c->by_hop = NULL;
	c->hop_max = 0;
}

static int rings_open(struct carrier *c, uint32_t hop_max)
{
	int rc = dp_lane_open(c->lane);

	if (rc < 0)
		return rc;
	c->by_hop = calloc(hop_max, sizeof(struct carrier_link *));
	if (c->by_hop == NULL)
		return -ENOMEM;
	c->bell = loop_poll_new(c->loop, dp_lane_bell(c->lane), on_bell, c);
	if (c->bell == NULL)
		return -errno;
	c->hop_max = hop_max;
	return loop_poll_set(c->bell, true, false);
}

// They may be those that we have: where we are in them is known only once we have let go.
static int rings_take(struct carrier *c, struct dp_lane *lane, uint32_t hop_max)
{
	int rc;

	rings_drop(c);
	c->lane = lane;
	rc = rings_open(c, hop_max);
	if (rc < 0)
		rings_drop(c); // its links end at once
	return rc;
}

static void take(struct carrier *c, struct carrier_link *k)
{
	struct noise_conn_moved *moved = k->moved;
	uint32_t i = dpmsg_handle_index(k->hop);
	struct conn *conn;

	k->moved = NULL;
	k->next = c->first;
	k->prev = &c->first;
	if (k->next != NULL)
		k->next->prev = &k->next;
	c->first = k;
	if (i >= c->hop_max) {
		noise_conn_moved_free(moved);
		on_end(k, -ENOTCONN);
		return;
	}
	c->by_hop[i] = k;
	conn = noise_conn_arrive(c->loop, moved, NULL, NULL, NULL);
	k->link = conn != NULL ? carried_link_new(c->links, conn, &link_events, k) : NULL;
	if (k->link == NULL)
		on_end(k, -errno);
}

static void drop(struct carrier *c, struct carrier_link *k)
{
	uint32_t i = dpmsg_handle_index(k->hop);

	unstick(k);
	if (i < c->hop_max && c->by_hop[i] == k)
		c->by_hop[i] = NULL;
	carried_link_close(k->link);
	k->link = NULL;
	*k->prev = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	k->gone = mail_of(GONE, k);
	tell(c, &k->gone);
}

static void stop(struct carrier *c)
{
	while (c->first != NULL)
		drop(c, c->first);
	rings_drop(c);
	loop_stop(c->loop);
}

static void on_order(void *arg, struct mail *take_m)
{
	struct carry_mail *m = (struct carry_mail *)take_m;
	struct carrier *c = arg;
	struct carrier_link *k = m->k;

	switch ((enum mail_type)m->type) {
	case RINGS:
		m->err = rings_take(c, m->lane, m->hop_max);
		if (m->err == 0)
			break;
		m->type = NO_RINGS;
		tell(c, m);
		return;
	case LET_GO:
		rings_drop(c); // its links are about to end
		sem_post(&c->gone);
		return;
	case TAKE:
		take(c, k);
		break;
	case READ:
		k->reading = m->on;
		if (k->link != NULL)
			read_set(k);
		break;
	case SAY:
		if (k->link != NULL)
			carried_link_say(k->link, m->bytes, m->len);
		break;
	case HEARD:
		if (k->n_unheard-- == UNHEARD_MAX && k->link != NULL)
			read_set(k);
		break;
	case HELD:
		if (k->blocked && m->serial == k->blocks) {
			k->held = true;
			unstick(k);
		}
		break;
	case FAIL:
		on_end(k, -ENOMEM);
		break;
	case CLOSE:
		drop(c, k);
		return; // it may be gone by now
	case STOP:
		stop(c);
		break;
	default:
		break;
	}
	mail_done(m);
}

static void *run(void *arg)
{
	struct carrier *c = arg;

	loop_run(c->loop);
	return NULL;
}

// ---- main's side ----

static void order(struct carrier *c, struct carry_mail *m)
{
	mailbox_post(c->to_carrier, &m->mail);
}

// Something that the link has to know; NULL: there was no memory for it.
static void order_link(struct carrier_link *k, struct carry_mail *m)
{
	if (m != NULL) {
		order(k->c, m);
	} else if (!k->failing) {
		k->failing = true;
		k->fail = mail_of(FAIL, k);
		order(k->c, &k->fail);
	}
}

static void rings_failed(struct carrier *c, int err)
{
	c->attached = false;
	log_limited(LOG_WARN, "carrier %u has no rings: %s", c->nr, strerror(-err));
	loop_timer_start(c->again, RINGS_AGAIN_MS, 0);
}

static void rings_order(struct carrier *c)
{
	struct carry_mail *m = mail_new(RINGS, NULL, NULL, 0);
	int err = ENOMEM;

	if (m != NULL) {
		m->hop_max = c->region_hops;
		m->lane = dp_lane_new(c->region, c->nr);
		err = errno;
	}
	c->attached = m != NULL && m->lane != NULL;
	if (!c->attached) {
		free(m);
		rings_failed(c, -err);
		return;
	}
	m->serial = ++c->n_rings;
	order(c, m);
}

static void on_again(void *arg)
{
	rings_order(arg);
}

static void on_news(void *arg, struct mail *take_m)
{
	struct carry_mail *m = (struct carry_mail *)take_m;
	struct carrier_link *k = m->k;
	struct carrier *c = arg;

	if (m->type == GONE) {
		free(k); // and m
		return;
	}
	if (m->type == NO_RINGS) {
		if (m->serial == c->n_rings)
			rings_failed(c, m->err);
		mail_done(m);
		return;
	}
	if (!k->closed && m->type == CONTROL) {
		order_link(k, mail_new(HEARD, k, NULL, 0)); // before the owner closes it
		k->ev->control(k->arg, m->bytes, m->len);
	} else if (!k->closed && m->type == BLOCKED) {
		k->n_blocks = m->serial;
		k->ev->blocked(k->arg, m->on);
	} else if (!k->closed && m->type == END) {
		k->ev->end(k->arg, m->err);
	}
	mail_done(m);
}

uint8_t carrier_nr(const struct carrier *c)
{
	return (uint8_t)(c->nr + 1);
}

struct carrier_link *carrier_take(struct carrier *c, uint32_t hop, struct noise_conn_moved *take_m,
	const struct carried_link_events *ev, void *arg)
{
	struct carrier_link *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		noise_conn_moved_free(take_m);
		return errno_null(ENOMEM);
	}
	k->c = c;
	k->hop = hop;
	k->ev = ev;
	k->arg = arg;
	k->moved = take_m;
	c->n_links++;
	k->take = mail_of(TAKE, k);
	order(c, &k->take);
	return k;
}

void carrier_link_read(struct carrier_link *k, bool on)
{
	struct carry_mail *m = mail_new(READ, k, NULL, 0);

	if (m != NULL)
		m->on = on;
	order_link(k, m);
}

void carrier_link_say(struct carrier_link *k, const uint8_t *p, size_t len)
{
	struct carry_mail *m = mail_new(SAY, k, p, len);

	if (m != NULL)
		order(k->c, m);
}

void carrier_link_held(struct carrier_link *k)
{
	struct carry_mail *m = mail_new(HELD, k, NULL, 0);

	if (m != NULL)
		m->serial = k->n_blocks;
	order_link(k, m);
}

void carrier_link_close(struct carrier_link *k)
{
	if (k == NULL)
		return;
	k->closed = true;
	k->c->n_links--;
	k->close = mail_of(CLOSE, k);
	order(k->c, &k->close);
}

void carriers_attach(struct carriers *cs, const struct region *r, uint32_t hop_max)
{
	if (cs != NULL)
		atomic_store_explicit(&r->hdr->n_carriers, cs->n, memory_order_relaxed);
	for (unsigned i = 0; cs != NULL && i < cs->n; i++) {
		cs->c[i].region = r;
		cs->c[i].region_hops = hop_max;
		loop_timer_stop(cs->c[i].again);
		rings_order(&cs->c[i]);
	}
}

void carriers_detach(struct carriers *cs)
{
	for (unsigned i = 0; cs != NULL && i < cs->n; i++) {
		struct carrier *c = &cs->c[i];

		loop_timer_stop(c->again);
		c->region = NULL;
		c->attached = false;
		c->n_rings++; // those that fail yet are not tried again
		c->let_go = mail_of(LET_GO, NULL);
		order(c, &c->let_go);
	}
	// They wait for nobody, so it is a turn of theirs at most.
	for (unsigned i = 0; cs != NULL && i < cs->n; i++)
		while (sem_wait(&cs->c[i].gone) != 0 && errno == EINTR)
			continue;
}

static uint64_t load(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

struct carrier *carriers_pick(const struct carriers *cs)
{
	const struct carrier *best = NULL;

	for (unsigned i = 0; cs != NULL && i < cs->n; i++) {
		const struct carrier *c = &cs->c[i];

		if (c->attached && (best == NULL || c->n_links < best->n_links ||
					   (c->n_links == best->n_links &&
						   load(&c->bytes) < load(&best->bytes))))
			best = c;
	}
	return (struct carrier *)(uintptr_t)best;
}

uint64_t carriers_late(const struct carriers *cs)
{
	uint64_t n = 0;

	for (unsigned i = 0; cs != NULL && i < cs->n; i++)
		n += load(&cs->c[i].late);
	return n;
}

uint64_t carriers_flood(const struct carriers *cs)
{
	uint64_t n = 0;

	for (unsigned i = 0; cs != NULL && i < cs->n; i++)
		n += carried_links_flood(cs->c[i].links);
	return n;
}

// ---- life ----

// Signals are the main loop's.
static int thread_start(struct carrier *c)
{
	sigset_t all, before;
	char name[16];
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->started = rc == 0;
	if (c->started) {
		snprintf(name, sizeof(name), "carrier-%u", c->nr);
		pthread_setname_np(c->thread, name);
	}
	return -rc;
}

static int carrier_open(struct carrier *c, struct loop *l)
{
	sem_init(&c->gone, 0, 0);
	c->to_main = mailbox_new(l, on_news, c);
	c->again = loop_timer_new(l, on_again, c);
	c->loop = loop_new();
	if (c->to_main == NULL || c->again == NULL || c->loop == NULL)
		return -ENOMEM;
	c->to_carrier = mailbox_new(c->loop, on_order, c);
	c->links = carried_links_new(c->loop, CARRIED_LINKS_OUT_MAX);
	c->room = loop_timer_new(c->loop, on_room, c);
	if (c->to_carrier == NULL || c->links == NULL || c->room == NULL)
		return -ENOMEM;
	loop_set_hook(c->loop, before_sleep, after_sleep, c);
	return thread_start(c);
}

static void carrier_close(struct carrier *c)
{
	if (c->started) {
		c->stop = mail_of(STOP, NULL);
		order(c, &c->stop);
		pthread_join(c->thread, NULL);
	}
	carried_links_free(c->links);
	loop_timer_free(c->room);
	mailbox_free(c->to_carrier);
	loop_free(c->loop);
	if (c->to_main != NULL)
		mailbox_empty(c->to_main);
	mailbox_free(c->to_main);
	loop_timer_free(c->again);
	sem_destroy(&c->gone);
}

struct carriers *carriers_new(struct loop *l, unsigned n)
{
	struct carriers *cs = calloc(1, sizeof(*cs));
	int rc = 0;

	if (cs == NULL)
		return NULL;
	for (unsigned i = 0; i < n && rc == 0; i++) {
		cs->c[i].nr = i;
		cs->n++;
		rc = carrier_open(&cs->c[i], l);
	}
	if (rc == 0)
		return cs;
	carriers_free(cs);
	return errno_null(rc);
}

void carriers_free(struct carriers *cs)
{
	if (cs == NULL)
		return;
	for (unsigned i = 0; i < cs->n; i++)
		carrier_close(&cs->c[i]);
	free(cs);
}
