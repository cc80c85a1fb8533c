// Traces over steps that the test plays: which loops are asked for, in which order, and what is
// told of each hop and of the end.
#include "controlplane/route/route_trace.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/route/route_dial_priv.h"
#include "lib/api/api.h"
#include "lib/base/err.h"
#include "lib/route/setup_plan.h"

enum { HOPS = 3, PINGS = 5 };

struct route_seek {
	route_seek_fn fn;
	void *arg;
};
struct route_lay {
	const struct setup_route *route;
	route_lay_fn fn;
	void *arg;
};
struct route_loop {
	const struct setup_route *route;
	route_loop_fn fn;
	void *arg;
};

static struct route_seek seek;
static struct route_lay lay;
static struct route_loop measured;
static bool seeks, lays, loops_live;
static int start_err;
static bool no_loop, no_port;
static unsigned n_started, n_released, n_loops;
static struct key_pk node[HOPS + 1]; // us, and the way
static struct setup_path way;
static struct route_dialler dialler;
static struct route_tracer *tracer;
static unsigned n_hops, n_done;
static struct route_trace_hop hops[8];
static char notes[8][ROUTE_DIAL_WHY_MAX], why[API_TEXT_MAX];
static int end_err;

// ---- the steps ----

struct route_seek *route_seek_new(
	struct route_dialler *d, const struct route_dial_ask *ask, route_seek_fn fn, void *arg)
{
	assert_int_equal(key_pk_cmp(&ask->dst, &node[HOPS]), 0);
	seek = (struct route_seek){fn, arg};
	seeks = true;
	return &seek;
}

void route_seek_cancel(struct route_seek *s)
{
	if (s != NULL)
		seeks = false;
}

struct route_lay *route_lay_new(
	struct route_dialler *d, const struct setup_route *route, route_lay_fn fn, void *arg)
{
	assert_true(loops_live); // its far edge is expected before
	lay = (struct route_lay){route, fn, arg};
	lays = true;
	return &lay;
}

void route_lay_cancel(struct route_lay *l)
{
	if (l != NULL)
		lays = false;
}

struct route_loop *route_loop_new(struct route_loops *ls, const struct setup_route *route,
	uint32_t n_pings, route_loop_fn fn, void *arg)
{
	assert_false(loops_live); // one at a time
	assert_int_equal(n_pings, PINGS);
	if (no_loop)
		return errno_null(EBUSY);
	measured = (struct route_loop){route, fn, arg};
	loops_live = true;
	n_loops++;
	return &measured;
}

int route_loop_start(struct route_loop *lp, const struct rule_wire rules[2])
{
	assert_int_equal(rules[0].key_id, 11);
	n_started += start_err == 0;
	return start_err;
}

void route_loop_close(struct route_loop *lp)
{
	if (lp != NULL)
		loops_live = false;
}

void route_loop_result_get(const struct route_loop *lp, struct route_loop_result *out)
{
	assert_ptr_equal(lp, &measured);
	*out = (struct route_loop_result){.sent = 2, .lost = 1, .avg_us = 7};
}

void route_loops_stats_get(const struct route_loops *ls, struct route_loops_stats *out)
{
	out->loops = n_loops;
}

static uint16_t op_port(void *arg, const struct key_pk *pk, uint16_t port)
{
	assert_int_equal(key_pk_cmp(pk, &node[0]), 0);
	assert_int_equal(port, ROUTE_LOOP_PORT);
	return no_port ? 0 : 50000;
}

static void op_release(void *arg, const uint32_t *ids, size_t n)
{
	assert_true(n == 2 && ids[0] == 11 && ids[1] == 12);
	n_released++;
}

// ---- the world ----

static void make_key(struct key_pk *pk, uint8_t seed)
{
	struct key_sk sk;

	memset(&sk, seed, sizeof(sk));
	assert_int_equal(key_pk_from_sk(pk, &sk), 0);
}

