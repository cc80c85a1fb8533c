// Joining of parts: order, overlap, limits, ageing; a model checks random cuts byte by byte.
#include "lib/link/part.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"

enum { S = 1000000000 };

static const struct part_conf roomy = {.n_packets = 8, .n_segs = 512, .max_bytes = 300000};
static char handles[1024]; // their addresses are the handles

static struct part *make(const struct part_conf *conf)
{
	struct part *p = part_init(malloc(part_mem_size(conf)), conf);

	assert_non_null(p);
	return p;
}

static void joins_in_any_order(void **state)
{
	static const int orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct part *p = make(&roomy);
	struct part_joined out;

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		for (int k = 0; k < 3; k++) {
			int n = orders[i][k];
			int rc = part_add(
				p, 7, 25, (uint32_t)n * 10, n == 2 ? 5 : 10, &handles[n], 0, &out);

			assert_int_equal(rc, k == 2 ? PART_WHOLE : PART_HELD);
		}
		assert_int_equal(out.number, 7);
		assert_int_equal(out.total, 25);
		assert_int_equal(out.n, 3);
		for (int k = 0; k < 3; k++) {
			assert_ptr_equal(out.seg[k].handle, &handles[k]);
			assert_int_equal(out.seg[k].skip, 0);
			assert_int_equal(out.seg[k].take, k == 2 ? 5 : 10);
			assert_true(out.seg[k].last);
		}
		assert_true(part_is_empty(p));
		assert_int_equal(part_bytes(p), 0);
	}
	free(p);
}

static void a_single_part_may_be_the_packet(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;

	assert_int_equal(part_add(p, 1, 7, 0, 7, &handles[0], 0, &out), PART_WHOLE);
	assert_int_equal(out.n, 1);
	assert_true(part_is_empty(p));
	free(p);
}

static void bytes_that_came_first_stay(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;

	assert_int_equal(part_add(p, 1, 100, 20, 10, &handles[0], 0, &out), PART_HELD);
	assert_int_equal(part_add(p, 1, 100, 60, 10, &handles[1], 0, &out), PART_HELD);
	assert_int_equal(part_add(p, 1, 100, 20, 10, &handles[2], 0, &out), PART_REFUSED);
	assert_int_equal(part_add(p, 1, 100, 22, 3, &handles[2], 0, &out), PART_REFUSED);
	assert_int_equal(part_stats(p)->duplicate, 2);
	// One part around both of them gives three pieces.
	assert_int_equal(part_add(p, 1, 100, 0, 100, &handles[3], 0, &out), PART_WHOLE);
	assert_int_equal(out.n, 5);
	static const struct {
		int handle, skip, take;
		bool last;
	} want[] = {{3, 0, 20, false}, {0, 0, 10, true}, {3, 30, 30, false}, {1, 0, 10, true},
		{3, 70, 30, true}};
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_ptr_equal(out.seg[i].handle, &handles[want[i].handle]);
		assert_int_equal(out.seg[i].skip, want[i].skip);
		assert_int_equal(out.seg[i].take, want[i].take);
		assert_int_equal(out.seg[i].last, want[i].last);
	}
	free(p);
}

static void refuses_impossible_parts(void **state)
{
	static const struct {
		uint32_t total, offset, len;
	} t[] = {{10, 0, 0}, {10, 10, 1}, {10, 5, 6}, {10, 0, 11}, {65543, 0, 1}, {0, 0, 1},
		{65542, 0, 65542}, {10, 0xffffffff, 2}, {10, 2, 0xffffffff}};
	struct part *p = make(&roomy);
	struct part_joined out;

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(
			part_add(p, 1, t[i].total, t[i].offset, t[i].len, handles, 0, &out),
			-EPROTO);
	assert_true(part_is_empty(p));
	assert_int_equal(part_add(p, 1, 10, 0, 5, handles, 0, &out), PART_HELD);
	assert_int_equal(part_add(p, 1, 11, 5, 5, handles + 1, 0, &out), -EPROTO); // second total
	assert_int_equal(part_add(p, 1, 10, 5, 5, handles + 1, 0, &out), PART_WHOLE);
	free(p);
}

