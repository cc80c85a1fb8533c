// Commands against real tables: what is refused, what is answered, what a hostile writer gets.

#include "tests/dataplane/ctl/ctl_fixture.h"
#include "tests/support/eal.h"

#include <errno.h>

static void nothing_is_done_before_hello(void **state)
{
	struct fix f;
	struct cmd_rule_add r = fix_rule(5);
	struct cmd_hello h = {.version = DPMSG_VERSION + 1};

	fix_init(&f, -1);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), -EPROTO);
	assert_int_equal(fix_cmd(&f, &h, CMD_HELLO, sizeof(h)), -EPROTO);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), -EPROTO);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	fix_fini(&f);
}

static void wrong_lengths_types_and_flags_are_refused(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t len;
	} right[] = {
		{CMD_HELLO, sizeof(struct cmd_hello)},
		{CMD_DUMP, sizeof(struct cmd_dump)},
		{CMD_ADJ_SET, sizeof(struct cmd_adj_set)},
		{CMD_ADJ_DEL, sizeof(struct cmd_adj_del)},
		{CMD_HOP_ADD, sizeof(struct cmd_hop_add)},
		{CMD_HOP_REKEY, sizeof(struct cmd_hop_rekey)},
		{CMD_HOP_PATH, sizeof(struct cmd_hop_path)},
		{CMD_HOP_DEL, sizeof(struct cmd_hop_del)},
		{CMD_HOP_PING, sizeof(struct cmd_hop_ping)},
		{CMD_HOP_HOLD, sizeof(struct cmd_hop_hold)},
		{CMD_HOP_MOVE, sizeof(struct cmd_hop_move)},
		{CMD_RULE_ADD, sizeof(struct cmd_rule_add)},
		{CMD_RULE_DEL, sizeof(struct cmd_rule_del)},
		{CMD_CONF_SET, sizeof(struct cmd_conf_set)},
		{CMD_COOKIES, sizeof(struct cmd_cookies)},
	};
	uint8_t rec[1024] = {0};
	struct fix f;
	uint32_t aux;

	fix_init(&f, -1);
	fix_hello(&f);
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		for (uint32_t len = 16; len < 400; len += 8) {
			if (len != right[i].len)
				assert_int_equal(fix_cmd(&f, rec, right[i].type, len), -EINVAL);
		}
		struct dpmsg_hdr h = {
			.len = right[i].len, .type = right[i].type, .flags = 1, .cookie = 3};

		memcpy(rec, &h, sizeof(h));
		assert_int_equal(ctl_cmd(f.ctl, rec, right[i].len, &aux), -EINVAL);
	}
	assert_int_equal(fix_cmd(&f, rec, CMD_RULE_ADD, 1024), -EMSGSIZE);
	for (uint16_t type = CMD_HOP_HOLD + 1; type < 300; type++)
		assert_int_equal(fix_cmd(&f, rec, type, 24), -ENOSYS);
	assert_int_equal(fix_cmd(&f, rec, 0, 24), -ENOSYS);
	assert_int_equal(fix_cmd(&f, rec, 0xffff, 24), -ENOSYS);
	fix_fini(&f);
}

static void rule_lives_and_its_end_is_told(void **state)
{
	struct fix f;
	struct cmd_rule_add r = fix_rule(0x105);
	struct cmd_rule_del d = {.id = 0x105};
	union fix_evt e;

	fix_init(&f, -1);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	assert_non_null(rule_lookup(&f.rules, 0x105));
	r.id = 0x205; // another generation of the same index
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), -EEXIST);
	assert_int_equal(fix_cmd(&f, &d, CMD_RULE_DEL, sizeof(d)), 0);
	assert_int_equal(fix_cmd(&f, &d, CMD_RULE_DEL, sizeof(d)), -ENOENT);
	for (int i = 0; i < 5; i++)
		fix_turn(&f, 1);
	assert_true(fix_event(&f, EVT_RULE_GONE, &e));
	assert_int_equal(e.rule.id, 0x105);
	assert_int_equal(e.rule.reason, RULE_GONE_DEL);
	fix_fini(&f);
}

