// The main lcore's loop against a control plane that dumps, sleeps, lags, dies and comes back.

#include "tests/dataplane/ctl/ctl_fixture.h"

#include "dataplane/io/port_priv.h"
#include "tests/support/eal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// ---- dumps ----

static void dump_tells_everything_then_is_done(void **state)
{
	struct cmd_dump d = {.what = DUMP_ALL};
	unsigned n[256] = {0};
	union fix_evt e;
	struct fix f;
	uint64_t cookie;

	fix_init(&f, -1);
	fix_hello(&f);
	for (uint32_t i = 1; i <= 40; i++) {
		struct cmd_rule_add r = fix_rule(i);

		assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	}
	for (uint32_t i = 1; i <= 3; i++) {
		struct cmd_hop_add h = fix_hop(i);

		assert_int_equal(fix_cmd(&f, &h, CMD_HOP_ADD, sizeof(h)), 0);
	}
	cookie = fix_send(&f, &d, CMD_DUMP, sizeof(d));
	for (int i = 0; i < 100 && n[EVT_DONE] == 0; i++) {
		fix_turn(&f, 0);
		while (fix_event(&f, 0, &e)) {
			n[e.h.type & 0xff]++;
			assert_int_equal(e.h.cookie, cookie);
		}
	}
	assert_int_equal(n[EVT_PORT], 1);
	assert_int_equal(n[EVT_WORKER], FIX_WORKERS);
	assert_int_equal(n[EVT_ADJ], 0);
	assert_int_equal(n[EVT_HOP], 3);
	assert_int_equal(n[EVT_RULE], 40);
	assert_int_equal(n[EVT_DONE], 1);
	fix_fini(&f);
}

static void dump_of_some_rules_keeps_to_its_bounds(void **state)
{
	static const struct {
		uint32_t first, max, count;
	} cases[] = {{0, 0, 40}, {0, 7, 7}, {10, 0, 31}, {10, 5, 5}, {41, 0, 0}, {5000, 0, 0},
		{0xffffffff, 0xffffffff, 0}};
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	for (uint32_t i = 1; i <= 40; i++) {
		struct cmd_rule_add r = fix_rule(i);

		assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cmd_dump d = {.what = DUMP_RULES,
			.first_rule = cases[i].first,
			.max_rules = cases[i].max};
		unsigned n = 0;
		bool done = false;

		fix_send(&f, &d, CMD_DUMP, sizeof(d));
		for (int t = 0; t < 100 && !done; t++) {
			fix_turn(&f, 0);
			while (fix_event(&f, 0, &e)) {
				n += e.h.type == EVT_RULE;
				done = done || e.h.type == EVT_DONE;
			}
		}
		assert_true(done);
		assert_int_equal(n, cases[i].count);
	}
	fix_fini(&f);
}

static void dumps_wait_in_line_and_too_many_are_refused(void **state)
{
	struct cmd_dump d = {.what = DUMP_RULES};
	unsigned done = 0, busy = 0;
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	for (int i = 0; i < CTL_DUMPS_MAX + 3; i++)
		fix_send(&f, &d, CMD_DUMP, sizeof(d));
	for (int t = 0; t < 200; t++) {
		fix_turn(&f, 0);
		while (fix_event(&f, EVT_DONE, &e)) {
			done += e.done.status == 0;
			busy += e.done.status == -EBUSY;
		}
	}
	assert_int_equal(done, CTL_DUMPS_MAX);
	assert_int_equal(busy, 3);
	d.what = 0;
	assert_int_equal(fix_cmd(&f, &d, CMD_DUMP, sizeof(d)), -EINVAL);
	d.what = 32;
	assert_int_equal(fix_cmd(&f, &d, CMD_DUMP, sizeof(d)), -EINVAL);
	fix_fini(&f);
}

// ---- a control plane that does not read ----

static void no_answer_is_lost_when_nobody_reads(void **state)
{
	struct cmd_rule_del d = {.id = 4711};
	unsigned sent = 0, answered = 0;
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	// many more than the event ring holds: they wait in the command ring
	for (int turn = 0; turn < 300; turn++) {
		while (ring_w_room(&f.cmd) > 1024) {
			fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
			sent++;
		}
		fix_turn(&f, 0);
	}
	assert_true(sent > f.evt.size / sizeof(struct evt_done));
	for (int turn = 0; turn < 300; turn++) {
		while (fix_event(&f, EVT_DONE, &e)) {
			assert_int_equal(e.done.status, -ENOENT);
			answered++;
		}
		fix_turn(&f, 0);
	}
	assert_int_equal(answered, sent);
	fix_fini(&f);
}

