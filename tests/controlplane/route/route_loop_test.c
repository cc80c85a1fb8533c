// Loops over a data plane that the test plays: a packet that is sent by a forward rule comes by the
// consume rule at its end, unless the test says that it is lost.
#include "controlplane/route/route_loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "tests/controlplane/dp/fake_handlers.h"

enum {
	FWD_NEAR = 101,
	CON_NEAR,
	FWD_FAR,
	CON_FAR,
	SRC_PORT = 50001,
	KEEP_S = 30,
	PING_MS = 30,
	WORKER = 2,
};

struct dp_client {
	struct dp_handler *handlers;
	bool full; // its ring
	unsigned n_sent[ROUTE_TYPE_COUNT];
};

struct rule_install {
	rule_install_fn done;
	void *arg;
};

static const struct key_pk self = {.b = {2, 1}}, other = {.b = {3, 2}};
static struct dp_client dp;
static struct loop *loop;
static struct route_ends *ends;
static struct route_loops *loops;
static struct setup_route route;
static struct rule_install installs[8];
static unsigned n_installs, n_cancelled;
static int install_status;
static uint32_t deleted[64];
static unsigned n_deleted;
static unsigned lose; // so many Pings
static unsigned late; // so many Pings are kept, and come with the next one
static struct {
	uint32_t id;
	size_t len;
	_Alignas(struct msg_route) uint8_t record[sizeof(struct msg_route) + 64];
} queue[64], kept;
static unsigned n_queue;
static struct {
	unsigned n;
	struct route_loop_result r;
	int err;
	char why[96];
} result;
static unsigned n_accepted;
static int accepted;

// ---- what a loop calls ----

void dp_client_register(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_add(&c->handlers, h);
}

void dp_client_unregister(struct dp_client *c, struct dp_handler *h)
{
	fake_handlers_remove(&c->handlers, h);
}

static void put(uint32_t id, const void *packet, size_t len)
{
	struct msg_route *m = (struct msg_route *)queue[n_queue].record;

	assert_true(n_queue < ARRAY_LEN(queue) && len <= 64);
	*m = (struct msg_route){.h.type = UP_ROUTE, .id = id};
	memcpy(m->bytes, packet, len);
	queue[n_queue].id = id;
	queue[n_queue++].len = len;
}

int dp_client_send_route(
	struct dp_client *c, unsigned worker, uint32_t id, const void *packet, size_t len)
{
	uint8_t type = route_hdr_type(packet);

	assert_int_equal(route_hdr_id(packet), id);
	assert_true(route_hdr_is_whole(packet, len));
	if (c->full)
		return -EAGAIN;
	c->n_sent[type]++;
	if (type == ROUTE_PING && lose > 0) {
		lose--;
		return 0;
	}
	if (type == ROUTE_PING)
		assert_int_equal(worker, WORKER);
	put(id == FWD_NEAR ? CON_FAR : CON_NEAR, packet, len);
	if (type == ROUTE_PING && late > 0) {
		late--;
		kept = queue[--n_queue];
	} else if (type == ROUTE_PING && kept.len > 0) {
		queue[n_queue++] = kept;
		kept.len = 0;
	}
	return 0;
}

struct rule_install *rule_mgr_install(struct rule_mgr *m, const struct rule_wire *rules, size_t n,
	rule_install_fn done, void *arg)
{
	assert_int_equal(n, 2);
	if (install_status == -ENOTCONN)
		return errno_null(ENOTCONN);
	installs[n_installs] = (struct rule_install){done, arg};
	return &installs[n_installs++];
}

void rule_install_cancel(struct rule_install *i)
{
	i->done = NULL;
	n_cancelled++;
}

struct rule_job *rule_mgr_del(
	struct rule_mgr *m, const uint32_t *ids, size_t n, rule_done_fn done, void *arg)
{
	for (size_t i = 0; i < n; i++)
		deleted[n_deleted++] = ids[i];
	return (struct rule_job *)&dp;
}

const char *rule_gone_text(uint8_t reason)
{
	return reason == RULE_GONE_EXPIRED ? "expired" : "a hop is down";
}

static void way(void *arg, const struct rule_wire *forward, struct route_way *out)
{
	assert_int_equal(forward->key_id, FWD_NEAR);
	*out = (struct route_way){.worker = WORKER};
}

// ---- the world ----

