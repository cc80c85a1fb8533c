// Route groups of two nodes, as conns: bytes, back-pressure, ends, limits.

#include "tests/controlplane/route/group_fixture.h"

static void bytes_go_both_ways(void **state)
{
	size_t done = 0, len = 1000000;

	connect_both();
	assert_memory_equal(ub.remote.b, identity_pk(a.id)->b, KEY_PK_LEN);
	assert_int_equal(ub.remote_port, PORT_A);
	assert_int_equal(ub.local_port, PORT_B);
	ub.echoes = true;
	while (done < len) {
		done += write_text(&ua, done, len - done < 50000 ? len - done : 50000);
		turns();
	}
	expect_text(&ub, len);
	expect_text(&ua, len);
	assert_int_equal(info(&a).state, ROUTE_GROUP_OPEN);
	assert_int_equal(info(&a).stats.tx_bytes, len);
	assert_int_equal(info(&b).stats.rx_bytes, len);
	assert_true(info(&a).initiator && !info(&b).initiator);
	assert_int_equal(a.n_sent[ROUTE_DATA],
		1 + (len + 50000 - 1) / 50000 *
				((50000 + 1373) / 1374)); // noise message 1, then records of the
							  // path's length
}

static bool a_looked(void)
{
	return info(&a).payload_max == path_payload;
}

// With records of `payload` bytes at most: as many as that takes.
static void writes_packets_of(size_t payload)
{
	unsigned before = a.n_sent[ROUTE_DATA];
	size_t got = ub.n_got, one = payload - NOISE_REC_OVERHEAD;

	assert_int_equal(write_text(&ua, got, 30000), 30000);
	turns();
	assert_int_equal(ub.n_got - got, 30000);
	assert_int_equal(a.n_sent[ROUTE_DATA] - before, (30000 + one - 1) / one);
}

// It may become less, or more, at any time.
static void packets_are_as_long_as_the_path_carries_now(void **state)
{
	static const uint16_t paths[] = {1400, GROUP_PAYLOAD_MIN, GROUP_PAYLOAD_MAX};

	connect_both();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		path_payload = paths[i];
		assert_true(wait_for(a_looked));
		writes_packets_of(paths[i]);
	}
	expect_text(&ub, ub.n_got);
}

static void who_has_no_listener_says_so(void **state)
{
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	answer_installs();
	ua.closes = true;
	open_at_a();
	turns();
	assert_int_equal(ua.n_err, 1);
	assert_string_equal(ua.why, "the far end says: no listener on port 3, skysocks offline");
	assert_int_equal(stats(&b).no_listener, 1);
	assert_int_equal(stats(&a).groups + stats(&b).groups, 0);
	assert_string_equal(info(&b).why, "no listener on port 3, skysocks offline");
}

// A visor that heard of nobody begins in the clear.
static void what_begins_a_plain_group_is_its_first_bytes(void **state)
{
	uint8_t p[ROUTE_HDR_LEN + 4];

	route_groups_listen(b.gs, PORT_B, on_accept, &ub);
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	answer_installs();
	route_hdr_put(p, ROUTE_DATA, 7, 4);
	for (size_t i = 0; i < 4; i++)
		p[ROUTE_HDR_LEN + i] = text_at(i);
	dp_client_send_route(&a, 3, FWD_A, p, sizeof(p));
	turns();
	assert_non_null(ub.c);
	expect_text(&ub, 4);
	assert_int_equal(info(&b).stats.rx_bytes, 4);
}

static bool rules_are_gone(void)
{
	return a.n_deleted == 2 && b.n_deleted == 2;
}

