// Rules of reliable transports from the worker through the main lcore to the control plane: pauses
// and their ends, routes that are closed and why, transports that lose their state. The peer never
// answers, so what is sent waits; time is the test's.
#include "tests/dataplane/ctl/ctl_fixture.h"

#include "lib/wire/rail.h"
#include "lib/wire/route_hdr.h"
#include "tests/support/eal.h"

#include <rte_eal.h>

enum { HOP = 1, OTHER = 2, PACKET = 1000, IN_64K = 70, BITS = FIX_RULE_BITS };
#define ID(n) (1u << BITS | (n))

static struct fix f;
static struct ring_w down[FIX_WORKERS];

static int setup(void **state)
{
	struct cmd_adj_set adj = {.adj = 1 | 1u << DPMSG_HANDLE_BITS, .mtu = 1500, .usable = 1};
	struct ring_shm *shm;
	size_t len;

	fix_init(&f, -1);
	for (unsigned i = 0; i < FIX_WORKERS; i++) {
		shm = fix_ring(&f, f.region.hdr->down_off[i], &len);
		assert_int_equal(ring_w_attach(&down[i], shm, len), 0);
	}
	fix_hello(&f);
	adj.src_ip[10] = adj.src_ip[11] = adj.dst_ip[10] = adj.dst_ip[11] = 0xff;
	assert_int_equal(fix_cmd(&f, &adj, CMD_ADJ_SET, sizeof(adj)), 0);
	return 0;
}

static int teardown(void **state)
{
	fix_fini(&f);
	return 0;
}

// ms of everybody's time, in steps of at most 10.
static void pass(unsigned ms)
{
	for (unsigned step; ms > 0; ms -= step) {
		step = ms < 10 ? ms : 10;
		f.now_ns += (uint64_t)step * 1000000;
		for (unsigned i = 0; i < FIX_WORKERS; i++)
			worker_turn_at(worker_ctx(f.workers, i), f.now_ns);
		ctl_turn(f.ctl, f.now_ns);
	}
}

static void hop_add(uint32_t index, uint8_t mode)
{
	struct cmd_hop_add m = fix_hop(index);

	m.mode = mode;
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), 0);
	pass(2);
}

static void rule_add(uint32_t id, enum dpmsg_rule_type type, uint32_t in_tp, uint8_t flags)
{
	struct cmd_rule_add m = fix_rule(id);

	m.type = (uint8_t)type;
	m.in_tp = in_tp;
	m.flags = flags;
	m.next_id = type == RULE_CONSUME ? 0 : id + 1000;
	m.keep_alive_ms = 3600 * 1000;
	if (type == RULE_CONSUME)
		m.tx_hop = 0;
	assert_int_equal(fix_cmd(&f, &m, CMD_RULE_ADD, sizeof(m)), 0);
}

// Packets of an edge, by the ring of the worker that has the hop.
static void send(uint32_t id, unsigned n)
{
	struct msg_route m = {
		.h = {.len = sizeof(m) + ROUTE_HDR_LEN + PACKET, .type = DOWN_ROUTE}, .id = id};
	struct ring_w *w = &down[HOP % FIX_WORKERS];
	uint8_t p[ROUTE_HDR_LEN + PACKET] = {0};

	route_hdr_put(p, ROUTE_DATA, id, PACKET);
	while (n-- > 0) {
		uint8_t *to = ring_w_reserve(w, m.h.len);

		assert_non_null(to);
		memcpy(to, &m, sizeof(m));
		memcpy(to + sizeof(m), p, sizeof(p));
		ring_w_publish(w);
		pass(1);
	}
}

static void expect_pause(uint32_t id, uint8_t paused)
{
	union fix_evt e;

	assert_true(fix_event(&f, EVT_ROUTE_PAUSE, &e));
	assert_int_equal(e.h.len, sizeof(struct evt_route_pause));
	assert_int_equal(e.pause.id, id);
	assert_int_equal(e.pause.paused, paused);
	if (paused)
		assert_int_equal(e.pause.limit_s, 10); // congestion (rail 4)
}

