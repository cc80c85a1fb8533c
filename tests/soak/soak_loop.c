// The loop of a control plane on simulated time: timers by the world's clock, descriptors asked
// without waiting, the hooks at their places. Order of a turn as libuv has it: timers, deferred
// calls and the hook before sleep, descriptors, the hook after.
#include "tests/soak/soak.h"

#include "lib/base/clock.h"
#include "lib/base/share.h"
#include "tests/support/no_carriers.h"

#include <poll.h>
#include <stdlib.h>

enum { POLLS_MAX = 16 };

struct loop_timer {
	struct loop_timer *next;
	struct loop *loop;
	loop_fn fn;
	void *arg;
	uint64_t at_ns, repeat_ns, order;
	bool on, dead;
};

struct loop_poll {
	struct loop_poll *next;
	int fd;
	short events;
	loop_poll_fn fn;
	void *arg;
	bool dead;
};

struct deferred {
	struct deferred *next;
	loop_fn fn;
	void *arg;
};

struct loop {
	struct loop_timer *timers;
	struct loop_poll *polls;
	struct deferred *first, **last;
	loop_before_fn before_sleep;
	loop_fn after_sleep;
	void *hook_arg;
	uint64_t order;
	struct share share;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->last = &l->first;
	return l;
}

struct share *loop_share(struct loop *l)
{
	return &l->share;
}

static void reap(struct loop *l)
{
	for (struct loop_timer **p = &l->timers; *p != NULL;) {
		struct loop_timer *t = *p;

		if (t->dead) {
			*p = t->next;
			free(t);
		} else {
			p = &t->next;
		}
	}
	for (struct loop_poll **p = &l->polls; *p != NULL;) {
		struct loop_poll *x = *p;

		if (x->dead) {
			*p = x->next;
			free(x);
		} else {
			p = &x->next;
		}
	}
}

static bool run_deferred(struct loop *l)
{
	struct deferred *d = l->first;
	bool any = d != NULL;

	l->first = NULL;
	l->last = &l->first;
	while (d != NULL) {
		struct deferred *next = d->next;

		d->fn(d->arg);
		free(d);
		d = next;
	}
	return any;
}

void loop_free(struct loop *l)
{
	run_deferred(l);
	for (struct loop_timer *t = l->timers; t != NULL; t = t->next)
		t->dead = true;
	for (struct loop_poll *p = l->polls; p != NULL; p = p->next)
		p->dead = true;
	reap(l);
	run_deferred(l);
	free(l);
}

void loop_set_hook(struct loop *l, loop_before_fn before_sleep, loop_fn after_sleep, void *arg)
{
	l->before_sleep = before_sleep;
	l->after_sleep = after_sleep;
	l->hook_arg = arg;
}

int loop_defer(struct loop *l, loop_fn fn, void *arg)
{
	struct deferred *d = malloc(sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	*d = (struct deferred){.fn = fn, .arg = arg};
	*l->last = d;
	l->last = &d->next;
	return 0;
}

// ---- timers ----

struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	*t = (struct loop_timer){.next = l->timers, .loop = l, .fn = fn, .arg = arg};
	l->timers = t;
	return t;
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
	t->on = true;
	t->at_ns = soak.now_ns + delay_ms * CLOCK_NS_PER_MS;
	t->repeat_ns = repeat_ms * CLOCK_NS_PER_MS;
	t->order = t->loop->order++;
}

void loop_timer_stop(struct loop_timer *t)
{
	t->on = false;
}

bool loop_timer_is_on(const struct loop_timer *t)
{
	return t->on;
}

void loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	t->on = false;
	t->dead = true;
}

static struct loop_timer *first_timer(const struct loop *l)
{
	struct loop_timer *first = NULL;

	for (struct loop_timer *t = l->timers; t != NULL; t = t->next)
		if (t->on && (first == NULL || t->at_ns < first->at_ns ||
				     (t->at_ns == first->at_ns && t->order < first->order)))
			first = t;
	return first;
}

uint64_t soak_loop_next(const struct loop *l)
{
	const struct loop_timer *t = first_timer(l);

	return t == NULL ? UINT64_MAX : t->at_ns;
}

// Those that are due now; one that is started meanwhile waits for the next turn.
static bool run_timers(struct loop *l)
{
	uint64_t before = l->order;
	struct loop_timer *t;
	bool any = false;

	while ((t = first_timer(l)) != NULL && t->at_ns <= soak.now_ns && t->order < before) {
		any = true;
		if (t->repeat_ns != 0)
			t->at_ns = soak.now_ns + t->repeat_ns;
		else
			t->on = false;
		t->fn(t->arg);
	}
	return any;
}

// ---- descriptors ----

struct loop_poll *loop_poll_new(struct loop *l, int fd, loop_poll_fn fn, void *arg)
{
	struct loop_poll *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	*p = (struct loop_poll){.next = l->polls, .fd = fd, .fn = fn, .arg = arg};
	l->polls = p;
	return p;
}

int loop_poll_set(struct loop_poll *p, bool readable, bool writable)
{
	p->events = (short)((readable ? POLLIN | POLLRDHUP : 0) | (writable ? POLLOUT : 0));
	return 0;
}

void loop_poll_free(struct loop_poll *p)
{
	if (p != NULL)
		p->dead = true;
}

static bool run_polls(struct loop *l)
{
	struct loop_poll *who[POLLS_MAX];
	struct pollfd fds[POLLS_MAX];
	nfds_t n = 0;

	for (struct loop_poll *p = l->polls; p != NULL && n < POLLS_MAX; p = p->next)
		if (!p->dead && p->events != 0) {
			fds[n] = (struct pollfd){.fd = p->fd, .events = p->events};
			who[n++] = p;
		}
	if (n == 0 || poll(fds, n, 0) <= 0)
		return false;
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].revents != 0 && !who[i]->dead)
			who[i]->fn(who[i]->arg, (fds[i].revents & ~POLLOUT) != 0,
				(fds[i].revents & POLLOUT) != 0);
	return true;
}

// ---- what only sockets need: there are none in this world, transports are rails ----

uv_loop_t *loop_uv(struct loop *l)
{
	(void)l;
	abort();
}

const struct aead_engine *loop_aead(struct loop *l)
{
	return NULL; // libsodium
}

void *loop_buf_get(struct loop *l)
{
	(void)l;
	abort();
}

void loop_buf_put(struct loop *l, void *take_buf)
{
	(void)l;
	free(take_buf);
}

void loop_rest_add(struct loop *l, struct loop_rest *r, loop_fn fn, void *arg)
{
	(void)l;
	(void)r;
	(void)fn;
	(void)arg;
	abort();
}

void loop_rest_del(struct loop_rest *r)
{
	(void)r; // none was ever added
}

bool soak_loop_turn(struct loop *l)
{
	bool busy = run_timers(l);

	busy |= run_deferred(l);
	if (l->before_sleep != NULL)
		busy |= l->before_sleep(l->hook_arg);
	busy |= run_polls(l);
	if (l->after_sleep != NULL)
		l->after_sleep(l->hook_arg);
	reap(l);
	return busy;
}
