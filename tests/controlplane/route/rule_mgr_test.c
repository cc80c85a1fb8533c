// rule_mgr with its jobs, lists and kept rules against a data plane of a table (fake_dp.h).
#include "tests/controlplane/route/rule_fixture.h"

static void adds_after_the_data_planes_word(void **state)
{
	struct api_rule_add r[3] = {forward(0, "b", 30000), consume(5, 30000), consume(0, 0)};

	fake_attach(DP_SYNC_FRESH);
	r[1].in = API_IN_TRANSPORT;
	strcpy(r[1].in_transport, "a");
	assert_non_null(rule_mgr_add(m, r, 3, on_done, NULL));
	loop_turn(loop);
	assert_int_equal(n_calls, 0);
	fake_answer();
	assert_int_equal(n_calls, 1);
	assert_int_equal(n_results, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(results[i].status, 0);
		assert_non_null(in_dp(results[i].id));
	}
	assert_int_equal(results[1].id, 5);
	assert_int_equal(in_dp(results[0].id)->tx_hop, 22);
	assert_int_equal(in_dp(results[0].id)->in_tp, RULE_IN_LOCAL);
	assert_int_equal(in_dp(5)->in_tp, 11);
	assert_int_equal(in_dp(results[2].id)->flags, RULE_STATIC | RULE_ANY);
	assert_int_equal(rule_mgr_n_live(m), 3);
	assert_int_equal(rule_mgr_n_kept(m), 1);
}

// What comes for it would be lost until the transport is up, and the rest go on.
static void a_rule_that_expires_wants_its_way_out_up(void **state)
{
	struct api_rule_add r[3] = {forward(0, "b", 30000), forward(6, "b", 0), consume(0, 30000)};

	fake_attach(DP_SYNC_FRESH);
	transports[1].down = true;
	r[2].in = API_IN_TRANSPORT;
	strcpy(r[2].in_transport, "b");
	assert_non_null(rule_mgr_add(m, r, 3, on_done, NULL));
	fake_answer();
	assert_int_equal(results[0].status, -ENETDOWN);
	assert_int_equal(results[1].status, 0); // lasts
	assert_int_equal(results[2].status, 0); // loses nothing
	transports[1].down = false;
	assert_non_null(rule_mgr_add(m, r, 1, on_done, NULL));
	fake_answer();
	assert_int_equal(results[0].status, 0);
}

static void refuses_what_makes_no_sense(void **state)
{
	static const int want[] = {-ENODEV, -EINVAL, -ERANGE, -EDESTADDRREQ, -EINVAL, -EEXIST};
	struct api_rule_add r[6];

	fake_attach(DP_SYNC_FRESH);
	r[0] = consume(7, 1000);
	add_now(r);
	r[0] = forward(0, "nosuch", 1000);
	r[1] = consume(0, 1000);
	r[1].type = 3;
	r[2] = consume(0, 99);
	r[3] = forward(0, "", 1000);
	r[4] = consume(0, 1000);
	r[4].in = 9;
	r[5] = consume(7, 1000);
	assert_non_null(rule_mgr_add(m, r, 6, on_done, NULL));
	assert_int_equal(n_calls, 1); // never from within
	loop_turn(loop);
	assert_int_equal(n_calls, 2);
	for (int i = 0; i < 6; i++)
		assert_int_equal(results[i].status, want[i]);
	assert_int_equal(rule_mgr_n_live(m), 1);
}

static void errors_have_texts_that_name_the_fix(void **state)
{
	char buf[200];

	rule_error_text(-ENODEV, 0, "paris", "rome", buf, sizeof(buf));
	assert_non_null(strstr(buf, "paris"));
	rule_error_text(-ENOSPC, 0, "", "", buf, sizeof(buf));
	assert_non_null(strstr(buf, "[tables] rules"));
	rule_error_text(-EEXIST, 77, "", "", buf, sizeof(buf));
	assert_non_null(strstr(buf, "rule 77 exists already"));
	rule_error_text(-EADDRINUSE, 77, "", "", buf, sizeof(buf));
	assert_non_null(strstr(buf, "rule 77: another rule"));
}

static void goes_on_when_the_ring_has_room_again(void **state)
{
	struct api_rule_add r[100];

	fake_attach(DP_SYNC_FRESH);
	for (int i = 0; i < 100; i++)
		r[i] = consume(0, 1000);
	fake.room = 40;
	assert_non_null(rule_mgr_add(m, r, 100, on_done, NULL));
	assert_int_equal(fake.n_queue, 40);
	for (int turns = 0; n_calls == 0 && turns < 5; turns++) {
		fake_answer();
		FAKE_EACH(on_room);
	}
	assert_int_equal(n_calls, 1);
	assert_int_equal(rule_mgr_n_live(m), 100);
	for (int i = 0; i < 100; i++)
		assert_non_null(in_dp(results[i].id));
}

