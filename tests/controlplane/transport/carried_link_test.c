// What is kept for peers that take nothing.

#include "controlplane/transport/carried_link.h"

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/wire/route_hdr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LINKS = 3, PACKET = ROUTE_HDR_LEN + 1000, MAX = 10 * PACKET };

// A conn that takes `room` bytes.
struct deaf {
	struct conn base;
	size_t room, took;
	struct carried_link *link;
	unsigned ends, blocks, unblocks, controls, packets;
	int err;
	bool closed;
	bool closes; // its link when it hears of the end
};

static struct loop *l;
static struct carried_links *ls;
static struct deaf d[LINKS];
static uint8_t packet[PACKET];

static ssize_t deaf_write(struct conn *c, const void *p, size_t len)
{
	struct deaf *x = (struct deaf *)c;
	size_t n = len < x->room ? len : x->room;

	(void)p;
	x->room -= n;
	x->took += n;
	return (ssize_t)n;
}

static void deaf_resume(struct conn *c)
{
	(void)c;
}

static void deaf_close(struct conn *c)
{
	((struct deaf *)c)->closed = true;
}

static const struct conn_ops deaf_ops = {
	.write = deaf_write, .shutdown = deaf_resume, .resume = deaf_resume, .close = deaf_close};

static bool on_packet(void *arg, const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	((struct deaf *)arg)->packets++;
	return true;
}

static void on_control(void *arg, const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	((struct deaf *)arg)->controls++;
}

static void on_blocked(void *arg, bool blocked)
{
	struct deaf *x = arg;

	x->blocks += blocked;
	x->unblocks += !blocked;
}

static void on_end(void *arg, int err)
{
	struct deaf *x = arg;

	x->ends++;
	x->err = err;
	if (x->closes) {
		carried_link_close(x->link);
		x->link = NULL;
	}
}

static const struct carried_link_events events = {
	.packet = on_packet, .control = on_control, .blocked = on_blocked, .end = on_end};

static int setup(void **state)
{
	(void)state;
	memset(d, 0, sizeof(d));
	route_hdr_put(packet, ROUTE_DATA, 7, PACKET - ROUTE_HDR_LEN);
	l = loop_new();
	ls = carried_links_new(l, MAX);
	assert_non_null(ls);
	for (unsigned i = 0; i < LINKS; i++) {
		d[i].base.ops = &deaf_ops;
		d[i].link = carried_link_new(ls, &d[i].base, &events, &d[i]);
		assert_non_null(d[i].link);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LINKS; i++) {
		carried_link_close(d[i].link);
		assert_true(d[i].closed);
	}
	carried_links_free(ls);
	loop_free(l);
	return 0;
}

static void put(struct deaf *x, unsigned n)
{
	while (n-- > 0)
		assert_int_equal(carried_link_put(x->link, packet, sizeof(packet)), 0);
	carried_links_flush(ls);
}

static void who_keeps_most_ends_when_all_is_too_much(void **state)
{
	(void)state;
	put(&d[0], 3);
	put(&d[1], 5);
	put(&d[2], 2); // exactly what may be kept
	assert_int_equal(d[0].ends + d[1].ends + d[2].ends, 0);
	put(&d[0], 1);
	assert_int_equal(d[1].ends, 1);
	assert_int_equal(d[1].err, -ENOBUFS);
	assert_int_equal(d[0].ends + d[2].ends, 0);
	assert_int_equal(carried_link_unsent(d[1].link), 0);
	assert_int_equal(carried_link_unsent(d[0].link), 4 * PACKET);
	put(&d[2], 4); // there is room again: 10
	assert_int_equal(d[0].ends + d[2].ends, 0);
}

