// What is remembered of peer servers, for how long, and that it stays as small as it was made.
#include "lib/dmsg/peer_mem.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { N_KEYS = 16 };

static const uint8_t secret[PEER_MEM_SECRET_LEN] = {1, 2, 3};
static const struct key_pk key = {{2, 7}};
static const uint64_t ms = CLOCK_NS_PER_MS, start = 5;
static struct peer_mem *m;

static int setup(void **state)
{
	(void)state;
	m = peer_mem_new(N_KEYS, secret);
	return m == NULL;
}

static int teardown(void **state)
{
	(void)state;
	peer_mem_free(m);
	return 0;
}

static void unknown_key_asks_in_order(void **state)
{
	(void)state;
	assert_int_equal(peer_mem_next(m, &key, 0, start), -1);
	assert_int_equal(peer_mem_next(m, &key, 0xc, start), 2);
	assert_int_equal(peer_mem_next(m, &key, UINT64_C(1) << 63, start), 63);
}

static void refusal_is_forgotten_soon(void **state)
{
	uint64_t until = start + PEER_MEM_NOT_THERE_MS * ms;

	(void)state;
	peer_mem_not_there(m, &key, 0, start);
	assert_int_equal(peer_mem_next(m, &key, 7, start), 1);
	peer_mem_not_there(m, &key, 1, until - 1); // lengthens nothing
	assert_int_equal(peer_mem_next(m, &key, 7, until - 1), 2);
	assert_int_equal(peer_mem_next(m, &key, 3, until - 1), -1);
	assert_int_equal(peer_mem_next(m, &key, 3, until), 0);
	peer_mem_not_there(m, &key, 1, until);
	assert_int_equal(peer_mem_next(m, &key, 3, until), 0);
	assert_int_equal(peer_mem_next(m, &key, 2, until), -1);
}

static void peer_that_had_it_is_asked_first(void **state)
{
	uint64_t until = start + PEER_MEM_THERE_MS * ms;

	(void)state;
	peer_mem_there(m, &key, 5, start);
	assert_int_equal(peer_mem_next(m, &key, 0xff, start), 5);
	assert_int_equal(peer_mem_next(m, &key, 0x0f, start), 0); // tried, or not connected
	assert_int_equal(peer_mem_next(m, &key, 0xff, until), 0);
	peer_mem_there(m, &key, 6, start + 1); // it moved
	assert_int_equal(peer_mem_next(m, &key, 0xff, start + 1), 6);
}

static void one_refusal_does_not_unseat_it(void **state)
{
	(void)state;
	peer_mem_there(m, &key, 5, start);
	peer_mem_not_there(m, &key, 5, start);
	peer_mem_not_there(m, &key, 0, start);
	assert_int_equal(peer_mem_next(m, &key, 0xff, start), 5);
	assert_int_equal(peer_mem_next(m, &key, 0x21, start), 5);
	assert_int_equal(peer_mem_next(m, &key, 1, start), -1);
	peer_mem_there(m, &key, 0, start); // came there
	assert_int_equal(peer_mem_next(m, &key, 0xff, start), 0);
}

static void strange_keys_only_take_its_place(void **state)
{
	struct key_pk other = {{3}};

	(void)state;
	peer_mem_there(m, &key, 9, start);
	for (unsigned i = 0; i < 1000; i++) {
		other.b[1] = (uint8_t)i;
		other.b[2] = (uint8_t)(i >> 8);
		peer_mem_not_there(m, &other, 3, start);
		assert_int_equal(peer_mem_next(m, &other, 8, start), -1);
	}
	assert_int_equal(peer_mem_next(m, &key, 0x208, start), 3); // pushed out, never wrong
}

static void number_that_is_another_peers_begins_anew(void **state)
{
	const struct key_pk other = {{3, 1}};

	(void)state;
	peer_mem_there(m, &key, 5, start);
	peer_mem_not_there(m, &other, 5, start);
	peer_mem_not_there(m, &other, 0, start);
	peer_mem_forget(m, 5);
	assert_int_equal(peer_mem_next(m, &key, 0xff, start), 0);
	assert_int_equal(peer_mem_next(m, &other, 0x21, start), 5);
}

static void places_are_a_power_of_two(void **state)
{
	(void)state;
	assert_null(peer_mem_new(0, secret));
	assert_int_equal(errno, EINVAL);
	assert_null(peer_mem_new(12, secret));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(unknown_key_asks_in_order),
		T(refusal_is_forgotten_soon),
		T(peer_that_had_it_is_asked_first),
		T(one_refusal_does_not_unseat_it),
		T(strange_keys_only_take_its_place),
		T(number_that_is_another_peers_begins_anew),
		T(places_are_a_power_of_two),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
