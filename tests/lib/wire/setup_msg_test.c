// Route set-up against what Go's client and server sent each other: their calls are read, ours are
// the same bytes, and what can't be is refused.

#include "lib/wire/setup_msg.h"

#include "lib/base/err.h"
#include "tests/support/rpc_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct netrpc_rx rx;
static uint8_t out[16384];

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

static void assert_rule(void **state, const char *name, const uint8_t *rule, size_t want)
{
	size_t len;
	uint8_t *p = vectors_hex_new(vectors_get(*state, "rules"), name, &len);

	assert_int_equal(len, want);
	assert_memory_equal(rule, p, len);
	free(p);
}

static void copy_rule(void **state, const char *name, uint8_t *to)
{
	size_t len;
	uint8_t *p = vectors_hex_new(vectors_get(*state, "rules"), name, &len);

	memcpy(to, p, len);
	free(p);
}

static struct rule_desc desc_of(void **state, const char *name)
{
	uint8_t bytes[RULE_DESC_LEN];
	struct bytes_r r = bytes_r(bytes, sizeof(bytes));
	struct rule_desc desc;

	copy_rule(state, name, bytes);
	rule_desc_read(&r, &desc);
	return desc;
}

static void a_route_is_read_on_a_fresh_stream_and_on_a_used_one(void **state)
{
	static const char *const calls[] = {
		"1_DialRouteGroup_first_call_on_conn", "2_DialRouteGroup_second_call_same_conn"};

	memset(&rx, 0, sizeof(rx));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		static struct setup_route r;
		struct rule_desc desc = desc_of(state, "descriptor_forward");

		rpc_take_call(&rx, rpc_call(*state, "setup_node", calls[i]), "request");
		assert_string_equal(rx.method, SETUP_DIAL);
		assert_int_equal(rx.seq, i);
		assert_int_equal(setup_route_read(&r, &rx), 0);
		assert_memory_equal(&r.desc, &desc, sizeof(desc));
		assert_int_equal(r.keep_alive_ns, 30000000000);
		assert_int_equal(r.forward.n, 2);
		assert_int_equal(r.reverse.n, 2);
		assert_memory_equal(r.forward.hop[0].from.b, desc.src_pk, KEY_PK_LEN);
		assert_memory_equal(r.forward.hop[1].to.b, desc.dst_pk, KEY_PK_LEN);
		assert_memory_equal(&r.forward.hop[0].to, &r.forward.hop[1].from, KEY_PK_LEN);
		assert_memory_equal(r.forward.hop[0].tp_id, r.reverse.hop[1].tp_id, RULE_TP_ID_LEN);
		assert_int_equal(r.forward.hop[0].tp_id[0], 0x1d);
		assert_int_equal(r.forward.hop[1].tp_id[0], 0xa5);
	}
}

static void a_route_without_hops_is_read(void **state)
{
	static struct setup_route r;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, rpc_call(*state, "setup_node", "1_DialRouteGroup_first_call_on_conn"),
		"request");
	rpc_take_call(
		&rx, rpc_call(*state, "setup_node", "3_DialRouteGroup_error_reply"), "request");
	assert_int_equal(setup_route_read(&r, &rx), 0);
	assert_int_equal(r.forward.n + r.reverse.n, 0);
}

static void our_calls_are_the_same_bytes(void **state)
{
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out));
	uint8_t rules[2 * RULE_INTERMEDIARY_LEN];
	const uint32_t ids[] = {1, 2, 300};
	struct setup_edge edge = {.desc = desc_of(state, "descriptor_forward")};

	setup_put_reserve(&tx, &w, 0, 2);
	rpc_assert_wire(&w, out,
		rpc_call(*state, "router_fresh_conn_ReserveIDs", "1_ReserveIDs_n2"), "request");
	copy_rule(state, "B_intermediary_fwd", rules);
	copy_rule(state, "B_intermediary_rev", rules + RULE_INTERMEDIARY_LEN);
	w = bytes_w(out, sizeof(out));
	setup_put_intermediary(&tx, &w, 1, rules, 2);
	rpc_assert_wire(&w, out,
		rpc_call(*state, "router_fresh_conn_ReserveIDs",
			"2_AddIntermediaryRules_after_ReserveIDs"),
		"request");

	tx = (struct netrpc_tx){.sent_ids = false};
	w = bytes_w(out, sizeof(out));
	copy_rule(state, "C_forward", edge.forward);
	copy_rule(state, "C_consume", edge.consume);
	setup_put_edge(&tx, &w, 0, &edge);
	rpc_assert_wire(&w, out,
		rpc_call(*state, "router_fresh_conn_AddEdgeRules", "1_AddEdgeRules"), "request");

	tx = (struct netrpc_tx){.sent_ids = false};
	w = bytes_w(out, sizeof(out));
	setup_put_delete(&tx, &w, 0, ids, ARRAY_LEN(ids));
	rpc_assert_wire(&w, out, rpc_call(*state, "router_fresh_conn_DelRules_2026", "1_DelRules"),
		"request");
}