static void a_close_ends_both_and_leaves_no_rules(void **state)
{
	connect_both();
	write_text(&ua, 0, 5000);
	conn_close(ua.c);
	ua.c = NULL;
	turns();
	expect_text(&ub, 5000);
	assert_int_equal(ub.n_eof, 1);
	assert_int_equal(ub.err, -EPIPE); // and then it was over
	assert_string_equal(ub.why, "");
	assert_int_equal(conn_write(ub.c, "x", 1), -EPIPE);
	assert_int_equal(a.n_sent[ROUTE_CLOSE], 1);
	assert_int_equal(b.n_sent[ROUTE_CLOSE], 1);
	assert_int_equal(stats(&a).groups + stats(&b).groups, 0);
	assert_true(wait_for(rules_are_gone));
	assert_int_equal(a.deleted[0] + a.deleted[1], FWD_A + CON_A);
	assert_int_equal(b.deleted[0] + b.deleted[1], FWD_B + CON_B);
	assert_int_equal(info(&a).state, ROUTE_GROUP_ENDED);
	assert_int_equal(stats(&a).broken + stats(&b).broken + stats(&a).failed, 0);
}

static void what_came_before_the_close_is_read_first(void **state)
{
	connect_both();
	ub.takes = 100;
	write_text(&ua, 0, 100000);
	conn_close(ua.c);
	ua.c = NULL;
	turns();
	assert_int_equal(ub.n_got, 100);
	assert_int_equal(ub.n_eof, 0);
	ub.takes = SIZE_MAX;
	conn_resume(ub.c);
	turns();
	expect_text(&ub, 100000);
	assert_int_equal(ub.n_eof, 1);
	assert_int_equal(ub.n_err, 1);
}

static void a_slow_reader_is_waited_for_in_the_data_plane(void **state)
{
	size_t done = 0;

	connect_both();
	ub.takes = 0;
	for (; b.hold_of != 1; turns())
		done += write_text(&ua, done, 20000);
	assert_in_range(done, ROUTE_GROUP_QUEUE_HIGH, ROUTE_GROUP_QUEUE_HIGH + 20000);
	assert_true(info(&b).holds);
	ub.takes = done - ROUTE_GROUP_QUEUE_LOW - 1000;
	conn_resume(ub.c);
	turns();
	assert_int_equal(b.hold_of, 1);
	b.room = 0; // it can't be told yet
	ub.takes = SIZE_MAX;
	conn_resume(ub.c);
	turns();
	assert_int_equal(b.hold_of, 1);
	b.room = QUEUE;
	TELL(&b, on_room);
	assert_int_equal(b.hold_of, 0);
	expect_text(&ub, done);
	assert_false(info(&b).holds);
}

static bool b_told_again(void)
{
	return b.hold_of == 0;
}

// Whether a worker had room for what it was told is known by the answer.
static void a_reader_that_goes_on_is_told_until_it_is_heard(void **state)
{
	connect_both();
	ub.takes = 0;
	for (size_t done = 0; b.hold_of != 1; turns())
		done += write_text(&ua, done, 20000);
	turns();
	b.hold_status = -EAGAIN;
	ub.takes = SIZE_MAX;
	conn_resume(ub.c);
	for (int i = 0; i < 10 && b.hold_of != 0; i++)
		loop_turn(loop);
	assert_int_equal(b.hold_of, 0);
	answer_hold(&b);
	b.hold_of = -1;
	b.hold_status = 0;
	assert_true(wait_for(b_told_again));
}

// By a link that can't hold, it comes all the same.
static void ends_the_slow_reader(size_t limit)
{
	size_t done = 0;

	connect_both();
	ub.takes = 0;
	for (; done < 2 * limit && ua.n_err == 0; turns()) {
		uint8_t zeros[20000] = {0};
		ssize_t n = conn_write(ua.c, zeros, sizeof(zeros));

		done += n > 0 ? (size_t)n : 0;
	}
	assert_in_range(done, limit, limit + 2 * 20000);
	assert_int_equal(ub.err, -ENOBUFS);
	assert_int_equal(ua.err, -ECONNRESET);
	assert_non_null(strstr(ua.why, "reader is too slow"));
	assert_int_equal(stats(&b).overrun, 1);
}

static void too_much_ends_the_group_of_a_slow_reader(void **state)
{
	ends_the_slow_reader(ROUTE_GROUP_QUEUE_MAX);
}

static void too_much_of_all_ends_one(void **state)
{
	ends_the_slow_reader(queued_max);
}

