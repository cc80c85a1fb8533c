// Edges: attached and detached, one packet in and one packet out.
#include "tests/controlplane/app/edge_fixture.h"

static void ip_packets_become_route_packets(void **state)
{
	uint8_t ip[40] = {0x45, 1, 2};

	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	turns();
	// the first packet may be the keep-alive that goes out at once
	const struct sent *s = &sent[n_sent - 1];

	assert_int_equal(s->id, FWD);
	assert_int_equal(s->len, ROUTE_HDR_LEN + sizeof(ip));
	assert_int_equal(route_hdr_type(s->bytes), ROUTE_DATA);
	assert_int_equal(route_hdr_len(s->bytes), sizeof(ip));
	assert_memory_equal(s->bytes + ROUTE_HDR_LEN, ip, sizeof(ip));
	assert_int_equal(info().out_packets, 1);
	assert_int_equal(info().out_bytes, sizeof(ip));
}

static void route_packets_become_ip_packets(void **state)
{
	uint8_t pkt[ROUTE_HDR_LEN + 20], got[64];

	add();
	assert_int_equal(attach(), 0);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 20);
	memset(pkt + ROUTE_HDR_LEN, 0x60, 20);
	in_route(CONS, pkt, sizeof(pkt));
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), 20);
	assert_memory_equal(got, pkt + ROUTE_HDR_LEN, 20);
	assert_int_equal(info().in_packets, 1);
}

static void what_is_no_ip_packet_is_dropped_and_counted(void **state)
{
	static const uint8_t types[] = {ROUTE_HANDSHAKE, ROUTE_PING, ROUTE_DATAGRAM, 200};
	uint8_t pkt[ROUTE_HDR_LEN + 20] = {0}, got[64];

	add();
	assert_int_equal(attach(), 0);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 20); // version 0
	in_route(CONS, pkt, sizeof(pkt));
	route_hdr_put(pkt, ROUTE_DATA, CONS, 0);
	in_route(CONS, pkt, ROUTE_HDR_LEN);
	route_hdr_put(pkt, ROUTE_DATA, CONS, 21); // longer than it is
	in_route(CONS, pkt, sizeof(pkt));
	in_route(CONS, pkt, 3);
	for (size_t i = 0; i < sizeof(types); i++) {
		route_hdr_put(pkt, types[i], CONS, 20);
		in_route(CONS, pkt, sizeof(pkt));
	}
	assert_int_equal(info().drop_in_bad, 4 + sizeof(types));
	assert_int_equal(recv(dev_fd, got, sizeof(got), 0), -1);
	in_route(CONS + 1, pkt, sizeof(pkt)); // nobody's
	assert_int_equal(info().drop_in_bad, 4 + sizeof(types));
}

static void a_full_ring_stops_reading_and_loses_nothing(void **state)
{
	uint8_t ip[20] = {0x45};
	unsigned before;

	add();
	assert_int_equal(attach(), 0);
	turns();
	before = n_sent;
	room = n_sent + 1;
	for (uint8_t i = 0; i < 5; i++) {
		ip[1] = i;
		assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	}
	turns();
	assert_int_equal(n_sent, before + 1);
	assert_int_equal(info().waits, 1);
	room = ARRAY_LEN(sent);
	TELL(on_room);
	turns();
	assert_true(n_sent >= before + 5);
	assert_int_equal(info().out_packets, 5);
	for (uint8_t i = 0; i < 5; i++)
		assert_int_equal(sent[before + i].bytes[ROUTE_HDR_LEN + 1], i);
}

static void a_detached_edge_drops_what_it_reads(void **state)
{
	uint8_t ip[20] = {0x45};

	add();
	assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	turns();
	assert_int_equal(n_sent, 0);
	assert_int_equal(info().drop_detached, 1);
	assert_int_equal(info().state, EDGE_DETACHED);
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {0, (long)ms * 1000000};

	nanosleep(&ts, NULL);
	turns();
}

static void keep_alives_go_out_when_nothing_else_does(void **state)
{
	rules[0].keep_alive_ms = 60;
	add();
	assert_int_equal(attach(), 0);
	turns();
	assert_int_equal(n_sent, 1); // at once: nobody knows how old the rules are
	assert_int_equal(route_hdr_type(sent[0].bytes), ROUTE_KEEP_ALIVE);
	assert_int_equal(sent[0].len, ROUTE_HDR_LEN);
	for (int i = 0; i < 20 && n_sent < 3; i++)
		sleep_ms(10);
	assert_true(n_sent >= 3);
	assert_int_equal(info().keepalives, n_sent);
	assert_int_equal(edge_detach(m, "sky0", false, err, sizeof(err)), 0);
	n_sent = 0;
	for (int i = 0; i < 6; i++)
		sleep_ms(10);
	assert_int_equal(n_sent, 0);
}