static void drops_after_one_second(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;

	assert_int_equal(part_add(p, 1, 10, 0, 5, &handles[0], 5, &out), PART_HELD);
	assert_int_equal(part_add(p, 2, 10, 0, 5, &handles[1], 6, &out), PART_HELD);
	assert_null(part_reap(p, S + 4));
	assert_ptr_equal(part_reap(p, S + 5), &handles[0]);
	assert_null(part_reap(p, S + 5));
	// The late second half starts a packet of its own and can't complete the first.
	assert_int_equal(part_add(p, 1, 10, 5, 5, &handles[2], S + 5, &out), PART_HELD);
	assert_ptr_equal(part_reap(p, S + 6), &handles[1]);
	assert_int_equal(part_stats(p)->expired, 2);
	assert_false(part_is_empty(p));
	free(p);
}

static void the_oldest_packet_gives_way(void **state)
{
	static const struct part_conf few = {.n_packets = 2, .n_segs = 512, .max_bytes = 300000};
	struct part *p = make(&few);
	struct part_joined out;

	assert_int_equal(part_add(p, 1, 10, 0, 5, &handles[1], 0, &out), PART_HELD);
	assert_int_equal(part_add(p, 2, 10, 0, 5, &handles[2], 1, &out), PART_HELD);
	assert_int_equal(part_add(p, 3, 10, 0, 5, &handles[3], 2, &out), PART_HELD);
	assert_ptr_equal(part_reap(p, 2), &handles[1]);
	assert_null(part_reap(p, 2));
	assert_int_equal(part_stats(p)->evicted, 1);
	assert_int_equal(part_add(p, 2, 10, 5, 5, &handles[4], 3, &out), PART_WHOLE);
	free(p);
}

static void keeps_the_bound_on_bytes(void **state)
{
	static const struct part_conf small = {
		.n_packets = 8, .n_segs = 512, .max_bytes = PART_TOTAL_MAX};
	struct part *p = make(&small);
	struct part_joined out;

	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(part_add(p, i, 65542, 0, 20000, &handles[i], i, &out), PART_HELD);
		assert_true(part_bytes(p) <= PART_TOTAL_MAX);
		while (part_reap(p, i) != NULL)
			;
	}
	assert_int_equal(part_stats(p)->evicted, 17);
	free(p);
}

static void keeps_the_bound_on_pieces(void **state)
{
	static const struct part_conf small = {.n_packets = 8, .n_segs = 4, .max_bytes = 300000};
	struct part *p = make(&small);
	struct part_joined out;

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(part_add(p, 1, 100, i * 10, 1, &handles[i], 0, &out), PART_HELD);
	// No older packet to give way: the part itself is refused.
	assert_int_equal(part_add(p, 1, 100, 90, 1, &handles[5], 0, &out), PART_REFUSED);
	assert_int_equal(part_stats(p)->no_room, 1);
	// A newer packet takes the room of the older one.
	assert_int_equal(part_add(p, 2, 100, 0, 1, &handles[6], 0, &out), PART_HELD);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(part_reap(p, 0));
	assert_null(part_reap(p, 0));
	free(p);
}

static void one_packet_has_at_most_128_pieces(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;

	for (unsigned i = 0; i < PART_SEGS_MAX; i++)
		assert_int_equal(part_add(p, 1, 1000, i * 2, 1, &handles[i], 0, &out), PART_HELD);
	assert_int_equal(part_add(p, 1, 1000, 999, 1, &handles[500], 0, &out), PART_REFUSED);
	free(p);
}

static void flush_gives_back_each_handle_once(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;
	unsigned seen[4] = {0};
	char *h;

	part_add(p, 1, 100, 10, 10, &handles[0], 0, &out);
	part_add(p, 1, 100, 30, 10, &handles[1], 0, &out);
	part_add(p, 1, 100, 0, 50, &handles[2], 0, &out); // three pieces, one handle
	part_add(p, 2, 100, 0, 50, &handles[3], 0, &out);
	part_flush(p);
	while ((h = part_reap(p, 0)) != NULL)
		seen[h - handles]++;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(seen[i], 1);
	assert_true(part_is_empty(p));
	assert_int_equal(part_bytes(p), 0);
	free(p);
}

