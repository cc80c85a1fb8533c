// net/rpc against what Go's client and server sent each other: every call is read whole and in
// single bytes, our heads are read back, and what can't be a call ends the connection.

#include "lib/wire/netrpc.h"

#include "lib/base/err.h"
#include "lib/wire/visor_msg.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct conn {
	uint8_t buf[32768];
	size_t len;
};

static int setup(void **state)
{
	*state = vectors_load("netrpc.json");
	return 0;
}

static int teardown(void **state)
{
	json_decref(*state);
	return 0;
}

// All that one side of a connection sent.
static void conn_load(struct conn *c, const json_t *calls, const char *side)
{
	const json_t *call;
	size_t i;

	c->len = 0;
	json_array_foreach(calls, i, call)
	{
		size_t len;
		uint8_t *p = vectors_hex_new(call, side, &len);

		assert_true(len <= sizeof(c->buf) - c->len);
		memcpy(c->buf + c->len, p, len);
		c->len += len;
		free(p);
	}
}

static void calls_are_read_in_pieces_of(const json_t *calls, const char *side, size_t piece)
{
	static struct netrpc_rx rx;
	static struct conn c;
	size_t at = 0;
	unsigned n_calls = 0;

	memset(&rx, 0, sizeof(rx));
	conn_load(&c, calls, side);
	while (at < c.len) {
		size_t left = c.len - at, end = piece - at % piece;
		bool ready;
		ssize_t n = netrpc_take(&rx, c.buf + at, end < left ? end : left, &ready);

		assert_true(n > 0);
		at += (size_t)n;
		if (!ready)
			continue;
		assert_string_equal(
			rx.method, vectors_str(json_array_get(calls, n_calls), "method"));
		assert_int_equal(rx.seq, n_calls);
		n_calls++;
	}
	assert_int_equal(n_calls, json_array_size(calls));
}

static void calls_of_go_are_read(void **state)
{
	static const char *const conns[] = {"hypervisor", "router", "setup_node"};
	static const size_t pieces[] = {1, 2, 7, 64, 1 << 20};

	for (size_t i = 0; i < ARRAY_LEN(conns); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			const json_t *calls = vectors_get(*state, conns[i]);

			calls_are_read_in_pieces_of(calls, "request", pieces[k]);
			calls_are_read_in_pieces_of(calls, "response", pieces[k]);
		}
}

// The call number `no` of a side of a connection.
static void take_call(const json_t *calls, const char *side, unsigned no, struct netrpc_rx *rx)
{
	static struct conn c;
	size_t at = 0;

	memset(rx, 0, sizeof(*rx));
	conn_load(&c, calls, side);
	for (unsigned n_calls = 0; n_calls <= no;) {
		bool ready;
		ssize_t n = netrpc_take(rx, c.buf + at, c.len - at, &ready);

		assert_true(n > 0);
		at += (size_t)n;
		n_calls += ready;
	}
}

static void a_push_of_go_is_read(void **state)
{
	static struct netrpc_rx rx;
	const json_t *calls = vectors_get(*state, "hypervisor");
	char pk[KEY_PK_TEXT_LEN + 1];
	struct visor_lan lan;

	take_call(calls, "request", 0, &rx);
	assert_int_equal(visor_lan_read(&lan, &rx), 0);
	key_pk_to_text(&lan.pk, pk);
	assert_string_equal(
		pk, "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f");
	assert_true(lan.enabled);
	assert_string_equal(lan.address, "192.168.1.2:8085");
	assert_string_equal(lan.public_address, "203.0.113.9:8085");
	assert_string_equal(lan.discovery_url, "http://discovery.example");

	take_call(calls, "request", 1, &rx);
	assert_int_equal(visor_lan_read(&lan, &rx), 0);
	assert_string_equal(lan.public_address, "");
	take_call(calls, "request", 2, &rx);
	assert_int_equal(visor_lan_read(&lan, &rx), 0);
	assert_string_equal(lan.address, "");
}

static void a_body_of_another_type_leaves_the_connection_usable(void **state)
{
	static struct netrpc_rx rx;
	struct visor_lan lan;

	take_call(vectors_get(*state, "hypervisor"), "request", 5, &rx); // a bool
	assert_int_equal(visor_lan_read(&lan, &rx), -EBADMSG);
	take_call(vectors_get(*state, "hypervisor"), "request", 6, &rx);
	assert_string_equal(rx.method, "app-visor.Other");
}