static int setup(void **state)
{
	uint8_t first[RULE_TP_ID_LEN];

	memset(first, 7, sizeof(first));
	for (uint8_t i = 0; i <= HOPS; i++)
		make_key(&node[i], i + 1);
	assert_int_equal(route_path_via(&way, node, HOPS + 1, first, ENTRY_TYPE_RAIL), 0);
	memset(&dialler, 0, sizeof(dialler));
	dialler.conf.self = &node[0];
	dialler.conf.ops.port = op_port;
	dialler.conf.ops.release = op_release;
	seeks = lays = loops_live = no_loop = no_port = false;
	start_err = end_err = 0;
	n_started = n_released = n_loops = n_hops = n_done = 0;
	tracer = route_tracer_new(&dialler, NULL);
	return tracer == NULL;
}

static int teardown(void **state)
{
	assert_false(seeks || lays || loops_live);
	route_tracer_free(tracer);
	return 0;
}

static void on_hop(void *arg, const struct route_trace_hop *hop)
{
	assert_true(n_hops < ARRAY_LEN(hops) && n_done == 0);
	snprintf(notes[n_hops], sizeof(notes[0]), "%s", hop->why);
	hops[n_hops++] = *hop;
}

static void on_done(void *arg, int err, const char *text)
{
	n_done++;
	end_err = err;
	snprintf(why, sizeof(why), "%s", text);
}

static const struct route_trace_events events = {on_hop, on_done};

static struct route_trace *trace(void)
{
	const struct route_dial_ask ask = {.dst = node[HOPS]};
	struct route_trace *t = route_trace_new(tracer, &ask, PINGS, &events, NULL);

	assert_non_null(t);
	assert_true(seeks);
	n_hops = n_done = 0;
	return t;
}

static void way_is(const struct setup_path *path, int err, const char *text)
{
	seeks = false;
	seek.fn(seek.arg, path, path, err, text);
}

static void lay_says(int err, const char *text)
{
	const struct rule_wire rules[2] = {{.key_id = 11}, {.key_id = 12}};
	const struct setup_edge edge = {0};

	assert_true(lays);
	lays = false;
	lay.fn(lay.arg, &edge, rules, err, text);
}

static void loop_says(uint32_t lost, int err, const char *text)
{
	const struct route_loop_result r = {.sent = PINGS,
		.lost = lost,
		.min_us = lost < PINGS ? 100 * n_loops : 0,
		.avg_us = lost < PINGS ? 200 * n_loops : 0,
		.max_us = lost < PINGS ? 300 * n_loops : 0};

	measured.fn(measured.arg, &r, err, text);
}

static struct route_tracer_stats stats(void)
{
	struct route_tracer_stats s;

	route_tracer_stats_get(tracer, &s);
	return s;
}

// ---- tests ----

// A set-up node takes each of them for a route.
static void each_hop_has_its_loop(void **state)
{
	static struct setup_plan plan;
	char wrong[SETUP_WHY_MAX];

	trace();
	way_is(&way, 0, "");
	for (uint32_t k = 1; k <= HOPS; k++) {
		const struct setup_path *p = &lay.route->forward;

		assert_ptr_equal(lay.route, measured.route);
		assert_int_equal(setup_plan_init(&plan, lay.route, wrong), 0);
		assert_int_equal(plan.n_nodes, k + 1);
		assert_int_equal(p->n, 2 * k);
		assert_int_equal(lay.route->reverse.n, 2 * k);
		assert_int_equal(key_pk_cmp(&p->hop[k - 1].to, &node[k]), 0);
		assert_memory_equal(p->hop[0].tp_id, way.hop[0].tp_id, RULE_TP_ID_LEN);
		assert_memory_equal(p->hop[2 * k - 1].tp_id, way.hop[0].tp_id, RULE_TP_ID_LEN);
		assert_int_equal(lay.route->desc.src_port, 50000);
		assert_int_equal(lay.route->desc.dst_port, ROUTE_LOOP_PORT);
		lay_says(0, "");
		assert_int_equal(n_started, k);
		loop_says(1, 0, "");
		assert_int_equal(n_hops, k);
		assert_int_equal(hops[k - 1].hop, k);
		assert_int_equal(key_pk_cmp(&hops[k - 1].pk, &node[k]), 0);
		assert_int_equal(hops[k - 1].result.avg_us, 200 * k);
		assert_string_equal(notes[k - 1], "");
	}
	assert_int_equal(n_done, 1);
	assert_int_equal(end_err, 0);
	assert_int_equal(stats().failed, 0);
	assert_int_equal(stats().loops.loops, HOPS);
}