static int setup(void **state)
{
	struct route_loops_conf c = {.dp = &dp,
		.self = &self,
		.way = way,
		.ping_ms = PING_MS,
		.gap_ms = 1,
		.close_ms = 200};

	memset(&dp, 0, sizeof(dp));
	memset(&result, 0, sizeof(result));
	memset(&route, 0, sizeof(route));
	memset(&kept, 0, sizeof(kept));
	n_installs = n_cancelled = n_deleted = n_queue = n_accepted = lose = late = 0;
	install_status = 0;
	c.loop = loop = loop_new();
	c.ends = ends = route_ends_new(loop, &dp, NULL);
	loops = route_loops_new(&c);
	assert_non_null(loops);
	route.keep_alive_ns = KEEP_S * (int64_t)CLOCK_NS_PER_S;
	memcpy(route.desc.src_pk, self.b, RULE_PK_LEN);
	memcpy(route.desc.dst_pk, self.b, RULE_PK_LEN);
	route.desc.src_port = SRC_PORT;
	route.desc.dst_port = ROUTE_LOOP_PORT;
	route.forward.n = route.reverse.n = 2;
	memset(route.forward.hop[0].tp_id, 7, RULE_TP_ID_LEN);
	memset(route.reverse.hop[0].tp_id, 7, RULE_TP_ID_LEN);
	return 0;
}

static int teardown(void **state)
{
	route_loops_free(loops);
	route_ends_free(ends);
	assert_null(dp.handlers);
	loop_free(loop);
	return 0;
}

static void answer_installs(void)
{
	for (unsigned i = 0; i < n_installs; i++) {
		rule_install_fn done = installs[i].done;

		installs[i].done = NULL;
		if (done != NULL)
			done(installs[i].arg, install_status, 1);
	}
}

static void deliver(void)
{
	while (n_queue > 0) {
		struct msg_route *m = (struct msg_route *)queue[0].record;
		_Alignas(struct msg_route) uint8_t copy[sizeof(queue[0].record)];
		size_t len = queue[0].len;

		memcpy(copy, m, sizeof(copy));
		memmove(queue, queue + 1, --n_queue * sizeof(queue[0]));
		for (struct dp_handler *h = dp.handlers; h != NULL; h = h->next)
			h->on_route(h->arg, 0, (struct msg_route *)copy, len);
	}
}

static void gone(uint32_t id, enum rule_gone reason)
{
	struct evt_rule r = {.id = id, .reason = (uint8_t)reason};

	for (struct dp_handler *h = dp.handlers; h != NULL; h = h->next)
		h->on_rule_gone(h->arg, &r);
}

static bool wait_for(bool (*cond)(void))
{
	for (int i = 0; i < 5000 && !cond(); i++) {
		answer_installs();
		deliver();
		loop_turn(loop);
		usleep(1000);
	}
	return cond();
}

static bool is_measured(void)
{
	return result.n == 1;
}

static bool is_closed(void)
{
	return n_deleted == 4;
}

static void on_result(void *arg, const struct route_loop_result *r, int err, const char *why)
{
	assert_ptr_equal(arg, &result);
	result.n++;
	result.r = *r;
	result.err = err;
	snprintf(result.why, sizeof(result.why), "%s", why);
}

static void on_accepted(void *arg, int status)
{
	n_accepted++;
	accepted = status;
}

static struct rule_wire rule(uint8_t kind, uint32_t id, bool inverse)
{
	struct rule_wire r = {.keep_alive_ns = route.keep_alive_ns,
		.kind = kind,
		.key_id = id,
		.next_id = kind == RULE_KIND_FORWARD ? 900 : 0};

	r.desc = route.desc;
	if (inverse)
		rule_desc_invert(&r.desc, &route.desc);
	if (kind == RULE_KIND_FORWARD)
		memset(r.next_tp, 7, RULE_TP_ID_LEN);
	return r;
}

static struct setup_edge far_edge(void)
{
	struct rule_wire f = rule(RULE_KIND_FORWARD, FWD_FAR, true);
	struct rule_wire c = rule(RULE_KIND_CONSUME, CON_FAR, false);
	struct setup_edge e = {.desc = route.desc};

	assert_true(rule_encode(e.forward, sizeof(e.forward), &f) > 0);
	assert_true(rule_encode(e.consume, sizeof(e.consume), &c) > 0);
	return e;
}