static void it_sleeps_while_commands_wait(void **state)
{
	struct cmd_hop_add link = fix_hop(1);
	struct cmd_hop_move move = {.hop = link.hop, .worker = 0};
	struct cmd_rule_del d = {.id = 4711};
	union fix_evt e;
	struct fix f;

	fix_init(&f, -1);
	fix_hello(&f);
	assert_true(ctl_nap_ns(f.ctl) > 0);
	while (ctl_room_for_answer(f.ctl)) {
		fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
		assert_int_equal(ctl_nap_ns(f.ctl), 0); // it came since the last turn
		fix_turn(&f, 0);
	}
	fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
	fix_turn(&f, 0);
	assert_true(ctl_nap_ns(f.ctl) > 0); // for room
	while (fix_event(&f, EVT_DONE, &e))
		;
	assert_int_equal(ctl_nap_ns(f.ctl), 0);
	fix_turn(&f, 0);
	assert_true(ctl_nap_ns(f.ctl) > 0);

	assert_int_equal(fix_cmd(&f, &link, CMD_HOP_ADD, sizeof(link)), 0);
	fix_turn(&f, 1);
	fix_send(&f, &move, CMD_HOP_MOVE, sizeof(move));
	ctl_turn(f.ctl, f.now_ns);
	assert_true(f.ctl->moving);
	fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
	assert_int_equal(ctl_nap_ns(f.ctl), 0);
	ctl_turn(f.ctl, f.now_ns);
	assert_true(ctl_nap_ns(f.ctl) > 0); // for workers
	fix_fini(&f);
}

static void lost_events_raise_the_flag(void **state)
{
	struct evt_rule gone = {.id = 1};
	struct fix f;
	int n = 0;

	fix_init(&f, -1);
	fix_hello(&f);
	while (atomic_load(&f.region.hdr->evt_overflow) == 0 && n < 100000) {
		ctl_on_rule_gone(f.ctl, &gone);
		n++;
	}
	assert_true(n > 500 && n < 100000);
	// answers still have room
	struct cmd_rule_del d = {.id = 4711};
	fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
	fix_turn(&f, 0);
	union fix_evt e;
	assert_true(fix_event(&f, EVT_DONE, &e));
	fix_fini(&f);
}

// ---- the door bell ----

static bool rang(struct fix *f)
{
	uint64_t n;

	return read(f->region.bell_cp, &n, sizeof(n)) == sizeof(n);
}

static void bell_rings_only_for_a_sleeper_with_something_to_read(void **state)
{
	struct cmd_rule_del d = {.id = 1};
	struct fix f;
	size_t len;
	struct ring_shm *shm;
	struct ring_w up;
	uint32_t rec_len = 24;

	fix_init(&f, -1);
	fix_hello(&f);
	f.ctl->control_fd = dup(f.region.bell_cp); // some connection: one is attached
	fix_turn(&f, 0);
	atomic_store(&f.region.hdr->cp_sleeping, 1);
	fix_turn(&f, 0);
	assert_false(rang(&f)); // nothing to read
	assert_int_equal(atomic_load(&f.region.hdr->cp_sleeping), 1);
	fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
	fix_turn(&f, 0);
	assert_true(rang(&f)); // an answer
	assert_int_equal(atomic_load(&f.region.hdr->cp_sleeping), 0);
	fix_turn(&f, 0);
	assert_false(rang(&f)); // awake: it reads by itself
	union fix_evt e;
	while (fix_event(&f, 0, &e))
		;
	// a worker's ring counts too, though the worker does nothing about it
	shm = fix_ring(&f, f.region.hdr->up_off[1], &len);
	assert_int_equal(ring_w_attach(&up, shm, len), 0);
	atomic_store(&f.region.hdr->cp_sleeping, 1);
	memcpy(ring_w_reserve(&up, rec_len), &rec_len, sizeof(rec_len));
	ring_w_publish(&up);
	fix_turn(&f, 0);
	assert_true(rang(&f));
	fix_fini(&f);
}