static void a_full_table_is_told_per_rule(void **state)
{
	static struct api_rule_add r[FAKE_SLOTS + 10];

	fake_attach(DP_SYNC_FRESH);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		r[i] = consume(0, 1000);
	assert_non_null(rule_mgr_add(m, r, ARRAY_LEN(r), on_done, NULL));
	fake_answer();
	assert_int_equal(results[FAKE_SLOTS - 1].status, 0);
	assert_int_equal(results[FAKE_SLOTS].status, -ENOSPC);
	assert_int_equal(rule_mgr_n_live(m), FAKE_SLOTS);
}

static void removing_ends_with_the_last_word(void **state)
{
	struct api_rule_add r = consume(9, 1000);
	uint32_t id = 9;

	fake_attach(DP_SYNC_FRESH);
	add_now(&r);
	assert_non_null(rule_mgr_del(m, &id, 1, on_done, NULL));
	fake_answer();
	assert_int_equal(n_calls, 1); // that of add: the slot is still in its grace period
	fake_tell_gone();
	assert_int_equal(n_calls, 2);
	assert_int_equal(results[0].status, 0);
	add_now(&r); // the same id again
}

static void removing_an_unknown_rule_fails(void **state)
{
	uint32_t id = 1234;

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_del(m, &id, 1, on_done, NULL));
	fake_answer();
	assert_int_equal(results[0].status, -ENOENT);
}

static void a_cancelled_job_is_silent_and_settled(void **state)
{
	struct api_rule_add r = consume(9, 0);
	struct rule_job *j;

	fake_attach(DP_SYNC_FRESH);
	j = rule_mgr_add(m, &r, 1, on_done, NULL);
	rule_job_cancel(j);
	fake_answer();
	assert_int_equal(n_calls, 0);
	assert_non_null(in_dp(9));
	fake_attach(DP_SYNC_FRESH); // it is static and installed: it must come back
	fake_answer();
	assert_non_null(in_dp(9));
}

static void without_a_data_plane_nothing_is_promised(void **state)
{
	struct api_rule_add r = consume(9, 1000);
	uint32_t id = 9;

	assert_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	assert_int_equal(errno, ENOTCONN);
	assert_null(rule_mgr_del(m, &id, 1, on_done, NULL));
	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	fake_detach();
	assert_int_equal(n_calls, 1);
	assert_int_equal(results[0].status, -ECONNRESET);
	assert_int_equal(rule_mgr_n_live(m), 0);
}

static void static_rules_return_to_a_new_data_plane(void **state)
{
	struct api_rule_add r[2] = {forward(3, "a", 0), consume(4, 30000)};

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	fake_detach();
	transports[0].hop = 0x100021; // new handles with the new epoch
	fake_attach(DP_SYNC_FRESH);
	fake_answer();
	assert_non_null(in_dp(3));
	assert_int_equal(in_dp(3)->tx_hop, 0x100021);
	assert_null(in_dp(4));
	assert_int_equal(rule_mgr_n_live(m), 1);
}

static void a_new_control_plane_adopts_what_lives(void **state)
{
	struct api_rule_add r[2] = {forward(3, "a", 0), consume(4, 30000)};
	struct api_rule_add again = consume(4, 30000);

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	rule_mgr_free(m);
	route_id_free(ids);
	assert_non_null(mgr_new());
	fake_attach(DP_SYNC_ADOPT);
	assert_int_equal(fake.n_queue, 0); // nothing to be mended
	assert_int_equal(rule_mgr_n_live(m), 2);
	assert_int_equal(rule_mgr_n_kept(m), 1);
	assert_non_null(rule_mgr_add(m, &again, 1, on_done, NULL));
	loop_turn(loop);
	assert_int_equal(results[0].status, -EEXIST);
	fake_attach(DP_SYNC_FRESH); // the adopted static one is ours now
	fake_answer();
	assert_non_null(in_dp(3));
}