static int accept_far(void)
{
	struct setup_edge e = far_edge();

	return route_loops_accept(loops, &e, on_accepted, NULL);
}

static int start(struct route_loop *lp)
{
	const struct rule_wire near[2] = {
		rule(RULE_KIND_FORWARD, FWD_NEAR, false), rule(RULE_KIND_CONSUME, CON_NEAR, true)};

	return route_loop_start(lp, near);
}

static struct route_loop *laid(unsigned n_pings)
{
	struct route_loop *lp = route_loop_new(loops, &route, n_pings, on_result, &result);

	assert_non_null(lp);
	assert_int_equal(accept_far(), 0);
	answer_installs();
	assert_int_equal(n_accepted, 1);
	assert_int_equal(accepted, 0);
	assert_int_equal(start(lp), 0);
	return lp;
}

static struct route_loops_stats stats(void)
{
	struct route_loops_stats s;

	route_loops_stats_get(loops, &s);
	return s;
}

// ---- tests ----

static void pings_are_measured_and_all_is_closed(void **state)
{
	struct route_loop *lp = laid(4);

	assert_true(wait_for(is_measured));
	assert_int_equal(result.err, 0);
	assert_int_equal(result.r.sent, 4);
	assert_int_equal(result.r.lost, 0);
	assert_true(result.r.min_us <= result.r.avg_us && result.r.avg_us <= result.r.max_us);
	assert_int_equal(n_deleted, 0);
	route_loop_close(lp);
	assert_true(wait_for(is_closed));
	assert_int_equal(dp.n_sent[ROUTE_PING], 4);
	assert_int_equal(dp.n_sent[ROUTE_CLOSE], 2); // along both ways
	assert_int_equal(deleted[0] + deleted[1] + deleted[2] + deleted[3],
		FWD_NEAR + CON_NEAR + FWD_FAR + CON_FAR);
	assert_int_equal(route_ends_strays(ends), 0);
	assert_int_equal(stats().failed, 0);
}

static void one_that_comes_late_is_lost(void **state)
{
	struct route_loop *lp;

	late = 1;
	lp = laid(3);
	assert_true(wait_for(is_measured));
	assert_int_equal(result.r.sent, 3);
	assert_int_equal(result.r.lost, 1);
	assert_int_equal(stats().lost, 1);
	assert_true(result.r.max_us < PING_MS * 1000);
	route_loop_close(lp);
}

static void a_dead_one_is_given_up_early(void **state)
{
	struct route_loop *lp;

	lose = 100;
	lp = laid(50);
	assert_true(wait_for(is_measured));
	assert_int_equal(result.r.sent, ROUTE_LOOP_DEAD);
	assert_int_equal(result.r.lost, ROUTE_LOOP_DEAD);
	assert_int_equal(result.r.max_us, 0);
	assert_int_equal(stats().failed, 1);
	route_loop_close(lp);
	assert_int_equal(stats().failed, 1);
	assert_true(wait_for(is_closed));
}

static void a_full_ring_loses_pings(void **state)
{
	struct route_loop *lp;

	dp.full = true;
	lp = laid(3);
	assert_true(wait_for(is_measured));
	assert_int_equal(result.r.lost, 3);
	route_loop_close(lp); // no Close gets out, so none is waited for
	assert_true(wait_for(is_closed));
}

static bool second_is_out(void)
{
	return dp.n_sent[ROUTE_PING] == 2;
}

static void what_it_has_so_far_can_be_had(void **state)
{
	struct route_loop_result r;
	struct route_loop *lp = laid(3);

	answer_installs();
	assert_true(wait_for(second_is_out));
	route_loop_result_get(lp, &r);
	assert_int_equal(r.sent, 1); // of the second nothing is known
	assert_int_equal(r.lost, 0);
	assert_true(r.min_us == r.avg_us && r.avg_us == r.max_us);
	route_loop_close(lp);
}

static void a_rule_that_goes_is_the_end(void **state)
{
	struct route_loop *lp = laid(3);

	answer_installs();
	gone(CON_FAR, RULE_GONE_HOP_DOWN);
	assert_int_equal(result.n, 1);
	assert_int_equal(result.err, -ENETDOWN);
	assert_string_equal(result.why, "a rule of it is gone: a hop is down");
	route_loop_close(lp);
	gone(FWD_NEAR, RULE_GONE_CLOSE); // nobody cares any more
	assert_int_equal(result.n, 1);
}

