// The stream, and the calls on it. An answer that is not to the last call is passed over: its call
// was given up. A stream outlives the set-up that it was dialled for: to open one costs more than
// all that is said on it.
#include "controlplane/route/setup_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

TAILQ_HEAD(calls, setup_call);

// Of each list the oldest is the first; a timer runs while there is one.
struct setup_keep {
	uint32_t keep_ms, try_ms;
	uint32_t n; // kept
	struct calls kept, tried; // tried: taken, and not answered yet
	struct loop_timer *keep_timer, *try_timer;
};

struct setup_call {
	setup_call_fn fn;
	void *arg;
	struct dmsg_client *client;
	struct dmsg_addr to;
	uint32_t timeout_ms;
	struct setup_keep *keep; // NULL: it is in use
	TAILQ_ENTRY(setup_call) of_keep;
	uint64_t until_ns; // while it is there
	bool tried;
	struct dmsg_client_dial *dial;
	struct conn *conn; // NULL: not open
	struct netrpc_tx tx;
	uint64_t seq; // of the next call
	bool waits; // for an answer to the last one
	struct netrpc_rx rx;
};

static void say(struct setup_call *c, int err, const char *why)
{
	c->waits = false;
	c->fn(c->arg, err, why);
}

// Of its list, if it is on one.
static void leave(struct setup_call *c)
{
	struct setup_keep *k = c->keep;

	if (k == NULL)
		return;
	TAILQ_REMOVE(c->tried ? &k->tried : &k->kept, c, of_keep);
	k->n -= !c->tried;
	c->tried = false;
	c->keep = NULL;
}

static int dial(struct setup_call *c);

static void break_off(struct setup_call *c, int err, const char *why)
{
	bool tried = c->tried;

	if (c->keep != NULL && !tried) {
		setup_call_free(c);
		return;
	}
	leave(c);
	conn_close(c->conn);
	c->conn = NULL;
	// What was asked for are ids, at most: of them twice as many are reserved for a minute.
	if (!tried || dial(c) < 0)
		say(c, err, why);
}

// ---- answers ----

static size_t on_data(void *arg, uint8_t *bytes, size_t len)
{
	struct setup_call *c = arg;
	size_t used = 0;

	while (used < len) {
		bool ready;
		ssize_t n = netrpc_take(&c->rx, bytes + used, len - used, &ready);

		if (n < 0) {
			break_off(c, -EBADMSG, "answers what is no net/rpc");
			return len;
		}
		used += (size_t)n;
		if (!ready || !c->waits || c->rx.seq + 1 != c->seq)
			continue;
		leave(c);
		say(c, c->rx.error[0] != '\0' ? -EREMOTEIO : 0, c->rx.error);
		return len; // nothing follows the answer to the last call; c may be gone
	}
	return len;
}

static void on_end(void *arg, int err)
{
	break_off(arg, err != 0 ? err : -ECONNRESET, "ended the stream");
}

static const struct conn_events stream_events = {.data = on_data, .end = on_end};

static void on_dialled(void *arg, struct conn *take_conn, enum dmsg_err code, int err)
{
	struct setup_call *c = arg;
	char why[DMSG_CLIENT_WHY_LEN];

	c->dial = NULL;
	if (take_conn == NULL) {
		say(c, err != 0 ? err : -EHOSTUNREACH,
			dmsg_client_dial_text(c->client, code, err, why, sizeof(why)));
		return;
	}
	c->conn = take_conn;
	conn_set_events(take_conn, &stream_events, c);
	say(c, 0, "");
}

// A new stream, on which nothing was said yet.
static int dial(struct setup_call *c)
{
	c->waits = false;
	c->seq = 0;
	memset(&c->tx, 0, sizeof(c->tx));
	memset(&c->rx, 0, sizeof(c->rx));
	c->dial = dmsg_client_dial(c->client, &c->to, c->timeout_ms, on_dialled, c);
	return c->dial != NULL ? 0 : -errno;
}

// ---- calls ----

static void put_dial(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	setup_put_dial(tx, w, seq, arg);
}

static void put_reserve(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	setup_put_reserve(tx, w, seq, *(const uint8_t *)arg);
}

struct many {
	const void *p;
	uint32_t n;
};

static void put_intermediary(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	const struct many *rules = arg;

	setup_put_intermediary(tx, w, seq, rules->p, rules->n);
}

static void put_edge(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	setup_put_edge(tx, w, seq, arg);
}

static void put_delete(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const void *arg)
{
	const struct many *ids = arg;

	setup_put_delete(tx, w, seq, ids->p, ids->n);
}

int setup_call_put(struct setup_call *c, setup_put_fn put, const void *arg)
{
	uint8_t buf[SETUP_ASK_MAX]; // the longest
	struct bytes_w w = bytes_w(buf, sizeof(buf));
	ssize_t len;

	if (c->conn == NULL)
		return -ENOTCONN;
	put(&c->tx, &w, c->seq, arg);
	len = bytes_w_done(&w);
	if (len < 0 || conn_write(c->conn, buf, (size_t)len) != len) {
		conn_close(c->conn); // half a call may have left, so no other can follow
		c->conn = NULL;
		return -ENOBUFS;
	}
	c->waits = true;
	c->seq++;
	return 0;
}