static bool dump_says_paused(uint32_t id)
{
	struct cmd_dump d = {.what = DUMP_RULES};
	union fix_evt e;
	bool paused = false;

	fix_send(&f, &d, CMD_DUMP, sizeof(d));
	pass(5);
	while (fix_event(&f, 0, &e) && e.h.type != EVT_DONE)
		if (e.h.type == EVT_RULE && e.rule.id == id)
			paused = (e.rule.flags & RULE_PAUSED) != 0;
	assert_int_equal(e.h.type, EVT_DONE);
	return paused;
}

static uint64_t worker_sum(enum worker_counter k)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FIX_WORKERS; i++)
		sum += stat_get(&stats_worker(f.region.stats, i)->c[k]);
	return sum;
}

static void hop_del(uint32_t index)
{
	struct cmd_hop_del m = {.hop = index | 1u << DPMSG_HANDLE_BITS};

	fix_send(&f, &m, CMD_HOP_DEL, sizeof(m));
	pass(100);
}

// ---- tests ----

static void an_edge_is_told_to_wait_and_a_dump_says_so_too(void **state)
{
	union fix_evt e;

	hop_add(HOP, HOP_MODE_RELIABLE);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0);
	rule_add(ID(2), RULE_FORWARD, RULE_IN_LOCAL, 0);
	send(ID(1), 20);
	assert_false(fix_event(&f, EVT_ROUTE_PAUSE, &e));
	assert_false(dump_says_paused(ID(1)));
	send(ID(1), IN_64K);
	expect_pause(ID(1), 1);
	assert_false(fix_event(&f, EVT_ROUTE_PAUSE, &e)); // once, and for no other route
	assert_true(dump_says_paused(ID(1)));
	assert_false(dump_says_paused(ID(2)));
}

// Nobody answers: the link is down after ten time-outs and 15 s, its routes with it.
static void a_link_without_an_answer_closes_its_routes_with_the_reason(void **state)
{
	union fix_evt e;
	unsigned seconds = 0;

	hop_add(HOP, HOP_MODE_RELIABLE);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0);
	send(ID(1), 5);
	for (; seconds < 60 && rule_lookup(&f.rules, ID(1)) != NULL; seconds++)
		pass(1000);
	assert_true(seconds >= 15 && seconds < 40);
	assert_true(fix_event(&f, EVT_RULE_GONE, &e));
	assert_int_equal(e.rule.id, ID(1));
	assert_int_equal(e.rule.reason, RULE_GONE_HOP_DOWN);
	assert_int_equal(e.rule.packets, 5);
	assert_int_equal(worker_sum(W_drop_seal_freed), 5);
}

static void a_hop_that_is_removed_takes_its_routes_and_no_others(void **state)
{
	union fix_evt e;
	unsigned gone = 0;

	hop_add(HOP, HOP_MODE_RELIABLE);
	hop_add(OTHER, HOP_MODE_RELIABLE);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0); // leaves by it
	rule_add(ID(2), RULE_CONSUME, HOP | 1u << DPMSG_HANDLE_BITS, 0); // comes by it
	rule_add(ID(3), RULE_CONSUME, OTHER | 1u << DPMSG_HANDLE_BITS, 0); // neither
	rule_add(ID(4), RULE_FORWARD, RULE_IN_LOCAL, RULE_STATIC); // static
	send(ID(1), 3);
	hop_del(HOP);
	while (fix_event(&f, EVT_RULE_GONE, &e)) {
		assert_true(e.rule.id == ID(1) || e.rule.id == ID(2));
		assert_int_equal(e.rule.reason, RULE_GONE_HOP_DOWN);
		gone++;
	}
	assert_int_equal(gone, 2);
	assert_non_null(rule_lookup(&f.rules, ID(3)));
	assert_non_null(rule_lookup(&f.rules, ID(4)));
	// A rule that is made later is not one of those.
	hop_add(HOP + 10, HOP_MODE_RELIABLE);
	rule_add(ID(5), RULE_CONSUME, HOP | 1u << DPMSG_HANDLE_BITS, 0);
	pass(100);
	assert_non_null(rule_lookup(&f.rules, ID(5)));
}

