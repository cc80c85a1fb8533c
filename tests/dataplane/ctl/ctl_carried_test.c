// Carried hops from the control plane's commands through main lcore and workers and back: what is
// refused, what is shown, what has to wait, and what ends with them.
#include "tests/dataplane/ctl/ctl_fixture.h"

#include "lib/base/bytes.h"
#include "lib/wire/route_hdr.h"
#include "tests/support/eal.h"

enum { IN = 1, OUT = 2, LINK = 3, BITS = FIX_RULE_BITS };
#define ID(n) (1u << BITS | (n))
#define HANDLE(n) ((n) | 1u << DPMSG_HANDLE_BITS)

static struct fix f;
static struct ring_w down[FIX_WORKERS];
static struct ring_r up[FIX_WORKERS];

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

static void carried_add(uint32_t index)
{
	struct cmd_hop_add m = fix_carried(index);

	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), 0);
	pass(2);
}

static int setup(void **state)
{
	size_t len;

	fix_init(&f, -1);
	for (unsigned i = 0; i < FIX_WORKERS; i++) {
		struct ring_shm *shm = fix_ring(&f, f.region.hdr->down_off[i], &len);

		assert_int_equal(ring_w_attach(&down[i], shm, len), 0);
		shm = fix_ring(&f, f.region.hdr->up_off[i], &len);
		assert_int_equal(ring_r_attach(&up[i], shm, len), 0);
	}
	fix_hello(&f);
	carried_add(IN);
	carried_add(OUT);
	return 0;
}

static int teardown(void **state)
{
	fix_fini(&f);
	return 0;
}

static void rule_add_with(
	uint32_t id, enum dpmsg_rule_type type, uint32_t in, uint32_t out, uint8_t flags)
{
	struct cmd_rule_add m = {.id = id,
		.next_id = type == RULE_CONSUME ? 0 : id + 1000,
		.tx_hop = type == RULE_CONSUME ? 0 : HANDLE(out),
		.in_tp = HANDLE(in),
		.keep_alive_ms = 3600 * 1000,
		.flags = flags,
		.type = (uint8_t)type};

	assert_int_equal(fix_cmd(&f, &m, CMD_RULE_ADD, sizeof(m)), 0);
}

static void rule_add(uint32_t id, enum dpmsg_rule_type type, uint32_t in, uint32_t out)
{
	rule_add_with(id, type, in, out, 0);
}

// Packets of a peer by a carried hop.
static void send(uint32_t in, uint32_t id, unsigned n, uint16_t len)
{
	struct msg_route m = {
		.h = {.len = (uint32_t)(sizeof(m) + ROUTE_HDR_LEN + len), .type = DOWN_CARRIED},
		.hop = HANDLE(in)};
	struct ring_w *w = &down[in % FIX_WORKERS];
	static uint8_t p[ROUTE_HDR_LEN + 2000];

	route_hdr_put(p, ROUTE_DATA, id, len);
	while (n-- > 0) {
		uint8_t *to = ring_w_reserve(w, m.h.len);

		assert_non_null(to);
		memcpy(to, &m, sizeof(m));
		memcpy(to + sizeof(m), p, ROUTE_HDR_LEN + len);
		ring_w_publish(w);
		pass(1);
	}
}

// The next packet for the peer of that hop; false: none. Others are skipped.
static bool carried_out(uint32_t out, uint8_t p[2048])
{
	static _Alignas(8) uint8_t rec[4096];
	struct msg_route m;
	int n;

	pass(3); // from worker to worker
	while ((n = ring_r_read(&up[out % FIX_WORKERS], rec, sizeof(rec))) > 0) {
		ring_r_release(&up[out % FIX_WORKERS]);
		memcpy(&m, rec, sizeof(m));
		assert_int_equal(m.h.len, n);
		if (m.h.type != UP_CARRIED || m.hop != HANDLE(out))
			continue;
		assert_int_equal(m.id, 0);
		memcpy(p, rec + sizeof(m), (size_t)n - sizeof(m));
		return true;
	}
	return false;
}

static int hold(uint32_t index, uint8_t held, uint16_t limit_s)
{
	struct cmd_hop_hold m = {.hop = HANDLE(index), .held = held, .limit_s = limit_s};

	return fix_cmd(&f, &m, CMD_HOP_HOLD, sizeof(m));
}