static void idle_rule_expires_and_is_told(void **state)
{
	struct fix f;
	struct cmd_rule_add r = fix_rule(9);
	union fix_evt e;
	bool gone = false;

	fix_init(&f, -1);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	for (int i = 0; i < 40 && !gone; i++) {
		fix_turn(&f, 100);
		gone = fix_event(&f, EVT_RULE_GONE, &e);
	}
	assert_true(gone);
	assert_int_equal(e.rule.reason, RULE_GONE_EXPIRED);
	assert_int_equal(stat_get(&f.region.stats->rules_expired), 1);
	fix_fini(&f);
}

static void impossible_rules_are_refused(void **state)
{
	struct fix f;
	struct cmd_rule_add good = fix_rule(3), r;

	fix_init(&f, -1);
	fix_hello(&f);
#define REFUSES(field, value)                                                                      \
	r = good;                                                                                  \
	r.field = value;                                                                           \
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), -EINVAL)
	REFUSES(id, 0);
	REFUSES(type, 3);
	REFUSES(type, 255);
	REFUSES(flags, 2);
	REFUSES(next_id, 0);
	REFUSES(tx_hop, 0);
	REFUSES(tx_hop, FIX_HOPS | 1u << DPMSG_HANDLE_BITS);
	REFUSES(in_tp, FIX_HOPS);
	REFUSES(keep_alive_ms, 0);
#undef REFUSES
	assert_int_equal(f.rules.n_live, 0);
	fix_fini(&f);
}

// It is answered when it has happened, and what was asked for later waits.
static void a_hop_moves_before_anything_else_is_done(void **state)
{
	struct cmd_hop_add add = fix_hop(3);
	struct cmd_hop_move move = {.hop = add.hop};
	struct cmd_hop_ping ping = {.hop = add.hop};
	uint64_t moved, pinged;
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	add.owner = 0;
	assert_int_equal(fix_cmd(&f, &add, CMD_HOP_ADD, sizeof(add)), 0);
	assert_int_equal(fix_cmd(&f, &move, CMD_HOP_MOVE, sizeof(move)), 0); // it is there
	move.worker = FIX_WORKERS;
	assert_int_equal(fix_cmd(&f, &move, CMD_HOP_MOVE, sizeof(move)), -EINVAL);
	move.worker = 1;
	moved = fix_send(&f, &move, CMD_HOP_MOVE, sizeof(move));
	pinged = fix_send(&f, &ping, CMD_HOP_PING, sizeof(ping));
	ctl_turn(f.ctl, f.now_ns);
	ctl_turn(f.ctl, f.now_ns);
	assert_false(fix_event(&f, EVT_DONE, &e));
	for (unsigned i = 0; i < 8; i++)
		fix_turn(&f, 0);
	assert_true(fix_event(&f, EVT_DONE, &e));
	assert_int_equal(e.h.cookie, moved);
	assert_int_equal(e.done.status, 0);
	assert_int_equal(e.done.aux, 1);
	assert_true(fix_event(&f, EVT_DONE, &e));
	assert_int_equal(e.h.cookie, pinged);
	assert_int_equal(e.done.status, 0);
	assert_int_equal(hop_table_owner(f.hops, add.hop, NULL), 1);
	fix_fini(&f);
}

// A hop that goes from a worker to the other one and is there, which main has yet to see.
static uint64_t moved_unseen(struct fix *f, struct cmd_hop_add *add, uint8_t from)
{
	struct cmd_hop_move move = {.hop = add->hop, .worker = !from};
	uint64_t cookie;

	add->owner = from;
	assert_int_equal(fix_cmd(f, add, CMD_HOP_ADD, sizeof(*add)), 0);
	cookie = fix_send(f, &move, CMD_HOP_MOVE, sizeof(move));
	ctl_turn(f->ctl, f->now_ns);
	for (unsigned i = 0; i < 8; i++)
		for (unsigned w = 0; w < FIX_WORKERS; w++)
			worker_turn(worker_ctx(f->workers, w));
	assert_true(f->ctl->moving);
	return cookie;
}

static void say(struct fix *f, unsigned worker, enum dp_note_kind kind, uint32_t id)
{
	const struct dp_note n = {.kind = (uint16_t)kind, .id = id};

	assert_true(hop_note(worker_ctx(f->workers, worker), &n));
}

