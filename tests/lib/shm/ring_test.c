// The ring with one thread: order, wrap, refusal, and a hostile hand in shared memory.

#include "lib/shm/ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 1024 };

struct pair {
	struct ring_shm *shm;
	struct ring_w w;
	struct ring_r r;
};

static void pair_init(struct pair *p)
{
	size_t len = ring_shm_len(SIZE);

	p->shm = aligned_alloc(64, len);
	assert_non_null(p->shm);
	memset(p->shm, 0xa5, len);
	assert_int_equal(ring_shm_init(p->shm, SIZE), 0);
	assert_int_equal(ring_w_attach(&p->w, p->shm, len), 0);
	assert_int_equal(ring_r_attach(&p->r, p->shm, len), 0);
}

static bool put(struct ring_w *w, uint32_t len, uint8_t fill)
{
	uint8_t *rec = ring_w_reserve(w, len);

	if (rec == NULL)
		return false;
	memset(rec, fill, len);
	memcpy(rec, &len, sizeof(len));
	return true;
}

static void records_come_out_in_order_over_many_wraps(void **state)
{
	struct pair p;
	uint8_t buf[SIZE];
	uint32_t x = 1, put_n = 0, got_n = 0;

	pair_init(&p);
	for (int round = 0; round < 20000; round++) {
		uint32_t len;

		x = x * 1664525 + 1013904223;
		len = 5 + (x >> 8) % 300;
		if (put(&p.w, len, (uint8_t)put_n))
			put_n++;
		ring_w_publish(&p.w);
		if (x & 0x100000) {
			int n = ring_r_read(&p.r, buf, sizeof(buf));

			if (n > 0) {
				assert_int_equal(buf[4], (uint8_t)got_n);
				assert_int_equal(buf[n - 1], (uint8_t)got_n);
				got_n++;
			}
			ring_r_release(&p.r);
		}
	}
	assert_true(got_n > 1000);
	while (ring_r_read(&p.r, buf, sizeof(buf)) > 0)
		got_n++;
	assert_int_equal(put_n, got_n);
	assert_true(ring_r_empty(&p.r));
	free(p.shm);
}

static void full_ring_refuses_and_counts_until_released(void **state)
{
	struct pair p;
	uint8_t buf[64];
	int n = 0;

	pair_init(&p);
	while (put(&p.w, 64, 1))
		n++;
	assert_int_equal(n, SIZE / 64);
	assert_int_equal(atomic_load(&p.shm->refused), 1);
	ring_w_publish(&p.w);
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 64);
	assert_false(put(&p.w, 64, 1)); // read, but not given back
	ring_r_release(&p.r);
	assert_true(put(&p.w, 64, 1));
	assert_int_equal(atomic_load(&p.shm->refused), 2);
	free(p.shm);
}

static void nothing_is_seen_before_publish(void **state)
{
	struct pair p;
	uint32_t len;

	pair_init(&p);
	assert_true(put(&p.w, 40, 1));
	assert_true(put(&p.w, 41, 2));
	assert_true(ring_r_empty(&p.r));
	assert_null(ring_r_peek(&p.r, &len));
	ring_w_publish(&p.w);
	assert_false(ring_r_empty(&p.r));
	assert_non_null(ring_r_peek(&p.r, &len));
	assert_int_equal(len, 40);
	ring_r_next(&p.r);
	assert_non_null(ring_r_peek(&p.r, &len));
	assert_int_equal(len, 41);
	free(p.shm);
}

static void what_was_noted_is_known_and_no_more(void **state)
{
	uint8_t buf[SIZE];
	struct pair p;

	pair_init(&p);
	ring_r_look(&p.r);
	assert_false(ring_r_knows(&p.r));
	for (uint32_t i = 0; i < 4; i++) { // the last one lies behind padding
		assert_true(put(&p.w, SIZE / 4 + 8, i));
		ring_w_publish(&p.w);
		assert_false(ring_r_knows(&p.r));
		ring_r_look(&p.r);
		assert_true(ring_r_knows(&p.r));
		if (i < 3)
			assert_true(put(&p.w, 8, i));
		ring_w_publish(&p.w);
		assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), SIZE / 4 + 8);
		assert_false(ring_r_knows(&p.r));
		if (i < 3)
			assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 8);
		ring_r_release(&p.r);
	}
	p.r.broken = true;
	ring_r_look(&p.r);
	assert_false(ring_r_knows(&p.r));
	free(p.shm);
}

static void refuses_lengths_that_could_never_fit(void **state)
{
	static const uint32_t bad[] = {0, 3, SIZE / 2 + 1, SIZE, SIZE + 1, 0x7fffffff, 0xffffffff};
	struct pair p;

	pair_init(&p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(ring_w_reserve(&p.w, bad[i]));
	// the longest legal one fits from every position of an empty ring
	for (uint32_t off = 0; off < SIZE; off += 8) {
		uint8_t buf[SIZE];

		assert_true(put(&p.w, SIZE / 2, 7));
		ring_w_publish(&p.w);
		assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), SIZE / 2);
		assert_true(put(&p.w, 8, 8));
		ring_w_publish(&p.w);
		assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 8);
		ring_r_release(&p.r);
	}
	free(p.shm);
}

