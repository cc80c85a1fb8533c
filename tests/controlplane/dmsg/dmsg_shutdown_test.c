// A server that is closed at any moment, while clients in another thread dial, talk and leave: the
// close ends all in the call, serving after it says that it is closed, and nothing hangs, whatever
// was under way. Both threads are shaken: they yield at random, and the close comes from outside
// the loop, from a timer, or from a deferred call. Run it under the thread sanitizer, too.
#include "controlplane/dmsg/dmsg_client.h"
#include "controlplane/dmsg/dmsg_server.h"
#include "tests/support/loopback.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum {
	ROUNDS = 32,
	N_CLIENTS = 3,
	PORT = 46,
	DIAL_MS = 3000,
	RETRY_MS = 1,
	PACE_MS = 3, // between two dials of a client
	WATCHDOG_S = 300,
};

// ---- chance ----

static uint64_t next(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15;
	uint64_t z = *state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void shake(uint64_t *state)
{
	for (uint64_t n = next(state) % 4; n > 0; n--)
		sched_yield();
}

// ---- clients, in a thread of their own ----

struct node {
	struct identity *id;
	struct dmsg_client *c;
	struct dmsg_client_listener *li;
	struct dmsg_client_dial *dial;
	struct conn *out, *in; // a stream that it dialled, one that it took
	struct loop_timer *timer;
	struct crowd *crowd;
};

struct crowd {
	struct loop *l;
	struct key_pk server;
	uint16_t port;
	uint64_t random;
	struct node node[N_CLIENTS];
	atomic_bool over;
	atomic_uint dialled;
};

static size_t on_data(void *arg, uint8_t *p, size_t len)
{
	(void)arg, (void)p;
	return len;
}

static void drop(struct conn **c)
{
	conn_close(*c);
	*c = NULL;
}

static void on_out_end(void *arg, int err)
{
	(void)err;
	drop(&((struct node *)arg)->out);
}

static void on_in_end(void *arg, int err)
{
	(void)err;
	drop(&((struct node *)arg)->in);
}

static const struct conn_events out_events = {.data = on_data, .end = on_out_end};
static const struct conn_events in_events = {.data = on_data, .end = on_in_end};

static void on_accepted(void *arg, struct conn *c, const struct dmsg_addr *from)
{
	static const uint8_t bytes[5000];
	struct node *n = arg;

	(void)from;
	drop(&n->in);
	n->in = c;
	conn_set_events(c, &in_events, n);
	conn_write(c, bytes, sizeof(bytes));
}

static void on_dialled(void *arg, struct conn *c, enum dmsg_err code, int err)
{
	static const uint8_t bytes[20000];
	struct node *n = arg;

	(void)code, (void)err;
	n->dial = NULL;
	if (c == NULL)
		return;
	atomic_fetch_add(&n->crowd->dialled, 1);
	drop(&n->out);
	n->out = c;
	conn_set_events(c, &out_events, n);
	conn_write(c, bytes, sizeof(bytes));
}

static void on_pace(void *arg)
{
	struct node *n = arg;
	struct crowd *w = n->crowd;
	struct dmsg_addr to = {*identity_pk(w->node[next(&w->random) % N_CLIENTS].id), PORT};

	switch (next(&w->random) % 8) {
	case 0:
		drop(&n->out);
		break;
	case 1:
		drop(&n->in);
		break;
	case 2:
		dmsg_client_dial_cancel(n->dial);
		n->dial = NULL;
		break;
	default:
		if (n->dial == NULL)
			n->dial = dmsg_client_dial(n->c, &to, DIAL_MS, on_dialled, n);
	}
}

static void node_start(struct crowd *w, unsigned i)
{
	struct node *n = &w->node[i];
	struct dmsg_server_at sc = {.pk = w->server};
	struct dmsg_client_conf c = {.loop = w->l,
		.id = n->id,
		.servers = &sc,
		.n_servers = 1,
		.retry_min_ms = RETRY_MS,
		.taken_ms = RETRY_MS};

	snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", w->port);
	n->crowd = w;
	n->c = dmsg_client_new(&c);
	n->li = dmsg_client_listen(n->c, PORT, on_accepted, n);
	n->timer = loop_timer_new(w->l, on_pace, n);
	loop_timer_start(n->timer, PACE_MS, PACE_MS);
}

static void node_stop(struct node *n)
{
	loop_timer_free(n->timer);
	dmsg_client_dial_cancel(n->dial);
	dmsg_client_unlisten(n->li);
	drop(&n->out);
	drop(&n->in);
	dmsg_client_free(n->c);
}

static void *crowd_run(void *arg)
{
	struct crowd *w = arg;

	w->l = loop_new();
	for (unsigned i = 0; i < N_CLIENTS; i++)
		node_start(w, i);
	while (!atomic_load(&w->over)) {
		uv_run(loop_uv(w->l), UV_RUN_ONCE);
		shake(&w->random);
	}
	for (unsigned i = 0; i < N_CLIENTS; i++)
		node_stop(&w->node[i]);
	loop_free(w->l);
	return NULL;
}

// ---- the server ----

struct server {
	struct loop *l;
	struct dmsg_server *s;
	struct loop_timer *timer;
	const struct sockaddr *addr;
	bool closed;
};

static void turn_over(void *arg)
{
	(void)arg;
}

static void close_now(void *arg)
{
	struct server *sv = arg;
	struct dmsg_server_stats st;

	dmsg_server_close(sv->s);
	sv->closed = true;
	dmsg_server_stats_get(sv->s, &st);
	assert_int_equal(st.sessions, 0);
	assert_int_equal(st.streams, 0);
	assert_int_equal(dmsg_server_port(sv->s), 0);
	assert_int_equal(dmsg_server_serve(sv->s, sv->addr), -ESHUTDOWN);
}

// How far a round goes before the close: nothing, a connection, a session, a stream.
static bool is_far(const struct server *sv, unsigned how_far)
{
	struct dmsg_server_stats st;

	dmsg_server_stats_get(sv->s, &st);
	return how_far < 2 || (how_far == 2 && st.sessions > 0) || (how_far == 3 && st.streams > 0);
}

static void turns(struct server *sv, uint64_t *random, uint64_t n)
{
	for (; n > 0; n--) {
		loop_turn(sv->l);
		shake(random);
	}
}

static void close_somehow(struct server *sv, uint64_t *random)
{
	switch (next(random) % 3) {
	case 0:
		close_now(sv);
		break;
	case 1:
		assert_int_equal(loop_defer(sv->l, close_now, sv), 0);
		break;
	default:
		loop_timer_free(sv->timer);
		sv->timer = loop_timer_new(sv->l, close_now, sv);
		loop_timer_start(sv->timer, next(random) % 3, 0);
	}
	while (!sv->closed)
		turns(sv, random, 1);
}

static void round_of(const struct crowd *w, const struct identity *id, uint64_t *random)
{
	struct sockaddr_in sa = loopback(w->port);
	struct server sv = {.l = loop_new(), .addr = (const struct sockaddr *)&sa};
	struct dmsg_server_conf c = {.loop = sv.l,
		.id = id,
		.sessions_max = 2 + (uint32_t)next(random) % 4,
		.session_streams = 20,
		.streams_max = 1 + (uint32_t)next(random) % 8};
	unsigned how_far = (unsigned)(next(random) % 4);

	sv.s = dmsg_server_new(&c);
	assert_non_null(sv.s);
	sv.timer = loop_timer_new(sv.l, turn_over, NULL); // so that a turn may wait
	loop_timer_start(sv.timer, 1, 1);
	if (next(random) % 8 != 0) { // else it is closed before it serves
		assert_int_equal(dmsg_server_serve(sv.s, sv.addr), 0);
		assert_int_equal(dmsg_server_serve(sv.s, sv.addr), -EALREADY);
		while (!is_far(&sv, how_far)) {
			uv_run(loop_uv(sv.l), UV_RUN_ONCE);
			shake(random);
		}
		turns(&sv, random, next(random) % (how_far == 0 ? 1 : 200));
	}
	close_somehow(&sv, random);
	turns(&sv, random, next(random) % 20);
	dmsg_server_close(sv.s); // once more
	assert_int_equal(dmsg_server_serve(sv.s, sv.addr), -ESHUTDOWN);
	loop_timer_free(sv.timer);
	dmsg_server_free(sv.s);
	turns(&sv, random, next(random) % 3);
	loop_free(sv.l);
}

static void serving_ends_whenever_it_is_closed(void **state)
{
	static struct crowd w; // its atomics start at 0
	struct identity *id = identity_of(99);
	uint64_t random = 7;
	pthread_t thread;

	(void)state;
	w.server = *identity_pk(id);
	w.port = free_port();
	w.random = 8;
	for (unsigned i = 0; i < N_CLIENTS; i++)
		w.node[i].id = identity_of((uint8_t)(i + 1));
	alarm(WATCHDOG_S); // a hang ends the test
	assert_int_equal(pthread_create(&thread, NULL, crowd_run, &w), 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(&w, id, &random);
	atomic_store(&w.over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	alarm(0);
	assert_true(atomic_load(&w.dialled) > 0); // rounds with streams had some
	for (unsigned i = 0; i < N_CLIENTS; i++)
		identity_free(w.node[i].id);
	identity_free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serving_ends_whenever_it_is_closed),
	};

	signal(SIGPIPE, SIG_IGN);
	log_level_set("all", LOG_ERR);
	return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