static void attaching_wants_two_rules_of_the_right_types(void **state)
{
	add();
	rules[1].type = RULE_FORWARD;
	assert_int_equal(attach(), -EINVAL);
	assert_int_equal(info().state, EDGE_DETACHED);
	rules[1].type = RULE_CONSUME;
	rules[1].id = 0xffff;
	assert_int_equal(attach(), -ENOENT);
	assert_non_null(strstr(answer, "102"));
	assert_int_equal(edge_attach(m, "sky0", 5, 5, on_done, NULL, err, sizeof(err)), -EINVAL);
	assert_int_equal(edge_attach(m, "nosuch", 1, 2, on_done, NULL, err, sizeof(err)), -ENODEV);
}

static void a_refused_attachment_changes_nothing(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(edge_attach(m, "sky0", FWD, CONS + 1, on_done, NULL, err, sizeof(err)), 0);
	answer_list();
	answer_list();
	assert_int_equal(status, -ENOENT);
	answer_list(); // it looks for its old rules again
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(info().consume_id, CONS);
}

static void it_waits_for_rules_that_are_on_their_way(void **state)
{
	add();
	rules[1].id = 0xffff;
	ids_live = true;
	assert_int_equal(attach(), 0);
	assert_int_equal(info().state, EDGE_WAITING);
	rules[1].id = CONS;
	TELL(on_synced, DP_SYNC_FRESH);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
}

static void a_rule_that_goes_takes_the_route_and_may_bring_it_back(void **state)
{
	struct evt_rule gone = {.id = CONS};

	add();
	assert_int_equal(attach(), 0);
	TELL(on_rule_gone, &gone);
	assert_int_equal(info().state, EDGE_GONE);
	TELL(on_synced, DP_SYNC_ADOPT);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
}

static void a_close_from_afar_is_answered(void **state)
{
	uint8_t pkt[8];

	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
	assert_int_equal(route_close_encode(pkt, sizeof(pkt), CONS, 0), 8);
	in_route(CONS, pkt, 8);
	assert_int_equal(info().state, EDGE_GONE);
	assert_int_equal(n_sent, 1);
	assert_int_equal(route_hdr_type(sent[0].bytes), ROUTE_CLOSE);
	for (int i = 0; i < 50 && n_deleted == 0; i++)
		sleep_ms(10);
	assert_int_equal(n_deleted, 1);
	assert_int_equal(deleted[0], FWD);
}

// The data plane tells that the rule is gone by another ring than the packet's.
static void a_close_is_answered_when_its_packet_is_late(void **state)
{
	struct evt_rule gone = {.id = CONS, .reason = RULE_GONE_CLOSE};
	uint8_t pkt[8];

	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
	TELL(on_rule_gone, &gone);
	assert_int_equal(info().state, EDGE_GONE);
	assert_int_equal(n_sent, 1);
	assert_int_equal(route_hdr_type(sent[0].bytes), ROUTE_CLOSE);
	assert_int_equal(route_close_encode(pkt, sizeof(pkt), CONS, 0), 8);
	in_route(CONS, pkt, 8);
	assert_int_equal(n_sent, 1); // once
	assert_int_equal(route_ends_strays(ends), 1);
}

static void detach_close_ends_the_route(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	turns();
	n_sent = 0;
	assert_int_equal(edge_detach(m, "sky0", true, err, sizeof(err)), 0);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].bytes[ROUTE_HDR_LEN], ROUTE_CLOSE_REQUESTED);
	assert_int_equal(edge_detach(m, "sky0", true, err, sizeof(err)), -EALREADY);
}

static void one_consume_rule_feeds_one_edge(void **state)
{
	struct api_edge_add spec = {.name = "sky1"};

	add();
	assert_int_equal(attach(), 0);
	close(dev_fd);
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), 0);
	assert_int_equal(edge_attach(m, "sky1", 7, CONS, on_done, NULL, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "sky0"));
}

static void edges_outlive_a_killed_process(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	assert_int_equal(n_removed, 0);
	mgr_free(); // an orderly end removes the device, the file stays
	assert_int_equal(n_removed, 1);
	close(dev_fd);
	assert_int_equal(mgr_new(), 0);
	edge_mgr_restore(m);
	assert_string_equal(info().name, "sky0");
	assert_string_equal(info().addrs, "10.0.0.0/24");
	assert_int_equal(info().forward_id, FWD);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(edge_del(m, "sky0", err, sizeof(err)), 0);
	mgr_free();
	assert_int_equal(mgr_new(), 0);
	edge_mgr_restore(m);
	assert_string_equal(info().name, "");
}