int setup_call_dial(struct setup_call *c, const struct setup_route *route)
{
	return setup_call_put(c, put_dial, route);
}

int setup_call_reserve(struct setup_call *c, uint8_t n)
{
	return setup_call_put(c, put_reserve, &n);
}

int setup_call_intermediary(struct setup_call *c, const uint8_t *rules, uint32_t n)
{
	return setup_call_put(c, put_intermediary, &(struct many){rules, n});
}

int setup_call_edge(struct setup_call *c, const struct setup_edge *edge)
{
	return setup_call_put(c, put_edge, edge);
}

int setup_call_delete(struct setup_call *c, const uint32_t *ids, uint32_t n)
{
	return setup_call_put(c, put_delete, &(struct many){ids, n});
}

// ---- life ----

struct setup_call *setup_call_new(struct dmsg_client *client, const struct key_pk *pk,
	uint16_t port, uint32_t timeout_ms, setup_call_fn fn, void *arg)
{
	struct setup_call *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return NULL;
	c->fn = fn;
	c->arg = arg;
	c->client = client;
	c->to = (struct dmsg_addr){*pk, port};
	c->timeout_ms = timeout_ms;
	rc = dial(c);
	if (rc == 0)
		return c;
	free(c);
	return errno_null(rc);
}

void setup_call_free(struct setup_call *c)
{
	if (c == NULL)
		return;
	leave(c);
	dmsg_client_dial_cancel(c->dial);
	conn_close(c->conn);
	free(c);
}

bool setup_call_is_open(const struct setup_call *c)
{
	return c != NULL && c->conn != NULL;
}

const struct netrpc_rx *setup_call_reply(const struct setup_call *c)
{
	return &c->rx;
}

// ---- streams that are kept ----

// Goes on with the next one, of which the time is not up.
static void start(struct loop_timer *t, const struct setup_call *first)
{
	if (first != NULL && !loop_timer_is_on(t))
		loop_timer_start(t, clock_left_ms(first->until_ns), 0);
}

static bool is_due(const struct setup_call *c)
{
	return c != NULL && c->until_ns <= clock_mono_ns();
}

static void on_kept_long(void *arg)
{
	struct setup_keep *k = arg;

	while (is_due(TAILQ_FIRST(&k->kept)))
		setup_call_free(TAILQ_FIRST(&k->kept));
	start(k->keep_timer, TAILQ_FIRST(&k->kept));
}

static void on_tried_long(void *arg)
{
	struct setup_keep *k = arg;

	while (is_due(TAILQ_FIRST(&k->tried)))
		break_off(TAILQ_FIRST(&k->tried), -ETIMEDOUT, "no answer in time");
	start(k->try_timer, TAILQ_FIRST(&k->tried));
}

static void enter(struct setup_keep *k, struct setup_call *c, bool tried)
{
	c->keep = k;
	c->tried = tried;
	c->until_ns = clock_mono_ns() + (tried ? k->try_ms : k->keep_ms) * CLOCK_NS_PER_MS;
	TAILQ_INSERT_TAIL(tried ? &k->tried : &k->kept, c, of_keep);
	k->n += !tried;
	start(tried ? k->try_timer : k->keep_timer, c);
}

struct setup_keep *setup_keep_new(struct loop *l, uint32_t keep_ms, uint32_t try_ms)
{
	struct setup_keep *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	TAILQ_INIT(&k->kept);
	TAILQ_INIT(&k->tried);
	k->keep_ms = keep_ms;
	k->try_ms = try_ms;
	k->keep_timer = loop_timer_new(l, on_kept_long, k);
	k->try_timer = loop_timer_new(l, on_tried_long, k);
	if (k->keep_timer != NULL && k->try_timer != NULL)
		return k;
	setup_keep_free(k);
	return errno_null(ENOMEM);
}

void setup_keep_free(struct setup_keep *k)
{
	if (k == NULL)
		return;
	while (!TAILQ_EMPTY(&k->kept))
		setup_call_free(TAILQ_FIRST(&k->kept));
	loop_timer_free(k->keep_timer);
	loop_timer_free(k->try_timer);
	free(k);
}

uint32_t setup_keep_n(const struct setup_keep *k)
{
	return k->n;
}

void setup_keep_put(struct setup_keep *k, struct setup_call *take_c)
{
	if (k->n == SETUP_KEEP_MAX)
		setup_call_free(TAILQ_FIRST(&k->kept));
	enter(k, take_c, false);
}

// The newest, so that those that are too many end in time.
struct setup_call *setup_keep_take(
	struct setup_keep *k, const struct key_pk *pk, setup_call_fn fn, void *arg)
{
	struct setup_call *c;

	TAILQ_FOREACH_REVERSE (c, &k->kept, calls, of_keep)
		if (key_pk_cmp(&c->to.pk, pk) == 0)
			break;
	if (c == NULL)
		return NULL;
	leave(c);
	c->fn = fn;
	c->arg = arg;
	enter(k, c, true);
	return c;
}