static void hop_del(uint32_t index)
{
	struct cmd_hop_del m = {.hop = HANDLE(index)};

	fix_send(&f, &m, CMD_HOP_DEL, sizeof(m));
	pass(100);
}

static unsigned rules_gone(uint8_t reason)
{
	union fix_evt e;
	unsigned n = 0;

	while (fix_event(&f, EVT_RULE_GONE, &e)) {
		assert_int_equal(e.rule.reason, reason);
		n++;
	}
	return n;
}

// ---- tests ----

static void a_carried_hop_needs_neither_keys_nor_a_path(void **state)
{
	static const struct {
		size_t off;
		uint8_t value;
		int status;
	} rows[] = {
		{offsetof(struct cmd_hop_add, flow), 2, -EINVAL},
		{offsetof(struct cmd_hop_add, flow), 0, -EINVAL},
		{offsetof(struct cmd_hop_add, n_flows), 2, -EINVAL},
		{offsetof(struct cmd_hop_add, owner), FIX_WORKERS, -EINVAL},
		{offsetof(struct cmd_hop_add, mode), HOP_MODE_RELIABLE,
			-EINVAL}, // which needs them
		{offsetof(struct cmd_hop_add, mode), HOP_MODE_DATAGRAM, -EINVAL},
		{offsetof(struct cmd_hop_add, mode), HOP_MODE_CARRIED, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cmd_hop_add m = fix_carried(20);

		((uint8_t *)&m)[rows[i].off] = rows[i].value;
		assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), rows[i].status);
	}
}

static void a_mode_that_nobody_knows_is_refused(void **state)
{
	struct cmd_hop_add m = fix_hop(21);

	m.mode = HOP_MODE_CARRIED + 1;
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), -ENOTSUP);
}

static void commands_for_links_are_refused(void **state)
{
	struct cmd_hop_rekey rekey = {.hop = HANDLE(IN), .keys = fix_hop(9).keys};
	struct cmd_hop_path path = {.hop = HANDLE(IN)};
	struct cmd_hop_ping ping = {.hop = HANDLE(IN)};
	struct cmd_hop_move move = {.hop = HANDLE(IN), .worker = IN % FIX_WORKERS};
	struct cmd_hop_add link = fix_hop(LINK);

	assert_int_equal(fix_cmd(&f, &rekey, CMD_HOP_REKEY, sizeof(rekey)), -ENOTSUP);
	assert_int_equal(fix_cmd(&f, &path, CMD_HOP_PATH, sizeof(path)), -ENOTSUP);
	assert_int_equal(fix_cmd(&f, &ping, CMD_HOP_PING, sizeof(ping)), -ENOTSUP);
	assert_int_equal(fix_cmd(&f, &move, CMD_HOP_MOVE, sizeof(move)), -ENOTSUP);
	assert_int_equal(fix_cmd(&f, &link, CMD_HOP_ADD, sizeof(link)), 0);
	assert_int_equal(hold(LINK, 1, 0), -ENOTSUP);
	assert_int_equal(hold(LINK + 1, 1, 0), -ENOENT);
	assert_int_equal(hold(IN, 2, 0), -EINVAL);
	assert_int_equal(hold(IN, 1, 28), 0);
	assert_int_equal(hold(IN, 0, 0), 0);
}

static void it_is_shown_and_is_up_at_once(void **state)
{
	struct cmd_dump d = {.what = DUMP_HOPS};
	union fix_evt e;
	unsigned n = 0;

	fix_send(&f, &d, CMD_DUMP, sizeof(d));
	pass(5);
	while (fix_event(&f, EVT_HOP, &e)) {
		assert_int_equal(e.hop.mode, HOP_MODE_CARRIED);
		assert_int_equal(e.hop.up, 1);
		assert_string_equal(e.hop.name, "connection");
		assert_int_equal(e.hop.rx_index[0], 0);
		n++;
	}
	assert_int_equal(n, 2);
}

static bool dump_says_paused(uint32_t id)
{
	struct cmd_dump d = {.what = DUMP_RULES};
	union fix_evt e;
	bool paused = false;

	fix_send(&f, &d, CMD_DUMP, sizeof(d));
	pass(5);
	while (fix_event(&f, EVT_RULE, &e))
		paused |= e.rule.id == id && (e.rule.flags & RULE_PAUSED) != 0;
	return paused;
}

