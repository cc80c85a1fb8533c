// Who holds a route gets what comes by it: packets, pauses and the end of its rules; what nobody
// wants is counted, and rules that were closed go a little later.

#pragma GCC diagnostic ignored "-Wunused-function"
#include "controlplane/route/route_end.h"

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "tests/controlplane/route/fake_dp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

struct holder {
	struct route_end end;
	bool refuses;
	struct holder *ends_too; // by whoever hears of the end
	unsigned n_packets, n_gone, n_pauses;
	bool paused;
};

static struct loop *loop;
static struct route_ends *ends;
static struct holder a, b;
static uint32_t deleted[16];
static size_t n_deleted;
static int del_errno;
static unsigned n_refused;

struct rule_job *rule_mgr_del(
	struct rule_mgr *r, const uint32_t *ids, size_t n, rule_done_fn done, void *arg)
{
	if (del_errno != 0) {
		n_refused++;
		return errno_null(del_errno);
	}
	assert_true(n_deleted + n <= ARRAY_LEN(deleted));
	memcpy(deleted + n_deleted, ids, n * sizeof(*ids));
	n_deleted += n;
	return (struct rule_job *)&deleted;
}

static bool on_packet(void *arg, uint8_t *packet, size_t len)
{
	struct holder *h = arg;

	if (h->refuses)
		return false;
	packet[0]++;
	h->n_packets++;
	return true;
}

static void on_gone(void *arg, const struct evt_rule *r)
{
	struct holder *h = arg;

	h->n_gone++;
	if (h->ends_too == NULL)
		return;
	route_ends_unbind(ends, &h->ends_too->end);
	free(h->ends_too);
	h->ends_too = NULL;
}

static void on_pause(void *arg, bool paused)
{
	struct holder *h = arg;

	h->n_pauses++;
	h->paused = paused;
}

static const struct route_end_ops ops = {on_packet, on_gone, on_pause};

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
}

static int setup(void **state)
{
	log_sink_set(no_log, NULL);
	memset(&fake, 0, sizeof(fake));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.end.ops = b.end.ops = &ops;
	a.end.arg = &a;
	b.end.arg = &b;
	n_deleted = 0;
	del_errno = 0;
	n_refused = 0;
	loop = loop_new();
	ends = route_ends_new(loop, &fake, NULL);
	return loop == NULL || ends == NULL;
}

static int teardown(void **state)
{
	route_ends_unbind(ends, &a.end);
	route_ends_unbind(ends, &b.end);
	route_ends_free(ends);
	loop_free(loop);
	assert_null(fake.handlers);
	return 0;
}

static void packet(uint32_t id, uint16_t type)
{
	static _Alignas(struct msg_route) uint8_t record[sizeof(struct msg_route) + 8];
	struct msg_route *r = (struct msg_route *)record;

	*r = (struct msg_route){.h.type = type, .id = id};
	FAKE_EACH(on_route, 0, r, 8);
}

// Their ids share a bucket.
static void bind_both(void)
{
	route_ends_bind(ends, &a.end, 5, 6);
	route_ends_bind(ends, &b.end, 5 + (1 << 20), 6 + (1 << 20));
}

static void packets_go_to_who_holds_the_rule(void **state)
{
	bind_both();
	packet(6, UP_ROUTE);
	packet(6 + (1 << 20), UP_ROUTE);
	packet(6 + (1 << 20), UP_ROUTE);
	assert_int_equal(a.n_packets, 1);
	assert_int_equal(b.n_packets, 2);
	assert_int_equal(route_ends_strays(ends), 0);
	packet(5, UP_ROUTE); // nobody's consume rule
	packet(6 + (2 << 20), UP_ROUTE);
	packet(6, UP_CONTROL);
	b.refuses = true;
	packet(6 + (1 << 20), UP_ROUTE);
	route_ends_unbind(ends, &a.end);
	route_ends_unbind(ends, &a.end);
	packet(6, UP_ROUTE);
	assert_int_equal(route_ends_strays(ends), 5);
	assert_int_equal(a.n_packets, 1);
}

// Who hears of an end may end the one that is next in the bucket.
static void an_end_may_take_others_along(void **state)
{
	struct evt_rule gone = {.h.type = EVT_RULE_GONE};

	for (unsigned consume = 0; consume < 2; consume++) {
		b.ends_too = calloc(1, sizeof(*b.ends_too));
		assert_non_null(b.ends_too);
		b.ends_too->end.ops = &ops;
		route_ends_bind(ends, &b.ends_too->end, 5, 6);
		route_ends_bind(ends, &b.end, 5 + (1 << 20), 6 + (1 << 20));
		gone.id = (consume ? 6 : 5) + (1 << 20);
		FAKE_EACH(on_rule_gone, &gone);
		assert_int_equal(b.n_gone, 1 + consume);
		assert_null(b.ends_too);
	}
}

static void each_hears_of_its_rules(void **state)
{
	struct evt_rule r = {.id = 5};
	struct evt_route_pause p = {.id = 5, .paused = 1};

	bind_both();
	FAKE_EACH(on_rule_gone, &r);
	r.id = 6;
	FAKE_EACH(on_rule_gone, &r);
	assert_int_equal(a.n_gone, 2);
	FAKE_EACH(on_route_pause, &p);
	assert_true(a.paused);
	p.paused = 0;
	p.hop = 9; // not about what we send
	FAKE_EACH(on_route_pause, &p);
	p.hop = 0;
	p.id = 6;
	FAKE_EACH(on_route_pause, &p);
	assert_true(a.paused && a.n_pauses == 1);
	r = (struct evt_rule){.id = 5, .type = RULE_FORWARD};
	FAKE_EACH(on_rule, &r); // an event got lost
	assert_false(a.paused);
	assert_int_equal(b.n_gone + b.n_pauses, 0);
}

static void two_may_hold_the_same(void **state)
{
	struct evt_rule r = {.id = 5};

	route_ends_bind(ends, &a.end, 5, 6);
	route_ends_bind(ends, &b.end, 5, 6);
	b.refuses = true;
	packet(6, UP_ROUTE);
	assert_int_equal(a.n_packets, 1);
	FAKE_EACH(on_rule_gone, &r);
	assert_true(a.n_gone == 1 && b.n_gone == 1);
	route_ends_bind(ends, &b.end, 7, 8);
	FAKE_EACH(on_rule_gone, &r);
	assert_true(a.n_gone == 2 && b.n_gone == 1);
}

static void until(size_t n)
{
	for (int i = 0; i < 3000 && n_deleted < n; i++) {
		loop_turn(loop);
		usleep(1000);
	}
	assert_int_equal(n_deleted, n);
}

static void closed_rules_go_later(void **state)
{
	route_ends_remove(ends, 5);
	loop_turn(loop);
	assert_int_equal(n_deleted, 0);
	until(1);
	assert_int_equal(deleted[0], 5);
	route_ends_remove(ends, 6);
	del_errno = EBUSY;
	for (int i = 0; i < 3000 && n_refused == 0; i++) {
		loop_turn(loop);
		usleep(1000);
	}
	assert_true(n_refused > 0);
	route_ends_remove(ends, 7);
	assert_int_equal(n_deleted, 1);
	del_errno = 0;
	until(3);
	assert_int_equal(deleted[1], 6);
	assert_int_equal(deleted[2], 7);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(packets_go_to_who_holds_the_rule),
		TEST(an_end_may_take_others_along),
		TEST(each_hears_of_its_rules),
		TEST(two_may_hold_the_same),
		TEST(closed_rules_go_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