// After a worker sent something up, to a control plane that sleeps or not.
static void turn_after(struct fix *f, struct ring_w *up, bool sleeping)
{
	uint32_t rec_len = 24;

	memcpy(ring_w_reserve(up, rec_len), &rec_len, sizeof(rec_len));
	ring_w_publish(up);
	atomic_store(&f->region.hdr->cp_sleeping, sleeping);
	ctl_turn(f->ctl, f->now_ns += 1000000);
}

static void it_naps_shortly_for_workers_that_do_not_ring(void **state)
{
	struct ring_w up;
	struct fix f;
	size_t len;
	struct ring_shm *shm;
	struct wctx *w;
	uint64_t before;

	fix_init(&f, -1);
	fix_hello(&f);
	f.ctl->control_fd = dup(0);
	shm = fix_ring(&f, f.region.hdr->up_off[1], &len);
	assert_int_equal(ring_w_attach(&up, shm, len), 0);
	w = worker_ctx(f.workers, 1);
	w->n_rxq = 0; // the device always has something
	for (unsigned i = 0; i < 3; i++)
		worker_pass(w); // so few idle turns that it does not ring
	assert_int_equal(worker_set_bells(f.workers, 1), 0);
	turn_after(&f, &up, true);
	assert_true(rang(&f));
	assert_int_equal(f.ctl->up_ns, f.now_ns);
	before = f.now_ns;
	worker_pass(w);
	assert_int_equal(worker_set_bells(f.workers, 1), 1);
	turn_after(&f, &up, true);
	assert_true(rang(&f));
	assert_int_equal(f.ctl->up_ns, before);
	turn_after(&f, &up, false);
	assert_int_equal(f.ctl->up_ns, before); // nobody sleeps
	turn_after(&f, &up, true);
	assert_int_equal(f.ctl->up_ns, f.now_ns); // it has not rung since then
	worker_set_idle(f.workers, IDLE_POLL);
	for (unsigned i = 0; i < 10; i++)
		worker_pass(w);
	turn_after(&f, &up, true);
	assert_int_equal(f.ctl->up_ns, f.now_ns);
	fix_fini(&f);
}

// ---- control planes that come and go ----

struct client {
	pthread_t thread;
	char path[96];
	uint32_t what;
	struct region r;
	int result;
	_Atomic bool done;
};

static void *client_main(void *arg)
{
	struct client *c = arg;

	c->result = region_attach(&c->r, c->path, c->what);
	atomic_store(&c->done, true);
	return NULL;
}

static int attach(struct fix *f, struct client *c, const char *path, uint32_t what)
{
	c->done = false;
	c->what = what;
	snprintf(c->path, sizeof(c->path), "%s", path);
	assert_int_equal(pthread_create(&c->thread, NULL, client_main, c), 0);
	while (!atomic_load(&c->done)) {
		f->now_ns += 1000;
		ctl_turn(f->ctl, f->now_ns);
		ctl_sock_turn(f->ctl, 1000000);
	}
	pthread_join(c->thread, NULL);
	return c->result;
}

static void serve_until_detached(struct fix *f)
{
	for (int i = 0; i < 1000 && f->ctl->control_fd >= 0; i++)
		ctl_sock_turn(f->ctl, 1000000);
	assert_int_equal(f->ctl->control_fd, -1);
}

// A data plane that listens.
struct place {
	char dir[32], path[64];
	int fd;
};

static void listen_init(struct fix *f, struct place *at)
{
	snprintf(at->dir, sizeof(at->dir), "/tmp/skyrail-ctl-XXXXXX");
	assert_non_null(mkdtemp(at->dir));
	snprintf(at->path, sizeof(at->path), "%s/dp.sock", at->dir);
	at->fd = region_listen(at->path);
	assert_true(at->fd >= 0);
	fix_init(f, at->fd);
}

static void listen_fini(struct fix *f, const struct place *at)
{
	fix_fini(f);
	close(at->fd);
	unlink(at->path);
	rmdir(at->dir);
}