static void long_record_is_stepped_over_when_buffer_is_small(void **state)
{
	struct pair p;
	uint8_t buf[32];

	pair_init(&p);
	put(&p.w, 100, 1);
	put(&p.w, 20, 2);
	ring_w_publish(&p.w);
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), -EMSGSIZE);
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 20);
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 0);
	free(p.shm);
}

static void attach_refuses_headers_that_do_not_fit(void **state)
{
	static const struct {
		uint32_t magic, size;
		uint64_t head, tail;
		size_t max_len;
	} cases[] = {
		{0, SIZE, 0, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, SIZE - 8, 0, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, 0, 0, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, 2 * SIZE, 0, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, 0x80000000u, 0, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, SIZE, 0, 0, sizeof(struct ring_shm) + SIZE - 1},
		{RING_MAGIC, SIZE, 0, 0, 8},
		{RING_MAGIC, SIZE, SIZE + 8, 0, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, SIZE, 0, 8, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, SIZE, 12, 8, sizeof(struct ring_shm) + SIZE},
		{RING_MAGIC, SIZE, 16, 4, sizeof(struct ring_shm) + SIZE},
	};
	struct pair p;
	struct ring_w w;
	struct ring_r r;

	pair_init(&p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p.shm->magic = cases[i].magic;
		p.shm->size = cases[i].size;
		atomic_store(&p.shm->head, cases[i].head);
		atomic_store(&p.shm->tail, cases[i].tail);
		assert_int_equal(ring_w_attach(&w, p.shm, cases[i].max_len), -EPROTO);
		assert_int_equal(ring_r_attach(&r, p.shm, cases[i].max_len), -EPROTO);
	}
	assert_int_equal(ring_shm_init(p.shm, 1000), -EINVAL);
	free(p.shm);
}

static void positions_go_on_for_a_second_holder(void **state)
{
	struct pair p;
	struct ring_w w2;
	struct ring_r r2;
	uint8_t buf[64];

	pair_init(&p);
	put(&p.w, 24, 1);
	put(&p.w, 24, 2);
	ring_w_publish(&p.w);
	put(&p.w, 24, 3); // its writer dies before publishing
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 24);
	ring_r_release(&p.r);
	assert_int_equal(ring_w_attach(&w2, p.shm, ring_shm_len(SIZE)), 0);
	assert_int_equal(ring_r_attach(&r2, p.shm, ring_shm_len(SIZE)), 0);
	put(&w2, 24, 4);
	ring_w_publish(&w2);
	assert_int_equal(ring_r_read(&r2, buf, sizeof(buf)), 24);
	assert_int_equal(buf[4], 2);
	assert_int_equal(ring_r_read(&r2, buf, sizeof(buf)), 24);
	assert_int_equal(buf[4], 4);
	assert_int_equal(ring_r_read(&r2, buf, sizeof(buf)), 0);
	free(p.shm);
}

static void reader_survives_a_hostile_writer(void **state)
{
	struct pair p;
	uint32_t x = 7;
	unsigned broken = 0, records = 0;

	for (int round = 0; round < 30000; round++) {
		uint8_t buf[128];
		uint32_t len;

		if (round % 100 == 0) {
			if (round > 0)
				free(p.shm);
			pair_init(&p);
		}
		// words of small lengths, pads and noise; a head that is often plausible
		for (uint32_t off = 0; off < SIZE; off += 8) {
			uint32_t v;

			x = x * 1664525 + 1013904223;
			v = (x >> 28) == 0   ? x
			    : (x >> 27) == 3 ? RING_PAD | (SIZE - off)
					     : (x >> 8) % 64;
			memcpy(p.r.data + off, &v, sizeof(v));
		}
		x = x * 1664525 + 1013904223;
		atomic_store(&p.shm->head,
			(x & 7) == 0 ? x : p.r.tail + (((x >> 8) % (SIZE + 16)) & ~7u));
		while (ring_r_peek(&p.r, &len) != NULL) {
			const uint8_t *rec = ring_r_peek(&p.r, &len);

			assert_true(rec >= p.r.data && rec + len <= p.r.data + SIZE);
			assert_true(len >= 4 && len <= SIZE / 2);
			records++;
			if (len % 3 == 0)
				ring_r_wipe(&p.r);
			ring_r_next(&p.r);
		}
		ring_r_release(&p.r);
		if (p.r.broken) {
			assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), -EPROTO);
			assert_true(ring_r_empty(&p.r));
			broken++;
			free(p.shm);
			pair_init(&p);
		}
	}
	assert_true(broken > 1000);
	assert_true(records > 1000);
	free(p.shm);
}