static void in_datagram_mode_rules_outlive_their_hop(void **state)
{
	union fix_evt e;

	hop_add(HOP, HOP_MODE_DATAGRAM);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0);
	hop_del(HOP);
	assert_false(fix_event(&f, EVT_RULE_GONE, &e));
	assert_non_null(rule_lookup(&f.rules, ID(1)));
}

// A new instance of the peer: the same, with its own reason.
static void a_reset_closes_what_is_older(void **state)
{
	struct cmd_hop_rekey m = {
		.hop = HOP | 1u << DPMSG_HANDLE_BITS, .flags = HOP_RESET, .instance_local = 7};
	union fix_evt e;

	hop_add(HOP, HOP_MODE_RELIABLE);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0);
	send(ID(1), 3);
	m.keys = fix_hop(HOP).keys;
	m.keys.rx_index += 0x100;
	m.keys.tx_index += 0x100;
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_REKEY, sizeof(m)), 0);
	pass(50);
	assert_true(fix_event(&f, EVT_RULE_GONE, &e));
	assert_int_equal(e.rule.id, ID(1));
	assert_int_equal(e.rule.reason, RULE_GONE_RESET);
	rule_add(ID(2), RULE_FORWARD, RULE_IN_LOCAL, 0);
	send(ID(2), 3);
	pass(100);
	assert_non_null(rule_lookup(&f.rules, ID(2)));
}

// ---- of several flows ----

static void flow_add(uint32_t index, uint8_t flow, uint8_t n)
{
	struct cmd_hop_add m = fix_hop(index);

	m.mode = HOP_MODE_RELIABLE;
	m.tp = HOP | 1u << DPMSG_HANDLE_BITS;
	m.flow = flow;
	m.n_flows = n;
	m.local_port = (uint16_t)(m.local_port + flow - 1);
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), 0);
	pass(2);
}

static void flow_reset(uint32_t index, uint8_t n)
{
	static uint32_t fresh;
	struct cmd_hop_rekey m = {.hop = index | 1u << DPMSG_HANDLE_BITS,
		.flags = HOP_RESET,
		.instance_local = 7,
		.n_flows = n,
		.keys = fix_hop(index).keys};

	m.keys.rx_index += ++fresh * 0x20;
	m.keys.tx_index += fresh * 0x20;
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_REKEY, sizeof(m)), 0);
	pass(50);
}

enum { N_CONSUME = 16 };

static void consume_add(uint32_t first)
{
	for (uint32_t k = 0; k < N_CONSUME; k++)
		rule_add(ID(first + k), RULE_CONSUME, HOP | 1u << DPMSG_HANDLE_BITS, 0);
}

// Of those rules only the ones on flow `gone` of n are not there any more; 0: all are, -1: none.
static void expect_gone(uint32_t first, int gone, unsigned n)
{
	for (uint32_t k = 0; k < N_CONSUME; k++) {
		bool is = rule_lookup(&f.rules, ID(first + k)) != NULL;

		assert_int_equal(is, gone >= 0 && (int)rail_flow_of(ID(first + k), n) != gone);
	}
}

static void a_flow_that_is_reset_takes_what_came_by_it_and_no_more(void **state)
{
	flow_add(HOP, 1, 2);
	flow_add(OTHER, 2, 2);
	consume_add(0);
	flow_reset(HOP, 2);
	expect_gone(0, 1, 2);
	consume_add(100);
	flow_reset(OTHER, 2); // the same handshake, later
	expect_gone(0, -1, 2);
	expect_gone(100, 2, 2);
	consume_add(200);
	hop_del(OTHER);
	expect_gone(200, 2, 2);
	hop_del(HOP);
	expect_gone(200, -1, 2);
	// from now on by other flows
	flow_add(HOP + 10, 1, 3);
	flow_add(HOP + 11, 2, 3);
	flow_add(HOP + 12, 3, 3);
	consume_add(300);
	hop_del(HOP + 11);
	expect_gone(300, 2, 3);
}

