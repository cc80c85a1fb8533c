// Joining packets of a burst: what is joined can be cut into the very packets that came.
#include "lib/link/gro.h"

#include "lib/base/err.h"
#include "tests/support/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ALL = GSO_TCP4 | GSO_TCP6 | GSO_UDP4 | GSO_UDP6 };

struct came {
	void *owner;
	struct gso_pkt g;
	uint8_t p[65536];
};

static struct gro *gro;
static struct came came[16];
static unsigned n_came;
static uint8_t p[65536], q[65536];
static int dev[2]; // their addresses are the owners

static void on_out(void *arg, void *owner, const struct gso_pkt *g)
{
	struct came *c = &came[n_came++];

	assert_true(n_came <= ARRAY_LEN(came));
	c->owner = owner;
	c->g = *g;
	memcpy(c->p, g->p, g->len);
	c->g.p = c->p;
}

static int setup(void **state)
{
	n_came = 0;
	gro = gro_init(malloc(gro_mem_size()), on_out, NULL);
	return 0;
}

static int teardown(void **state)
{
	free(gro);
	return 0;
}

static bool add(const struct packet *k)
{
	return gro_add(gro, &dev[0], ALL, p, packet_make(p, k));
}

// n packets in sequence, the last one shorter by `less`.
static void add_run(struct packet k, unsigned n, uint16_t less)
{
	for (unsigned i = 0; i < n; i++) {
		if (i == n - 1)
			k.payload -= less;
		assert_true(add(&k));
		k.seq += k.payload;
		k.id++;
	}
}

static void joins_a_run_and_it_can_be_cut_again(void **state)
{
	static const struct packet kinds[] = {{.version = 4,
						      .seq = 0xffffff00u,
						      .options = 12,
						      .fragmentable = true,
						      .id = 65534},
		{.version = 6, .options = 12}, {.version = 4, .udp = true},
		{.version = 6, .udp = true, .seq = 4}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct packet k = kinds[i];
		struct gso_cut c;
		ptrdiff_t len;

		n_came = 0;
		k.payload = 1200;
		add_run(k, 20, 200);
		assert_int_equal(n_came, 0);
		gro_flush(gro);
		assert_int_equal(n_came, 1);
		assert_int_equal(came[0].g.size, 1200);
		assert_int_equal(came[0].g.n, 20);
		gso_complete(&came[0].g, came[0].p);
		assert_true(packet_is_right(came[0].p, came[0].g.len));
		gso_cut_begin(&c, &came[0].g);
		for (int s = 0; (len = gso_cut_next(&c, q, sizeof(q))) > 0; s++) {
			k.payload = s < 19 ? 1200 : 1000;
			assert_int_equal(len, packet_make(p, &k));
			assert_memory_equal(q, p, (size_t)len);
			k.seq += k.payload;
			k.id++;
		}
	}
}

static void a_packet_alone_comes_out_as_it_came(void **state)
{
	struct packet k = {.version = 4, .payload = 100};

	assert_true(add(&k));
	gro_flush(gro);
	assert_int_equal(n_came, 1);
	assert_int_equal(came[0].g.size, 0);
	assert_ptr_equal(came[0].owner, &dev[0]);
	assert_memory_equal(came[0].p, p, packet_make(p, &k));
	gro_flush(gro);
	assert_int_equal(n_came, 1);
}

static void what_does_not_continue_its_flow_ends_it(void **state)
{
	static const struct {
		const char *what;
		struct packet k;
	} next[] = {
		{"a gap", {.version = 4, .payload = 100, .seq = 300}},
		{"an old one", {.version = 4, .payload = 100, .seq = 0}},
		{"a longer one", {.version = 4, .payload = 101, .seq = 200}},
		{"other options", {.version = 4, .payload = 100, .seq = 200, .options = 4}},
		{"a fragmentable one",
			{.version = 4, .payload = 100, .seq = 200, .fragmentable = true}},
		{"a FIN", {.version = 4,
				  .payload = 100,
				  .seq = 200,
				  .flags = PACKET_ACK | PACKET_FIN}},
		{"a CWR", {.version = 4,
				  .payload = 100,
				  .seq = 200,
				  .flags = PACKET_ACK | PACKET_CWR}},
		{"nothing but an ACK", {.version = 4, .seq = 200}},
	};
	struct packet first = {.version = 4, .payload = 100};

	for (size_t i = 0; i < ARRAY_LEN(next); i++) {
		n_came = 0;
		add_run(first, 2, 0);
		add(&next[i].k);
		if (n_came != 1 || came[0].g.n != 2)
			fail_msg("%s", next[i].what);
		gro_flush(gro);
		assert_true(n_came <= 2);
	}
}