static void the_first_that_fails_is_the_last(void **state)
{
	static const struct {
		int lay_err, start_err, loop_err;
		uint32_t lost;
		int err;
		const char *note, *says;
	} cases[] = {
		{-EREMOTEIO, 0, 0, 0, -EREMOTEIO, "no ids", "is not reached: no ids"},
		{0, -EPROTO, 0, 0, -EPROTO, "the set-up node laid the loop, but not its far end",
			"is not reached: the set-up node laid"},
		{0, -ENOTCONN, 0, 0, -ENOTCONN, "Transport endpoint is not connected",
			"is not reached: Transport"},
		{0, 0, -ENETDOWN, PINGS, -ENETDOWN, "a hop is down",
			"could not be measured: a hop is down"},
		{0, 0, 0, PINGS, -ETIMEDOUT,
			"does not answer: no ping that was sent over it came back",
			"does not answer: no ping"},
	};
	char pk[KEY_PK_TEXT_LEN + 1], begins[32];

	key_pk_to_text(&node[2], pk);
	snprintf(begins, sizeof(begins), "hop 2, %.8s, ", pk);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		start_err = 0;
		trace();
		way_is(&way, 0, "");
		lay_says(0, "");
		loop_says(0, 0, "");
		start_err = cases[i].start_err;
		lay_says(cases[i].lay_err, "no ids");
		if (cases[i].lay_err == 0 && cases[i].start_err == 0)
			loop_says(cases[i].lost, cases[i].loop_err, "a hop is down");
		assert_int_equal(n_hops, 2);
		assert_string_equal(notes[1], cases[i].note);
		assert_int_equal(n_done, 1);
		assert_int_equal(end_err, cases[i].err);
		assert_memory_equal(why, begins, strlen(begins));
		assert_non_null(strstr(why, cases[i].says));
		assert_false(loops_live);
	}
	assert_int_equal(n_released, 2); // where the ids were ours already
	assert_int_equal(stats().failed, ARRAY_LEN(cases));
}

// As it comes, and as the API passes it on.
static void a_long_reason_is_told_to_its_end(void **state)
{
	char text[ROUTE_DIAL_WHY_MAX];

	memset(text, 'x', sizeof(text));
	memcpy(text + sizeof(text) - 6, " end)", 6);
	trace();
	way_is(&way, 0, "");
	lay_says(-EREMOTEIO, text);
	assert_string_equal(notes[0], text);
	assert_string_equal(why + strlen(why) - strlen(text), text);
	assert_true(strlen("trace: ") + strlen(why) < API_TEXT_MAX);
}

static void what_stands_in_the_way_is_told(void **state)
{
	struct setup_path far = {.n = ROUTE_TRACE_HOPS_MAX + 1};

	trace();
	way_is(NULL, -ENETUNREACH, "no way");
	assert_int_equal(end_err, -ENETUNREACH);
	assert_string_equal(why, "no way");
	trace();
	way_is(&far, 0, "");
	assert_int_equal(end_err, -E2BIG);
	assert_int_equal(n_hops, 0);
	no_loop = true;
	trace();
	way_is(&way, 0, "");
	assert_int_equal(end_err, -EBUSY);
	assert_string_equal(notes[0], "too many loops at once");
	no_loop = false;
	no_port = true;
	trace();
	way_is(&way, 0, "");
	assert_int_equal(end_err, -EADDRINUSE);
}

// Of the set-up node is no hop the cause.
static void without_a_setup_node_no_hop_is_told(void **state)
{
	trace();
	way_is(&way, 0, "");
	lay_says(-EHOSTUNREACH, "no set-up node is known");
	assert_int_equal(n_hops, 0);
	assert_int_equal(n_done, 1);
	assert_int_equal(end_err, -EHOSTUNREACH);
	assert_string_equal(why, "no set-up node is known");
	assert_false(loops_live);
}