static void control_planes_come_one_at_a_time(void **state)
{
	struct place at;
	struct client a = {0}, b = {0}, tool = {0};
	struct fix f;

	listen_init(&f, &at);
	assert_int_equal(attach(&f, &a, at.path, REGION_ASK_CONTROL), 0);
	assert_int_equal(atomic_load(&a.r.hdr->attaches), 1);
	assert_int_equal(attach(&f, &b, at.path, REGION_ASK_CONTROL), -EBUSY);
	assert_int_equal(attach(&f, &tool, at.path, REGION_ASK_STATS), 0);
	assert_int_equal(atomic_load(&a.r.hdr->attaches), 1);
	region_close(&tool.r);
	region_close(&a.r);
	serve_until_detached(&f);
	assert_int_equal(attach(&f, &b, at.path, REGION_ASK_CONTROL), 0);
	assert_int_equal(atomic_load(&b.r.hdr->attaches), 2);
	region_close(&b.r);
	listen_fini(&f, &at);
}

// Nobody carries what would leave by them. A link of ours goes on.
static void carried_hops_go_with_their_control_plane(void **state)
{
	struct cmd_hop_add link = fix_hop(1), car;
	struct client a = {0}, b = {0};
	struct place at;
	struct fix f;

	listen_init(&f, &at);
	assert_int_equal(attach(&f, &a, at.path, REGION_ASK_CONTROL), 0);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &link, CMD_HOP_ADD, sizeof(link)), 0);
	for (uint32_t i = 10; i < 20; i++) {
		car = fix_carried(i);
		assert_int_equal(fix_cmd(&f, &car, CMD_HOP_ADD, sizeof(car)), 0);
	}
	fix_turn(&f, 1);
	assert_int_equal(hop_table_count(f.hops), 11);
	region_close(&a.r);
	serve_until_detached(&f);
	fix_turn(&f, 1);
	assert_int_equal(hop_table_count(f.hops), 1);
	car = fix_carried(30); // a command that it left in the ring
	fix_send(&f, &car, CMD_HOP_ADD, sizeof(car));
	assert_int_equal(attach(&f, &b, at.path, REGION_ASK_CONTROL), 0);
	fix_ends(&f);
	fix_hello(&f);
	assert_int_equal(hop_table_count(f.hops), 1);
	car = fix_carried(10); // the place is free again
	fix_turn(&f, 1);
	assert_int_equal(fix_cmd(&f, &car, CMD_HOP_ADD, sizeof(car)), 0);
	fix_turn(&f, 1);
	assert_int_equal(hop_table_count(f.hops), 2);
	region_close(&b.r);
	listen_fini(&f, &at);
}

static void successor_of_a_vandal_finds_rules_and_sound_rings(void **state)
{
	struct place at;
	struct cmd_rule_add r = fix_rule(7);
	struct client a = {0}, b = {0};
	struct fix f;

	listen_init(&f, &at);
	assert_int_equal(attach(&f, &a, at.path, REGION_ASK_CONTROL), 0);
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	memset(a.r.hdr, 0xee, a.r.rings_len); // everything it can reach
	for (int i = 0; i < 50; i++)
		fix_turn(&f, 1);
	region_close(&a.r);
	serve_until_detached(&f);
	assert_int_equal(attach(&f, &b, at.path, REGION_ASK_CONTROL), 0);
	fix_ends(&f);
	r.id = 8;
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), -EPROTO); // hello first
	fix_hello(&f);
	assert_int_equal(fix_cmd(&f, &r, CMD_RULE_ADD, sizeof(r)), 0);
	assert_int_equal(f.rules.n_live, 2);
	region_close(&b.r);
	listen_fini(&f, &at);
}

struct main_lcore {
	pthread_t thread;
	struct ctl *ctl;
	_Atomic bool stop;
};

static void *main_lcore_run(void *arg)
{
	struct main_lcore *m = arg;

	ctl_run(m->ctl, &m->stop);
	return NULL;
}