static void expect_pause(uint32_t id, uint8_t paused)
{
	union fix_evt e;

	assert_true(fix_event(&f, EVT_ROUTE_PAUSE, &e));
	assert_int_equal(e.pause.id, id);
	assert_int_equal(e.pause.hop, HANDLE(IN));
	assert_int_equal(e.pause.paused, paused);
	if (paused)
		assert_int_equal(e.pause.limit_s, 28);
}

static void a_pause_names_the_hop_by_which_packets_come(void **state)
{
	uint8_t p[2048];
	unsigned n = 0;

	rule_add(ID(1), RULE_INTERMEDIARY, IN, OUT);
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 66, 1000);
	pass(50);
	expect_pause(ID(1), 1);
	assert_true(dump_says_paused(ID(1)));
	assert_false(carried_out(OUT, p));
	assert_int_equal(hold(OUT, 0, 0), 0);
	pass(50);
	expect_pause(ID(1), 0);
	assert_false(dump_says_paused(ID(1)));
	while (carried_out(OUT, p)) {
		assert_int_equal(route_hdr_id(p), ID(1) + 1000);
		n++;
	}
	assert_int_equal(n, 66);
}

static unsigned all_out(uint32_t out)
{
	uint8_t p[2048];
	unsigned n = 0;

	while (carried_out(out, p))
		n++;
	return n;
}

// A static rule is there still when the link by which its packets came is not: that they may come
// again holds for the next one.
static void the_next_link_does_not_wait_for_what_the_one_before_was_told(void **state)
{
	union fix_evt e;

	rule_add_with(ID(1), RULE_INTERMEDIARY, IN, OUT, RULE_STATIC);
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 66, 1000);
	pass(50);
	expect_pause(ID(1), 1);
	hop_del(IN);
	assert_int_equal(hold(OUT, 0, 0), 0);
	assert_int_equal(all_out(OUT), 66);
	pass(300);
	assert_false(dump_says_paused(ID(1)));
	carried_add(IN);
	pass(300);
	while (fix_event(&f, EVT_ROUTE_PAUSE, &e))
		assert_int_equal(e.pause.paused, 0);
	send(IN, ID(1), 5, 1000);
	assert_int_equal(all_out(OUT), 5);
}

// ... and so does that they may not.
static void the_next_link_waits_while_the_route_does(void **state)
{
	rule_add_with(ID(1), RULE_INTERMEDIARY, IN, OUT, RULE_STATIC);
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 66, 1000);
	pass(50);
	expect_pause(ID(1), 1);
	hop_del(IN);
	pass(1000);
	carried_add(IN);
	pass(300);
	expect_pause(ID(1), 1);
	assert_int_equal(hold(OUT, 0, 0), 0);
	pass(50);
	expect_pause(ID(1), 0);
	assert_int_equal(all_out(OUT), 66);
}

// What is held keeps its rule in use, and so does a packet that leaves after it was held.
static void a_rule_lives_on_while_its_packets_wait(void **state)
{
	struct cmd_rule_add m = {.id = ID(1),
		.next_id = 7,
		.tx_hop = HANDLE(OUT),
		.in_tp = HANDLE(IN),
		.keep_alive_ms = 1000,
		.type = RULE_INTERMEDIARY};

	assert_int_equal(fix_cmd(&f, &m, CMD_RULE_ADD, sizeof(m)), 0);
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 1, 10);
	pass(900);
	assert_int_equal(hold(OUT, 0, 0), 0);
	pass(900); // it would be over, had it not left just now
	assert_non_null(rule_lookup(&f.rules, ID(1)));
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 1, 10);
	pass(10000);
	assert_non_null(rule_lookup(&f.rules, ID(1)));
	assert_int_equal(hold(OUT, 0, 0), 0);
	pass(3000);
	assert_null(rule_lookup(&f.rules, ID(1)));
}

static void what_is_held_too_long_is_told_as_stalled(void **state)
{
	rule_add(ID(1), RULE_INTERMEDIARY, IN, OUT);
	rule_add(ID(2), RULE_INTERMEDIARY, IN, OUT); // nothing of it is held
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 3, 100);
	pass(27000);
	assert_non_null(rule_lookup(&f.rules, ID(1)));
	pass(2000);
	assert_null(rule_lookup(&f.rules, ID(1)));
	assert_non_null(rule_lookup(&f.rules, ID(2)));
	assert_int_equal(hold(OUT, 0, 0), 0);
	pass(10);
	assert_int_equal(rules_gone(RULE_GONE_STALLED), 1);
}

