// What an initiator asks of a set-up node is what Go's client asked, byte for byte, and what our
// own set-up node reads again.

#include "lib/wire/setup_msg.h"

#include "lib/base/err.h"
#include "tests/support/rpc_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct netrpc_rx rx;
static struct setup_route route;

static int load(void **state)
{
	*state = vectors_load("setup.json");
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static uint8_t *request_new(void **state, const char *name, size_t *len)
{
	return vectors_hex_new(rpc_call(*state, "setup_node", name), "request", len);
}

static void take(const uint8_t *p, size_t len)
{
	rpc_take(&rx, p, len);
	assert_int_equal(setup_route_read(&route, &rx), 0);
}

static void calls_are_those_of_go(void **state)
{
	static const char *const calls[] = {"1_DialRouteGroup_first_call_on_conn",
		"2_DialRouteGroup_second_call_same_conn", "3_DialRouteGroup_error_reply"};
	struct netrpc_tx tx = {0};

	memset(&rx, 0, sizeof(rx));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		uint8_t out[SETUP_ASK_MAX];
		struct bytes_w w = bytes_w(out, sizeof(out));
		size_t len;
		uint8_t *p = request_new(state, calls[i], &len);

		take(p, len);
		setup_put_dial(&tx, &w, i, &route);
		assert_int_equal(bytes_w_done(&w), len);
		assert_memory_equal(out, p, len);
		free(p);
	}
}

static void the_longest_route_has_room(void **state)
{
	static struct setup_route asked;
	struct netrpc_tx tx = {0};
	uint8_t out[SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(out, sizeof(out));
	size_t len;
	uint8_t *p = request_new(state, "1_DialRouteGroup_first_call_on_conn", &len);

	memset(&rx, 0, sizeof(rx));
	take(p, len);
	free(p);
	asked = route;
	asked.keep_alive_ns = INT64_MAX;
	asked.forward.n = asked.reverse.n = SETUP_HOPS_MAX;
	for (uint32_t i = 0; i < SETUP_HOPS_MAX; i++)
		asked.forward.hop[i] = asked.reverse.hop[i] = route.forward.hop[0];
	setup_put_dial(&tx, &w, UINT64_MAX, &asked);
	assert_true(bytes_w_done(&w) > 0);
	memset(&rx, 0, sizeof(rx));
	take(out, bytes_w_len(&w));
	assert_memory_equal(&route, &asked, sizeof(route));
}

static int read_again(const struct setup_route *asked)
{
	struct netrpc_tx tx = {0};
	uint8_t out[SETUP_ASK_MAX];
	struct bytes_w w = bytes_w(out, sizeof(out));

	setup_put_dial(&tx, &w, 0, asked);
	memset(&rx, 0, sizeof(rx));
	rpc_take(&rx, out, bytes_w_len(&w));
	return setup_route_read(&route, &rx);
}

// Wherever it stands: the good ones, which stand there several times, are checked once.
static void a_key_that_is_no_point_is_refused(void **state)
{
	static const struct key_pk bad = {{2, [32] = 5}}; // X = 5 is not on the curve
	static struct setup_route asked;
	struct setup_path *const paths[] = {&asked.forward, &asked.reverse};
	size_t len;
	uint8_t *p = request_new(state, "1_DialRouteGroup_first_call_on_conn", &len);

	memset(&rx, 0, sizeof(rx));
	take(p, len);
	free(p);
	asked = route;
	assert_int_equal(read_again(&asked), 0);
	for (size_t k = 0; k < ARRAY_LEN(paths); k++)
		for (uint32_t i = 0; i < 2 * paths[k]->n; i++) {
			struct setup_hop *hop = &paths[k]->hop[i / 2];
			struct key_pk *pk = i % 2 == 0 ? &hop->from : &hop->to, was = *pk;

			*pk = bad;
			assert_int_equal(read_again(&asked), -EBADMSG);
			*pk = was;
		}
	assert_int_equal(read_again(&asked), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_those_of_go),
		cmocka_unit_test(the_longest_route_has_room),
		cmocka_unit_test(a_key_that_is_no_point_is_refused),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
