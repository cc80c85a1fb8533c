// Transport ids and entry hashes against the interop vectors of skywire-routing 6.
#include "lib/wire/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/vectors.h"

static uint8_t pk[3][ENTRY_PK_LEN]; // A, B, C

static int load(void **state)
{
	static const char *const names[] = {"A", "B", "C"};

	*state = vectors_load("skywire-routes.json");
	for (size_t i = 0; i < 3; i++)
		vectors_hex(vectors_get(vectors_get(*state, "keys"), names[i]), "pk", pk[i],
			ENTRY_PK_LEN);
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static void makes_known_transport_ids(void **state)
{
	static const struct {
		const char *vector, *type;
		int a, b;
	} t[] = {{"dmsg_AB", "dmsg", 0, 1}, {"stcp_AB", "stcp", 0, 1}, {"stcpr_AB", "stcpr", 0, 1},
		{"sudph_AB", "sudph", 0, 1}, {"stcpr_BC", "stcpr", 1, 2},
		{"stcpr_AA", "stcpr", 0, 0}};
	const json_t *tp = vectors_get(*state, "transports");

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char text[ENTRY_ID_TEXT_LEN];
		uint8_t id[ENTRY_ID_LEN], swapped[ENTRY_ID_LEN], parsed[ENTRY_ID_LEN];

		assert_int_equal(entry_transport_id(id, pk[t[i].a], pk[t[i].b], t[i].type), 0);
		assert_int_equal(entry_transport_id(swapped, pk[t[i].b], pk[t[i].a], t[i].type), 0);
		assert_memory_equal(id, swapped, sizeof(id));
		entry_id_format(text, id);
		assert_string_equal(text, vectors_str(tp, t[i].vector));
		assert_int_equal(entry_id_parse(parsed, text), 0);
		assert_memory_equal(parsed, id, sizeof(id));
	}
}

static void makes_known_entry_bytes_and_hash(void **state)
{
	const json_t *tp = vectors_get(*state, "transports");
	uint8_t got[ENTRY_BYTES_MAX], hash[ENTRY_HASH_LEN], want_hash[ENTRY_HASH_LEN];
	size_t len;
	uint8_t *want = vectors_hex_new(tp, "entry_to_binary_stcpr_AB", &len);

	assert_int_equal(entry_signed_bytes(got, pk[0], pk[1], "stcpr"), len);
	assert_memory_equal(got, want, len);
	vectors_hex(tp, "entry_to_binary_sha256", want_hash, sizeof(want_hash));
	assert_int_equal(entry_hash(hash, pk[1], pk[0], "stcpr"), 0);
	assert_memory_equal(hash, want_hash, sizeof(hash));
	free(want);
}

static void refuses_bad_type_texts(void **state)
{
	uint8_t out[ENTRY_BYTES_MAX];

	assert_int_equal(entry_transport_id(out, pk[0], pk[1], ""), -EINVAL);
	assert_int_equal(entry_signed_bytes(out, pk[0], pk[1], "12345678901234567"), -EINVAL);
	assert_int_equal(entry_hash(out, pk[0], pk[1], ""), -EINVAL);
	assert_int_equal(
		entry_signed_bytes(out, pk[0], pk[1], "1234567890123456"), ENTRY_BYTES_MAX);
}

static void refuses_malformed_id_texts(void **state)
{
	static const char *const bad[] = {"", "1d60fbdd", "1d60fbdda0fc0a6485c6f155e43f3465",
		"1d60fbdd-a0fc-0a64-85c6-f155e43f346", "1d60fbdd-a0fc-0a64-85c6-f155e43f34655",
		"1d60fbdd-a0fc-0a64-85c6-f155e43f346g", "1d60fbdd_a0fc-0a64-85c6-f155e43f3465",
		" 1d60fbdd-a0fc-0a64-85c6-f155e43f3465"};
	uint8_t id[ENTRY_ID_LEN];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(entry_id_parse(id, bad[i]), -EINVAL);
	assert_int_equal(entry_id_parse(id, "1D60FBDD-A0FC-0A64-85C6-F155E43F3465"), 0);
	assert_int_equal(id[0], 0x1d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_known_transport_ids),
		cmocka_unit_test(makes_known_entry_bytes_and_hash),
		cmocka_unit_test(refuses_bad_type_texts),
		cmocka_unit_test(refuses_malformed_id_texts),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