static void writer_survives_a_hostile_reader(void **state)
{
	struct pair p;
	uint32_t x = 99, n = 0;

	pair_init(&p);
	for (int round = 0; round < 100000; round++) {
		uint32_t len;

		x = x * 1664525 + 1013904223;
		// a tail behind what it gave back, past the head, unaligned, or right
		atomic_store(&p.shm->tail, (x >> 30) == 0 ? x : p.w.head - (x >> 8) % (2 * SIZE));
		x = x * 1664525 + 1013904223;
		len = 4 + (x >> 8) % (SIZE / 2);
		uint8_t *rec = ring_w_reserve(&p.w, len);
		if (rec == NULL)
			continue;
		assert_true(rec >= p.w.data && rec + len <= p.w.data + SIZE);
		memset(rec, 0, len);
		ring_w_publish(&p.w);
		assert_true(p.w.head - p.w.tail <= SIZE);
		n++;
	}
	assert_true(n > 1000);
	free(p.shm);
}

static void length_in_the_copy_is_the_one_checked(void **state)
{
	struct pair p;
	uint8_t buf[64];
	uint32_t len, lie = 60;

	pair_init(&p);
	put(&p.w, 24, 1);
	ring_w_publish(&p.w);
	assert_non_null(ring_r_peek(&p.r, &len));
	assert_int_equal(len, 24);
	memcpy(p.r.data, &lie, sizeof(lie)); // a later look sees more than was published: refused
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), -EPROTO);
	free(p.shm);
}

static void wipe_leaves_no_byte_of_the_record(void **state)
{
	struct pair p;
	uint32_t len;

	pair_init(&p);
	put(&p.w, 100, 0xee);
	put(&p.w, 20, 0xdd);
	ring_w_publish(&p.w);
	assert_non_null(ring_r_peek(&p.r, &len));
	ring_r_wipe(&p.r);
	ring_r_next(&p.r);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p.r.data[i], 0);
	assert_non_null(ring_r_peek(&p.r, &len));
	assert_int_equal(len, 20);
	free(p.shm);
}

static void room_is_what_can_still_be_reserved(void **state)
{
	struct pair p;
	uint8_t buf[64];

	pair_init(&p);
	assert_int_equal(ring_w_room(&p.w), SIZE);
	put(&p.w, 60, 1);
	assert_int_equal(ring_w_room(&p.w), SIZE - 64);
	ring_w_publish(&p.w);
	ring_r_read(&p.r, buf, sizeof(buf));
	assert_int_equal(ring_w_room(&p.w), SIZE - 64);
	ring_r_release(&p.r);
	assert_int_equal(ring_w_room(&p.w), SIZE);
	free(p.shm);
}

static void repaired_ring_serves_a_new_writer(void **state)
{
	static const struct {
		uint64_t head, tail;
	} spoilt[] = {{1, 0}, {1 << 20, 8}, {8, 1 << 20}, {~0ull, ~0ull}, {64, 64}};

	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		struct pair p;
		struct ring_w w2;
		uint8_t buf[64];
		uint32_t len;

		pair_init(&p);
		p.shm->magic = 5;
		p.shm->size = 8;
		atomic_store(&p.shm->head, spoilt[i].head);
		atomic_store(&p.shm->tail, spoilt[i].tail);
		ring_r_peek(&p.r, &len);
		ring_shm_repair(p.shm, SIZE);
		ring_r_resync(&p.r); // our end goes on where the repair left the ring
		assert_int_equal(ring_w_attach(&w2, p.shm, ring_shm_len(SIZE)), 0);
		assert_true(put(&w2, 40, 9));
		ring_w_publish(&w2);
		assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 40);
		assert_int_equal(buf[39], 9);
		assert_false(p.r.broken);
		free(p.shm);
	}
}

static void repair_keeps_a_sound_ring_as_it_is(void **state)
{
	struct pair p;
	uint8_t buf[64];

	pair_init(&p);
	put(&p.w, 24, 1);
	ring_w_publish(&p.w);
	ring_shm_repair(p.shm, SIZE);
	assert_int_equal(ring_r_read(&p.r, buf, sizeof(buf)), 24);
	free(p.shm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_out_in_order_over_many_wraps),
		cmocka_unit_test(full_ring_refuses_and_counts_until_released),
		cmocka_unit_test(nothing_is_seen_before_publish),
		cmocka_unit_test(what_was_noted_is_known_and_no_more),
		cmocka_unit_test(refuses_lengths_that_could_never_fit),
		cmocka_unit_test(long_record_is_stepped_over_when_buffer_is_small),
		cmocka_unit_test(attach_refuses_headers_that_do_not_fit),
		cmocka_unit_test(positions_go_on_for_a_second_holder),
		cmocka_unit_test(reader_survives_a_hostile_writer),
		cmocka_unit_test(writer_survives_a_hostile_reader),
		cmocka_unit_test(length_in_the_copy_is_the_one_checked),
		cmocka_unit_test(room_is_what_can_still_be_reserved),
		cmocka_unit_test(repaired_ring_serves_a_new_writer),
		cmocka_unit_test(repair_keeps_a_sound_ring_as_it_is),
		cmocka_unit_test(wipe_leaves_no_byte_of_the_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