static void rules_that_are_not_installed_are_told(void **state)
{
	struct route_loop *lp = laid(3);

	install_status = -ENETDOWN;
	assert_true(wait_for(is_measured));
	assert_int_equal(result.err, -ENETDOWN);
	assert_string_equal(result.why, "its consume rule was not installed: Network is down");
	route_loop_close(lp);
}

static void only_edges_of_loops_under_way_are_taken(void **state)
{
	struct setup_edge e = far_edge();
	struct route_loop *lp;

	assert_true(route_loops_owns(loops, &e));
	assert_int_equal(accept_far(), -ECONNREFUSED);
	lp = route_loop_new(loops, &route, 1, on_result, &result);
	for (int wrong = 0; wrong < 4; wrong++) {
		struct setup_edge bad = far_edge();

		if (wrong == 0)
			bad.desc.src_port++;
		else if (wrong == 1)
			bad.forward[0] ^= 1; // keep-alive
		else if (wrong == 2)
			bad.consume[0] ^= 1;
		else
			memset(&route.reverse.hop[0].tp_id, 8, RULE_TP_ID_LEN);
		assert_int_equal(route_loops_accept(loops, &bad, on_accepted, NULL), -ECONNREFUSED);
	}
	memset(&route.reverse.hop[0].tp_id, 7, RULE_TP_ID_LEN);
	assert_int_equal(accept_far(), 0);
	assert_int_equal(accept_far(), -ECONNREFUSED); // once
	answer_installs();
	assert_int_equal(accept_far(), -ECONNREFUSED);
	memcpy(e.desc.src_pk, other.b, RULE_PK_LEN);
	assert_false(route_loops_owns(loops, &e)); // a visor's ping: a group's
	e = far_edge();
	e.desc.dst_port++;
	assert_false(route_loops_owns(loops, &e));
	route_loop_close(lp);
}

static void one_without_its_far_edge_does_not_start(void **state)
{
	struct route_loop *lp = route_loop_new(loops, &route, 1, on_result, &result);

	assert_int_equal(start(lp), -EPROTO);
	assert_int_equal(n_installs, 0);
	assert_int_equal(accept_far(), -ECONNREFUSED);
	route_loop_close(lp);
	assert_int_equal(result.n, 0);
	assert_int_equal(stats().failed, 1);
}

// Who waits for the far edge's rules hears that they won't come.
static void one_that_is_closed_while_it_is_laid_takes_all_back(void **state)
{
	struct route_loop *lp = route_loop_new(loops, &route, 1, on_result, &result);

	assert_int_equal(accept_far(), 0);
	route_loop_close(lp);
	assert_int_equal(n_accepted, 1);
	assert_int_equal(accepted, -ECONNABORTED);
	assert_int_equal(n_cancelled, 1);
	for (int i = 0; i < 20; i++)
		loop_turn(loop);
	assert_int_equal(n_deleted, 0);
	assert_int_equal(result.n, 0);
}

static void there_are_not_too_many(void **state)
{
	struct route_loop *lp[ROUTE_LOOPS_MAX];

	for (int i = 0; i < ROUTE_LOOPS_MAX; i++) {
		lp[i] = route_loop_new(loops, &route, 1, on_result, &result);
		assert_non_null(lp[i]);
	}
	assert_null(route_loop_new(loops, &route, 1, on_result, &result));
	assert_int_equal(errno, EBUSY);
	assert_int_equal(stats().refused, 1);
	for (int i = 0; i < ROUTE_LOOPS_MAX; i++)
		route_loop_close(lp[i]);
	lp[0] = route_loop_new(loops, &route, 1, on_result, &result);
	assert_non_null(lp[0]);
	route_loop_close(lp[0]);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(pings_are_measured_and_all_is_closed),
		TEST(one_that_comes_late_is_lost),
		TEST(a_dead_one_is_given_up_early),
		TEST(a_full_ring_loses_pings),
		TEST(what_it_has_so_far_can_be_had),
		TEST(a_rule_that_goes_is_the_end),
		TEST(rules_that_are_not_installed_are_told),
		TEST(only_edges_of_loops_under_way_are_taken),
		TEST(one_without_its_far_edge_does_not_start),
		TEST(one_that_is_closed_while_it_is_laid_takes_all_back),
		TEST(there_are_not_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