// The workers may be done at any moment, and the new owner speak before main knows that it is one.
static void the_old_owner_of_a_hop_is_heard_first(void **state)
{
	enum { ID = 1u << FIX_RULE_BITS | 7 };

	for (uint8_t from = 0; from < FIX_WORKERS; from++) {
		struct cmd_hop_add add = fix_hop(3);
		struct cmd_rule_add rule = fix_rule(ID);
		union fix_evt e;
		struct fix f;

		fix_init(&f, -1);
		fix_hello(&f);
		rule.keep_alive_ms = 0;
		rule.flags = RULE_STATIC;
		assert_int_equal(fix_cmd(&f, &rule, CMD_RULE_ADD, sizeof(rule)), 0);
		moved_unseen(&f, &add, from);
		say(&f, from, NOTE_ROUTE_PAUSE, ID);
		say(&f, !from, NOTE_ROUTE_RESUME, ID);
		ctl_notes(f.ctl); // the rest of the turn in which it was not seen
		fix_turn(&f, 0);
		assert_true(fix_event(&f, EVT_ROUTE_PAUSE, &e));
		assert_int_equal(e.pause.paused, 1);
		assert_true(fix_event(&f, EVT_ROUTE_PAUSE, &e));
		assert_int_equal(e.pause.paused, 0);
		assert_false(rule_lookup(&f.rules, ID)->paused);
		fix_fini(&f);
	}
}

// A control plane that reads nothing is owed the answer, and holds up nothing else.
static void a_move_is_over_whoever_listens(void **state)
{
	enum { ID = 1u << FIX_RULE_BITS | 7 };
	const struct hop_msg msg = {.kind = HOP_MSG_IDLE};
	struct cmd_hop_add add = fix_hop(3);
	struct cmd_rule_add rule = fix_rule(ID);
	union fix_evt e;
	uint64_t cookie;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &rule, CMD_RULE_ADD, sizeof(rule)), 0);
	cookie = moved_unseen(&f, &add, 0);
	while (ctl_room_for_answer(f.ctl))
		ctl_done(f.ctl, 0, 0, 0);
	say(&f, 1, NOTE_RULE_END, ID);
	fix_turn(&f, 0);
	assert_null(rule_lookup(&f.rules, ID));
	assert_int_equal(hop_table_owner(f.hops, add.hop, NULL), 1);
	assert_true(hop_table_msg(f.hops, 1, &msg));
	while (fix_event(&f, 0, &e))
		assert_int_not_equal(e.h.cookie, cookie);
	fix_turn(&f, 0);
	assert_true(fix_event(&f, EVT_DONE, &e));
	assert_int_equal(e.h.cookie, cookie);
	assert_int_equal(e.done.status, 0);
	assert_int_equal(e.done.aux, 1);
	fix_turn(&f, 0);
	assert_false(fix_event(&f, EVT_DONE, &e)); // once
	fix_fini(&f);
}

static void adj_must_name_a_port_that_is_there(void **state)
{
	struct fix f;
	struct evt_port p;
	struct cmd_adj_set a = {
		.adj = 1 | 1u << DPMSG_HANDLE_BITS, .port = 9, .mtu = 1500, .usable = 1};

	fix_init(&f, -1);
	fix_hello(&f);
	a.src_ip[10] = a.src_ip[11] = a.dst_ip[10] = a.dst_ip[11] = 0xff;
	assert_int_equal(fix_cmd(&f, &a, CMD_ADJ_SET, sizeof(a)), -ENODEV);
	port_show(f.ports, 0, &p);
	a.port = p.port;
	assert_int_equal(fix_cmd(&f, &a, CMD_ADJ_SET, sizeof(a)), 0);
	a.usable = 2;
	assert_int_equal(fix_cmd(&f, &a, CMD_ADJ_SET, sizeof(a)), -EINVAL);
	fix_fini(&f);
}

static bool segment_holds(const struct fix *f, uint8_t byte)
{
	const uint8_t *p = (const uint8_t *)f->cmd.data;
	unsigned run = 0;

	for (uint32_t i = 0; i < f->cmd.size; i++) {
		run = p[i] == byte ? run + 1 : 0;
		if (run == 16)
			return true;
	}
	return false;
}

