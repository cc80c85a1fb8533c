// Two ends of a route group, the packets between them and a clock, all by hand. Each test that
// includes it is a program of its own and uses what it needs.
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"

#include "lib/route/group.h"

#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WALL_MS = 1700000000, FORWARD_I = 1, FORWARD_R = 2, WORLD_READ_MAX = 1 << 20 };

struct end {
	struct group_end g;
	struct key_sk sk;
	struct key_pk pk;
	uint8_t e[KEY_SK_LEN];
	uint8_t got[WORLD_READ_MAX]; // what was read
	size_t n_got;
};

static struct end ini, res;
static uint64_t now_ns;

static void later(uint64_t ms)
{
	now_ns += ms * CLOCK_NS_PER_MS;
}

static struct group_conf conf_of(const struct end *e, const struct end *other)
{
	return (struct group_conf){.initiator = e == &ini,
		.forward_id = e == &ini ? FORWARD_I : FORWARD_R,
		.wall_ms = WALL_MS,
		.s = e->sk.b,
		.s_pk = e->pk.b,
		.rs = other->pk.b,
		.test_e = e->e};
}

static void end_init(struct end *e, const struct end *other)
{
	struct group_conf c = conf_of(e, other);

	assert_int_equal(group_init(&e->g, &c, now_ns), 0);
	e->n_got = 0;
}

static void world_key(const json_t *keys, const char *name, const char *eph, struct end *e)
{
	vectors_hex(vectors_get(keys, name), "sk", e->sk.b, KEY_SK_LEN);
	assert_int_equal(key_pk_from_sk(&e->pk, &e->sk), 0);
	vectors_hex(vectors_get(keys, eph), "sk", e->e, KEY_SK_LEN);
}

static int world_setup(void **state)
{
	json_t *root = vectors_load("skywire-crypto.json");
	const json_t *keys = vectors_get(vectors_get(root, "routing"), "keys");

	now_ns = 5 * CLOCK_NS_PER_S;
	world_key(keys, "A", "ephemeral_A", &ini);
	world_key(keys, "B", "ephemeral_B", &res);
	json_decref(root);
	end_init(&ini, &res);
	end_init(&res, &ini);
	return 0;
}

static int world_teardown(void **state)
{
	group_fini(&ini.g);
	group_fini(&res.g);
	return 0;
}

// A packet for the end, and all that it brings is read.
static void give(struct end *e, const uint8_t *packet, size_t len)
{
	uint8_t copy[ROUTE_PACKET_MAX], *data;
	size_t n;

	assert_true(len <= sizeof(copy));
	memcpy(copy, packet, len);
	group_take(&e->g, now_ns, copy, len);
	while ((n = group_read(&e->g, now_ns, &data)) > 0) {
		assert_true(e->n_got + n <= sizeof(e->got));
		memcpy(e->got + e->n_got, data, n);
		e->n_got += n;
	}
}

static void give_payload(struct end *e, uint8_t type, const void *payload, size_t len)
{
	uint8_t packet[ROUTE_PACKET_MAX];

	route_hdr_put(packet, type, 9, (uint16_t)len);
	if (len > 0)
		memcpy(packet + ROUTE_HDR_LEN, payload, len);
	give(e, packet, ROUTE_HDR_LEN + len);
}

static size_t pull(struct end *e, uint8_t packet[GROUP_PACKET_MAX])
{
	size_t n = group_pull(&e->g, now_ns, packet, GROUP_PACKET_MAX);

	if (n > 0) {
		assert_true(route_hdr_is_whole(packet, n));
		assert_int_equal(route_hdr_id(packet), e->g.conf.forward_id);
		// an empty one is the end of file to Go's readers
		assert_true(route_hdr_type(packet) != ROUTE_DATA || n > ROUTE_HDR_LEN);
	}
	return n;
}

// The next packet of the end is of this type; its length.
static size_t pull_type(struct end *e, uint8_t type, uint8_t packet[GROUP_PACKET_MAX])
{
	size_t n = pull(e, packet);

	assert_true(n > 0);
	assert_string_equal(route_hdr_type_name(route_hdr_type(packet)), route_hdr_type_name(type));
	return n;
}

static void pulls_nothing(struct end *e)
{
	uint8_t packet[GROUP_PACKET_MAX];

	assert_int_equal(pull(e, packet), 0);
}

// Passes all packets of both until both are silent; how many there were.
static unsigned pass(void)
{
	uint8_t packet[GROUP_PACKET_MAX];
	unsigned n = 0, before;
	size_t len;

	do {
		before = n;
		for (; (len = pull(&ini, packet)) > 0; n++)
			give(&res, packet, len);
		for (; (len = pull(&res, packet)) > 0; n++)
			give(&ini, packet, len);
	} while (n != before);
	return n;
}

static void write_all(struct end *from, struct end *to, const void *p, size_t len)
{
	uint8_t packet[GROUP_PACKET_MAX];
	size_t n;

	while (len > 0) {
		ssize_t used = group_write(&from->g, now_ns, p, len, packet, sizeof(packet), &n);

		assert_true(used > 0);
		give(to, packet, n);
		p = (const uint8_t *)p + used;
		len -= (size_t)used;
	}
}

static void make_open(void)
{
	pass();
	assert_int_equal(group_state(&ini.g), GROUP_OPEN);
	assert_int_equal(group_state(&res.g), GROUP_OPEN);
}

// Until the end is over, and not for longer than any limit of it.
static void run_out(struct end *e)
{
	uint8_t packet[GROUP_PACKET_MAX];

	for (int i = 0; i < 200 && group_state(&e->g) != GROUP_OVER; i++) {
		while (pull(e, packet) > 0)
			continue;
		later(100);
	}
	assert_int_equal(group_state(&e->g), GROUP_OVER);
	assert_true(group_next_ns(&e->g) == UINT64_MAX);
}