// Its bytes would not go on where they broke off.
static void one_that_ended_writes_nothing_more(void **state)
{
	(void)state;
	d[0].room = 100;
	put(&d[0], 11);
	assert_int_equal(d[0].ends, 1);
	assert_int_equal(d[0].took, 100);
	d[0].room = SIZE_MAX;
	d[0].base.ev->drain(d[0].base.arg);
	assert_int_equal(carried_link_put(d[0].link, packet, sizeof(packet)), -EBADMSG);
	carried_link_say(d[0].link, packet, sizeof(packet));
	carried_links_flush(ls);
	assert_int_equal(d[0].took, 100);
	assert_int_equal(d[0].unblocks, 0);
	assert_int_equal(d[0].ends, 1);
	put(&d[1], 10); // nothing of it is counted any more
	assert_int_equal(d[1].ends, 0);
}

static void one_may_be_closed_when_it_ends(void **state)
{
	(void)state;
	d[0].closes = true;
	put(&d[0], 30);
	assert_int_equal(d[0].ends, 1);
	assert_null(d[0].link);
	put(&d[1], 10);
	assert_int_equal(d[1].ends, 0);
}

static void what_is_written_makes_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		put(&d[0], 10);
		assert_int_equal(d[0].blocks, i + 1);
		d[0].room = 10 * PACKET;
		d[0].base.ev->drain(d[0].base.arg);
		assert_int_equal(d[0].unblocks, i + 1);
		d[0].room = 0;
	}
	assert_int_equal(d[0].ends, 0);
	assert_int_equal(d[0].took, 50 * PACKET);
}

static void what_is_no_packet_leaves_nothing(void **state)
{
	uint8_t wrong[PACKET];

	(void)state;
	memcpy(wrong, packet, sizeof(wrong));
	put(&d[0], 1);
	assert_int_equal(carried_link_put(d[0].link, wrong, sizeof(wrong) - 1), -EBADMSG);
	assert_int_equal(carried_link_put(d[0].link, wrong, ROUTE_HDR_LEN - 1), -EBADMSG);
	assert_int_equal(carried_link_unsent(d[0].link), PACKET);
	d[0].room = SIZE_MAX;
	d[0].base.ev->drain(d[0].base.arg);
	assert_int_equal(d[0].took, PACKET);
}

static uint64_t now_ns;

static uint64_t mono(void)
{
	return now_ns;
}

// n of its own packets, and one of a route behind them.
static void come(struct deaf *x, unsigned n)
{
	uint8_t own[ROUTE_HDR_LEN + ROUTE_TP_PING_LEN] = {0}, of_route[ROUTE_HDR_LEN];

	route_hdr_put(own, ROUTE_TP_PING, 0, ROUTE_TP_PING_LEN);
	route_hdr_put(of_route, ROUTE_KEEP_ALIVE, 7, 0);
	while (n-- > 0)
		assert_int_equal(x->base.ev->data(x->base.arg, own, sizeof(own)), sizeof(own));
	assert_int_equal(
		x->base.ev->data(x->base.arg, of_route, sizeof(of_route)), sizeof(of_route));
}

static void its_own_packets_have_a_rate(void **state)
{
	static const struct clock_source src = {mono, mono};

	(void)state;
	now_ns = CLOCK_NS_PER_S;
	clock_source_set(&src);
	carried_link_read(d[0].link, true);
	carried_link_read(d[1].link, true);
	come(&d[0], 300);
	assert_int_equal(d[0].controls, 128);
	assert_int_equal(d[0].packets, 1); // those of routes pass
	assert_int_equal(carried_links_flood(ls), 172);
	come(&d[1], 100); // another's is its own
	assert_int_equal(d[1].controls, 100);
	now_ns += CLOCK_NS_PER_S;
	come(&d[0], 100);
	assert_int_equal(d[0].controls, 128 + 32);
	assert_int_equal(carried_links_flood(ls), 172 + 68);
	clock_source_set(NULL);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_keeps_most_ends_when_all_is_too_much),
		T(one_that_ended_writes_nothing_more),
		T(one_may_be_closed_when_it_ends),
		T(what_is_written_makes_room),
		T(what_is_no_packet_leaves_nothing),
		T(its_own_packets_have_a_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