static void secrets_of_cookies_are_taken_and_wiped(void **state)
{
	struct fix f;
	struct cmd_cookies m = {.n_secrets = 2, .demand = 1};
	uint32_t aux;

	fix_init(&f, -1);
	memset(m.secret, 0xb1, sizeof(m.secret));
	assert_int_equal(fix_cmd(&f, &m, CMD_COOKIES, sizeof(m)), -EPROTO); // before hello
	fix_hello(&f);
	memset(m.secret, 0xb1, sizeof(m.secret));
	assert_int_equal(fix_cmd(&f, &m, CMD_COOKIES, sizeof(m)), 0);
	assert_false(segment_holds(&f, 0xb1));
	m = (struct cmd_cookies){.h = {.len = sizeof(m), .type = CMD_COOKIES}, .n_secrets = 3};
	memset(m.secret, 0xb1, sizeof(m.secret));
	assert_int_equal(ctl_cmd(f.ctl, &m, sizeof(m), &aux), -EINVAL);
	assert_int_equal(m.secret[0][0] | m.secret[1][31], 0);
	fix_fini(&f);
}

static void keys_are_wiped_in_the_ring_and_in_the_copy(void **state)
{
	struct fix f;
	struct cmd_hop_add m = fix_hop(1);
	struct cmd_hop_add copy = fix_hop(2);
	uint32_t aux;

	fix_init(&f, -1);
	fix_hello(&f);
	fix_send(&f, &m, CMD_HOP_ADD, sizeof(m));
	assert_true(segment_holds(&f, 0xb1));
	fix_turn(&f, 0);
	assert_int_equal(hop_table_count(f.hops), 1);
	assert_false(segment_holds(&f, 0xb1));
	assert_false(segment_holds(&f, 0xb2));
	copy.h = (struct dpmsg_hdr){.len = sizeof(copy), .type = CMD_HOP_ADD, .cookie = 1};
	assert_int_equal(ctl_cmd(f.ctl, &copy, sizeof(copy), &aux), 0);
	for (size_t i = 0; i < sizeof(copy.keys.rx_key); i++)
		assert_int_equal(copy.keys.rx_key[i] | copy.keys.tx_key[i], 0);
	// a refused one is wiped too
	m = fix_hop(1);
	assert_int_equal(fix_cmd(&f, &m, CMD_HOP_ADD, sizeof(m)), -EEXIST);
	assert_false(segment_holds(&f, 0xb1));
	fix_fini(&f);
}

static void hop_add_tells_its_owner(void **state)
{
	struct fix f;
	struct cmd_hop_add m = fix_hop(3); // odd: worker 1
	union fix_evt e;

	fix_init(&f, -1);
	fix_hello(&f);
	fix_send(&f, &m, CMD_HOP_ADD, sizeof(m));
	fix_turn(&f, 0);
	assert_true(fix_event(&f, EVT_DONE, &e));
	assert_int_equal(e.done.status, 0);
	assert_int_equal(e.done.aux, 1);
	fix_fini(&f);
}

// Noise, small numbers that have a chance to mean something, or a good record with a few bytes
// changed.
static void fill(uint8_t *rec, uint16_t type, uint32_t len)
{
	int kind = (int)(random() % 3);

	for (uint32_t i = 0; i < len; i++)
		rec[i] = (uint8_t)(kind != 0 && i % 4 != 0 ? 0 : random());
	if (kind != 2)
		return;
	if (type == CMD_RULE_ADD && len == sizeof(struct cmd_rule_add))
		*(struct cmd_rule_add *)(void *)rec = fix_rule((uint32_t)random() % 1000);
	if (type == CMD_HOP_ADD && len == sizeof(struct cmd_hop_add))
		*(struct cmd_hop_add *)(void *)rec = fix_hop(1 + (uint32_t)random() % 60);
	for (int n = (int)(random() % 3); n > 0; n--)
		rec[random() % len] = (uint8_t)random();
}