static void lost_events_are_mended_by_a_resync(void **state)
{
	struct api_rule_add r[2] = {consume(3, 0), consume(4, 30000)};

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	fake.rules[3].id = 0; // gone, and nobody said so
	fake.rules[4].id = 0;
	fake_attach(DP_SYNC_OVERFLOW);
	fake_answer();
	assert_int_equal(rule_mgr_n_live(m), 1);
	assert_non_null(in_dp(3));
	add_now(&r[1]);
}

static void a_resync_keeps_ids_of_commands_under_way(void **state)
{
	struct api_rule_add r = consume(6, 30000);

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	fake_attach(DP_SYNC_OVERFLOW); // the command is still in the ring
	assert_true(route_id_is_live(ids, 6));
	fake_answer();
	assert_int_equal(results[0].status, 0);
	assert_true(route_id_is_live(ids, 6));
}

static void a_resync_sends_no_static_rule_twice(void **state)
{
	struct api_rule_add r = consume(6, 0);

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	fake_attach(DP_SYNC_OVERFLOW); // the command is still in the ring
	assert_int_equal(fake.n_queue, 1);
	for (int i = 0; i < 2; i++)
		settle();
	assert_int_equal(results[0].status, 0);
	assert_true(route_id_is_live(ids, 6));
	assert_int_equal(rule_mgr_n_kept(m), 1);
}

static unsigned life_in(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned life = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &life), 1);
	fclose(f);
	return life;
}

static void lost_events_begin_no_new_life_of_ids(void **state)
{
	char path[] = "/tmp/skyrail-life-XXXXXX";
	struct api_rule_add r[2] = {consume(3, 30000), consume(4, 30000)};
	uint8_t secret[32] = {1};
	uint32_t elsewhere = FAKE_SLOTS + 4, reserved;
	int fd = mkstemp(path);
	unsigned life;

	assert_true(fd >= 0 && write(fd, "7\n", 2) == 2 && close(fd) == 0);
	rule_mgr_free(m);
	route_id_free(ids);
	ids = route_id_new(secret, path);
	m = rule_mgr_new(loop, &fake, ids, &tr, NULL);
	fake_attach(DP_SYNC_FRESH);
	life = life_in(path);
	assert_int_equal(life, 8);
	assert_non_null(rule_mgr_add(m, r, 2, on_done, NULL));
	fake_answer();
	fake.rules[3].id = 0; // gone, and nobody said so
	fake.rules[4].id = elsewhere;
	reserved = route_id_reserve(ids); // its owner takes it again
	fake.ready = true;
	FAKE_EACH(on_sync_begin, DP_SYNC_OVERFLOW);
	assert_true(route_id_is_live(ids, 3));
	assert_int_equal(route_id_take(ids, reserved), -EEXIST);
	FAKE_EACH(on_rule, &fake.rules[4]);
	FAKE_EACH(on_synced, DP_SYNC_OVERFLOW);
	assert_int_equal(life_in(path), life);
	assert_true(route_id_is_live(ids, reserved));
	assert_true(route_id_is_live(ids, elsewhere));
	assert_int_equal(rule_mgr_n_live(m), 2);
	unlink(path);
}

static void configured_rules_follow_their_configuration(void **state)
{
	struct api_rule_add conf[2] = {forward(3, "a", 0), consume(4, 0)};

	assert_int_equal(rule_mgr_config(m, conf, 2), 0);
	fake_attach(DP_SYNC_FRESH);
	fake_answer();
	assert_non_null(in_dp(3));
	assert_non_null(in_dp(4));
	assert_int_equal(rule_mgr_config(m, conf, 2), 0);
	assert_int_equal(fake.n_queue, 0); // nothing changed
	assert_non_null(rule_mgr_del(m, &conf[0].id, 1, on_done, NULL));
	settle();
	assert_null(in_dp(3));
	assert_int_equal(rule_mgr_config(m, conf, 2), 0);
	settle();
	assert_non_null(in_dp(3)); // removed by hand, wanted again
	strcpy(conf[0].transport, "b");
	assert_int_equal(rule_mgr_config(m, conf, 1), 0);
	for (int i = 0; i < 3; i++) {
		settle();
	}
	assert_non_null(in_dp(3));
	assert_int_equal(in_dp(3)->tx_hop, 22);
	assert_null(in_dp(4));
}

