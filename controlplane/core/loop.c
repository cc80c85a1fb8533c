// libuv with the freeing done right: a handle's memory goes in its close callback, never before.
// The hook sits on one prepare and one check handle; when the hook says that there is work, an idle
// handle keeps the next wait at zero. No other handle kinds: pipes and streams are bound by the
// modules that need them.
#include "controlplane/core/loop.h"

#include "lib/base/err.h"
#include "lib/base/share.h"
#include "lib/crypto/aead.h"

#include <stdlib.h>

struct deferred {
	loop_fn fn;
	void *arg;
	struct deferred *next;
};

enum { SPARES = 8 };

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle;
	struct deferred *first, **last;
	struct loop_rest *rests;
	void *spare[SPARES]; // of buffers
	unsigned n_spare;
	struct aead_engine aead;
	void *aead_mem; // NULL: nobody asked yet
	loop_before_fn before_sleep;
	loop_fn after_sleep;
	void *hook_arg;
	struct share share;
};

struct loop_timer {
	uv_timer_t uv;
	loop_fn fn;
	void *arg;
	bool closing;
};

struct loop_poll {
	uv_poll_t uv;
	loop_poll_fn fn;
	void *arg;
	bool closing;
};

struct loop_signal {
	uv_signal_t uv;
	loop_fn fn;
	void *arg;
};

static void on_idle(uv_idle_t *h)
{
	(void)h; // its being there is what makes the loop not wait
}

static void run_deferred(struct loop *l)
{
	// What is deferred from now on waits for the next turn.
	struct deferred *d = l->first;

	l->first = NULL;
	l->last = &l->first;
	while (d != NULL) {
		struct deferred *next = d->next;

		d->fn(d->arg);
		free(d);
		d = next;
	}
}

static void on_prepare(uv_prepare_t *h)
{
	struct loop *l = h->data;
	bool busy;

	run_deferred(l);
	busy = l->before_sleep != NULL && l->before_sleep(l->hook_arg);
	if (busy || l->first != NULL)
		uv_idle_start(&l->idle, on_idle);
	else
		uv_idle_stop(&l->idle);
}