// Well-formed lengths, random contents: every field of every command meets every kind of value.
static void random_commands_neither_crash_nor_go_unanswered(void **state)
{
	static const uint32_t lens[] = {[CMD_HELLO] = sizeof(struct cmd_hello),
		[CMD_DUMP] = sizeof(struct cmd_dump),
		[CMD_ADJ_SET] = sizeof(struct cmd_adj_set),
		[CMD_ADJ_DEL] = sizeof(struct cmd_adj_del),
		[CMD_HOP_ADD] = sizeof(struct cmd_hop_add),
		[CMD_HOP_REKEY] = sizeof(struct cmd_hop_rekey),
		[CMD_HOP_PATH] = sizeof(struct cmd_hop_path),
		[CMD_HOP_DEL] = sizeof(struct cmd_hop_del),
		[CMD_HOP_PING] = sizeof(struct cmd_hop_ping),
		[CMD_RULE_ADD] = sizeof(struct cmd_rule_add),
		[CMD_RULE_DEL] = sizeof(struct cmd_rule_del),
		[CMD_CONF_SET] = sizeof(struct cmd_conf_set)};
	unsigned seed = 20240501, answers = 0, sent = 0, ok = 0;
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	srandom(seed);
	for (int round = 0; round < 20000; round++) {
		_Alignas(8) uint8_t rec[512];
		uint16_t type = (uint16_t)(random() % 10 == 0 ? random() : 1 + random() % 12);
		uint32_t len = type < 13 && type > 0 && random() % 8 != 0
				       ? lens[type]
				       : 16 + (uint32_t)(random() % 62) * 8;
		fill(rec, type, len);
		if (type == CMD_CONF_SET)
			continue; // would only turn our own log up
		fix_send(&f, rec, type, len);
		sent++;
		if (round % 50 == 0) {
			fix_turn(&f, 10);
			while (fix_event(&f, 0, &e)) {
				if (e.h.type == EVT_DONE) {
					answers++;
					ok += e.done.status == 0;
				}
			}
		}
	}
	for (int i = 0; i < 200; i++) {
		fix_turn(&f, 10);
		while (fix_event(&f, 0, &e)) {
			if (e.h.type == EVT_DONE)
				answers++;
		}
	}
	if (answers != sent)
		fail_msg("seed=%u sent=%u answers=%u", seed, sent, answers);
	assert_true(ok > 100);
	fix_fini(&f);
}

static void nonsense_in_the_ring_is_dropped_and_the_next_command_served(void **state)
{
	struct fix f;
	struct cmd_rule_add r = fix_rule(1);
	uint32_t x = 42;

	fix_init(&f, -1);
	fix_hello(&f);
	for (int i = 0; i < 2000; i++) {
		for (uint32_t off = 0; off < f.cmd.size; off += 8) {
			x = x * 1664525 + 1013904223;
			memcpy(f.cmd.data + off, &x, sizeof(x));
		}
		atomic_store(&f.cmd.shm->head, (uint64_t)x * x);
		atomic_store(&f.cmd.shm->tail, (uint64_t)x * 77);
		fix_turn(&f, 0);
	}
	region_repair(&f.region, &f.rc);
	fix_turn(&f, 0);
	fix_ends(&f);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	fix_fini(&f);
}

static void log_level_and_idle_mode_are_set_by_name(void **state)
{
	struct fix f;
	struct cmd_conf_set m = {.key = CONF_LOG_LEVEL, .value = 1, .name = "ctl"};

	fix_init(&f, -1);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), 0);
	m.value = 99;
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), -EINVAL);
	m.value = 1;
	memset(m.name, 'x', sizeof(m.name)); // no NUL
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), -ENOENT);
	m.key = CONF_IDLE;
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), 0);
	m.value = 2;
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), -EINVAL);
	m.key = 3;
	assert_int_equal(fix_cmd(&f, &m, CMD_CONF_SET, sizeof(m)), -EINVAL);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_done_before_hello),
		cmocka_unit_test(wrong_lengths_types_and_flags_are_refused),
		cmocka_unit_test(rule_lives_and_its_end_is_told),
		cmocka_unit_test(idle_rule_expires_and_is_told),
		cmocka_unit_test(impossible_rules_are_refused),
		cmocka_unit_test(a_hop_moves_before_anything_else_is_done),
		cmocka_unit_test(the_old_owner_of_a_hop_is_heard_first),
		cmocka_unit_test(a_move_is_over_whoever_listens),
		cmocka_unit_test(adj_must_name_a_port_that_is_there),
		cmocka_unit_test(keys_are_wiped_in_the_ring_and_in_the_copy),
		cmocka_unit_test(secrets_of_cookies_are_taken_and_wiped),
		cmocka_unit_test(hop_add_tells_its_owner),
		cmocka_unit_test(random_commands_neither_crash_nor_go_unanswered),
		cmocka_unit_test(nonsense_in_the_ring_is_dropped_and_the_next_command_served),
		cmocka_unit_test(log_level_and_idle_mode_are_set_by_name),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