static void a_configuration_with_two_rules_for_one_slot_is_refused(void **state)
{
	struct api_rule_add kept = consume(3, 0);
	struct api_rule_add fits[2] = {consume(3, 0), consume(4, 0)};
	struct api_rule_add taken = consume(FAKE_SLOTS + 3, 0);
	struct api_rule_add twice[2] = {consume(5, 0), consume(FAKE_SLOTS + 5, 0)};
	char err[256] = "";

	assert_int_equal(rule_mgr_check(m, twice, 2, err, sizeof(err)), 0); // size not known yet
	fake_attach(DP_SYNC_FRESH);
	add_now(&kept);
	assert_int_equal(rule_mgr_check(m, fits, 2, err, sizeof(err)), 0);
	assert_int_equal(rule_mgr_check(m, &taken, 1, err, sizeof(err)), -EEXIST);
	assert_non_null(strstr(err, "of rule 3,"));
	assert_int_equal(rule_mgr_check(m, twice, 2, err, sizeof(err)), -EEXIST);
	assert_non_null(strstr(err, "of rule 5,"));
}

static void a_configured_rule_may_change_before_its_answer(void **state)
{
	struct api_rule_add conf = forward(3, "a", 0);

	for (int refused = 0; refused < 2; refused++) {
		strcpy(conf.transport, "a");
		assert_int_equal(rule_mgr_config(m, &conf, 1), 0);
		fake_attach(DP_SYNC_FRESH);
		if (refused)
			fake.rules[3] = (struct evt_rule){.id = FAKE_SLOTS + 3};
		assert_int_equal(fake.n_queue, 1);
		strcpy(conf.transport, "b");
		assert_int_equal(rule_mgr_config(m, &conf, 1), 0);
		fake_answer();
		if (refused)
			fake.rules[3].id = 0;
		for (int i = 0; i < 4; i++)
			settle();
		assert_non_null(in_dp(3));
		assert_int_equal(in_dp(3)->tx_hop, 22);
		fake_detach();
	}
}

static void a_configured_rule_replaces_another_one_found(void **state)
{
	struct api_rule_add old = consume(3, 30000), conf = forward(3, "a", 0);

	fake_attach(DP_SYNC_FRESH);
	add_now(&old);
	rule_mgr_free(m);
	route_id_free(ids);
	assert_non_null(mgr_new());
	assert_int_equal(rule_mgr_config(m, &conf, 1), 0);
	fake_attach(DP_SYNC_ADOPT);
	for (int i = 0; i < 3; i++) {
		settle();
	}
	assert_int_equal(in_dp(3)->type, RULE_FORWARD);
}

static void kept_rules_follow_their_transport(void **state)
{
	struct api_rule_add r = forward(3, "a", 0);

	fake_attach(DP_SYNC_FRESH);
	add_now(&r);
	transports[0] = (struct transport){"a", 13, 23, 1, false}; // deleted and made again
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	for (int i = 0; i < 3; i++) {
		settle();
	}
	assert_int_equal(in_dp(3)->tx_hop, 23);
}

// Peers make such by themselves, as many as they like.
static void a_transport_that_no_rule_names_costs_no_walk(void **state)
{
	struct api_rule_add r[50];

	fake_attach(DP_SYNC_FRESH);
	for (uint32_t i = 0; i < 50; i++)
		r[i] = forward(i + 1, "a", 0);
	assert_non_null(rule_mgr_add(m, r, 50, on_done, NULL));
	fake_answer();
	n_named = 0;
	watching->fn(watching->arg, &transports[1], TRANSPORT_CHANGE_IN_DP);
	assert_int_equal(n_named, 1);
	transports[0] = (struct transport){"a", 13, 23, 1, false};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	for (int i = 0; i < 3; i++)
		settle();
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(in_dp(i + 1)->tx_hop, 23);
}

// The transport changes between the command and its answer.
static void a_rule_that_was_on_its_way_follows_its_transport(void **state)
{
	for (int conf = 0; conf < 2; conf++) {
		struct api_rule_add r = forward(3 + (uint32_t)conf, "a", 0);
		uint32_t hop = 23 + (uint32_t)conf;

		fake_attach(DP_SYNC_FRESH);
		if (conf)
			assert_int_equal(rule_mgr_config(m, &r, 1), 0);
		else
			assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
		assert_true(fake.n_queue > 0);
		transports[0] = (struct transport){"a", 13, hop, 1, false};
		watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_FLOWS);
		for (int i = 0; i < 4; i++)
			settle();
		assert_int_equal(in_dp(r.id)->tx_hop, hop);
	}
}

