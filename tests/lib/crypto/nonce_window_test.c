// The replay window of dmsg sessions: the shared sequence, and against a plain list of what was
// seen.

#include "lib/crypto/nonce_window.h"

#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void follows_the_shared_sequence(void **state)
{
	json_t *root = vectors_load("dmsg.json");
	const json_t *list = vectors_get(root, "nonce_window_1024");
	struct nonce_window w;

	nonce_window_init(&w);
	assert_int_equal(json_array_size(list), 31);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		uint64_t c = strtoull(vectors_str(v, "nonce"), NULL, 10);
		bool ok = nonce_window_check(&w, c);

		assert_int_equal(ok, json_is_true(vectors_get(v, "accept")));
		if (ok)
			nonce_window_commit(&w, c);
		assert_int_equal(w.max, strtoull(vectors_str(v, "max_after"), NULL, 10));
	}
	json_decref(root);
}

static void has_1024_entries_in_128_bytes(void **state)
{
	struct nonce_window w;

	nonce_window_init(&w);
	assert_int_equal(sizeof(w.bits), 128);
	nonce_window_commit(&w, 5000);
	assert_true(nonce_window_check(&w, 5000 - 1023));
	assert_false(nonce_window_check(&w, 5000 - 1024));
	assert_false(nonce_window_check(&w, 0));
}

static void a_check_alone_changes_nothing(void **state)
{
	struct nonce_window w, before;

	nonce_window_init(&w);
	nonce_window_commit(&w, 7);
	before = w;
	assert_true(nonce_window_check(&w, UINT64_MAX));
	assert_true(nonce_window_check(&w, 6));
	assert_memory_equal(&w, &before, sizeof(w));
}

static void takes_the_largest_counters(void **state)
{
	struct nonce_window w;

	nonce_window_init(&w);
	nonce_window_commit(&w, 1);
	nonce_window_commit(&w, UINT64_MAX);
	assert_false(nonce_window_check(&w, UINT64_MAX));
	assert_true(nonce_window_check(&w, UINT64_MAX - 1023));
	assert_false(nonce_window_check(&w, 1));
}

enum { SEEN_MAX = 16384 };

// What the window must say, from the whole history.
static bool model_says(const bool *seen, uint64_t max, uint64_t c)
{
	if (c == 0 || (c <= max && max - c >= NONCE_WINDOW_LEN))
		return false;
	return !seen[c];
}

static void agrees_with_the_whole_history(void **state)
{
	static bool seen[SEEN_MAX];
	struct nonce_window w;
	uint64_t max = 0, top = 1, rnd = 88172645463325252ull;

	nonce_window_init(&w);
	for (unsigned i = 0; i < 200000 && top < SEEN_MAX - 3000; i++) {
		uint64_t c;

		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17;
		// mostly near the front, now and then a jump beyond the window
		top += rnd % 37 == 0 ? rnd % 5 : 0;
		c = rnd % 4099 == 0 ? top + rnd % 3000 : top > 1500 ? top - rnd % 1500 : rnd % 1500;
		assert_int_equal(nonce_window_check(&w, c), model_says(seen, max, c));
		if (!model_says(seen, max, c))
			continue;
		nonce_window_commit(&w, c);
		seen[c] = true;
		max = c > max ? c : max;
		top = max > top ? max : top;
		assert_int_equal(w.max, max);
	}
	assert_true(max > 8 * NONCE_WINDOW_LEN);
}

// Constant memory is seen from the type; that nothing is ever refused to an honest sender is not.
static void an_honest_sender_of_10_million_objects_is_never_refused(void **state)
{
	struct nonce_window w;

	nonce_window_init(&w);
	for (uint64_t c = 1; c <= 10000000; c++) {
		// pairs arrive swapped
		uint64_t got = c ^ 1;

		if (got == 0)
			continue;
		if (!nonce_window_check(&w, got))
			fail_msg("refused %llu", (unsigned long long)got);
		nonce_window_commit(&w, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_shared_sequence),
		cmocka_unit_test(has_1024_entries_in_128_bytes),
		cmocka_unit_test(a_check_alone_changes_nothing),
		cmocka_unit_test(takes_the_largest_counters),
		cmocka_unit_test(agrees_with_the_whole_history),
		cmocka_unit_test(an_honest_sender_of_10_million_objects_is_never_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