static void lists_numbers_and_texts_are_read(void **state)
{
	static const struct gob_field list_as = {NULL, GOB_SLICE, 0, 0, NULL};
	static const struct gob_field number_as = {NULL, GOB_UINT, 0, UINT32_MAX, NULL};
	static const struct gob_field text_as = {NULL, GOB_STRING, 0, 0, NULL};
	static const struct gob_field bytes_as = {NULL, GOB_BYTES, 0, 0, NULL};
	static const uint64_t want[] = {1, 2, 300};
	static struct netrpc_rx rx;
	const json_t *calls = vectors_get(*state, "hypervisor");
	struct gob_span text = {NULL, 0}, rule;
	struct gob_list list;
	uint64_t v;

	take_call(calls, "request", 6, &rx);
	assert_int_equal(netrpc_body(&rx, &list_as, &list), 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct gob_list same = list;

		assert_int_equal(gob_list_next(&rx.types, &same, &text_as, &text), -EBADMSG);
		assert_int_equal(gob_list_next(&rx.types, &list, &number_as, &v), 1);
		assert_int_equal(v, want[i]);
	}
	assert_int_equal(gob_list_next(&rx.types, &list, &number_as, &v), 0);

	take_call(calls, "response", 6, &rx);
	assert_int_equal(netrpc_body(&rx, &text_as, &text), 0);
	assert_memory_equal(text.p, "[1 2 300]", text.len);

	take_call(vectors_get(*state, "router"), "request", 1, &rx);
	assert_int_equal(netrpc_body(&rx, &list_as, &list), 0);
	assert_int_equal(list.n, 2);
	while (gob_list_next(&rx.types, &list, &bytes_as, &rule) == 1)
		assert_int_equal(rule.len, 50);
	assert_int_equal(list.n, 0);
}

// Our response to call `no`: the same head and body as Go's, but for type ids.
static void assert_same_response(const json_t *calls, unsigned no, const struct bytes_w *w)
{
	static struct netrpc_rx ours, gos;
	static const struct gob_field as = {NULL, GOB_BOOL, 0, 0, NULL};
	static const struct gob_struct empty = {NULL, 0};
	static const struct gob_field empty_as = {NULL, GOB_STRUCT, 0, 0, &empty};
	bool ready, a = false, b = false;

	take_call(calls, "response", no, &gos);
	memset(&ours, 0, sizeof(ours));
	for (const uint8_t *p = w->start; p < w->p;)
		p += netrpc_take(&ours, p, (size_t)(w->p - p), &ready);
	assert_true(ready);
	assert_string_equal(ours.method, gos.method);
	assert_string_equal(ours.error, gos.error);
	assert_int_equal(ours.seq, gos.seq);
	if (gos.error[0] != '\0') {
		assert_int_equal(netrpc_body(&gos, &empty_as, &a), 0);
		assert_int_equal(netrpc_body(&ours, &empty_as, &a), 0);
		return;
	}
	assert_int_equal(netrpc_body(&gos, &as, &a), 0);
	assert_int_equal(netrpc_body(&ours, &as, &b), 0);
	assert_int_equal(a, b);
}

static void responses_say_what_go_says(void **state)
{
	const json_t *calls = vectors_get(*state, "hypervisor");
	static struct netrpc_rx rx;
	struct netrpc_tx tx = {.sent_request = false};
	uint8_t out[4096];
	struct bytes_w w = bytes_w(out, sizeof(out));
	char text[NETRPC_ERROR_MAX];

	for (unsigned no = 0; no <= 5; no++) {
		take_call(calls, "request", no, &rx);
		if (no <= 1) {
			netrpc_put_response(&tx, &w, rx.method, rx.seq);
			netrpc_put_bool(&w, true);
		} else if (no == 2) {
			netrpc_put_error(&tx, &w, rx.method, rx.seq, "no address");
		} else {
			netrpc_put_error(&tx, &w, rx.method, rx.seq,
				netrpc_no_method(rx.method, VISOR_SERVICE, text, sizeof(text)));
		}
		assert_false(w.bad);
		assert_same_response(calls, no, &w);
	}
}

static void descriptors_leave_once(void **state)
{
	struct netrpc_tx tx = {.sent_request = false};
	uint8_t out[1024];
	struct bytes_w w = bytes_w(out, sizeof(out));
	size_t first;

	netrpc_put_error(&tx, &w, "A.B", 1, "no");
	first = bytes_w_len(&w);
	netrpc_put_error(&tx, &w, "A.B", 2, "no");
	assert_int_equal(bytes_w_len(&w) - first, 3 + 1 + 1 + 4 + 2 + 4 + 1 - 1 + 4);
}

