// One item a transport id, with the connections of that id that are up; one request at a time, for
// the discovery's client asks one after the other anyway. An item in need of a request is in one of
// two queues: a settlement that waits goes before the rest. When the discovery gives no answer only
// settlements are tried until a while is over.
//
//	up, post -> POST -> registered -> GET after 10 s, every 5 min -> gone: POST
//	              \-> refused: GET tells whether it is there
//	down (the last one) -> DELETE -> forgotten
#include "controlplane/directory/tp_register.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controlplane/core/backoff.h"
#include "lib/base/err.h"
#include "lib/base/htab.h"
#include "lib/base/log.h"

LOG_MODULE("tp_register");

enum need { NEED_NONE, NEED_POST, NEED_CHECK, NEED_DELETE };

struct item {
	struct tp_register *r;
	struct tp_entry e; // of the connection that settled last
	enum need need; // NEED_NONE: in no queue
	bool urgent; // in which
	bool known; // we posted it, or saw it
	bool refused; // the last post was
	unsigned fails; // refusals in a row
	struct loop_timer *timer; // until the next need
	enum need then;
	TAILQ_HEAD(, tp_reg) up;
	TAILQ_ENTRY(item) queued, all;
};

struct tp_reg {
	struct item *item; // NULL: the register is gone
	struct loop_timer *wait; // done comes by it; NULL: it came, or nobody waits
	bool answered;
	tp_register_fn done;
	void *arg;
	TAILQ_ENTRY(tp_reg) next;
};

struct tp_register {
	struct tp_register_conf conf;
	struct htab *by_id; // struct item
	TAILQ_HEAD(, item) urgent, queue, all;
	struct item *asked; // whose request is under way; it is in no queue
	enum need asked_for;
	struct tp_discovery_ask *ask;
	struct loop_timer *step; // looks at the queues
	struct loop_timer *pause; // the discovery is away
	unsigned fails; // requests without an answer in a row
	struct loop_timer *leave_timer;
	bool leaving;
	tp_register_fn left; // NULL: was called
	void *left_arg;
	struct tp_register_stats stats;
};

// ---- items ----

static void unqueue(struct item *it)
{
	if (it->need == NEED_NONE)
		return;
	if (it->urgent)
		TAILQ_REMOVE(&it->r->urgent, it, queued);
	else
		TAILQ_REMOVE(&it->r->queue, it, queued);
	it->need = NEED_NONE;
}

static void want(struct item *it, enum need need, bool urgent)
{
	struct tp_register *r = it->r;

	unqueue(it);
	loop_timer_stop(it->timer);
	it->need = need;
	it->urgent = urgent;
	if (urgent)
		TAILQ_INSERT_TAIL(&r->urgent, it, queued);
	else
		TAILQ_INSERT_TAIL(&r->queue, it, queued);
	loop_timer_start(r->step, 0, 0);
}

static void want_later(struct item *it, enum need need, uint32_t ms)
{
	it->then = need;
	loop_timer_start(it->timer, ms, 0);
}

static void on_due(void *arg)
{
	struct item *it = arg;

	want(it, it->then, false);
}

static void item_free(struct item *it)
{
	struct tp_register *r = it->r;

	unqueue(it);
	if (r->asked == it)
		r->asked = NULL;
	htab_del(r->by_id, it->e.id);
	TAILQ_REMOVE(&r->all, it, all);
	loop_timer_free(it->timer);
	free(it);
}

static struct item *item_new(struct tp_register *r, const struct tp_entry *e)
{
	struct item *it = calloc(1, sizeof(*it));

	if (it == NULL)
		return NULL;
	it->r = r;
	it->e = *e;
	TAILQ_INIT(&it->up);
	it->timer = loop_timer_new(r->conf.loop, on_due, it);
	if (it->timer == NULL || htab_put(r->by_id, e->id, it) < 0) {
		loop_timer_free(it->timer);
		free(it);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&r->all, it, all);
	return it;
}

static bool is_up(const struct item *it)
{
	return !TAILQ_EMPTY(&it->up);
}

// ---- who waits ----

static void on_waited(void *arg)
{
	struct tp_reg *h = arg;
	tp_register_fn done = h->done;
	void *done_arg = h->arg;

	h->item->r->stats.late += !h->answered;
	loop_timer_free(h->wait);
	h->wait = NULL;
	done(done_arg); // may end the connection
}

static void tell_waiting(struct item *it)
{
	struct tp_reg *h;

	TAILQ_FOREACH (h, &it->up, next) {
		if (h->wait == NULL)
			continue;
		h->answered = true;
		loop_timer_start(h->wait, 0, 0);
	}
}

// ---- answers ----

// The discovery is away, or something in front of it.
static bool is_away(const struct tp_discovery_result *a)
{
	return a->err < 0 || a->status == 401 || a->status == 429;
}

