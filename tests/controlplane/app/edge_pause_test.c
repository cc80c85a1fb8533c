// Edges whose route holds enough: the device waits as long as the data plane says so.
#include "tests/controlplane/app/edge_fixture.h"

static void told_of(uint32_t hop, uint32_t id, uint8_t paused)
{
	struct evt_route_pause e = {.h = {.len = sizeof(e), .type = EVT_ROUTE_PAUSE},
		.id = id,
		.limit_s = 10,
		.paused = paused,
		.hop = hop};

	TELL(on_route_pause, &e);
}

static void told(uint32_t id, uint8_t paused)
{
	told_of(0, id, paused);
}

// Numbered packets out of the device.
static void device_sends(uint8_t first, uint8_t n)
{
	uint8_t ip[20] = {0x45};

	for (uint8_t i = 0; i < n; i++) {
		ip[1] = (uint8_t)(first + i);
		assert_int_equal(send(dev_fd, ip, sizeof(ip), 0), sizeof(ip));
	}
	turns();
}

static unsigned n_data(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_sent; i++)
		n += route_hdr_type(sent[i].bytes) == ROUTE_DATA;
	return n;
}

// All that came so far, in order from 0 on.
static void expect_numbers(unsigned n)
{
	unsigned next = 0;

	for (unsigned i = 0; i < n_sent; i++)
		if (route_hdr_type(sent[i].bytes) == ROUTE_DATA)
			assert_int_equal(sent[i].bytes[ROUTE_HDR_LEN + 1], next++);
	assert_int_equal(next, n);
}

static void begin(void)
{
	add();
	assert_int_equal(attach(), 0);
	turns();
}

static void a_pause_stops_reading_and_a_resume_loses_nothing(void **state)
{
	begin();
	device_sends(0, 3);
	assert_int_equal(n_data(), 3);
	told(FWD, 1);
	device_sends(3, 5);
	assert_int_equal(n_data(), 3);
	assert_int_equal(info().waits, 1);
	told(FWD, 1); // said again: no other wait
	turns();
	assert_int_equal(info().waits, 1);
	told(FWD, 0);
	turns();
	expect_numbers(8);
}

static void pauses_of_other_routes_are_not_its_own(void **state)
{
	begin();
	told(FWD + 1, 1);
	told(CONS, 1);
	told_of(7, FWD, 1); // what comes by a carried hop
	device_sends(0, 2);
	expect_numbers(2);
	assert_int_equal(info().waits, 0);
}

// Whichever ends first, it reads when neither holds it up.
static void a_full_ring_and_a_pause_both_hold_it_up(void **state)
{
	for (int ring_first = 0; ring_first < 2; ring_first++) {
		unsigned before;

		if (ring_first == 0)
			begin();
		before = n_data();
		room = n_sent + 1;
		device_sends((uint8_t)before, 4);
		assert_int_equal(n_data(), before + 1);
		told(FWD, 1);
		if (ring_first) {
			room = ARRAY_LEN(sent);
			TELL(on_room);
			turns();
			assert_int_equal(n_data(), before + 2); // what was in hand
			told(FWD, 0);
		} else {
			told(FWD, 0);
			turns();
			assert_int_equal(n_data(), before + 1);
			room = ARRAY_LEN(sent);
			TELL(on_room);
		}
		turns();
		expect_numbers(before + 4);
	}
}

static void keep_alives_go_out_meanwhile(void **state)
{
	struct timespec ts = {0, 20 * 1000000};
	unsigned n = 0;

	begin();
	told(FWD, 1);
	n_sent = 0;
	for (int i = 0; i < 100 && n < 2; i++) {
		nanosleep(&ts, NULL);
		turns();
		n = n_sent;
	}
	assert_true(n >= 2);
	assert_int_equal(n_data(), 0);
}

static void an_edge_on_a_paused_route_waits_from_the_start(void **state)
{
	rules[0].flags = RULE_PAUSED;
	begin();
	device_sends(0, 2);
	assert_int_equal(n_data(), 0);
	told(FWD, 0);
	turns();
	expect_numbers(2);
}

// Between the record of the forward rule and that of the consume rule.
static void attach_with(uint8_t paused)
{
	add();
	assert_int_equal(edge_attach(m, "sky0", FWD, CONS, on_done, NULL, err, sizeof(err)), 0);
	answer_list();
	told(FWD, paused);
	answer_list();
	assert_int_equal(status, 0);
	assert_int_equal(info().state, EDGE_ATTACHED);
	turns();
}

static void a_resume_while_it_looks_for_its_rules_is_heard(void **state)
{
	rules[0].flags = RULE_PAUSED;
	attach_with(0);
	device_sends(0, 2);
	expect_numbers(2);
}

static void a_pause_while_it_looks_for_its_rules_is_heard(void **state)
{
	attach_with(1);
	device_sends(0, 2);
	assert_int_equal(n_data(), 0);
	told(FWD, 0);
	turns();
	expect_numbers(2);
}

static void a_dump_mends_what_events_did_not_tell(void **state)
{
	begin();
	rules[0].flags = RULE_PAUSED;
	TELL(on_rule, &rules[0]);
	device_sends(0, 2);
	assert_int_equal(n_data(), 0);
	rules[0].flags = 0;
	TELL(on_rule, &rules[0]);
	turns();
	expect_numbers(2);
}

static void the_end_of_the_route_is_the_end_of_its_pause(void **state)
{
	begin();
	told(FWD, 1);
	assert_int_equal(edge_detach(m, "sky0", false, err, sizeof(err)), 0);
	device_sends(0, 2);
	assert_int_equal(info().drop_detached, 2); // read, and there is no route
	assert_int_equal(attach(), 0);
	n_sent = 0;
	device_sends(0, 2);
	expect_numbers(2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pause_stops_reading_and_a_resume_loses_nothing),
		T(pauses_of_other_routes_are_not_its_own),
		T(a_full_ring_and_a_pause_both_hold_it_up),
		T(keep_alives_go_out_meanwhile),
		T(an_edge_on_a_paused_route_waits_from_the_start),
		T(a_resume_while_it_looks_for_its_rules_is_heard),
		T(a_pause_while_it_looks_for_its_rules_is_heard),
		T(a_dump_mends_what_events_did_not_tell),
		T(the_end_of_the_route_is_the_end_of_its_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