// ... or between the dump's word on it and the dump's end.
static void a_rule_that_was_dumped_follows_its_transport(void **state)
{
	struct api_rule_add r[2] = {forward(3, "a", 0), consume(4, 0)};

	fake_attach(DP_SYNC_FRESH);
	r[1].in = API_IN_TRANSPORT;
	strcpy(r[1].in_transport, "a");
	for (int i = 0; i < 2; i++)
		add_now(&r[i]);
	FAKE_EACH(on_sync_begin, DP_SYNC_OVERFLOW);
	for (int i = 0; i < 2; i++)
		FAKE_EACH(on_rule, in_dp(r[i].id));
	transports[0] = (struct transport){"a", 13, 23, 1, false};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_FLOWS);
	FAKE_EACH(on_synced, DP_SYNC_OVERFLOW);
	for (int i = 0; i < 4; i++)
		settle();
	assert_int_equal(in_dp(3)->tx_hop, 23);
	assert_int_equal(in_dp(4)->in_tp, 13);
}

static void a_rule_that_gets_into_the_configuration_meanwhile_lasts(void **state)
{
	struct api_rule_add r = consume(3, 0);

	fake_attach(DP_SYNC_FRESH);
	assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	assert_int_equal(rule_mgr_config(m, &r, 1), 0);
	fake_answer();
	assert_int_equal(fake_del(3, RULE_GONE_DEL), 0);
	fake_tell_gone();
	for (int i = 0; i < 3; i++)
		settle();
	assert_non_null(in_dp(3));
}