static void a_push_or_a_shorter_one_is_the_last(void **state)
{
	struct packet k = {.version = 4, .payload = 100};
	struct packet push = {
		.version = 4, .payload = 100, .seq = 200, .flags = PACKET_ACK | PACKET_PSH};
	struct packet after = {.version = 4, .payload = 100, .seq = 300};

	add_run(k, 2, 0);
	assert_true(add(&push));
	assert_true(add(&after));
	assert_int_equal(n_came, 1);
	assert_int_equal(came[0].g.n, 3);
	assert_int_equal(came[0].p[33], PACKET_ACK | PACKET_PSH);
	gro_flush(gro);
	n_came = 0;
	add_run(k, 3, 50);
	after.seq = 250;
	assert_true(add(&after));
	assert_int_equal(n_came, 1);
	assert_int_equal(came[0].g.len, 40 + 250);
	gro_flush(gro);
}

static void a_wrong_checksum_is_not_covered_up(void **state)
{
	struct packet k = {.version = 4, .payload = 100, .seq = 200};
	struct packet first = {.version = 4, .payload = 100};
	size_t len;

	for (int at = 10; at < 140; at += 65) { // of the header, of the payload
		n_came = 0;
		add_run(first, 2, 0);
		len = packet_make(p, &k);
		p[at] ^= 1;
		assert_false(gro_add(gro, &dev[0], ALL, p, len));
		assert_int_equal(n_came, 1); // what was before it goes before it
	}
}

static void flows_and_devices_are_apart(void **state)
{
	struct packet a = {.version = 4, .payload = 100};
	struct packet b = {.version = 4, .payload = 100, .port = 2000};

	for (int i = 0; i < 3; i++) {
		assert_true(add(&a));
		assert_true(add(&b));
		assert_true(gro_add(gro, &dev[1], ALL, p, packet_make(p, &a)));
		a.seq += 100;
		b.seq += 100;
	}
	gro_flush(gro);
	assert_int_equal(n_came, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(came[i].g.n, 3);
	assert_ptr_equal(came[2].owner, &dev[1]);
	// a device that takes no UDP gets it as it came
	b.udp = true;
	assert_false(gro_add(gro, &dev[0], GSO_TCP4, p, packet_make(p, &b)));
}

static void the_oldest_flow_gives_way(void **state)
{
	struct packet k = {.version = 4, .payload = 100};

	for (unsigned i = 0; i < GRO_FLOWS + 2; i++) {
		k.port = (uint16_t)(100 + i);
		assert_true(add(&k));
	}
	assert_int_equal(n_came, 2);
	assert_int_equal(came[0].p[21], 100);
	assert_int_equal(came[1].p[21], 101);
	gro_flush(gro);
	assert_int_equal(n_came, GRO_FLOWS + 2);
	for (unsigned i = 0; i < n_came; i++)
		assert_int_equal(came[i].p[21], 100 + i);
}

static void no_more_than_a_packet_may_hold(void **state)
{
	struct packet k = {.version = 4, .payload = 1400};
	struct packet u = {.version = 4, .udp = true, .payload = 10};

	for (int i = 0; i < 60; i++, k.seq += 1400)
		assert_true(add(&k));
	assert_int_equal(n_came, 1);
	assert_true(came[0].g.len <= GSO_PACKET_MAX && came[0].g.len > GSO_PACKET_MAX - 1400);
	gro_flush(gro);
	n_came = 0;
	add_run(u, GSO_UDP_SEGS_MAX, 0);
	assert_true(add(&u));
	assert_int_equal(n_came, 1);
	assert_int_equal(came[0].g.n, GSO_UDP_SEGS_MAX);
	gro_flush(gro);
}

static void a_super_packet_overtakes_nothing(void **state)
{
	struct packet k = {.version = 4, .payload = 100};
	struct packet big = {.version = 4, .payload = 4000, .seq = 200};
	struct gso_pkt g;

	add_run(k, 2, 0);
	assert_int_equal(gso_from_far(q, packet_make(q, &big), 100, &g), 0);
	gro_yield(gro, &dev[1], &g);
	assert_int_equal(n_came, 0);
	gro_yield(gro, &dev[0], &g);
	assert_int_equal(n_came, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(joins_a_run_and_it_can_be_cut_again),
		T(a_packet_alone_comes_out_as_it_came),
		T(what_does_not_continue_its_flow_ends_it),
		T(a_push_or_a_shorter_one_is_the_last),
		T(a_wrong_checksum_is_not_covered_up),
		T(flows_and_devices_are_apart),
		T(the_oldest_flow_gives_way),
		T(no_more_than_a_packet_may_hold),
		T(a_super_packet_overtakes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