static void on_away(struct item *it, enum need need, const char *text)
{
	struct tp_register *r = it->r;

	r->stats.failed++;
	r->fails++;
	if (r->fails == 1)
		log_warn("transport discovery url=%s: %s", service_url(r->conf.service), text);
	loop_timer_start(r->pause, backoff_ms(r->fails, BACKOFF_MIN_MS, r->conf.backoff_ms), 0);
	tell_waiting(it);
	if (it->need == NEED_NONE)
		want(it, need, false);
}

static void refuse(struct item *it, enum need next)
{
	it->r->stats.refused++;
	it->fails++;
	want_later(it, next, backoff_ms(it->fails, BACKOFF_MIN_MS, it->r->conf.backoff_ms));
}

static void on_posted(struct item *it, const struct tp_discovery_result *a)
{
	struct tp_register *r = it->r;

	tell_waiting(it);
	it->refused = !a->taken;
	if (a->taken) {
		r->stats.posted++;
		it->known = true;
		it->fails = 0;
	} else {
		r->stats.refused++;
	}
	if (it->need != NEED_NONE)
		return; // something came up meanwhile
	if (a->taken)
		want_later(it, NEED_CHECK, r->conf.first_ms);
	else
		want(it, NEED_CHECK, false); // it may be there already
}

static void on_checked(struct item *it, const struct tp_discovery_result *a)
{
	struct tp_register *r = it->r;
	bool was_known = it->known;

	r->stats.checked++;
	if (a->taken)
		it->known = a->n > 0;
	if (it->need != NEED_NONE)
		return;
	if (!a->taken) {
		refuse(it, NEED_CHECK);
	} else if (it->known) {
		it->refused = false;
		it->fails = 0;
		want_later(it, NEED_CHECK, r->conf.again_ms);
	} else if (it->refused) {
		refuse(it, NEED_POST);
	} else {
		r->stats.mended += was_known;
		want(it, NEED_POST, false);
	}
}

enum { DELETE_TRIES = 5 };

static void on_deleted(struct item *it, const struct tp_discovery_result *a)
{
	it->r->stats.deleted += a->taken;
	it->known = false;
	if (it->r->leaving || it->need != NEED_NONE)
		return;
	if (is_up(it))
		want(it, NEED_CHECK, false); // the peer may have posted it before
	else if (a->status / 100 == 5 && it->fails < DELETE_TRIES)
		refuse(it, NEED_DELETE);
	else
		item_free(it);
}

static void on_answer(void *arg, const struct tp_discovery_result *a)
{
	struct tp_register *r = arg;
	struct item *it = r->asked;

	r->ask = NULL;
	r->asked = NULL;
	loop_timer_start(r->step, 0, 0);
	if (is_away(a)) {
		on_away(it, r->asked_for, a->text);
		return;
	}
	if (r->fails > 0)
		log_notice(
			"transport discovery url=%s answers again", service_url(r->conf.service));
	r->fails = 0;
	loop_timer_stop(r->pause);
	if (r->asked_for == NEED_POST)
		on_posted(it, a);
	else if (r->asked_for == NEED_CHECK)
		on_checked(it, a);
	else
		on_deleted(it, a);
}

// ---- requests ----

static void left(struct tp_register *r)
{
	tp_register_fn fn = r->left;

	r->left = NULL;
	loop_timer_stop(r->leave_timer);
	if (fn != NULL)
		fn(r->left_arg); // may free r
}

static void on_leave_over(void *arg)
{
	left(arg);
}

static struct item *next_item(struct tp_register *r)
{
	struct item *it = TAILQ_FIRST(&r->urgent);

	if (it == NULL && !loop_timer_is_on(r->pause))
		it = TAILQ_FIRST(&r->queue);
	return it;
}

static void on_step(void *arg)
{
	struct tp_register *r = arg;
	struct item *it = r->ask == NULL ? next_item(r) : NULL;
	struct service *s = r->conf.service;
	int err;

	if (it == NULL) {
		if (r->leaving && r->ask == NULL && TAILQ_EMPTY(&r->queue))
			left(r);
		return;
	}
	r->asked_for = it->need;
	unqueue(it);
	r->asked = it;
	if (r->asked_for == NEED_POST)
		r->ask = tp_discovery_post(s, &it->e, on_answer, r);
	else if (r->asked_for == NEED_CHECK)
		r->ask = tp_discovery_find(s, it->e.id, on_answer, r);
	else
		r->ask = tp_discovery_delete(s, it->e.id, on_answer, r);
	if (r->ask != NULL)
		return;
	err = errno;
	r->asked = NULL;
	on_away(it, r->asked_for, strerror(err));
	loop_timer_start(r->step, 0, 0);
}

// ---- connections ----

