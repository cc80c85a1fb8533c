// The replay window against a table of cases and against a plain model that remembers everything.

#include "lib/crypto/replay.h"

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	W = 128,
};

static struct replay *window_new(uint32_t n_bits)
{
	struct replay *r = malloc(replay_size(n_bits));

	assert_non_null(r);
	memset(r, 0xff, replay_size(n_bits));
	replay_init(r, n_bits);
	return r;
}

static bool take(struct replay *r, uint64_t c)
{
	if (!replay_check(r, c))
		return false;
	replay_commit(r, c);
	return true;
}

static void accepts_each_counter_once_and_none_behind_the_window(void **state)
{
	static const struct {
		uint64_t c;
		bool fresh;
	} cases[] = {
		{0, true},
		{0, false},
		{1, true},
		{1, false},
		{9, true},
		{8, true},
		{7, true},
		{7, false},
		{9, false},
		{W, true},
		{W - 1, true},
		{2, true},
		{0, false},
		{2 * W + 16, true},
		{W + 16, false}, // just behind
		{W + 17, true}, // the last one inside
		{W + 17, false},
		{2 * W + 16, false},
		{2 * W + 15, true},
		{1000 * W, true}, // a jump over the whole window
		{999 * W + 1, true},
		{999 * W, false},
		{2 * W + 18, false},
		{UINT64_MAX - 1, true},
		{UINT64_MAX, true},
		{UINT64_MAX, false},
		{UINT64_MAX - 1, false},
		{UINT64_MAX - W + 1, true},
		{UINT64_MAX - W, false},
		{0, false},
	};
	struct replay *r = window_new(W);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (take(r, cases[i].c) != cases[i].fresh)
			fail_msg("case %zu", i);
	free(r);
}

static void an_empty_window_takes_any_first_counter(void **state)
{
	static const uint64_t first[] = {0, 1, 63, 64, W - 1, W, W + 1, 1ULL << 40, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		struct replay *r = window_new(W);
		struct replay_range range[2];

		assert_int_equal(replay_ranges(r, 0, range, 2), 0);
		assert_true(take(r, first[i]));
		assert_false(take(r, first[i]));
		assert_int_equal(replay_ranges(r, 0, range, 2), 1);
		assert_true(range[0].hi == first[i] && range[0].lo == first[i]);
		assert_int_equal(replay_check(r, 0), first[i] != 0 && first[i] < W);
		free(r);
	}
}

static void check_alone_changes_nothing(void **state)
{
	struct replay *r = window_new(W);

	for (int i = 0; i < 3; i++)
		assert_true(replay_check(r, 5000));
	assert_true(r->top == 0);
	assert_true(take(r, 3));
	free(r);
}

// xorshift: the same cases on each run
static uint32_t next_random(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

// What replay_ranges() must say, by looking at each counter.
static unsigned model_ranges(
	const uint8_t *seen, uint64_t bottom, uint64_t top, struct replay_range *out, unsigned max)
{
	unsigned n = 0;
	bool in_run = false;

	for (uint64_t c = top + 1; c-- > bottom;) {
		if (seen[c] && !in_run) {
			if (n == max)
				break;
			out[n++].hi = c;
		}
		in_run = seen[c];
		if (in_run)
			out[n - 1].lo = c;
	}
	return n;
}

static void compare_ranges(
	const struct replay *r, const uint8_t *seen, uint64_t floor, unsigned max)
{
	struct replay_range got[W], want[W];
	uint64_t bottom = replay_bottom(r) > floor ? replay_bottom(r) : floor;
	unsigned n = replay_ranges(r, floor, got, max);

	assert_int_equal(n, model_ranges(seen, bottom, r->top, want, max));
	assert_memory_equal(got, want, n * sizeof(got[0]));
}

static void agrees_with_a_model_that_forgets_nothing(void **state)
{
	enum { SPAN = 1 << 16 };
	uint8_t *seen = calloc(1, SPAN);
	struct replay *r = window_new(W);
	uint32_t rnd = 2463534242;
	uint64_t top = 0;

	assert_non_null(seen);
	for (unsigned i = 0; i < 20000 && top < SPAN - 4 * W; i++) {
		uint32_t kind = next_random(&rnd) % 100;
		uint64_t c = top + 1; // in order

		if (kind > 97)
			c = top + next_random(&rnd) % (2 * W); // a jump
		else if (kind > 40)
			c = top - next_random(&rnd) % (top < 2 * W ? top + 1 : 2 * W); // late
		bool fresh = c > top || (top - c < W && !seen[c]);
		assert_int_equal(take(r, c), fresh);
		if (fresh)
			seen[c] = 1;
		top = c > top ? c : top;
		assert_true(r->top == top);
		compare_ranges(r, seen, 0, W);
		compare_ranges(r, seen, top > 50 ? top - 50 : 0, 3);
	}
	free(seen);
	free(r);
}

static void ranges_stop_at_the_limit_the_floor_and_counter_zero(void **state)
{
	struct replay *r = window_new(REPLAY_BITS_DEFAULT);
	struct replay_range range[4];

	for (uint64_t c = 0; c <= 300; c++)
		if (c != 100 && c != 200 && c != 299)
			assert_true(take(r, c));
	assert_int_equal(replay_ranges(r, 0, range, 4), 4);
	assert_true(range[0].hi == 300 && range[0].lo == 300);
	assert_true(range[1].hi == 298 && range[1].lo == 201);
	assert_true(range[2].hi == 199 && range[2].lo == 101);
	assert_true(range[3].hi == 99 && range[3].lo == 0);
	assert_int_equal(replay_ranges(r, 0, range, 2), 2);
	assert_int_equal(replay_ranges(r, 150, range, 4), 3);
	assert_true(range[2].hi == 199 && range[2].lo == 150);
	assert_int_equal(replay_ranges(r, 299, range, 4), 1);
	assert_int_equal(replay_ranges(r, 301, range, 4), 0);
	free(r);
}

static void refuses_sizes_that_are_no_power_of_two(void **state)
{
	assert_true(replay_bits_ok(64));
	assert_true(replay_bits_ok(REPLAY_BITS_DEFAULT));
	assert_true(replay_bits_ok(REPLAY_BITS_MAX));
	assert_false(replay_bits_ok(0));
	assert_false(replay_bits_ok(32));
	assert_false(replay_bits_ok(8191));
	assert_false(replay_bits_ok(2 * REPLAY_BITS_MAX));
	assert_int_equal(replay_size(8192), sizeof(struct replay) + 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_each_counter_once_and_none_behind_the_window),
		cmocka_unit_test(an_empty_window_takes_any_first_counter),
		cmocka_unit_test(check_alone_changes_nothing),
		cmocka_unit_test(agrees_with_a_model_that_forgets_nothing),
		cmocka_unit_test(ranges_stop_at_the_limit_the_floor_and_counter_zero),
		cmocka_unit_test(refuses_sizes_that_are_no_power_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