// What a node of a route reads, and what it answers.
static void a_set_up_nodes_calls_are_read_and_answered_as_go_does(void **state)
{
	static struct rule_wire rules[SETUP_IDS_MAX];
	const char *const conn = "router_fresh_conn_ReserveIDs";
	const json_t *first = rpc_call(*state, conn, "1_ReserveIDs_n2");
	const json_t *second = rpc_call(*state, conn, "2_AddIntermediaryRules_after_ReserveIDs");
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out));
	uint8_t count, again[RULE_INTERMEDIARY_LEN];
	uint32_t n;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, first, "request");
	assert_string_equal(rx.method, SETUP_RESERVE);
	assert_int_equal(setup_count_read(&count, &rx), 0);
	assert_int_equal(count, 2);
	setup_put_reserved(&tx, &w, rx.seq, (const uint32_t[]){1, 2}, 2);
	rpc_assert_wire(&w, out, first, "response");

	rpc_take_call(&rx, second, "request");
	assert_string_equal(rx.method, SETUP_INTERMEDIARY);
	assert_int_equal(setup_count_read(&count, &rx), -EBADMSG);
	assert_int_equal(setup_rules_read(rules, &n, &rx), 0);
	assert_int_equal(n, 2);
	assert_int_equal(rule_encode(again, sizeof(again), &rules[0]), sizeof(again));
	assert_rule(state, "B_intermediary_fwd", again, sizeof(again));
	assert_int_equal(rule_encode(again, sizeof(again), &rules[1]), sizeof(again));
	assert_rule(state, "B_intermediary_rev", again, sizeof(again));
	w = bytes_w(out, sizeof(out));
	setup_put_bool(&tx, &w, rx.method, rx.seq, true);
	rpc_assert_wire(&w, out, second, "response");
}

static void an_edges_rules_are_read_and_answered(void **state)
{
	const char *const conn = "router_setup_order_responder_edge";
	const json_t *first = rpc_call(*state, conn, "1_ReserveIDs_n2");
	const json_t *second = rpc_call(*state, conn, "2_AddEdgeRules_after_ReserveIDs");
	struct rule_desc desc = desc_of(state, "descriptor_forward");
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out));
	struct setup_edge edge;
	uint32_t ids[SETUP_IDS_MAX], n;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, first, "request");
	setup_put_reserved(&tx, &w, rx.seq, (const uint32_t[]){1, 2}, 2);
	rpc_assert_wire(&w, out, first, "response");
	rpc_take_call(&rx, second, "request");
	assert_string_equal(rx.method, SETUP_EDGE);
	assert_int_equal(setup_edge_read(&edge, &rx), 0);
	assert_memory_equal(&edge.desc, &desc, sizeof(desc));
	assert_rule(state, "C_forward", edge.forward, sizeof(edge.forward));
	assert_rule(state, "C_consume", edge.consume, sizeof(edge.consume));
	assert_int_equal(setup_ids_read(ids, &n, &rx), -EBADMSG);
	w = bytes_w(out, sizeof(out));
	setup_put_bool(&tx, &w, rx.method, rx.seq, true);
	rpc_assert_wire(&w, out, second, "response");
}

static void ids_to_delete_are_read_and_answered(void **state)
{
	const json_t *call = rpc_call(*state, "router_fresh_conn_DelRules_2026", "1_DelRules");
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out));
	uint32_t ids[SETUP_IDS_MAX], n;
	struct setup_edge edge;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, call, "request");
	assert_string_equal(rx.method, SETUP_DELETE);
	assert_int_equal(setup_ids_read(ids, &n, &rx), 0);
	assert_int_equal(n, 3);
	assert_int_equal(ids[2], 300);
	assert_int_equal(setup_edge_read(&edge, &rx), -EBADMSG);
	setup_put_bool(&tx, &w, rx.method, rx.seq, true);
	rpc_assert_wire(&w, out, call, "response");
}

static void a_refusal_is_written_as_go_does(void **state)
{
	const char *const conn = "router_fresh_conn_AddIntermediaryRules";
	const json_t *second = rpc_call(*state, conn, "2_AddIntermediaryRules_failure_reply");
	static struct rule_wire rules[SETUP_IDS_MAX];
	struct netrpc_tx tx = {.sent_response = true};
	struct bytes_w w = bytes_w(out, sizeof(out));
	uint32_t n;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, rpc_call(*state, conn, "1_AddIntermediaryRules"), "request");
	rpc_take_call(&rx, second, "request");
	assert_int_equal(setup_rules_read(rules, &n, &rx), 0);
	assert_int_equal(n, 0);
	netrpc_put_error(
		&tx, &w, rx.method, rx.seq, "failure code 1 (visor does not transit routes)");
	rpc_assert_wire(&w, out, second, "response");
}