static int setup_little(void **state)
{
	queued_max = ROUTE_GROUP_QUEUE_HIGH + 100000;
	return setup(state);
}

static int teardown_little(void **state)
{
	queued_max = 0;
	return teardown(state);
}

static void a_full_ring_is_waited_for(void **state)
{
	size_t done;

	connect_both();
	a.room = 2;
	done = write_text(&ua, 0, 10000);
	assert_int_equal(done, 3 * 1374); // one waits
	assert_int_equal(write_text(&ua, done, 10), 0);
	turns();
	assert_int_equal(ua.n_drain, 0);
	a.room = QUEUE;
	TELL(&a, on_room);
	assert_int_equal(ua.n_drain, 1);
	turns();
	expect_text(&ub, done);
}

static void a_pause_stops_the_writer(void **state)
{
	size_t done;

	connect_both();
	pause_of(&a, FWD_A, true);
	assert_true(info(&a).paused);
	done = write_text(&ua, 0, 5000);
	turns();
	assert_int_equal(done, 0);
	assert_int_equal(ub.n_got, 0);
	pause_of(&a, CON_A, false); // another's
	assert_int_equal(ua.n_drain, 0);
	pause_of(&a, FWD_A, false);
	assert_int_equal(ua.n_drain, 1);
	assert_int_equal(write_text(&ua, 0, 5000), 5000);
	turns();
	expect_text(&ub, 5000);
}

static void who_closes_does_not_wait_for_a_pause(void **state)
{
	connect_both();
	pause_of(&a, FWD_A, true);
	conn_close(ua.c);
	ua.c = NULL;
	turns();
	assert_int_equal(ub.n_eof, 1);
	assert_int_equal(stats(&a).groups, 0);
}

static void a_rule_that_goes_ends_it_with_its_reason(void **state)
{
	static const struct {
		uint32_t id;
		enum rule_gone reason;
		int err;
		const char *why;
		bool told; // the far end
	} cases[] = {
		{FWD_A, RULE_GONE_HOP_DOWN, -ENETDOWN, "its forward rule is gone: a hop is down",
			false},
		{CON_A, RULE_GONE_HOP_DOWN, -ENETDOWN, "its consume rule is gone: a hop is down",
			true},
		{CON_A, RULE_GONE_EXPIRED, -ETIMEDOUT, "its consume rule is gone: expired", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (i > 0)
			setup(state);
		connect_both();
		gone(&a, cases[i].id, cases[i].reason);
		turns();
		assert_int_equal(ua.err, cases[i].err);
		assert_string_equal(ua.why, cases[i].why);
		assert_int_equal(ub.err, cases[i].told ? -ECONNRESET : 0);
		assert_int_equal(stats(&a).broken, stats(&a).groups == 0);
		if (i + 1 < ARRAY_LEN(cases))
			teardown(state);
	}
}

static void its_operator_ends_it_and_both_are_told(void **state)
{
	connect_both();
	assert_int_equal(route_groups_close(a.gs, identity_pk(a.id), PORT_B, PORT_A, "x"), -ENOENT);
	assert_int_equal(route_groups_close(a.gs, identity_pk(b.id), PORT_A, PORT_B, "x"), -ENOENT);
	turns();
	assert_int_equal(ua.err, 0);
	assert_int_equal(
		route_groups_close(a.gs, identity_pk(b.id), PORT_B, PORT_A, "by its operator"), 0);
	turns();
	assert_int_equal(ua.err, -ECONNABORTED);
	assert_string_equal(ua.why, "by its operator");
	assert_int_equal(ub.err, -ECONNRESET);
	assert_string_equal(ub.why, "the far end says: by its operator");
	assert_int_equal(stats(&a).groups, 0);
	assert_int_equal(stats(&b).groups, 0);
	assert_int_equal(stats(&a).broken, 0);
	assert_true(wait_for(rules_are_gone));
	assert_int_equal(route_groups_close(a.gs, identity_pk(b.id), PORT_B, PORT_A, "x"), -ENOENT);
}

// A visor that sees a Handshake begin and no keys follow takes no more routes.
static void one_in_its_handshake_finishes_that_first(void **state)
{
	open_at_a();
	answer_installs();
	assert_int_equal(a.n_sent[ROUTE_HANDSHAKE], 1);
	assert_int_equal(route_groups_close(a.gs, identity_pk(b.id), PORT_B, PORT_A, "no"), 0);
	assert_int_equal(a.n_sent[ROUTE_CLOSE], 0);
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	turns();
	assert_int_equal(a.n_sent[ROUTE_DATA], 1);
	assert_int_equal(a.n_sent[ROUTE_CLOSE], 1);
	assert_int_equal(stats(&a).groups, 0);
}

static bool b_is_over(void)
{
	return ub.n_eof == 1;
}

// The event of a Close overtakes the packets that came before it, which take another ring.
static void packets_behind_the_news_of_a_close_are_read(void **state)
{
	connect_both();
	write_text(&ua, 0, 5000);
	gone(&b, CON_B, RULE_GONE_CLOSE);
	turns();
	expect_text(&ub, 5000);
	assert_true(wait_for(b_is_over)); // also without the packet
	assert_int_equal(b.n_sent[ROUTE_CLOSE], 1);
}

static void rules_that_are_not_installed_are_an_error(void **state)
{
	install_status = -ENETDOWN;
	open_at_a();
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	turns();
	assert_int_equal(ua.err, -ENETDOWN);
	assert_non_null(strstr(ua.why, "consume rule was not installed"));
	assert_int_equal(n_accepted, 1);
	assert_int_equal(accepted_status, -ENETDOWN);
	assert_int_equal(stats(&a).groups + stats(&b).groups, 0);
	assert_int_equal(stats(&a).failed, 1);
	install_status = -ENOTCONN;
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), -ENOTCONN);
	assert_int_equal(n_accepted, 1);
	assert_int_equal(a.n_sent[ROUTE_HANDSHAKE] + a.n_sent[ROUTE_CLOSE], 0);
	conn_close(ua.c);
	memset(&ua, 0, sizeof(ua));
	n_accepted = install_status = 0;
	connect_both();
	conn_close(ua.c);
	ua.c = NULL;
	assert_true(wait_for(rules_are_gone)); // of this one only: others' ids are not ours
}