static void another_number_of_flows_takes_all_that_is_older(void **state)
{
	flow_add(HOP, 1, 2);
	flow_add(OTHER, 2, 2);
	consume_add(0);
	flow_add(HOP + 10, 3, 3);
	expect_gone(0, 0, 2); // nothing was lost yet
	flow_reset(OTHER, 3);
	expect_gone(0, -1, 2);
	consume_add(100);
	flow_reset(HOP, 3);
	expect_gone(100, 1, 3);
	flow_reset(HOP, 1);
	expect_gone(100, -1, 3);
	consume_add(200);
	hop_del(OTHER); // those beyond go
	hop_del(HOP + 10);
	expect_gone(200, 0, 1);
	flow_reset(HOP, 1);
	expect_gone(200, -1, 1);
}

static int route_pause(uint32_t id, uint8_t paused)
{
	struct cmd_route_pause m = {.id = id, .limit_s = 5, .paused = paused};

	return fix_cmd(&f, &m, CMD_ROUTE_PAUSE, sizeof(m));
}

static void a_reader_may_pause_what_comes_by_a_reliable_link(void **state)
{
	hop_add(HOP, HOP_MODE_RELIABLE);
	hop_add(OTHER, HOP_MODE_DATAGRAM);
	rule_add(ID(1), RULE_CONSUME, HOP | 1u << DPMSG_HANDLE_BITS, 0);
	rule_add(ID(2), RULE_CONSUME, OTHER | 1u << DPMSG_HANDLE_BITS, 0);
	rule_add(ID(3), RULE_FORWARD, RULE_IN_LOCAL, 0);
	assert_int_equal(route_pause(ID(1), 1), 0);
	assert_int_equal(route_pause(ID(1), 0), 0);
	assert_int_equal(route_pause(ID(1), 2), -EINVAL);
	assert_int_equal(route_pause(ID(2), 1), -ENOTSUP);
	assert_int_equal(route_pause(ID(3), 1), -ENOENT);
	assert_int_equal(route_pause(ID(9), 1), -ENOENT);
	pass(20);
}

// The event ring is full; the control plane learns from the dump that it asks for.
static void a_pause_that_finds_no_room_is_in_the_dump(void **state)
{
	struct evt_rule_miss miss = {.h = {.len = sizeof(miss), .type = EVT_RULE_MISS}};
	union fix_evt e;

	hop_add(HOP, HOP_MODE_RELIABLE);
	rule_add(ID(1), RULE_FORWARD, RULE_IN_LOCAL, 0);
	while (ctl_emit(f.ctl, &miss, sizeof(miss)))
		;
	send(ID(1), IN_64K + 20);
	while (fix_event(&f, 0, &e))
		assert_int_not_equal(e.h.type, EVT_ROUTE_PAUSE);
	assert_int_equal(atomic_load(&f.region.hdr->evt_overflow), 1);
	assert_true(dump_says_paused(ID(1)));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_edge_is_told_to_wait_and_a_dump_says_so_too),
		T(a_link_without_an_answer_closes_its_routes_with_the_reason),
		T(a_hop_that_is_removed_takes_its_routes_and_no_others),
		T(in_datagram_mode_rules_outlive_their_hop),
		T(a_reset_closes_what_is_older),
		T(a_flow_that_is_reset_takes_what_came_by_it_and_no_more),
		T(another_number_of_flows_takes_all_that_is_older),
		T(a_reader_may_pause_what_comes_by_a_reliable_link),
		T(a_pause_that_finds_no_room_is_in_the_dump),
	};
	int failed;

	test_eal_init(NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eal_cleanup();
	return failed;
}