static void what_is_no_call_ends_the_connection(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} cases[] = {
		{"a number for a head", "\x03\x06\x00\x02", 4},
		{"a message above the limit", "\xfd\x00\x30\x01", 4},
		{"a count of nine bytes", "\xf7\x01", 2},
		{"an empty message", "\x00", 1},
		{"a type twice",
			"\x0a\xff\x85\x03\x01\x02\xff\x86\x00\x00\x00"
			"\x0a\xff\x85\x03\x01\x02\xff\x86\x00\x00\x00",
			22},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		static struct netrpc_rx rx;
		bool ready;

		memset(&rx, 0, sizeof(rx));
		if (netrpc_take(&rx, (const uint8_t *)cases[i].bytes, cases[i].len, &ready) !=
			-EBADMSG)
			fail_msg("%s", cases[i].what);
	}
}

static void methods_and_errors_have_limits(void **state)
{
	char method[NETRPC_METHOD_MAX + 1], error[2 * NETRPC_ERROR_MAX];

	memset(error, 'e', sizeof(error));
	error[sizeof(error) - 1] = '\0';
	for (size_t len = NETRPC_METHOD_MAX - 1; len <= NETRPC_METHOD_MAX; len++) {
		static struct netrpc_rx rx;
		struct netrpc_tx tx = {.sent_request = false};
		uint8_t out[2048];
		struct bytes_w w = bytes_w(out, sizeof(out));
		bool ready;
		ssize_t n;

		memset(method, 'm', len);
		method[len] = '\0';
		memset(&rx, 0, sizeof(rx));
		netrpc_put_error(&tx, &w, method, 1, error);
		assert_false(w.bad);
		n = netrpc_take(&rx, out, bytes_w_len(&w), &ready);
		if (len == NETRPC_METHOD_MAX) {
			assert_int_equal(n, -EBADMSG);
			continue;
		}
		assert_int_equal(n, bytes_w_done(&w));
		assert_int_equal(strlen(rx.error), NETRPC_ERROR_MAX - 1);
	}
}

static void pushes_are_read_back(void **state)
{
	static const struct visor_lan pushes[] = {
		{.enabled = false},
		{.enabled = true, .address = "10.0.0.1:1"},
		{.enabled = true, .public_address = "[2001:db8::1]:8085"},
		{.enabled = false, .address = "a:1", .discovery_url = "http://d"},
	};
	static struct netrpc_rx rx;
	struct netrpc_tx tx = {.sent_request = false};

	memset(&rx, 0, sizeof(rx));
	for (size_t i = 0; i < ARRAY_LEN(pushes); i++) {
		uint8_t out[2048];
		struct bytes_w w = bytes_w(out, sizeof(out));
		struct visor_lan got;
		bool ready;

		visor_lan_put(&tx, &w, i, &pushes[i]);
		assert_false(w.bad);
		assert_int_equal(netrpc_take(&rx, out, bytes_w_len(&w), &ready), bytes_w_len(&w));
		assert_true(ready);
		assert_string_equal(rx.method, VISOR_SET_LAN);
		assert_int_equal(rx.seq, i);
		assert_int_equal(visor_lan_read(&got, &rx), 0);
		assert_memory_equal(&got, &pushes[i], sizeof(got));
	}
}

static void pushes_with_bad_keys_or_texts_are_refused(void **state)
{
	static const struct {
		const char *what;
		struct visor_lan lan;
	} cases[] = {
		{"a key that is no point", {.pk = {{2, [32] = 5}}}},
		{"a key of another form", {.pk = {{4, [32] = 1}}}},
		{"a line end", {.address = "10.0.0.1:1\n"}},
		{"a space", {.public_address = "a b:1"}},
		{"beyond ASCII", {.discovery_url = "http://\xc3\xa9"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		static struct netrpc_rx rx;
		struct netrpc_tx tx = {.sent_request = false};
		uint8_t out[2048];
		struct bytes_w w = bytes_w(out, sizeof(out));
		struct visor_lan got;
		bool ready;

		memset(&rx, 0, sizeof(rx));
		visor_lan_put(&tx, &w, 0, &cases[i].lan);
		assert_true(netrpc_take(&rx, out, bytes_w_len(&w), &ready) > 0 && ready);
		if (visor_lan_read(&got, &rx) != -EBADMSG)
			fail_msg("%s", cases[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_of_go_are_read),
		cmocka_unit_test(a_push_of_go_is_read),
		cmocka_unit_test(a_body_of_another_type_leaves_the_connection_usable),
		cmocka_unit_test(lists_numbers_and_texts_are_read),
		cmocka_unit_test(responses_say_what_go_says),
		cmocka_unit_test(descriptors_leave_once),
		cmocka_unit_test(what_is_no_call_ends_the_connection),
		cmocka_unit_test(methods_and_errors_have_limits),
		cmocka_unit_test(pushes_are_read_back),
		cmocka_unit_test(pushes_with_bad_keys_or_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