static void other_rules_than_an_edges_are_refused(void **state)
{
	struct setup_edge good = edge_of(&b, 200, PORT_B, PORT_A), e;

	for (int i = 0; i < 7; i++) {
		struct rule_wire r;

		e = good;
		if (i == 0)
			e.desc.dst_port++;
		else if (i == 1)
			rule_desc_invert(&e.desc, &e.desc);
		else if (i == 2)
			e.forward[8] = RULE_KIND_INTERMEDIARY;
		else if (i == 3)
			e.consume[8] = RULE_KIND_FORWARD;
		else if (i == 4)
			memcpy(e.forward + 9, e.consume + 9, 4); // one id
		else if (i == 5)
			e.desc.src_pk[0] = 9;
		else
			memset(e.consume + 9, 0, 4);
		if (i == 5) { // in all three places
			rule_decode(e.consume, sizeof(e.consume), &r);
			r.desc = e.desc;
			rule_encode(e.consume, sizeof(e.consume), &r);
			rule_decode(e.forward, sizeof(e.forward), &r);
			rule_desc_invert(&r.desc, &e.desc);
			rule_encode(e.forward, sizeof(e.forward), &r);
		}
		assert_int_equal(route_groups_accept(b.gs, &e, on_accepted, NULL), -EINVAL);
	}
	assert_int_equal(n_installs, 0);
}

static int accept_from(uint8_t key, uint32_t base, uint16_t port)
{
	struct dp_client stranger = {0}, *peer = b.peer;
	struct key_sk sk;
	int rc;

	memset(&sk, key, sizeof(sk));
	stranger.id = identity_from_sk(&sk);
	b.peer = &stranger;
	rc = accept_at_b(base, PORT_B, port);
	b.peer = peer;
	identity_free(stranger.id);
	return rc;
}

