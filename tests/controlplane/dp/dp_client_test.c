// The control plane's end of the channel against a region made in this process: the test plays the
// data plane, well-behaved and not.
#include "tests/controlplane/dp/dp_fixture.h"

static int last_status;

static void on_done(void *arg, int status, uint32_t aux)
{
	n_done++;
	last_status = status;
	if (status == 0)
		assert_int_equal(aux, 7);
	if (arg != NULL)
		++*(unsigned *)arg;
}

static void agrees_before_it_is_ready(void **state)
{
	struct evt_port port = {.h.type = EVT_PORT};
	uint64_t cookie;

	(void)state;
	memset(port.name, 'x', sizeof(port.name)); // no NUL
	memset(port.device, 'x', sizeof(port.device));
	attach(1);
	assert_int_equal(n_begin, 0);
	cookie = dp_expect(CMD_HELLO);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_begin, 1);
	assert_int_equal(why, DP_SYNC_FRESH);
	cookie = dp_expect(CMD_DUMP);
	dp_put(&evt, &port, sizeof(port));
	turns(2);
	assert_int_equal(n_ports, 1);
	assert_false(dp_client_is_ready(c));
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_synced, 1);
	assert_true(dp_client_is_ready(c));
	assert_int_equal(dp_client_epoch(c), 11);
	assert_int_equal(dp_client_info(c)->hop_max, 64);
}

static void takes_over_when_it_is_not_the_first(void **state)
{
	(void)state;
	attach(2);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_int_equal(why, DP_SYNC_ADOPT);
}

// What an earlier life left in the rings is not for this one.
static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void a_silent_data_plane_holds_nothing_up(void **state)
{
	uint64_t begin = ms_now();
	pthread_t t;

	(void)state;
	dp_client_start(c); // connects; nobody answers
	turns(3);
	assert_true(ms_now() - begin < 1000);
	assert_int_equal(dp_client_epoch(c), 0);
	atomic_store(&r.hdr->attaches, 1);
	assert_int_equal(pthread_create(&t, NULL, serve, NULL), 0);
	pthread_join(t, NULL);
	turns(2);
	assert_int_equal(dp_client_epoch(c), 11);
	dp_expect(CMD_HELLO);
}

// Takes the first client and leaves it without an answer.
static void *serve_the_second(void *arg)
{
	struct pollfd p = {.fd = listen_fd, .events = POLLIN};
	int first;

	assert_int_equal(poll(&p, 1, 5000), 1);
	first = accept(listen_fd, NULL, NULL);
	serve(arg);
	close(first);
	return NULL;
}

static void an_answer_that_never_comes_is_asked_for_again(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, serve_the_second, NULL), 0);
	dp_client_start(c);
	for (int i = 0; dp_client_epoch(c) == 0 && i < 4000; i++) {
		usleep(1000); // real timers
		turns(1);
	}
	pthread_join(t, NULL);
	assert_int_equal(dp_client_epoch(c), 11);
}

static void drops_what_lies_there_from_an_earlier_life(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 5};
	_Alignas(struct msg_route) uint8_t route[sizeof(struct msg_route) + 8] = {0};
	uint64_t cookie;

	(void)state;
	((struct msg_route *)route)->h.type = UP_ROUTE;
	((struct msg_route *)route)->id = 9;
	dp_put(&evt, &gone, sizeof(gone));
	dp_done(77, 0);
	dp_done(1, -EINVAL);
	dp_put(&up[1], route, sizeof(route));
	attach(2);
	turns(2);
	assert_int_equal(n_gone + n_routes + n_done, 0);
	cookie = dp_expect(CMD_HELLO);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_gone + n_routes, 0);
	assert_int_equal(n_begin, 1);
}

static void waits_for_a_data_plane_and_is_refused_quietly(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};

	(void)state;
	accept_none = true; // -EBUSY
	attach(1);
	turns(2);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_null(dp_client_info(c));
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -ENOTCONN);
	assert_int_equal(dp_client_send_route(c, 0, 1, "x", 1), -ENOTCONN);
	assert_int_equal(n_detach, 0);
}

static void commands_are_answered_once_each(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned a = 0, b = 0;
	uint64_t ca, cb;
	struct dp_client_stats st;

	(void)state;
	attach_and_sync();
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &a), 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &b), 0);
	assert_true(ring_r_empty(&cmd)); // one publication for both
	turns(1);
	ca = dp_expect(CMD_RULE_DEL);
	cb = dp_expect(CMD_RULE_DEL);
	dp_done(cb, -ENOENT);
	turns(2);
	assert_int_equal(a, 0);
	assert_int_equal(b, 1);
	assert_int_equal(last_status, -ENOENT);
	dp_done(ca, 0);
	dp_done(ca, 0); // again, and one that never was
	dp_done(ca ^ 0x40000, 0);
	turns(2);
	assert_int_equal(a, 1);
	assert_int_equal(b, 1);
	dp_client_stats_get(c, &st);
	assert_int_equal(st.stale_answers, 2);
}