static unsigned n_up(uint32_t in, uint32_t id)
{
	static _Alignas(8) uint8_t rec[4096];
	struct msg_route m;
	unsigned n = 0;
	int len;

	while ((len = ring_r_read(&up[in % FIX_WORKERS], rec, sizeof(rec))) > 0) {
		ring_r_release(&up[in % FIX_WORKERS]);
		memcpy(&m, rec, sizeof(m));
		n += m.h.type == UP_ROUTE && m.id == id;
	}
	return n;
}

static int route_pause(uint32_t id, uint8_t paused)
{
	struct cmd_route_pause m = {.id = id, .limit_s = 28, .paused = paused};

	return fix_cmd(&f, &m, CMD_ROUTE_PAUSE, sizeof(m));
}

// The Close takes the rule out of the table; what waits before it is the reader's all the same.
static void what_a_slow_reader_left_is_given_after_the_rule_was_closed(void **state)
{
	static const uint8_t close[] = {ROUTE_CLOSE, 0, 0, 0, 0, 0, 1, 0};
	struct msg_route m = {
		.h = {.len = sizeof(m) + sizeof(close), .type = DOWN_CARRIED}, .hop = HANDLE(IN)};
	uint8_t *to;

	rule_add(ID(1), RULE_CONSUME, IN, 0);
	assert_int_equal(route_pause(ID(1), 1), 0);
	pass(5);
	send(IN, ID(1), 5, 100);
	to = ring_w_reserve(&down[IN % FIX_WORKERS], m.h.len);
	memcpy(to, &m, sizeof(m));
	memcpy(to + sizeof(m), close, sizeof(close));
	be32_put(to + sizeof(m) + 1, ID(1));
	ring_w_publish(&down[IN % FIX_WORKERS]);
	pass(500);
	assert_null(rule_lookup(&f.rules, ID(1)));
	assert_int_equal(n_up(IN, ID(1)), 0);
	assert_int_equal(rules_gone(RULE_GONE_CLOSE), 0); // not before all is given
	assert_int_equal(route_pause(ID(1), 0), 0);
	pass(500);
	assert_int_equal(n_up(IN, ID(1)), 6);
	assert_int_equal(rules_gone(RULE_GONE_CLOSE), 1);
	assert_int_equal(route_pause(ID(1), 0), -ENOENT);
}

static void expect_last_words(uint32_t next_id)
{
	static const char text[] = "transport is down";
	uint8_t p[2048];

	assert_true(carried_out(OUT, p));
	assert_int_equal(route_hdr_type(p), ROUTE_ERROR);
	assert_int_equal(route_hdr_id(p), next_id);
	assert_int_equal(route_hdr_len(p), sizeof(text) - 1);
	assert_memory_equal(p + ROUTE_HDR_LEN, text, sizeof(text) - 1);
	assert_true(carried_out(OUT, p));
	assert_int_equal(route_hdr_type(p), ROUTE_CLOSE);
	assert_int_equal(route_hdr_id(p), next_id);
	assert_int_equal(route_hdr_len(p), 1);
	assert_int_equal(p[ROUTE_HDR_LEN], ROUTE_CLOSE_REQUESTED);
}

// Each way, idle or in use; what came by neither goes on.
static void routes_end_with_the_hop_that_they_came_by_or_leave_by(void **state)
{
	uint8_t p[2048];

	carried_add(LINK);
	rule_add(ID(1), RULE_INTERMEDIARY, IN, OUT);
	rule_add(ID(2), RULE_INTERMEDIARY, IN, OUT); // idle
	rule_add(ID(3), RULE_INTERMEDIARY, LINK, OUT);
	rule_add(ID(4), RULE_INTERMEDIARY, OUT, IN);
	rule_add(ID(5), RULE_CONSUME, IN, 0);
	send(IN, ID(1), 1, 100);
	assert_true(carried_out(OUT, p));
	hop_del(IN);
	expect_last_words(ID(1) + 1000);
	expect_last_words(ID(2) + 1000);
	assert_false(carried_out(OUT, p));
	assert_int_equal(rules_gone(RULE_GONE_HOP_DOWN), 4);
	assert_non_null(rule_lookup(&f.rules, ID(3)));
	send(LINK, ID(3), 1, 100);
	assert_true(carried_out(OUT, p));
	assert_int_equal(route_hdr_id(p), ID(3) + 1000);
}