static void limits_hold(void **state)
{
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	assert_int_equal(accept_at_b(210, PORT_B, PORT_A + 1), 0);
	assert_int_equal(accept_at_b(220, PORT_B, PORT_A + 2), -EDQUOT); // two of a node
	assert_int_equal(accept_from(7, 220, PORT_A), 0);
	assert_int_equal(accept_from(8, 230, PORT_A), -EMFILE); // three in all
	assert_int_equal(stats(&b).refused, 2);
	assert_int_equal(stats(&b).groups, 3);
	assert_int_equal(n_installs, 3);
}

static void a_descriptor_that_comes_again_replaces_the_group(void **state)
{
	connect_both();
	memset(b.n_sent, 0, sizeof(b.n_sent));
	ub.closes = true;
	assert_int_equal(accept_at_b(300, PORT_B, PORT_A), 0);
	assert_int_equal(accept_at_b(400, PORT_B, PORT_A), -EEXIST); // it is under way
	turns();
	assert_int_equal(n_accepted, 2);
	assert_int_equal(ub.err, -ECONNRESET);
	assert_string_equal(ub.why, "the far end set it up anew");
	// visors find groups by descriptor: a Close of the old one would end the new one
	assert_int_equal(b.n_sent[ROUTE_CLOSE] + b.n_sent[ROUTE_ERROR], 0);
	assert_int_equal(stats(&b).replaced, 1);
	assert_int_equal(stats(&b).groups, 1);
	assert_int_equal(info(&b).consume_id, 302);
}

static void what_we_opened_is_not_opened_again(void **state)
{
	struct setup_edge e = edge_of(&a, 300, PORT_A, PORT_B);

	open_at_a();
	errno = 0;
	assert_null(route_groups_open(a.gs, &e, &events, &ub));
	assert_int_equal(errno, EEXIST);
}

static void who_gives_up_finishes_the_handshake(void **state)
{
	assert_int_equal(route_groups_listen(b.gs, PORT_B, on_accept, &ub), 0);
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	open_at_a();
	answer_installs(); // the Handshake leaves
	assert_int_equal(a.n_sent[ROUTE_HANDSHAKE], 1);
	conn_close(ua.c);
	ua.c = NULL;
	turns();
	assert_int_equal(ua.n_open, 0);
	assert_non_null(ub.c);
	assert_int_equal(ub.n_eof, 1);
	assert_int_equal(stats(&a).groups + stats(&b).groups, 0);
}

static void who_gives_up_before_begins_none(void **state)
{
	open_at_a();
	conn_close(ua.c);
	ua.c = NULL;
	answer_installs();
	assert_int_equal(a.n_sent[ROUTE_HANDSHAKE], 0);
	assert_int_equal(a.n_sent[ROUTE_CLOSE], 1);
	turns();
}

static void the_end_of_the_data_plane_is_theirs(void **state)
{
	connect_both();
	TELL(&a, on_detach);
	turns();
	assert_int_equal(ua.err, -ENETDOWN);
	assert_int_equal(stats(&a).groups, 0);
	assert_string_equal(info(&a).why, "the data plane is gone");
}

static void rules_under_way_are_taken_back_by_who_lays_them(void **state)
{
	open_at_a();
	TELL(&a, on_detach);
	turns();
	assert_int_equal(ua.err, -ENETDOWN);
	conn_close(ua.c);
	memset(&ua, 0, sizeof(ua));
	connect_both();
	conn_close(ua.c);
	ua.c = NULL;
	assert_true(wait_for(rules_are_gone)); // of this one only
}

static void a_node_that_ends_says_so(void **state)
{
	connect_both();
	route_groups_leave(a.gs);
	turns();
	assert_int_equal(ub.err, -ECONNRESET);
	assert_string_equal(ub.why, "the far end says: the node ends");
}