// Puts rules of these lengths, cut from the vectors, into a call; what came of reading it.
static int read_rules_of(void **state, const size_t *lens, size_t n_lens)
{
	static struct rule_wire rules[SETUP_IDS_MAX];
	static const uint8_t type[] = {12, 0xff, 0x97, 2, 1, 2, 0xff, 0x98, 0, 1, 10, 0, 0};
	static uint8_t msg[12000];
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out)), m = bytes_w(msg, sizeof(msg));
	uint8_t rule[RULE_LEN_MAX] = {0};
	uint32_t n;
	bool ready;

	copy_rule(state, "B_intermediary_fwd", rule);
	netrpc_put_request(&tx, &w, SETUP_INTERMEDIARY, 0);
	bytes_w_copy(&w, type, sizeof(type));
	gob_put_int(&m, 76);
	gob_put_uint(&m, 0);
	gob_put_uint(&m, n_lens);
	for (size_t i = 0; i < n_lens; i++)
		gob_put_bytes(&m, rule, lens[i]);
	gob_put_message(&w, &m);
	assert_false(w.bad);
	memset(&rx, 0, sizeof(rx));
	assert_int_equal(netrpc_take(&rx, out, bytes_w_len(&w), &ready), bytes_w_len(&w));
	assert_true(ready);
	return setup_rules_read(rules, &n, &rx);
}

static void rules_that_are_none_are_refused(void **state)
{
	size_t many[SETUP_IDS_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = RULE_INTERMEDIARY_LEN;
	assert_int_equal(read_rules_of(state, (const size_t[]){50, 50}, 2), 0);
	assert_int_equal(read_rules_of(state, (const size_t[]){60}, 1), 0);
	assert_int_equal(read_rules_of(state, (const size_t[]){50, 49}, 2), -EBADMSG);
	assert_int_equal(read_rules_of(state, (const size_t[]){0}, 1), -EBADMSG);
	assert_int_equal(read_rules_of(state, many, SETUP_IDS_MAX), 0);
	assert_int_equal(read_rules_of(state, many, SETUP_IDS_MAX + 1), -E2BIG);
}

// A forward rule where the consume rule belongs, and a cut one.
static void an_edge_wants_one_rule_of_each_kind(void **state)
{
	static const char *const forward[] = {"C_forward", "C_consume", "C_forward"};
	static const char *const consume[] = {"C_consume", "C_consume", "C_forward"};

	for (size_t i = 0; i < ARRAY_LEN(forward); i++) {
		struct netrpc_tx tx = {.sent_ids = false};
		struct bytes_w w = bytes_w(out, sizeof(out));
		struct setup_edge edge = {.desc = desc_of(state, "descriptor_forward")}, back;
		uint8_t rule[RULE_LEN_MAX];
		bool ready;

		copy_rule(state, forward[i], rule);
		memcpy(edge.forward, rule, sizeof(edge.forward));
		copy_rule(state, consume[i], rule);
		memcpy(edge.consume, rule, sizeof(edge.consume));
		setup_put_edge(&tx, &w, 0, &edge);
		memset(&rx, 0, sizeof(rx));
		assert_int_equal(netrpc_take(&rx, out, bytes_w_len(&w), &ready), bytes_w_len(&w));
		assert_int_equal(setup_edge_read(&back, &rx), i == 0 ? 0 : -EBADMSG);
	}
}

static void our_answer_is_the_same_bytes(void **state)
{
	struct netrpc_tx tx = {.sent_ids = false};
	struct setup_edge edge = {.desc = desc_of(state, "descriptor_reverse")};

	copy_rule(state, "A_forward", edge.forward);
	copy_rule(state, "A_consume", edge.consume);
	for (uint64_t seq = 0; seq < 2; seq++) {
		struct bytes_w w = bytes_w(out, sizeof(out));

		setup_put_dialled(&tx, &w, seq, &edge);
		rpc_assert_wire(&w, out,
			rpc_call(*state, "setup_node",
				seq == 0 ? "1_DialRouteGroup_first_call_on_conn"
					 : "2_DialRouteGroup_second_call_same_conn"),
			"response");
	}
	assert_rule(state, "A_forward", edge.forward, sizeof(edge.forward));
}

static void answers_are_read(void **state)
{
	uint32_t ids[SETUP_IDS_MAX], n;
	bool v;

	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx, rpc_call(*state, "router_fresh_conn_ReserveIDs", "1_ReserveIDs_n2"),
		"response");
	assert_int_equal(setup_ids_read(ids, &n, &rx), 0);
	assert_int_equal(n, 2);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 2);
	assert_int_equal(setup_bool_read(&v, &rx), -EBADMSG);
	rpc_take_call(&rx,
		rpc_call(*state, "router_fresh_conn_ReserveIDs",
			"2_AddIntermediaryRules_after_ReserveIDs"),
		"response");
	assert_int_equal(setup_bool_read(&v, &rx), 0);
	assert_true(v);
	assert_int_equal(setup_ids_read(ids, &n, &rx), -EBADMSG);
}

