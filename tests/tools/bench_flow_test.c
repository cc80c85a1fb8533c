// Probes: what they carry, what their arrival says, in which order and sizes they are made.
#include "tools/bench/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_mark_is_read_as_it_was_written(void **state)
{
	const struct flow_mark in = {.run = 0x01020304,
		.flow = 0x05060708,
		.seq = 0x1112131415161718,
		.due_ns = 0x2122232425262728};
	static const uint8_t want[FLOW_MARK_LEN] = {'S', 'K', 'Y', 'B', 1, 2, 3, 4, 5, 6, 7, 8,
		0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
		0x27, 0x28};
	uint8_t p[FLOW_MARK_LEN];
	struct flow_mark out;

	flow_put(p, &in);
	assert_memory_equal(p, want, sizeof(want));
	assert_true(flow_get(p, sizeof(p), &out));
	assert_memory_equal(&out, &in, sizeof(in));
}

static void what_is_no_probe_is_refused(void **state)
{
	uint8_t p[FLOW_MARK_LEN];
	struct flow_mark m = {0};

	flow_put(p, &m);
	for (uint32_t len = 0; len < FLOW_MARK_LEN; len++)
		assert_false(flow_get(p, len, &m));
	for (unsigned i = 0; i < 4; i++) {
		p[i] ^= 1;
		assert_false(flow_get(p, sizeof(p), &m));
		p[i] ^= 1;
	}
	assert_true(flow_get(p, sizeof(p), &m));
}

static void order_and_duplicates_are_told_apart(void **state)
{
	static const struct {
		uint64_t seq;
		enum flow_verdict verdict;
	} steps[] = {
		{0, FLOW_IN_ORDER},
		{0, FLOW_DUPLICATE},
		{1, FLOW_IN_ORDER},
		{4, FLOW_IN_ORDER}, // 2 and 3 are missing
		{3, FLOW_REORDERED},
		{3, FLOW_DUPLICATE},
		{1, FLOW_DUPLICATE},
		{2, FLOW_REORDERED},
		{4, FLOW_DUPLICATE},
		{67, FLOW_IN_ORDER}, // 4 is the oldest in the window now
		{4, FLOW_DUPLICATE},
		{5, FLOW_REORDERED},
		{68, FLOW_IN_ORDER},
		{4, FLOW_REORDERED}, // behind the window: cannot be told
		{1000, FLOW_IN_ORDER},
		{1000, FLOW_DUPLICATE},
		{999, FLOW_REORDERED},
	};
	struct flow_rx f = {0};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		assert_int_equal(flow_arrive(&f, steps[i].seq), steps[i].verdict);
}

static struct args parsed(const char *size, const char *routes, const char *transports)
{
	char *argv[] = {(char *)"skyrail-bench", (char *)"-s", (char *)(uintptr_t)size,
		(char *)"-r", (char *)(uintptr_t)routes, (char *)"-t",
		(char *)(uintptr_t)transports, NULL};
	char err[ARGS_ERR_MAX];
	struct args a;

	assert_int_equal(args_parse(&a, 7, argv, err), 0);
	return a;
}

static void sizes_come_by_weight_and_evenly(void **state)
{
	const struct args a = parsed("imix", "1", "1");
	unsigned n64 = 0, n576 = 0, n1400 = 0;
	struct traffic t;

	assert_int_equal(traffic_init(&t, &a, false), 0);
	assert_int_equal(t.n_sizes, 12);
	for (unsigned i = 0; i < t.n_sizes; i++) {
		n64 += t.size[i] == 64;
		n576 += t.size[i] == 576;
		n1400 += t.size[i] == 1400;
	}
	assert_int_equal(n64, 7);
	assert_int_equal(n576, 4);
	assert_int_equal(n1400, 1);
	assert_float_equal(t.payload_len, (7 * 64 + 4 * 576 + 1400) / 12.0, 1e-9);
	// Ethernet 14, IPv4 20, UDP 8, rail 32, frame type 1, route header 7
	assert_float_equal(t.frame_len, t.payload_len + 82, 1e-9);
	assert_int_equal(t.size_min, 64);
	traffic_fini(&t);
}

// Seven routes on three links: each link takes its routes in turn, none is left out.
static void all_routes_are_used_alike(void **state)
{
	const struct args a = parsed("64", "7", "3");
	static uint8_t buf[2048];
	struct traffic t;

	assert_int_equal(traffic_init(&t, &a, false), 0);
	for (unsigned i = 0; i < t.n_flows; i++)
		t.flow[i].in_id = 100 + i;
	traffic_begin(&t);
	for (unsigned i = 0; i < 3 * 6; i++) { // six a link, of 3, 2 and 2 routes
		struct traffic_link *l = traffic_next_link(&t);
		struct rte_mbuf m = {.buf_addr = buf, .buf_len = sizeof(buf)};
		struct flow_mark mark = {0};

		assert_ptr_equal(l, &t.link[i % 3]);
		traffic_fill(&t, l, &m, i);
		assert_int_equal(m.pkt_len, ROUTE_HDR_LEN + 64);
		assert_true(route_hdr_is_whole(buf, m.pkt_len));
		assert_true(flow_get(buf + ROUTE_HDR_LEN, 64, &mark));
		assert_int_equal(mark.flow % 3, i % 3);
		assert_int_equal(route_hdr_id(buf), 100 + mark.flow);
		assert_int_equal(mark.due_ns, i);
		assert_int_equal(mark.run, t.run);
	}
	for (unsigned i = 0; i < t.n_flows; i++)
		assert_int_equal(t.flow[i].sent, i % 3 == 0 ? 2 : 3);
	assert_int_equal(traffic_flows_lossy(&t), 7);
	traffic_begin(&t);
	assert_int_equal(traffic_flows_lossy(&t), 0);
	traffic_fini(&t);
}

static void a_shuffle_holds_every_number_once(void **state)
{
	enum { N = 1000 };
	uint32_t a[N], b[N], moved = 0;
	bool seen[N] = {false};

	traffic_shuffle(a, N, 1);
	traffic_shuffle(b, N, 1);
	assert_memory_equal(a, b, sizeof(a)); // the same seed, the same order
	for (unsigned i = 0; i < N; i++) {
		assert_true(a[i] < N && !seen[a[i]]);
		seen[a[i]] = true;
		moved += a[i] != i;
	}
	assert_true(moved > N / 2);
	traffic_shuffle(b, N, 2);
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_probe_is_refused),
		cmocka_unit_test(order_and_duplicates_are_told_apart),
		cmocka_unit_test(sizes_come_by_weight_and_evenly),
		cmocka_unit_test(all_routes_are_used_alike),
		cmocka_unit_test(a_shuffle_holds_every_number_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