static void item_up(struct item *it, bool fresh, bool post)
{
	if (post) {
		want(it, NEED_POST, true);
	} else if (fresh || it->need == NEED_DELETE) {
		unqueue(it);
		want_later(it, NEED_CHECK, it->r->conf.first_ms);
	}
}

struct tp_reg *tp_register_up(struct tp_register *r, const struct tp_entry *entry, bool post,
	tp_register_fn done, void *arg)
{
	struct tp_reg *h = r != NULL && !r->leaving ? calloc(1, sizeof(*h)) : NULL;
	struct item *it;
	bool fresh;

	if (h == NULL)
		return NULL;
	if (done != NULL && (h->wait = loop_timer_new(r->conf.loop, on_waited, h)) == NULL) {
		free(h);
		return NULL;
	}
	it = htab_find(r->by_id, entry->id);
	fresh = it == NULL || !is_up(it);
	if (it == NULL)
		it = item_new(r, entry);
	if (it == NULL) {
		r->stats.full++;
		loop_timer_free(h->wait);
		free(h);
		return NULL;
	}
	it->e = *entry;
	h->item = it;
	h->done = done;
	h->arg = arg;
	TAILQ_INSERT_TAIL(&it->up, h, next);
	h->answered = !post;
	if (h->wait != NULL)
		loop_timer_start(h->wait, post ? r->conf.wait_ms : 0, 0);
	item_up(it, fresh, post);
	return h;
}

void tp_register_down(struct tp_reg *h)
{
	struct item *it;

	if (h == NULL)
		return;
	it = h->item;
	if (it == NULL) {
		free(h);
		return;
	}
	TAILQ_REMOVE(&it->up, h, next);
	loop_timer_free(h->wait);
	free(h);
	if (is_up(it) || it->r->leaving)
		return;
	it->fails = 0;
	want(it, NEED_DELETE, false);
}

void tp_register_leave(struct tp_register *r, tp_register_fn fn, void *arg)
{
	struct item *it;

	r->leaving = true;
	r->left = fn;
	r->left_arg = arg;
	loop_timer_start(r->leave_timer, TP_REGISTER_LEAVE_MS, 0);
	TAILQ_FOREACH (it, &r->all, all)
		want(it, NEED_DELETE, false);
	loop_timer_start(r->step, 0, 0);
}

// ---- the whole ----

void tp_register_stats_get(const struct tp_register *r, struct tp_register_stats *out)
{
	const struct item *it;

	*out = r->stats;
	TAILQ_FOREACH (it, &r->all, all) {
		out->up += is_up(it);
		out->registered += is_up(it) && it->known;
		out->pending += !is_up(it) || !it->known;
	}
}

struct tp_register *tp_register_new(const struct tp_register_conf *conf)
{
	uint8_t secret[HTAB_SECRET_LEN];
	struct tp_register *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	TAILQ_INIT(&r->urgent);
	TAILQ_INIT(&r->queue);
	TAILQ_INIT(&r->all);
	r->conf = *conf;
	r->conf.wait_ms = conf->wait_ms != 0 ? conf->wait_ms : TP_REGISTER_WAIT_MS;
	r->conf.first_ms = conf->first_ms != 0 ? conf->first_ms : TP_REGISTER_FIRST_MS;
	r->conf.again_ms = conf->again_ms != 0 ? conf->again_ms : TP_REGISTER_AGAIN_MS;
	r->conf.backoff_ms = conf->backoff_ms != 0 ? conf->backoff_ms : TP_REGISTER_BACKOFF_MAX_MS;
	randombytes_buf(secret, sizeof(secret));
	r->by_id = htab_new(ENTRY_ID_LEN, conf->max != 0 ? conf->max : TP_REGISTER_MAX, secret);
	r->step = loop_timer_new(conf->loop, on_step, r);
	r->pause = loop_timer_new(conf->loop, on_step, r);
	r->leave_timer = loop_timer_new(conf->loop, on_leave_over, r);
	if (r->by_id == NULL || r->step == NULL || r->pause == NULL || r->leave_timer == NULL) {
		tp_register_free(r);
		return errno_null(ENOMEM);
	}
	return r;
}

void tp_register_free(struct tp_register *r)
{
	struct item *it;
	struct tp_reg *h;

	if (r == NULL)
		return;
	tp_discovery_cancel(r->ask);
	while ((it = TAILQ_FIRST(&r->all)) != NULL) {
		while ((h = TAILQ_FIRST(&it->up)) != NULL) {
			TAILQ_REMOVE(&it->up, h, next);
			loop_timer_free(h->wait);
			h->item = NULL;
		}
		item_free(it);
	}
	htab_free(r->by_id);
	loop_timer_free(r->step);
	loop_timer_free(r->pause);
	loop_timer_free(r->leave_timer);
	free(r);
}
