// Requests to route finders and their answers, against the interop vectors.
#include "lib/wire/finder_msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/wire/entry.h"
#include "tests/support/vectors.h"

static struct key_pk pk[3]; // A, B, C
static struct finder_ask ask;
static struct finder_answer answer;

static int setup(void **state)
{
	static const char *const names[] = {"A", "B", "C"};
	json_t *root = vectors_load("skywire-routes.json");

	for (size_t i = 0; i < 3; i++)
		vectors_hex(vectors_get(vectors_get(root, "keys"), names[i]), "pk", pk[i].b,
			KEY_PK_LEN);
	ask = (struct finder_ask){pk[0], pk[2], 1, 50};
	*state = root;
	return 0;
}

static int teardown(void **state)
{
	json_decref(*state);
	return 0;
}

static const char *vector(void **state, const char *name)
{
	return vectors_str(vectors_get(*state, "route_finder"), name);
}

static int read_answer(const char *json)
{
	return finder_answer_read(&answer, &ask, json, strlen(json));
}

static void request_names_edges_in_pairs_and_hops_as_MinHops_and_MaxHops(void **state)
{
	char text[FINDER_REQUEST_MAX];
	ssize_t len = finder_request_write(&ask, text, sizeof(text));

	assert_string_equal(text, vector(state, "request"));
	assert_int_equal(len, strlen(text));
	ask.min_hops = ask.max_hops = UINT16_MAX;
	assert_true(finder_request_write(&ask, text, sizeof(text)) > 0);
	ask.min_hops = 1;
	ask.max_hops = 50;
	assert_int_equal(finder_request_write(&ask, text, (size_t)len), -ENOSPC);
}

static void check_hop(const struct setup_hop *h, const char *id, int from, int to)
{
	char text[ENTRY_ID_TEXT_LEN];

	entry_id_format(text, h->tp_id);
	assert_string_equal(text, id);
	assert_int_equal(key_pk_cmp(&h->from, &pk[from]), 0);
	assert_int_equal(key_pk_cmp(&h->to, &pk[to]), 0);
}

static void answer_names_hops_by_TpID_From_and_To(void **state)
{
	const json_t *tp = vectors_get(*state, "transports");
	const char *ab = vectors_str(tp, "stcpr_AB"), *bc = vectors_str(tp, "stcpr_BC");
	static const char *const names[] = {"TpID", "From", "To"};
	char json[4096], quoted[16];

	assert_int_equal(read_answer(vector(state, "response")), 0);
	assert_int_equal(answer.n_bad, 0);
	assert_true(answer.forward.n == 1 && answer.reverse.n == 1);
	assert_true(answer.forward.path[0].n == 2 && answer.reverse.path[0].n == 2);
	check_hop(&answer.forward.path[0].hop[0], ab, 0, 1);
	check_hop(&answer.forward.path[0].hop[1], bc, 1, 2);
	check_hop(&answer.reverse.path[0].hop[0], bc, 2, 1);
	check_hop(&answer.reverse.path[0].hop[1], ab, 1, 0);
	// under any other name there is no such hop
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *p;

		snprintf(json, sizeof(json), "%s", vector(state, "response"));
		snprintf(quoted, sizeof(quoted), "\"%s\":", names[i]);
		for (p = strstr(json, quoted); p != NULL; p = strstr(p, quoted))
			p[1] = '_';
		assert_int_equal(read_answer(json), 0);
		assert_int_equal(answer.n_bad, 2);
		assert_int_equal(answer.forward.n + answer.reverse.n, 0);
	}
}