static void a_hop_that_is_held_and_full_can_be_removed(void **state)
{
	uint64_t freed;
	uint8_t p[2048];

	rule_add(ID(1), RULE_INTERMEDIARY, IN, OUT);
	assert_int_equal(hold(OUT, 1, 28), 0);
	send(IN, ID(1), 80, 1000);
	hop_del(OUT);
	freed = stat_get(&stats_worker(f.region.stats, OUT % FIX_WORKERS)->c[W_drop_seal_freed]);
	assert_int_equal(freed, 80);
	assert_int_equal(rules_gone(RULE_GONE_HOP_DOWN), 1);
	assert_false(carried_out(OUT, p));
	carried_add(OUT + 10); // and the like of it made
	carried_add(OUT);
	rule_add(ID(2), RULE_INTERMEDIARY, IN, OUT);
	send(IN, ID(2), 1, 10);
	assert_true(carried_out(OUT, p));
}

// Of one that is gone they are deleted as its workers take it.
static void hops_of_a_control_plane_that_is_gone_go_when_there_is_room(void **state)
{
	struct cmd_hop_add link = fix_hop(LINK);
	struct cmd_hop_ping ping = {.hop = HANDLE(LINK)};

	assert_int_equal(fix_cmd(&f, &link, CMD_HOP_ADD, sizeof(link)), 0);
	pass(2);
	while (hop_table_ping(f.hops, &ping) == 0) // LINK and IN have one owner
		;
	ctl_orphan(f.ctl);
	ctl_turn(f.ctl, f.now_ns);
	assert_int_equal(hop_table_count(f.hops), 3);
	pass(100);
	assert_int_equal(hop_table_count(f.hops), 1);
	assert_int_equal(hop_table_carried(f.hops, 0), 0);
}

static unsigned n_done(void)
{
	union fix_evt e;
	unsigned n = 0;

	while (fix_event(&f, EVT_DONE, &e)) {
		assert_int_equal(e.done.status, 0);
		n++;
	}
	return n;
}

static void what_is_decided_waits_for_a_worker_that_has_no_room(void **state)
{
	struct cmd_hop_hold m = {.hop = HANDLE(OUT), .limit_s = 28};
	struct cmd_hop_del del = {.hop = HANDLE(OUT)};
	enum { MANY = 300 };
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++) {
		m.held = i % 2;
		fix_send(&f, &m, CMD_HOP_HOLD, sizeof(m));
	}
	fix_send(&f, &del, CMD_HOP_DEL, sizeof(del));
	for (unsigned i = 0; i < 10; i++) {
		f.now_ns += 1000000;
		ctl_turn(f.ctl, f.now_ns); // the workers sleep
		n += n_done();
	}
	assert_true(n < MANY);
	for (unsigned i = 0; i < 50 && n <= MANY; i++) {
		pass(10);
		n += n_done();
	}
	assert_int_equal(n, MANY + 1);
	assert_int_equal(hop_table_count(f.hops), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(a_carried_hop_needs_neither_keys_nor_a_path),
		T(a_mode_that_nobody_knows_is_refused),
		T(commands_for_links_are_refused),
		T(it_is_shown_and_is_up_at_once),
		T(a_pause_names_the_hop_by_which_packets_come),
		T(the_next_link_does_not_wait_for_what_the_one_before_was_told),
		T(the_next_link_waits_while_the_route_does),
		T(a_rule_lives_on_while_its_packets_wait),
		T(what_is_held_too_long_is_told_as_stalled),
		T(what_a_slow_reader_left_is_given_after_the_rule_was_closed),
		T(routes_end_with_the_hop_that_they_came_by_or_leave_by),
		T(a_hop_that_is_held_and_full_can_be_removed),
		T(what_is_decided_waits_for_a_worker_that_has_no_room),
		T(hops_of_a_control_plane_that_is_gone_go_when_there_is_room),
#undef T
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
