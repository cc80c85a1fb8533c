// Rule bytes against vectors made with the reference implementation (skywire-routing 2).
#include "lib/wire/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/vectors.h"

static const struct {
	const char *name;
	enum rule_kind kind;
	uint32_t key_id, next_id;
	int len;
} known[] = {
	{"A_consume", RULE_KIND_CONSUME, 2, 0, 83},
	{"A_forward", RULE_KIND_FORWARD, 1, 1, 120},
	{"B_intermediary_fwd", RULE_KIND_INTERMEDIARY, 1, 1, 50},
	{"B_intermediary_rev", RULE_KIND_INTERMEDIARY, 2, 2, 50},
	{"C_consume", RULE_KIND_CONSUME, 1, 0, 83},
	{"C_forward", RULE_KIND_FORWARD, 2, 2, 120},
};

static int load(void **state)
{
	*state = vectors_load("skywire-routes.json");
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static void decodes_and_encodes_known_rules(void **state)
{
	const json_t *rules = vectors_get(*state, "rules");

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t len;
		uint8_t *wire = vectors_hex_new(rules, known[i].name, &len);
		uint8_t back[RULE_LEN_MAX];
		struct rule_wire r;

		assert_int_equal(rule_decode(wire, len, &r), known[i].len);
		assert_int_equal(r.kind, known[i].kind);
		assert_int_equal(r.key_id, known[i].key_id);
		assert_int_equal(r.next_id, known[i].next_id);
		assert_int_equal(r.keep_alive_ns, 30000000000);
		assert_int_equal(rule_encode(back, sizeof(back), &r), known[i].len);
		assert_memory_equal(back, wire, len);
		free(wire);
	}
}

static void asks_for_more_at_each_truncation(void **state)
{
	const json_t *rules = vectors_get(*state, "rules");

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t len;
		uint8_t *wire = vectors_hex_new(rules, known[i].name, &len);
		uint8_t back[RULE_LEN_MAX];
		struct rule_wire r;

		for (size_t n = 0; n < len; n++)
			assert_int_equal(rule_decode(wire, n, &r), -EAGAIN);
		assert_int_equal(rule_decode(wire, len, &r), (int)len);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(rule_encode(back, n, &r), -ENOSPC);
		free(wire);
	}
}

static void reads_descriptor_and_inverts_it(void **state)
{
	const json_t *rules = vectors_get(*state, "rules");
	uint8_t fwd[RULE_DESC_LEN], rev[RULE_DESC_LEN], out[RULE_DESC_LEN];
	struct bytes_w w = bytes_w(out, sizeof(out));
	struct bytes_r r;
	struct rule_desc d;

	vectors_hex(rules, "descriptor_forward", fwd, sizeof(fwd));
	vectors_hex(rules, "descriptor_reverse", rev, sizeof(rev));
	r = bytes_r(fwd, sizeof(fwd));
	rule_desc_read(&r, &d);
	assert_int_equal(d.src_port, 50000);
	assert_int_equal(d.dst_port, 3);
	rule_desc_invert(&d, &d);
	rule_desc_write(&w, &d);
	assert_memory_equal(out, rev, sizeof(rev));
}

// Not the other way round, as it is often told.
static void a_forward_rules_descriptor_stands_before_its_next_hop(void **state)
{
	const json_t *rules = vectors_get(*state, "rules");
	uint8_t wire[RULE_FORWARD_LEN], desc[RULE_DESC_LEN];
	struct rule_wire r;

	vectors_hex(rules, "A_forward", wire, sizeof(wire));
	vectors_hex(rules, "descriptor_forward", desc, sizeof(desc));
	assert_int_equal(rule_decode(wire, sizeof(wire), &r), RULE_FORWARD_LEN);
	assert_memory_equal(wire + 13, desc, RULE_DESC_LEN);
	assert_int_equal(be32_get(wire + 83), r.next_id);
	assert_memory_equal(wire + 87, r.next_tp, sizeof(r.next_tp));
	assert_int_equal(r.desc.src_port, 50000);
	assert_int_equal(r.desc.dst_port, 3);
}

static void takes_rules_with_trailing_bytes(void **state)
{
	uint8_t wire[RULE_INTERMEDIARY_LEN + 9];
	struct rule_wire in = {.kind = RULE_KIND_INTERMEDIARY, .key_id = 1, .next_id = 2}, out;

	memset(wire, 0xee, sizeof(wire));
	assert_int_equal(rule_encode(wire, sizeof(wire), &in), 50);
	wire[49] = 0xff; // the over-allocated field is not looked at
	assert_int_equal(rule_decode(wire, sizeof(wire), &out), 50);
	assert_int_equal(out.next_id, 2);
}

static void refuses_impossible_rules(void **state)
{
	static const struct rule_wire bad[] = {
		{.kind = 3, .key_id = 1, .next_id = 1},
		{.kind = RULE_KIND_CONSUME, .key_id = 0},
		{.kind = RULE_KIND_FORWARD, .key_id = 1, .next_id = 0},
		{.kind = RULE_KIND_INTERMEDIARY, .key_id = 1, .next_id = 0},
		{.kind = RULE_KIND_CONSUME, .key_id = 1, .keep_alive_ns = -1},
	};
	uint8_t b[RULE_LEN_MAX] = {0};
	struct rule_wire r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(rule_encode(b, sizeof(b), &bad[i]), -EINVAL);
		be64_put(b, (uint64_t)bad[i].keep_alive_ns);
		b[8] = bad[i].kind;
		be32_put(b + 9, bad[i].key_id);
		be32_put(b + (bad[i].kind == RULE_KIND_INTERMEDIARY ? 13 : 83), bad[i].next_id);
		assert_int_equal(rule_decode(b, sizeof(b), &r), -EBADMSG);
	}
}

static void names_kinds(void **state)
{
	assert_string_equal(rule_kind_name(RULE_KIND_CONSUME), "consume");
	assert_string_equal(rule_kind_name(RULE_KIND_INTERMEDIARY), "intermediary");
	assert_string_equal(rule_kind_name(3), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_and_encodes_known_rules),
		cmocka_unit_test(asks_for_more_at_each_truncation),
		cmocka_unit_test(reads_descriptor_and_inverts_it),
		cmocka_unit_test(a_forward_rules_descriptor_stands_before_its_next_hop),
		cmocka_unit_test(takes_rules_with_trailing_bytes),
		cmocka_unit_test(refuses_impossible_rules),
		cmocka_unit_test(names_kinds),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