static void null_and_absent_pairs_are_no_paths(void **state)
{
	static const char *const none[] = {"null", "{}", "{\"x\":7}"};
	char a[KEY_PK_TEXT_LEN + 1], c[KEY_PK_TEXT_LEN + 1], json[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_int_equal(read_answer(none[i]), 0);
		assert_int_equal(answer.forward.n + answer.reverse.n + answer.n_bad, 0);
	}
	key_pk_to_text(&pk[0], a);
	key_pk_to_text(&pk[2], c);
	snprintf(json, sizeof(json), "{\"%s:%s\":null}", a, c);
	assert_int_equal(read_answer(json), 0);
	snprintf(json, sizeof(json), "{\"%s:%s\":[]}", a, c);
	assert_int_equal(read_answer(json), 0);
	snprintf(json, sizeof(json), "{\"%s:%s\":[[],null,7,[7]]}", a, c);
	assert_int_equal(read_answer(json), 0);
	assert_int_equal(answer.n_bad, 4);
	snprintf(json, sizeof(json), "{\"%s:%s\":{}}", a, c);
	assert_int_equal(read_answer(json), -EBADMSG);
	assert_int_equal(read_answer("[]"), -EBADMSG);
	assert_int_equal(read_answer(""), -EBADMSG);
}

// A path of n hops A-B, B-A, ..., the last one to `last`.
static size_t put_path(char *out, size_t cap, unsigned n, int last)
{
	char key[3][KEY_PK_TEXT_LEN + 1];
	size_t len = 0;

	for (int i = 0; i < 3; i++)
		key_pk_to_text(&pk[i], key[i]);
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, cap - len,
			"%c{\"TpID\":\"1d60fbdd-a0fc-0a64-85c6-f155e43f3465\",\"From\":\"%s\",\"To\":"
			"\"%s\"}",
			i == 0 ? '[' : ',', key[i % 2], key[i + 1 == n ? last : (int)(i + 1) % 2]);
	return len + (size_t)snprintf(out + len, cap - len, "]");
}

static int read_paths(unsigned n_paths, unsigned n_hops, int last)
{
	static char json[FINDER_JSON_MAX];
	char a[KEY_PK_TEXT_LEN + 1], c[KEY_PK_TEXT_LEN + 1];
	size_t len;

	key_pk_to_text(&pk[0], a);
	key_pk_to_text(&pk[2], c);
	len = (size_t)snprintf(json, sizeof(json), "{\"%s:%s\":[", a, c);
	for (unsigned i = 0; i < n_paths; i++) {
		if (i > 0)
			json[len++] = ',';
		len += put_path(json + len, sizeof(json) - len, n_hops, last);
	}
	len += (size_t)snprintf(json + len, sizeof(json) - len, "]}");
	return finder_answer_read(&answer, &ask, json, len);
}

static void paths_that_do_not_lead_to_the_destination_are_left_out(void **state)
{
	(void)state;
	assert_int_equal(read_paths(1, 3, 2), 0);
	assert_true(answer.forward.n == 1 && answer.forward.path[0].n == 3);
	assert_int_equal(read_paths(1, 3, 0), 0);
	assert_true(answer.forward.n == 0 && answer.n_bad == 1);
	ask.src = pk[1]; // the first hop is another's, and so are the pair's names
	assert_int_equal(read_paths(1, 3, 2), 0);
	assert_int_equal(answer.forward.n + answer.n_bad, 0);
	ask.src = pk[0];
}

static void limits_of_paths_and_hops_hold(void **state)
{
	(void)state;
	assert_int_equal(read_paths(9, SETUP_HOPS_MAX, 2), 0);
	assert_int_equal(answer.forward.n, FINDER_PATHS_MAX);
	assert_int_equal(answer.forward.path[4].n, SETUP_HOPS_MAX);
	assert_int_equal(read_paths(1, SETUP_HOPS_MAX + 1, 2), 0);
	assert_true(answer.forward.n == 0 && answer.n_bad == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_names_edges_in_pairs_and_hops_as_MinHops_and_MaxHops),
		cmocka_unit_test(answer_names_hops_by_TpID_From_and_To),
		cmocka_unit_test(null_and_absent_pairs_are_no_paths),
		cmocka_unit_test(paths_that_do_not_lead_to_the_destination_are_left_out),
		cmocka_unit_test(limits_of_paths_and_hops_hold),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
