// Transport set-up against what Go's client and server sent each other: their calls and answers
// are read, ours are the same bytes, and what can't be is refused.

#include "lib/wire/tp_setup_msg.h"

#include "lib/base/err.h"
#include "tests/support/rpc_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct netrpc_rx asked, said;
static struct netrpc_tx asks, says;
static uint8_t out[TP_SETUP_ANSWER_MAX + 1024];
static struct bytes_w w;

static int load(void **state)
{
	*state = vectors_load("transport-setup.json");
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static void begin(void)
{
	memset(&asked, 0, sizeof(asked));
	memset(&said, 0, sizeof(said));
	memset(&asks, 0, sizeof(asks));
	memset(&says, 0, sizeof(says));
}

static void take(struct netrpc_rx *rx, const json_t *call, const char *side)
{
	rpc_take_call(rx, call, side);
	w = bytes_w(out, sizeof(out));
}

static void assert_wire(const json_t *call, const char *side)
{
	rpc_assert_wire(&w, out, call, side);
	w = bytes_w(out, sizeof(out));
}

static void an_add(const json_t *call, uint64_t seq, const char *type, const char *error)
{
	struct tp_setup_ask ask;
	struct tp_setup_tp tp;

	take(&asked, call, "request");
	assert_string_equal(asked.method, TP_SETUP_ADD);
	assert_int_equal(asked.seq, seq);
	assert_int_equal(tp_setup_ask_read(&ask, &asked), 0);
	assert_string_equal(ask.type, type);
	tp_setup_put_add(&asks, &w, seq, &ask);
	assert_wire(call, "request");
	take(&said, call, "response");
	assert_string_equal(said.error, error);
	if (error[0] != '\0') {
		netrpc_put_error(&says, &w, TP_SETUP_ADD, seq, error);
	} else {
		assert_int_equal(tp_setup_tp_read(&tp, &said), 0);
		assert_int_equal(key_pk_cmp(&tp.remote, &ask.remote), 0);
		assert_int_not_equal(key_pk_cmp(&tp.remote, &tp.local), 0);
		assert_string_equal(tp.type, type);
		tp_setup_put_added(&says, &w, seq, &tp);
	}
	assert_wire(call, "response");
}

static void a_removal(const json_t *call, uint64_t seq, uint8_t first, const char *error)
{
	uint8_t id[TP_SETUP_ID_LEN];
	bool v = false;

	take(&asked, call, "request");
	assert_string_equal(asked.method, TP_SETUP_REMOVE);
	assert_int_equal(tp_setup_id_read(id, &asked), 0);
	assert_int_equal(id[0], first);
	tp_setup_put_remove(&asks, &w, seq, id);
	assert_wire(call, "request");
	take(&said, call, "response");
	assert_string_equal(said.error, error);
	if (error[0] != '\0') {
		netrpc_put_error(&says, &w, TP_SETUP_REMOVE, seq, error);
	} else {
		assert_int_equal(tp_setup_removed_read(&v, &said), 0);
		assert_true(v);
		tp_setup_put_removed(&says, &w, seq, v);
	}
	assert_wire(call, "response");
}

static void a_list(const json_t *call, uint64_t seq, uint32_t want)
{
	struct tp_setup_tp list[TP_SETUP_MAX];
	uint32_t n;

	take(&asked, call, "request");
	assert_string_equal(asked.method, TP_SETUP_LIST);
	tp_setup_put_list(&asks, &w, seq);
	assert_wire(call, "request");
	take(&said, call, "response");
	assert_int_equal(tp_setup_list_read(list, &n, &said), 0);
	assert_int_equal(n, want);
	if (n == 2) {
		assert_int_equal(list[0].id[0], 0x1d);
		assert_string_equal(list[0].type, "stcpr");
		assert_string_equal(list[1].type, "dmsg");
		assert_int_equal(key_pk_cmp(&list[0].local, &list[1].local), 0);
	}
	tp_setup_put_listed(&says, &w, seq, list, n);
	assert_wire(call, "response");
}

static void each_call_on_a_fresh_stream_is_that_of_go(void **state)
{
	begin();
	an_add(rpc_call(*state, "fresh_AddTransport", "1_AddTransport"), 0, "stcpr", "");
	begin();
	a_removal(rpc_call(*state, "fresh_RemoveTransport", "1_RemoveTransport"), 0, 0x1d, "");
	begin();
	a_list(rpc_call(*state, "fresh_GetTransports", "1_GetTransports"), 0, 2);
	begin();
	a_list(rpc_call(*state, "fresh_GetTransports_none", "1_GetTransports"), 0, 0);
}

static void calls_after_one_another_are_those_of_go(void **state)
{
	begin();
	an_add(rpc_call(*state, "all", "1_AddTransport"), 0, "stcpr", "");
	an_add(rpc_call(*state, "all", "2_AddTransport_refused"), 1, "stcp",
		"save transport: client not found for the type stcp");
	a_list(rpc_call(*state, "all", "3_GetTransports"), 2, 2);
	a_removal(rpc_call(*state, "all", "4_RemoveTransport"), 3, 0x1d, "");
	a_removal(rpc_call(*state, "all", "5_RemoveTransport_refused"), 4, 0xa5,
		"transport was not created by skycoin");
	an_add(rpc_call(*state, "all", "6_AddTransport"), 5, "dmsg", "");
	a_list(rpc_call(*state, "all", "7_GetTransports"), 6, 2);
}

// What was written into out, as who gets it reads it.
static const struct netrpc_rx *written(void)
{
	bool ready;

	assert_true(bytes_w_done(&w) > 0);
	memset(&asked, 0, sizeof(asked));
	assert_int_equal(netrpc_take(&asked, out, bytes_w_len(&w), &ready), bytes_w_len(&w));
	assert_true(ready);
	w = bytes_w(out, sizeof(out));
	return &asked;
}

static void the_longest_list_has_room(void **state)
{
	static struct tp_setup_tp list[TP_SETUP_MAX + 1], back[TP_SETUP_MAX];
	uint32_t n;

	begin();
	take(&said, rpc_call(*state, "fresh_AddTransport", "1_AddTransport"), "response");
	assert_int_equal(tp_setup_tp_read(&list[0], &said), 0);
	strcpy(list[0].type, "fifteen-letters");
	for (uint32_t i = 1; i < ARRAY_LEN(list); i++)
		list[i] = list[0];
	tp_setup_put_listed(&says, &w, UINT64_MAX, list, TP_SETUP_MAX);
	assert_true(bytes_w_len(&w) <= TP_SETUP_ANSWER_MAX);
	assert_int_equal(tp_setup_list_read(back, &n, written()), 0);
	assert_int_equal(n, TP_SETUP_MAX);
	assert_memory_equal(back, list, sizeof(back));
	memset(&says, 0, sizeof(says));
	tp_setup_put_listed(&says, &w, 0, list, TP_SETUP_MAX + 1);
	assert_int_equal(tp_setup_list_read(back, &n, written()), -E2BIG);
}

static void what_cannot_be_is_refused(void **state)
{
	struct tp_setup_ask good, ask, back;
	struct tp_setup_tp tp;
	uint8_t id[TP_SETUP_ID_LEN];
	bool v;

	begin();
	take(&asked, rpc_call(*state, "fresh_AddTransport", "1_AddTransport"), "request");
	assert_int_equal(tp_setup_ask_read(&good, &asked), 0);
	assert_int_equal(tp_setup_id_read(id, &asked), -EBADMSG);
	assert_int_equal(tp_setup_tp_read(&tp, &asked), -EBADMSG);
	assert_int_equal(tp_setup_removed_read(&v, &asked), 0); // no such field: false
	assert_false(v);

	ask = good;
	memset(&ask.remote, 0, sizeof(ask.remote));
	ask.remote.b[0] = 2;
	ask.remote.b[32] = 5; // X = 5 is not on the curve
	tp_setup_put_add(&asks, &w, 0, &ask);
	assert_int_equal(tp_setup_ask_read(&back, written()), -EBADMSG);

	for (unsigned i = 0; i < 2; i++) {
		ask = good;
		strcpy(ask.type, i == 0 ? "st pr" : "st\npr");
		memset(&asks, 0, sizeof(asks));
		tp_setup_put_add(&asks, &w, 0, &ask);
		assert_int_equal(tp_setup_ask_read(&back, written()), -EBADMSG);
	}
	ask = good;
	ask.type[0] = '\0'; // Go leaves it out
	memset(&asks, 0, sizeof(asks));
	tp_setup_put_add(&asks, &w, 0, &ask);
	assert_int_equal(tp_setup_ask_read(&back, written()), 0);
	assert_string_equal(back.type, "");
}

static void a_type_that_is_too_long_is_refused(void **state)
{
	const json_t *call = rpc_call(*state, "fresh_AddTransport", "1_AddTransport");
	struct tp_setup_ask ask;
	size_t len;
	uint8_t *p = vectors_hex_new(call, "request", &len), longer[512];
	bool ready;

	// The value is the last message: its count, and the text's before its last 6 bytes.
	begin();
	assert_int_equal(p[len - 46], 45);
	assert_int_equal(p[len - 7], 5);
	memcpy(longer, p, len - 6);
	longer[len - 46] = 45 + 11;
	longer[len - 7] = 16;
	memset(longer + len - 6, 'x', 16);
	longer[len + 10] = 0;
	assert_int_equal(netrpc_take(&asked, longer, len + 11, &ready), len + 11);
	assert_true(ready);
	assert_int_equal(tp_setup_ask_read(&ask, &asked), -EBADMSG);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_on_a_fresh_stream_is_that_of_go),
		cmocka_unit_test(calls_after_one_another_are_those_of_go),
		cmocka_unit_test(the_longest_list_has_room),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(a_type_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