static void removing_a_refused_rule_asks_the_data_plane(void **state)
{
	struct api_rule_add conf[3] = {consume(3, 0), consume(4, 0), forward(5, "nosuch", 0)};
	uint32_t all[3] = {3, 4, 5};

	assert_int_equal(rule_mgr_config(m, conf, 3), 0);
	fake_attach(DP_SYNC_FRESH);
	// they are there already, and one goes by itself after the refusal
	fake.rules[3] = fake.rules[4] = (struct evt_rule){.type = RULE_CONSUME};
	fake.rules[3].id = 3;
	fake.rules[4].id = 4;
	settle();
	fake.rules[4].id = 0;
	assert_non_null(rule_mgr_del(m, all, 3, on_done, NULL));
	assert_int_equal(fake.n_queue, 2); // what waits for its transport was never sent
	settle();
	assert_int_equal(n_calls, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(results[i].status, 0);
	assert_null(in_dp(3));
	assert_int_equal(rule_mgr_n_kept(m), 0);
	assert_int_equal(rule_mgr_n_live(m), 0);
}

static unsigned n_over(uint32_t n, uint32_t hop)
{
	unsigned ok = 0;

	for (uint32_t id = 1; id <= n; id++)
		ok += in_dp(id) != NULL && in_dp(id)->tx_hop == hop;
	return ok;
}

static void more_rules_than_jobs_follow_their_transport(void **state)
{
	enum { N = 2 * RULE_JOBS_MAX + 88 };

	fake_attach(DP_SYNC_FRESH);
	for (uint32_t id = 1; id <= N; id++) {
		struct api_rule_add r = forward(id, "a", 0);

		add_now(&r);
	}
	transports[0] = (struct transport){"a", 13, 23, 1, false};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	for (int i = 0; i < 4; i++)
		settle();
	assert_int_equal(n_over(N, 23), N);
}

static void more_rules_than_jobs_leave_with_their_configuration(void **state)
{
	enum { N = 2 * RULE_JOBS_MAX + 88 };
	static struct api_rule_add conf[N];

	for (uint32_t i = 0; i < N; i++)
		conf[i] = forward(i + 1, "a", 0);
	assert_int_equal(rule_mgr_config(m, conf, N), 0);
	fake_attach(DP_SYNC_FRESH);
	fake_answer();
	assert_int_equal(n_over(N, 21), N);
	assert_int_equal(rule_mgr_config(m, conf, 1), 0);
	settle();
	assert_int_equal(n_over(N, 21), 1);
	assert_int_equal(rule_mgr_n_live(m), 1);
}

static void a_rule_that_went_meanwhile_follows_too(void **state)
{
	struct api_rule_add r = forward(3, "a", 0);

	fake_attach(DP_SYNC_FRESH);
	add_now(&r);
	fake.rules[3].id = 0; // so the removal is answered with -ENOENT
	transports[0] = (struct transport){"a", 13, 23, 1, false};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	for (int i = 0; i < 3; i++)
		settle();
	assert_int_equal(n_over(3, 23), 1);
}

static void busy_jobs_only_delay_a_replacement(void **state)
{
	struct api_rule_add kept = forward(3, "a", 0), r = consume(0, 1000);

	fake_attach(DP_SYNC_FRESH);
	add_now(&kept);
	fake.room = 0;
	for (int i = 0; i < RULE_JOBS_MAX; i++)
		assert_non_null(rule_mgr_add(m, &r, 1, on_done, NULL));
	transports[0] = (struct transport){"a", 13, 23, 1, false};
	watching->fn(watching->arg, &transports[0], TRANSPORT_CHANGE_IN_DP);
	fake.room = FAKE_QUEUE;
	FAKE_EACH(on_room);
	for (int i = 0; i < 4; i++)
		settle();
	assert_int_equal(n_over(3, 23), 1);
}

static void a_closed_static_rule_stays_closed(void **state)
{
	struct api_rule_add r = consume(3, 0);

	fake_attach(DP_SYNC_FRESH);
	add_now(&r);
	fake_del(3, RULE_GONE_CLOSE);
	fake_tell_gone();
	fake_answer();
	assert_null(in_dp(3));
	assert_int_equal(rule_mgr_n_kept(m), 0);
	assert_int_equal(rule_mgr_n_live(m), 0);
}

static uint32_t listed[FAKE_SLOTS];
static unsigned n_listed, n_ends;

static void on_each(void *arg, const struct evt_rule *e)
{
	listed[n_listed++] = e->id;
}

static void on_end(void *arg, int status)
{
	n_ends++;
}

static void lists_are_served_one_after_another(void **state)
{
	struct rule_list *second;

	fake_attach(DP_SYNC_FRESH);
	for (uint32_t i = 1; i <= 10; i++) {
		struct api_rule_add r = consume(i, 1000);

		add_now(&r);
	}
	n_listed = n_ends = 0;
	assert_non_null(rule_mgr_list(m, 3, 4, on_each, on_end, NULL));
	second = rule_mgr_list(m, 0, 0, on_each, on_end, NULL);
	assert_non_null(rule_mgr_list(m, 10, 0, on_each, on_end, NULL));
	rule_list_cancel(second);
	for (int i = 0; i < 6; i++) {
		loop_turn(loop);
		fake_answer();
	}
	assert_int_equal(n_ends, 2);
	assert_int_equal(n_listed, 5);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(listed[i], 3 + i);
	assert_int_equal(listed[4], 10);
}

static void too_many_jobs_are_refused(void **state)
{
	struct api_rule_add r = consume(0, 1000);
	int n = 0;

	fake_attach(DP_SYNC_FRESH);
	fake.room = 0;
	while (n <= RULE_JOBS_MAX && rule_mgr_add(m, &r, 1, on_done, NULL) != NULL)
		n++;
	assert_int_equal(n, RULE_JOBS_MAX);
	assert_int_equal(errno, EBUSY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rule_setup, rule_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(adds_after_the_data_planes_word),
		T(a_rule_that_expires_wants_its_way_out_up),
		T(refuses_what_makes_no_sense),
		T(errors_have_texts_that_name_the_fix),
		T(goes_on_when_the_ring_has_room_again),
		T(a_full_table_is_told_per_rule),
		T(removing_ends_with_the_last_word),
		T(removing_an_unknown_rule_fails),
		T(a_cancelled_job_is_silent_and_settled),
		T(without_a_data_plane_nothing_is_promised),
		T(static_rules_return_to_a_new_data_plane),
		T(a_new_control_plane_adopts_what_lives),
		T(lost_events_are_mended_by_a_resync),
		T(a_resync_keeps_ids_of_commands_under_way),
		T(a_resync_sends_no_static_rule_twice),
		T(lost_events_begin_no_new_life_of_ids),
		T(configured_rules_follow_their_configuration),
		T(a_configuration_with_two_rules_for_one_slot_is_refused),
		T(a_configured_rule_may_change_before_its_answer),
		T(a_configured_rule_replaces_another_one_found),
		T(kept_rules_follow_their_transport),
		T(a_transport_that_no_rule_names_costs_no_walk),
		T(a_rule_that_was_on_its_way_follows_its_transport),
		T(a_rule_that_was_dumped_follows_its_transport),
		T(a_rule_that_gets_into_the_configuration_meanwhile_lasts),
		T(removing_a_refused_rule_asks_the_data_plane),
		T(more_rules_than_jobs_follow_their_transport),
		T(more_rules_than_jobs_leave_with_their_configuration),
		T(a_rule_that_went_meanwhile_follows_too),
		T(busy_jobs_only_delay_a_replacement),
		T(a_closed_static_rule_stays_closed),
		T(lists_are_served_one_after_another),
		T(too_many_jobs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