// It sent more commands than there is room for answers, and reads none.
static void who_never_reads_locks_nobody_out(void **state)
{
	struct cmd_rule_del d = {.id = 4711};
	struct client a = {0}, b = {0}, tool = {0};
	struct main_lcore m = {0};
	union fix_evt e;
	struct place at;
	struct fix f;

	listen_init(&f, &at);
	assert_int_equal(attach(&f, &a, at.path, REGION_ASK_CONTROL), 0);
	fix_hello(&f);
	while (ctl_room_for_answer(f.ctl)) {
		fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
		fix_turn(&f, 0);
	}
	fix_send(&f, &d, CMD_RULE_DEL, sizeof(d));
	m.ctl = f.ctl;
	assert_int_equal(pthread_create(&m.thread, NULL, main_lcore_run, &m), 0);
	assert_int_equal(region_attach(&tool.r, at.path, REGION_ASK_STATS), 0);
	region_close(&tool.r);
	region_close(&a.r);
	assert_int_equal(region_attach(&b.r, at.path, REGION_ASK_CONTROL), 0);
	atomic_store(&m.stop, true);
	pthread_join(m.thread, NULL);
	fix_ends(&f);
	while (fix_event(&f, 0, &e))
		; // not for the successor
	fix_hello(&f);
	region_close(&b.r);
	listen_fini(&f, &at);
}

static void silent_clients_do_not_keep_others_out(void **state)
{
	struct place at;
	struct client tool = {0};
	int silent[CTL_CONNS_MAX + 4];
	struct fix f;

	listen_init(&f, &at);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", at.path);
	for (int i = 0; i < CTL_CONNS_MAX + 4; i++) {
		silent[i] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		assert_true(silent[i] >= 0);
		assert_int_equal(connect(silent[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
		ctl_sock_turn(f.ctl, 0);
	}
	f.now_ns += 2000000000; // their patience is over
	ctl_turn(f.ctl, f.now_ns);
	assert_int_equal(attach(&f, &tool, at.path, REGION_ASK_STATS), 0);
	region_close(&tool.r);
	for (int i = 0; i < CTL_CONNS_MAX + 4; i++)
		close(silent[i]);
	listen_fini(&f, &at);
}

// ---- links and statistics ----

static void a_link_of_another_speed_bounds_naps_anew(void **state)
{
	static const struct port_driver nic = {.name = "", .wire = true};
	const struct wctx *w;
	struct port *p;
	struct fix f;

	fix_init(&f, -1);
	w = worker_ctx(f.workers, 0);
	p = &f.ports->p[0];
	assert_int_equal(w->nap_max_ns, 0);
	p->driver = &nic;
	fix_turn(&f, 300);
	assert_int_equal(w->nap_max_ns, 0); // nothing has changed
	p->speed_mbps = 0; // until the device is asked
	fix_turn(&f, 300);
	assert_int_equal(w->nap_max_ns, p->n_rxd / 2 * 672 * 1000ull / p->speed_mbps);
	fix_fini(&f);
}

static void statistics_tell_versions_pools_and_beat(void **state)
{
	struct stats_hdr *s;
	struct fix f;

	fix_init(&f, -1);
	s = f.region.stats;
	fix_turn(&f, 0);
	fix_turn(&f, 3000);
	assert_true(stat_get(&s->mbufs_total) > 0);
	assert_int_equal(stat_get(&s->beat), 3);
	assert_string_equal(s->program, SKYRAIL_VERSION);
	assert_true(s->tsc_hz > 1000000);
	assert_string_equal(stats_port(s, 0)->name, "wan");
	assert_int_equal(stats_port(s, 0)->used, 1);
	assert_string_equal(s->ciphers, "chacha20-poly1305");
	assert_string_equal(s->aead, "libsodium");
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dump_tells_everything_then_is_done),
		cmocka_unit_test(dump_of_some_rules_keeps_to_its_bounds),
		cmocka_unit_test(dumps_wait_in_line_and_too_many_are_refused),
		cmocka_unit_test(no_answer_is_lost_when_nobody_reads),
		cmocka_unit_test(it_sleeps_while_commands_wait),
		cmocka_unit_test(lost_events_raise_the_flag),
		cmocka_unit_test(bell_rings_only_for_a_sleeper_with_something_to_read),
		cmocka_unit_test(it_naps_shortly_for_workers_that_do_not_ring),
		cmocka_unit_test(control_planes_come_one_at_a_time),
		cmocka_unit_test(carried_hops_go_with_their_control_plane),
		cmocka_unit_test(successor_of_a_vandal_finds_rules_and_sound_rings),
		cmocka_unit_test(who_never_reads_locks_nobody_out),
		cmocka_unit_test(silent_clients_do_not_keep_others_out),
		cmocka_unit_test(a_link_of_another_speed_bounds_naps_anew),
		cmocka_unit_test(statistics_tell_versions_pools_and_beat),
	};

	test_eal_init(NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