// Random overlapping cuts; the bytes of handle i are i, so a model array knows what must come out.
static void agrees_with_a_model(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;
	uint8_t model[500];
	uint32_t x = 12345;

	for (unsigned turn = 0; turn < 300; turn++) {
		unsigned n = 0, covered = 0;
		int rc;

		memset(model, 0, sizeof(model));
		do {
			uint32_t off = (x = x * 1664525u + 1013904223u) >> 8, len;

			off %= sizeof(model);
			len = 1 + ((x = x * 1664525u + 1013904223u) >> 8) % 60;
			if (len > sizeof(model) - off)
				len = (uint32_t)sizeof(model) - off;
			n++;
			for (uint32_t i = off; i < off + len; i++) {
				covered += model[i] == 0;
				model[i] = model[i] != 0 ? model[i] : (uint8_t)n;
			}
			rc = part_add(p, turn, sizeof(model), off, len, &handles[n], 0, &out);
		} while (rc != PART_WHOLE && n < 250);
		assert_int_equal(rc == PART_WHOLE, covered == sizeof(model));
		for (uint32_t at = 0, s = 0; rc == PART_WHOLE && s < out.n;
			at += out.seg[s++].take) {
			for (uint32_t i = 0; i < out.seg[s].take; i++)
				assert_ptr_equal(&handles[model[at + i]], out.seg[s].handle);
		}
		part_flush(p);
		while (part_reap(p, 0) != NULL)
			;
		assert_int_equal(part_bytes(p), 0);
	}
	free(p);
}

static void refuses_bad_configuration(void **state)
{
	static const struct part_conf bad[] = {
		{.n_packets = 0, .n_segs = 1, .max_bytes = PART_TOTAL_MAX},
		{.n_packets = 1, .n_segs = 0, .max_bytes = PART_TOTAL_MAX},
		{.n_packets = 1, .n_segs = 1, .max_bytes = PART_TOTAL_MAX - 1},
		{.n_packets = 4097, .n_segs = 1, .max_bytes = PART_TOTAL_MAX},
		{.n_packets = 1, .n_segs = 32001, .max_bytes = PART_TOTAL_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(part_mem_size(&bad[i]), 0);
		assert_null(part_init(handles, &bad[i]));
	}
}

static void the_oldest_gives_way_when_asked(void **state)
{
	struct part *p = make(&roomy);
	struct part_joined out;

	assert_false(part_give_way(p, 0));
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			part_add(p, (uint32_t)i, 100, 0, 10, &handles[i], 0, &out), PART_HELD);
	assert_true(part_give_way(p, 0)); // 0 is the oldest, and the one asked for
	assert_ptr_equal(part_reap(p, 0), &handles[1]);
	assert_true(part_give_way(p, 7));
	assert_ptr_equal(part_reap(p, 0), &handles[0]);
	assert_false(part_give_way(p, 2));
	assert_null(part_reap(p, 0));
	assert_int_equal(part_stats(p)->evicted, 2);
	part_flush(p);
	assert_ptr_equal(part_reap(p, 0), &handles[2]);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_gives_way_when_asked),
		cmocka_unit_test(joins_in_any_order),
		cmocka_unit_test(a_single_part_may_be_the_packet),
		cmocka_unit_test(bytes_that_came_first_stay),
		cmocka_unit_test(refuses_impossible_parts),
		cmocka_unit_test(drops_after_one_second),
		cmocka_unit_test(the_oldest_packet_gives_way),
		cmocka_unit_test(keeps_the_bound_on_bytes),
		cmocka_unit_test(keeps_the_bound_on_pieces),
		cmocka_unit_test(one_packet_has_at_most_128_pieces),
		cmocka_unit_test(flush_gives_back_each_handle_once),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(refuses_bad_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