static void on_check(uv_check_t *h)
{
	struct loop *l = h->data;

	if (l->after_sleep != NULL)
		l->after_sleep(l->hook_arg);
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return NULL;
	rc = uv_loop_init(&l->uv);
	if (rc != 0) {
		free(l);
		return errno_null(rc);
	}
	l->last = &l->first;
	l->uv.data = l;
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	l->prepare.data = l->check.data = l->idle.data = l;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	// They must not keep a loop alive that has nothing else to do.
	uv_unref((uv_handle_t *)&l->prepare);
	uv_unref((uv_handle_t *)&l->check);
	return l;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void on_own_closed(uv_handle_t *h)
{
	(void)h; // part of struct loop
}

static void close_left(uv_handle_t *h, void *arg)
{
	struct loop *l = arg;

	if (uv_is_closing(h))
		return;
	if (h == (uv_handle_t *)&l->prepare || h == (uv_handle_t *)&l->check ||
		h == (uv_handle_t *)&l->idle)
		uv_close(h, on_own_closed);
	else if (h->type == UV_TIMER || h->type == UV_POLL || h->type == UV_SIGNAL)
		uv_close(h, on_timer_closed);
	else
		uv_close(h, NULL); // a module forgot one: its memory is that module's
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	l->before_sleep = NULL;
	l->after_sleep = NULL;
	run_deferred(l);
	while (l->rests != NULL) {
		struct loop_rest *r = l->rests;

		loop_rest_del(r);
		r->fn(r->arg);
	}
	uv_walk(&l->uv, close_left, l);
	while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
		; // a loop_stop() since it ran last ends it once
	run_deferred(l);
	uv_loop_close(&l->uv);
	while (l->n_spare > 0)
		free(l->spare[--l->n_spare]);
	free(l->aead_mem);
	free(l);
}

const struct aead_engine *loop_aead(struct loop *l)
{
	void *mem;

	if (l->aead_mem == NULL && posix_memalign(&mem, 64, aead_ctx_size()) == 0) {
		l->aead_mem = mem;
		aead_engine_init(&l->aead, mem);
	}
	return l->aead_mem != NULL ? &l->aead : NULL;
}

void *loop_buf_get(struct loop *l)
{
	return l->n_spare > 0 ? l->spare[--l->n_spare] : malloc(LOOP_BUF_LEN);
}

void loop_buf_put(struct loop *l, void *take_buf)
{
	if (take_buf != NULL && l->n_spare < SPARES)
		l->spare[l->n_spare++] = take_buf;
	else
		free(take_buf);
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

struct share *loop_share(struct loop *l)
{
	return &l->share;
}

void loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_turn(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_NOWAIT);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
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
	// Also from a callback that comes after prepare: don't wait for descriptors first.
	uv_idle_start(&l->idle, on_idle);
	return 0;
}

void loop_rest_add(struct loop *l, struct loop_rest *r, loop_fn fn, void *arg)
{
	*r = (struct loop_rest){.fn = fn, .arg = arg, .next = l->rests, .prev = &l->rests};
	if (r->next != NULL)
		r->next->prev = &r->next;
	l->rests = r;
}

void loop_rest_del(struct loop_rest *r)
{
	if (r->prev == NULL)
		return;
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	r->prev = NULL;
}

// ---- timers ----

static void on_timer(uv_timer_t *h)
{
	struct loop_timer *t = h->data;

	if (!t->closing)
		t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	uv_timer_init(&l->uv, &t->uv);
	t->uv.data = t;
	return t;
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
	uv_update_time(t->uv.loop);
	uv_timer_start(&t->uv, on_timer, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
	uv_timer_stop(&t->uv);
}

bool loop_timer_is_on(const struct loop_timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv);
}

void loop_timer_free(struct loop_timer *t)
{
	if (t == NULL || t->closing)
		return;
	t->closing = true;
	uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

// ---- descriptors and signals ----

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct loop_poll *p = h->data;

	if (p->closing)
		return;
	if (status < 0)
		p->fn(p->arg, true, false);
	else
		p->fn(p->arg, (events & (UV_READABLE | UV_DISCONNECT)) != 0,
			(events & UV_WRITABLE) != 0);
}

struct loop_poll *loop_poll_new(struct loop *l, int fd, loop_poll_fn fn, void *arg)
{
	struct loop_poll *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return NULL;
	p->fn = fn;
	p->arg = arg;
	rc = uv_poll_init(&l->uv, &p->uv, fd);
	if (rc != 0) {
		free(p);
		return errno_null(rc);
	}
	p->uv.data = p;
	return p;
}

int loop_poll_set(struct loop_poll *p, bool readable, bool writable)
{
	int events = (readable ? UV_READABLE | UV_DISCONNECT : 0) | (writable ? UV_WRITABLE : 0);

	return events == 0 ? uv_poll_stop(&p->uv) : uv_poll_start(&p->uv, events, on_poll);
}

void loop_poll_free(struct loop_poll *p)
{
	if (p == NULL || p->closing)
		return;
	p->closing = true;
	uv_close((uv_handle_t *)&p->uv, on_timer_closed);
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct loop_signal *s = h->data;

	(void)signum;
	s->fn(s->arg);
}

int loop_on_signal(struct loop *l, int signum, loop_fn fn, void *arg)
{
	struct loop_signal *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	s->fn = fn;
	s->arg = arg;
	uv_signal_init(&l->uv, &s->uv);
	s->uv.data = s;
	rc = uv_signal_start(&s->uv, on_signal, signum);
	if (rc != 0)
		uv_close((uv_handle_t *)&s->uv, on_timer_closed);
	else
		uv_unref((uv_handle_t *)&s->uv);
	return rc;
}