static void a_refusal_is_read_with_its_words(void **state)
{
	memset(&rx, 0, sizeof(rx));
	rpc_take_call(&rx,
		rpc_call(
			*state, "router_fresh_conn_AddIntermediaryRules", "1_AddIntermediaryRules"),
		"response");
	rpc_take_call(&rx,
		rpc_call(*state, "router_fresh_conn_AddIntermediaryRules",
			"2_AddIntermediaryRules_failure_reply"),
		"response");
	assert_string_equal(rx.error, "failure code 1 (visor does not transit routes)");
}

// Elements that are no hops, and keys that are none.
static void what_is_no_route_is_refused(void **state)
{
	const json_t *call = rpc_call(*state, "setup_node", "1_DialRouteGroup_first_call_on_conn");
	static struct setup_route r;
	size_t len, refused = 0;
	uint8_t *p = vectors_hex_new(call, "request", &len);

	for (size_t at = 0; at < len; at++) {
		bool ready = false;

		p[at] ^= 0x40;
		memset(&rx, 0, sizeof(rx));
		if (netrpc_take(&rx, p, len, &ready) != (ssize_t)len || !ready ||
			strcmp(rx.method, SETUP_DIAL) != 0 || setup_route_read(&r, &rx) < 0)
			refused++;
		p[at] ^= 0x40;
	}
	assert_true(refused > len / 4); // the rest changes names of types, keys and ports
	free(p);
}

static void more_hops_than_the_limit_are_refused(void **state)
{
	// the count of the first slice of hops, behind the descriptor and the keep-alive
	static const uint8_t before[] = {0x01, 0xfb, 0x0d, 0xf8, 0x47, 0x58, 0x00, 0x01, 0x02};
	const json_t *call = rpc_call(*state, "setup_node", "1_DialRouteGroup_first_call_on_conn");
	uint32_t ids[SETUP_IDS_MAX], n;
	static struct setup_route r;
	struct netrpc_tx tx = {.sent_ids = false};
	struct bytes_w w = bytes_w(out, sizeof(out));
	static uint32_t many[SETUP_IDS_MAX];
	uint8_t *p, *at;
	bool ready;
	size_t len;

	p = vectors_hex_new(call, "request", &len);
	at = memmem(p, len, before, sizeof(before));
	assert_non_null(at);
	at[sizeof(before) - 1] = SETUP_HOPS_MAX + 1;
	memset(&rx, 0, sizeof(rx));
	assert_int_equal(netrpc_take(&rx, p, len, &ready), len);
	assert_true(ready);
	assert_true(setup_route_read(&r, &rx) < 0);
	free(p);

	for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = UINT32_MAX - i;
	setup_put_delete(&tx, &w, 0, many, ARRAY_LEN(many));
	memset(&rx, 0, sizeof(rx));
	assert_int_equal(netrpc_take(&rx, out, bytes_w_len(&w), &ready), bytes_w_len(&w));
	assert_int_equal(setup_ids_read(ids, &n, &rx), 0);
	assert_int_equal(n, ARRAY_LEN(many));
	assert_memory_equal(ids, many, sizeof(many));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_is_read_on_a_fresh_stream_and_on_a_used_one),
		cmocka_unit_test(a_route_without_hops_is_read),
		cmocka_unit_test(our_calls_are_the_same_bytes),
		cmocka_unit_test(our_answer_is_the_same_bytes),
		cmocka_unit_test(a_set_up_nodes_calls_are_read_and_answered_as_go_does),
		cmocka_unit_test(an_edges_rules_are_read_and_answered),
		cmocka_unit_test(ids_to_delete_are_read_and_answered),
		cmocka_unit_test(a_refusal_is_written_as_go_does),
		cmocka_unit_test(rules_that_are_none_are_refused),
		cmocka_unit_test(an_edge_wants_one_rule_of_each_kind),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(a_refusal_is_read_with_its_words),
		cmocka_unit_test(what_is_no_route_is_refused),
		cmocka_unit_test(more_hops_than_the_limit_are_refused),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