static void out_of_time_it_tells_what_it_has(void **state)
{
	static const char *const says[] = {"too long: the way was still being looked for",
		", was still being set up", ", was still being measured"};

	for (unsigned step = 0; step < ARRAY_LEN(says); step++) {
		struct route_trace *t = trace();

		if (step > 0) {
			way_is(&way, 0, "");
			lay_says(0, "");
			loop_says(0, 0, "");
		}
		if (step > 1)
			lay_says(0, "");
		route_trace_expire(t, "too long");
		assert_int_equal(n_done, 1);
		assert_int_equal(end_err, -ETIMEDOUT);
		assert_non_null(strstr(why, says[step]));
		assert_true(step == 0 || strstr(why, "too long: hop 2, ") == why);
		assert_int_equal(n_hops, step == 0 ? 0 : 2);
		assert_false(seeks || lays || loops_live);
	}
	assert_int_equal(hops[1].result.sent, 2);
	assert_int_equal(hops[1].result.avg_us, 7);
	assert_string_equal(notes[1], "too long");
}

static void the_longest_way_is_a_route(void **state)
{
	static struct setup_plan plan;
	struct key_pk long_way[ROUTE_TRACE_HOPS_MAX + 1] = {node[0]};
	char wrong[SETUP_WHY_MAX];

	for (uint8_t i = 1; i <= ROUTE_TRACE_HOPS_MAX; i++)
		make_key(&long_way[i], i + 1);
	assert_int_equal(route_path_via(&way, long_way, ROUTE_TRACE_HOPS_MAX + 1, way.hop[0].tp_id,
				 ENTRY_TYPE_RAIL),
		0);
	trace();
	way_is(&way, 0, "");
	for (unsigned k = 1; k < ROUTE_TRACE_HOPS_MAX; k++) {
		n_hops = 0;
		lay_says(0, "");
		loop_says(0, 0, "");
	}
	assert_int_equal(setup_plan_init(&plan, lay.route, wrong), 0);
	assert_int_equal(plan.n_places, SETUP_IDS_MAX);
	lay_says(-EREMOTEIO, "no");
	assert_int_equal(n_done, 1);
}

static void one_is_cancelled_at_any_step(void **state)
{
	for (int step = 0; step < 3; step++) {
		struct route_trace *t = trace();

		if (step > 0)
			way_is(&way, 0, "");
		if (step > 1)
			lay_says(0, "");
		route_trace_cancel(t);
		assert_false(seeks || lays || loops_live);
	}
	assert_int_equal(n_hops + n_done, 0);
}

static void wrong_ones_and_too_many_are_refused(void **state)
{
	struct route_dial_ask ask = {.dst = node[0]};
	struct route_trace *t[ROUTE_TRACES_MAX];

	assert_null(route_trace_new(tracer, &ask, PINGS, &events, NULL)); // our own
	assert_int_equal(errno, EINVAL);
	ask.dst = node[HOPS];
	assert_null(route_trace_new(tracer, &ask, 0, &events, NULL));
	assert_null(route_trace_new(tracer, &ask, ROUTE_LOOP_PINGS_MAX + 1, &events, NULL));
	memset(&ask.dst, 0, sizeof(ask.dst));
	assert_null(route_trace_new(tracer, &ask, PINGS, &events, NULL));
	assert_int_equal(errno, EINVAL);
	for (int i = 0; i < ROUTE_TRACES_MAX; i++)
		t[i] = trace();
	ask.dst = node[HOPS];
	assert_null(route_trace_new(tracer, &ask, PINGS, &events, NULL));
	assert_int_equal(errno, EBUSY);
	assert_int_equal(stats().refused, 1);
	for (int i = 0; i < ROUTE_TRACES_MAX; i++)
		route_trace_cancel(t[i]);
	route_trace_cancel(trace());
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_hop_has_its_loop),
		TEST(the_first_that_fails_is_the_last),
		TEST(a_long_reason_is_told_to_its_end),
		TEST(what_stands_in_the_way_is_told),
		TEST(without_a_setup_node_no_hop_is_told),
		TEST(out_of_time_it_tells_what_it_has),
		TEST(the_longest_way_is_a_route),
		TEST(one_is_cancelled_at_any_step),
		TEST(wrong_ones_and_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