static void ports_come_again_late(void **state)
{
	static bool seen[65536];
	const struct key_pk *pk = identity_pk(b.id);
	unsigned n = 0;
	uint16_t port;

	memset(seen, 0, sizeof(seen));
	seen[PORT_A] = true;
	open_at_a();
	while ((port = route_groups_port(a.gs, pk, PORT_B)) != 0) {
		assert_in_range(port, ROUTE_PORT_FIRST, ROUTE_PORT_LAST);
		assert_false(seen[port]);
		seen[port] = true;
		n++;
	}
	assert_int_equal(n, ROUTE_PORT_LAST - ROUTE_PORT_FIRST); // but that of the group
}

static void one_port_has_one_listener(void **state)
{
	assert_int_equal(route_groups_listen(b.gs, 9, on_accept, &ub), 0);
	assert_int_equal(route_groups_listen(b.gs, 9, on_accept, &ua), -EADDRINUSE);
	route_groups_unlisten(b.gs, 9);
	route_groups_unlisten(b.gs, 9);
	for (uint16_t port = 9; port < 40; port++)
		assert_int_equal(route_groups_listen(b.gs, port, on_accept, &ub), 0);
	info(&b);
	assert_int_equal(n_found, 0);
	assert_true(n_listen >= 31); // those, and the fixture's
}

static uint64_t second = 1000;

static uint64_t fake_now(void)
{
	return second * CLOCK_NS_PER_S;
}

static void a_listener_tells_how_long_it_waits(void **state)
{
	static const struct clock_source fake_clock = {fake_now, fake_now};

	clock_source_set(&fake_clock);
	assert_int_equal(route_groups_listen(b.gs, 9, on_accept, &ub), 0);
	second += 5;
	info(&b);
	assert_int_equal(listener_ms, 5000);
	clock_source_set(NULL);
}

static unsigned n_listed;
static uint16_t listed[4];

static void on_listed(void *arg, const struct route_group_info *i)
{
	assert_true(n_listed < ARRAY_LEN(listed));
	listed[n_listed++] = i->remote_port;
}

static void the_newest_are_listed_first(void **state)
{
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(accept_at_b(200 + 10 * i, PORT_B, (uint16_t)(PORT_A + i)), 0);
	gone(&b, 201, RULE_GONE_HOP_DOWN);
	n_listed = 0;
	route_groups_each(b.gs, on_listed, NULL);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(listed[i], PORT_A + 3 - i);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways),
		TEST(packets_are_as_long_as_the_path_carries_now),
		TEST(who_has_no_listener_says_so),
		TEST(a_close_ends_both_and_leaves_no_rules),
		TEST(what_came_before_the_close_is_read_first),
		TEST(a_slow_reader_is_waited_for_in_the_data_plane),
		TEST(a_reader_that_goes_on_is_told_until_it_is_heard),
		TEST(too_much_ends_the_group_of_a_slow_reader),
		cmocka_unit_test_setup_teardown(
			too_much_of_all_ends_one, setup_little, teardown_little),
		TEST(a_full_ring_is_waited_for),
		TEST(a_pause_stops_the_writer),
		TEST(who_closes_does_not_wait_for_a_pause),
		TEST(a_rule_that_goes_ends_it_with_its_reason),
		TEST(its_operator_ends_it_and_both_are_told),
		TEST(one_in_its_handshake_finishes_that_first),
		TEST(packets_behind_the_news_of_a_close_are_read),
		TEST(rules_that_are_not_installed_are_an_error),
		TEST(other_rules_than_an_edges_are_refused),
		cmocka_unit_test_setup_teardown(limits_hold, setup_few, teardown),
		cmocka_unit_test_setup_teardown(
			what_begins_a_plain_group_is_its_first_bytes, setup_plain, teardown),
		TEST(a_descriptor_that_comes_again_replaces_the_group),
		TEST(what_we_opened_is_not_opened_again),
		TEST(who_gives_up_finishes_the_handshake),
		TEST(who_gives_up_before_begins_none),
		TEST(the_end_of_the_data_plane_is_theirs),
		TEST(rules_under_way_are_taken_back_by_who_lays_them),
		TEST(a_node_that_ends_says_so),
		TEST(ports_come_again_late),
		TEST(one_port_has_one_listener),
		TEST(a_listener_tells_how_long_it_waits),
		TEST(the_newest_are_listed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