static void a_full_ring_refuses_and_tells_when_there_is_room(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned n = 0;

	(void)state;
	attach_and_sync();
	while (dp_client_send(c, &d, sizeof(d), on_done, NULL) == 0)
		assert_true(++n < 1000);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -EAGAIN);
	turns(1);
	for (unsigned i = 0; i < n; i++) {
		dp_done(dp_expect(CMD_RULE_DEL), 0);
		if (i % 16 == 0)
			turns(1);
	}
	for (int i = 0; n_room == 0 && i < 1000; i++) {
		usleep(1000); // a real timer
		turns(1);
	}
	assert_int_equal(n_room, 1);
	turns(2); // the timer may have been faster than the last answers
	assert_int_equal(n_done, n);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
}

static void sleeps_only_when_the_rings_are_empty(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 5};

	(void)state;
	attach_and_sync();
	// In the moment of waiting the flag is 1: seen from a callback of that turn it is 0 again,
	// so look at what the data plane would do: publish, exchange.
	atomic_store(&r.hdr->cp_sleeping, 1);
	dp_put(&evt, &gone, sizeof(gone));
	turns(1);
	assert_int_equal(n_gone, 1);
	assert_int_equal(atomic_load(&r.hdr->cp_sleeping), 0);
}

static void rings_the_bell_of_a_sleeping_data_plane_once(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	uint64_t n;

	(void)state;
	attach_and_sync();
	(void)!read(r.bell_dp, &n, sizeof(n));
	atomic_store(&r.hdr->dp_sleeping, 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	dp_client_flush(c);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), -1); // it is awake
	atomic_store(&r.hdr->dp_sleeping, 1);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	dp_client_flush(c);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
	assert_int_equal(atomic_load(&r.hdr->dp_sleeping), 0);
}

static void rings_when_it_made_room_for_answers_to_commands_that_wait(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	struct evt_rule gone = {.h.type = EVT_RULE_GONE, .id = 5};
	uint64_t n;

	(void)state;
	attach_and_sync();
	atomic_store(&r.hdr->dp_sleeping, 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), NULL, NULL), 0);
	dp_client_flush(c);
	(void)!read(r.bell_dp, &n, sizeof(n));
	atomic_store(&r.hdr->dp_sleeping, 1);
	dp_put(&evt, &gone, sizeof(gone));
	turns(1);
	assert_int_equal(n_gone, 1);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), sizeof(n));
	assert_int_equal(atomic_load(&r.hdr->dp_sleeping), 0);
	dp_expect(CMD_RULE_DEL);
	atomic_store(&r.hdr->dp_sleeping, 1);
	dp_put(&evt, &gone, sizeof(gone));
	turns(1);
	assert_int_equal(n_gone, 2);
	assert_int_equal(read(r.bell_dp, &n, sizeof(n)), -1); // none waits
}

static void lost_events_are_mended_by_a_dump(void **state)
{
	uint64_t cookie;

	(void)state;
	attach_and_sync();
	atomic_store(&r.hdr->evt_overflow, 1);
	turns(2);
	assert_int_equal(why, DP_SYNC_OVERFLOW);
	assert_int_equal(n_begin, 2);
	cookie = dp_expect(CMD_DUMP);
	assert_int_equal(atomic_load(&r.hdr->evt_overflow), 0);
	atomic_store(&r.hdr->evt_overflow, 1); // again while it dumps
	turns(2);
	assert_int_equal(n_begin, 2);
	dp_done(cookie, 0);
	turns(2);
	assert_int_equal(n_begin, 3);
	dp_done(dp_expect(CMD_DUMP), 0);
	turns(2);
	assert_int_equal(n_synced, 3);
}

static void a_flag_of_former_losses_asks_for_no_second_dump(void **state)
{
	(void)state;
	atomic_store(&r.hdr->evt_overflow, 1); // nobody was attached
	attach_and_sync();
	turns(2);
	assert_int_equal(n_begin, 1);
	assert_int_equal(n_synced, 1);
}

static unsigned n_filled;

// As modules do that want much in a new data plane.
static void fill_ring(void *arg, enum dp_sync w)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};

	on_sync_begin(arg, w);
	while (dp_client_send(c, &d, sizeof(d), on_done, NULL) == 0)
		n_filled++;
}

static void a_first_dump_without_room_is_asked_for_later(void **state)
{
	(void)state;
	n_filled = 0;
	handler.on_sync_begin = fill_ring;
	attach(1);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_true(n_filled > 0);
	for (unsigned i = 0; i < n_filled; i++) {
		dp_done(dp_expect(CMD_RULE_DEL), 0);
		if (i % 16 == 0)
			turns(1);
	}
	for (int i = 0; ring_r_empty(&cmd) && i < 1000; i++) {
		usleep(1000); // a real timer
		turns(2);
	}
	dp_done(dp_expect(CMD_DUMP), 0);
	turns(2);
	assert_true(dp_client_is_ready(c));
	assert_int_equal(n_begin, 1);
	assert_int_equal(n_synced, 1);
}