static void a_damaged_state_file_does_no_harm(void **state)
{
	static const char *const lines[] = {"", "sky0", "sky0 x y z\n",
		"sky0 1280 1 2 1 added 10.0.0.1/x,\n", "sky0 1280 1 2 1 added nonsense\n",
		"a/b 1280 1 2 1 added -\n", "averyveryverylongname 1280 1 2 1 added -\n"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(lines[i], f);
		fclose(f);
		edge_mgr_restore(m);
	}
	edge_del(m, "sky0", err, sizeof(err));
}

static void a_device_that_ends_is_made_again(void **state)
{
	add();
	assert_int_equal(attach(), 0);
	close(dev_fd); // as a TUN that was removed: reading fails
	dev_fd = -1;
	turns();
	assert_int_equal(info().state, EDGE_GONE);
	assert_int_equal(edge_attach(m, "sky0", FWD, CONS, NULL, NULL, err, sizeof(err)), -ENODEV);
	assert_non_null(strstr(err, "device"));
	TELL(on_synced, DP_SYNC_OVERFLOW); // as each second
	assert_true(dev_fd >= 0);
	answer_list();
	answer_list();
	assert_int_equal(info().state, EDGE_ATTACHED);
	assert_int_equal(edge_del(m, "sky0", err, sizeof(err)), 0);
	assert_int_equal(n_removed, 1); // the one that was there
}

static void the_configuration_takes_over_what_is_just_so(void **state)
{
	struct api_edge_add spec = {.name = "sky0", .n_addrs = 1};

	memset(spec.addrs[0].ip + 10, 0xff, 2);
	spec.addrs[0].ip[12] = 10;
	spec.addrs[0].prefix = 24;
	add();
	assert_false(edge_is_configured(m, "sky0"));
	spec.mtu = 1400;
	assert_int_equal(edge_check(m, &spec, err, sizeof(err)), -EEXIST);
	assert_int_equal(edge_add(m, &spec, EDGE_CONFIGURED, err, sizeof(err)), -EEXIST);
	spec.mtu = 0; // the default, as add() has it
	assert_int_equal(edge_check(m, &spec, err, sizeof(err)), 0);
	assert_false(edge_is_configured(m, "sky0"));
	assert_int_equal(edge_add(m, &spec, EDGE_CONFIGURED, err, sizeof(err)), 0);
	assert_true(edge_is_configured(m, "sky0"));
	assert_int_equal(edge_check(m, &spec, err, sizeof(err)), -EEXIST); // its own already
}

static void bad_specs_are_refused(void **state)
{
	struct api_edge_add spec = {.name = "bad0"};

	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EPERM);
	assert_string_equal(err, "not permitted");
	strcpy(spec.name, "a b");
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	memset(spec.name, 'a', sizeof(spec.name));
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	strcpy(spec.name, "sky0");
	spec.mtu = 100;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	spec.mtu = 0;
	spec.n_addrs = 200;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	spec.n_addrs = 0;
	spec.super_max = EDGE_SUPER_MIN - 1;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	spec.super_max = 0;
	spec.offload = 7;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EINVAL);
	spec.offload = 0;
	add();
	spec.n_addrs = 0;
	assert_int_equal(edge_add(m, &spec, EDGE_ADDED, err, sizeof(err)), -EEXIST);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ip_packets_become_route_packets),
		T(route_packets_become_ip_packets),
		T(what_is_no_ip_packet_is_dropped_and_counted),
		T(a_full_ring_stops_reading_and_loses_nothing),
		T(a_detached_edge_drops_what_it_reads),
		T(keep_alives_go_out_when_nothing_else_does),
		T(attaching_wants_two_rules_of_the_right_types),
		T(a_refused_attachment_changes_nothing),
		T(it_waits_for_rules_that_are_on_their_way),
		T(a_rule_that_goes_takes_the_route_and_may_bring_it_back),
		T(a_close_from_afar_is_answered),
		T(a_close_is_answered_when_its_packet_is_late),
		T(detach_close_ends_the_route),
		T(one_consume_rule_feeds_one_edge),
		T(edges_outlive_a_killed_process),
		T(a_damaged_state_file_does_no_harm),
		T(a_device_that_ends_is_made_again),
		T(the_configuration_takes_over_what_is_just_so),
		T(bad_specs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