static void the_end_of_the_data_plane_completes_everything_and_the_next_one_is_found(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	pthread_t t;

	(void)state;
	attach_and_sync();
	n_done = 0;
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), 0);
	turns(1);
	dp_close();
	for (int i = 0; n_detach == 0 && i < 100; i++)
		turns(1);
	assert_int_equal(n_detach, 1);
	assert_int_equal(n_done, 1);
	assert_int_equal(last_status, -ECONNRESET);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, NULL), -ENOTCONN);
	dp_open(12);
	atomic_store(&r.hdr->attaches, 1);
	assert_int_equal(pthread_create(&t, NULL, serve, NULL), 0);
	for (int i = 0; dp_client_epoch(c) == 0 && i < 2000; i++) {
		usleep(1000); // the retry is a real timer
		turns(1);
	}
	pthread_join(t, NULL);
	assert_int_equal(dp_client_epoch(c), 12);
	dp_done(dp_expect(CMD_HELLO), 0);
	turns(2);
	assert_int_equal(why, DP_SYNC_FRESH);
}

static void a_data_plane_of_another_version_is_left(void **state)
{
	(void)state;
	attach(1);
	dp_done(dp_expect(CMD_HELLO), -EPROTO);
	turns(3);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_int_equal(n_begin, 0);
}

static void a_broken_ring_ends_the_attachment(void **state)
{
	size_t n;
	struct ring_shm *s;

	(void)state;
	attach_and_sync();
	s = shm(r.hdr->evt_off, &n);
	atomic_store(&s->head, 1ull << 60);
	turns(3);
	assert_int_equal(dp_client_epoch(c), 0);
	assert_int_equal(n_detach, 1);
}

static bool still_there;

static void on_let_go(void *arg)
{
	uint8_t b;

	(void)arg;
	assert_false(still_there);
	still_there = recv(conn, &b, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

// The data plane may serve another control plane as soon as it sees the end of this one.
static void who_shares_the_rings_lets_go_before_the_end_is_seen(void **state)
{
	uint8_t b;

	(void)state;
	still_there = false;
	handler.on_let_go = on_let_go;
	attach_and_sync();
	dp_client_stop(c);
	assert_true(still_there);
	assert_int_equal(recv(conn, &b, 1, MSG_DONTWAIT), 0);
	dp_client_stop(c); // once
	handler.on_let_go = NULL;
}

// The users of the client may be freed after it was stopped: no answer comes later.
static void a_stop_answers_what_is_under_way_and_loses_nothing(void **state)
{
	struct cmd_rule_del d = {.h.type = CMD_RULE_DEL, .id = 1};
	unsigned n = 0;

	(void)state;
	attach_and_sync();
	n_done = 0;
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &n), 0);
	assert_int_equal(dp_client_dump(c, DUMP_HOPS, 0, 0, on_done, &n), 0);
	dp_client_stop(c);
	assert_int_equal(n, 2);
	assert_int_equal(last_status, -ECONNRESET);
	assert_int_equal(n_detach, 0);
	assert_int_equal(dp_client_send(c, &d, sizeof(d), on_done, &n), -ENOTCONN);
	turns(2);
	dp_client_stop(c);
	assert_int_equal(n, 2);
	dp_expect(CMD_RULE_DEL); // what was sent is done all the same
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(agrees_before_it_is_ready),
		T(takes_over_when_it_is_not_the_first),
		T(a_silent_data_plane_holds_nothing_up),
		T(an_answer_that_never_comes_is_asked_for_again),
		T(drops_what_lies_there_from_an_earlier_life),
		T(waits_for_a_data_plane_and_is_refused_quietly),
		T(commands_are_answered_once_each),
		T(a_full_ring_refuses_and_tells_when_there_is_room),
		T(sleeps_only_when_the_rings_are_empty),
		T(rings_the_bell_of_a_sleeping_data_plane_once),
		T(rings_when_it_made_room_for_answers_to_commands_that_wait),
		T(lost_events_are_mended_by_a_dump),
		T(who_shares_the_rings_lets_go_before_the_end_is_seen),
		T(a_flag_of_former_losses_asks_for_no_second_dump),
		T(a_first_dump_without_room_is_asked_for_later),
		T(the_end_of_the_data_plane_completes_everything_and_the_next_one_is_found),
		T(a_data_plane_of_another_version_is_left),
		T(a_broken_ring_ends_the_attachment),
		T(a_stop_answers_what_is_under_way_and_loses_nothing),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
