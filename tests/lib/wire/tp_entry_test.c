// Entries of transports against the interop vectors: the text of a settlement byte for byte, its
// signatures, and what a transport discovery answers.
#include "lib/wire/tp_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/vectors.h"

static struct key_pk pk[3]; // A, B, C
static struct key_sk sk[3] = {{{0}}};

static int load(void **state)
{
	static const char *const names[] = {"A", "B", "C"};

	*state = vectors_load("skywire-routes.json");
	for (size_t i = 0; i < 3; i++) {
		const json_t *k = vectors_get(vectors_get(*state, "keys"), names[i]);

		vectors_hex(k, "pk", pk[i].b, KEY_PK_LEN);
		memset(sk[i].b, (int)i + 1, KEY_SK_LEN); // as the vectors say
	}
	return 0;
}

static int unload(void **state)
{
	json_decref(*state);
	return 0;
}

static const char *settlement(void **state)
{
	return vectors_str(
		vectors_get(*state, "transports"), "settlement_init_message_A_initiates");
}

static void settlement_text_is_skywires_byte_for_byte(void **state)
{
	const char *want = settlement(state);
	char text[TP_ENTRY_TEXT_MAX];
	struct tp_entry e, made;
	ssize_t len;

	assert_int_equal(tp_entry_read(&e, want, strlen(want)), 0);
	len = tp_entry_write(&e, text, sizeof(text));
	assert_int_equal(len + 1, strlen(want)); // its LF
	assert_memory_equal(text, want, (size_t)len);
	assert_true(tp_entry_is_of(&e, &pk[1], &pk[0], "stcpr"));
	assert_int_equal(tp_entry_make(&made, &pk[0], &pk[1], "stcpr", TP_ENTRY_LABEL_USER), 0);
	made.sig[1] = e.sig[1];
	assert_memory_equal(&made, &e, sizeof(e));
}

static void known_signatures_verify_at_their_edge_only(void **state)
{
	const json_t *tp = vectors_get(*state, "transports");
	const char *list = vectors_str(tp, "tpd_register_body_both_signed");
	struct tp_entry e;

	assert_int_equal(tp_entry_read(&e, settlement(state), strlen(settlement(state))), 0);
	assert_int_equal(tp_entry_verify(&e, &pk[0]), 0);
	assert_int_equal(tp_entry_verify(&e, &pk[1]), -EBADMSG); // not signed yet
	assert_int_equal(tp_entry_verify(&e, &pk[2]), -EBADMSG);
	assert_int_equal(tp_entry_sign(&e, &pk[2], &sk[2]), -EINVAL);
	// [entry]LF
	assert_int_equal(tp_entry_read(&e, list + 1, strlen(list) - 3), 0);
	assert_int_equal(tp_entry_verify(&e, &pk[0]), 0);
	assert_int_equal(tp_entry_verify(&e, &pk[1]), 0);
	e.type[0] = 'x';
	assert_int_equal(tp_entry_verify(&e, &pk[0]), -EBADMSG);
}

static void entry_is_of_its_own_pair_and_type_only(void **state)
{
	struct tp_entry e;

	assert_int_equal(tp_entry_read(&e, settlement(state), strlen(settlement(state))), 0);
	assert_true(tp_entry_is_of(&e, &pk[0], &pk[1], "stcpr"));
	assert_false(tp_entry_is_of(&e, &pk[0], &pk[2], "stcpr"));
	assert_false(tp_entry_is_of(&e, &pk[0], &pk[1], "stcp"));
	e.id[3] ^= 1;
	assert_false(tp_entry_is_of(&e, &pk[0], &pk[1], "stcpr"));
	e.id[3] ^= 1;
	e.edge[0] = pk[0];
	e.edge[1] = pk[1]; // not in order
	assert_false(tp_entry_is_of(&e, &pk[0], &pk[1], "stcpr"));
}

static void both_ends_sign_over_the_wire(void **state)
{
	char text[TP_ENTRY_TEXT_MAX];
	struct tp_entry e, got;
	ssize_t len;

	(void)state;
	assert_int_equal(tp_entry_make(&e, &pk[1], &pk[2], "dmsg", TP_ENTRY_LABEL_AUTOMATIC), 0);
	assert_int_equal(tp_entry_sign(&e, &pk[1], &sk[1]), 0);
	len = tp_entry_write(&e, text, sizeof(text));
	assert_int_equal(tp_entry_read(&got, text, (size_t)len), 0);
	assert_memory_equal(&got, &e, sizeof(e));
	assert_int_equal(tp_entry_sign(&got, &pk[2], &sk[2]), 0);
	assert_int_equal(tp_entry_verify(&got, &pk[1]), 0);
	assert_int_equal(tp_entry_verify(&got, &pk[2]), 0);
}

static void transport_to_oneself_is_signed_in_the_first_place(void **state)
{
	char id[ENTRY_ID_TEXT_LEN], text[TP_ENTRY_TEXT_MAX];
	static const struct sign_sig none;
	struct tp_entry e;

	assert_int_equal(tp_entry_make(&e, &pk[0], &pk[0], "stcpr", TP_ENTRY_LABEL_USER), 0);
	entry_id_format(id, e.id);
	assert_string_equal(id, vectors_str(vectors_get(*state, "transports"), "stcpr_AA"));
	assert_int_equal(tp_entry_sign(&e, &pk[0], &sk[0]), 0);
	assert_int_equal(tp_entry_verify(&e, &pk[0]), 0);
	assert_memory_equal(&e.sig[1], &none, sizeof(none));
	assert_true(tp_entry_is_of(&e, &pk[0], &pk[0], "stcpr"));
	assert_true(tp_entry_write(&e, text, sizeof(text)) > 0);
}

static void longest_entry_fits_and_every_shorter_buffer_is_refused(void **state)
{
	char text[TP_ENTRY_TEXT_MAX];
	struct tp_entry e, got;
	ssize_t len;

	(void)state;
	assert_int_equal(tp_entry_make(&e, &pk[0], &pk[1], "0123456789abcdef",
				 "0123456789012345678901234567890"),
		0);
	len = tp_entry_write(&e, text, sizeof(text));
	assert_in_range(len, 1, TP_ENTRY_TEXT_MAX - 2);
	assert_int_equal(tp_entry_read(&got, text, (size_t)len), 0);
	for (size_t cap = 1; cap <= (size_t)len; cap++)
		assert_int_equal(tp_entry_write(&e, text, cap), -ENOSPC);
	assert_int_equal(
		tp_entry_make(&e, &pk[0], &pk[1], "0123456789abcdefg", TP_ENTRY_LABEL_USER),
		-EINVAL);
	assert_int_equal(tp_entry_make(&e, &pk[0], &pk[1], "", TP_ENTRY_LABEL_USER), -EINVAL);
	assert_int_equal(tp_entry_make(&e, &pk[0], &pk[1], "stcp", "<user>"), -EINVAL);
}

#define ID "1d60fbdd-a0fc-0a64-85c6-f155e43f3465"
#define PK_B "024d4b6cd1361032ca9bd2aeb9d900aa4d45d9ead80ac9423374c451a7254d0766"
#define PK_A "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"
#define EDGES "\"edges\":[\"" PK_B "\",\"" PK_A "\"]"
#define PLAIN "{\"t_id\":\"" ID "\"," EDGES ",\"type\":\"stcpr\",\"label\":\"user\"}"

static void other_forms_of_the_same_json_are_read(void **state)
{
	static const char *const same[] = {
		PLAIN,
		"{ \"Label\" : \"user\", \"registered\": 17, \"T_ID\": \"" ID
		"\", \"TYPE\": \"x\", \"Type\": \"stcpr\", " EDGES " }",
	};
	struct tp_entry want, e;

	(void)state;
	assert_int_equal(tp_entry_make(&want, &pk[0], &pk[1], "stcpr", TP_ENTRY_LABEL_USER), 0);
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		assert_int_equal(tp_entry_read_plain(&e, same[i], strlen(same[i])), 0);
		assert_memory_equal(&e, &want, sizeof(e));
	}
}

static void malformed_entries_are_refused(void **state)
{
	static const char *const bad[] = {"", "null", "[]", "{}", "{\"entry\":null}",
		"{\"entry\":{\"t_id\":\"1d60\"," EDGES ",\"type\":\"stcpr\"}}",
		"{\"entry\":{\"t_id\":\"" ID "\",\"edges\":[\"" PK_A "\"],\"type\":\"stcpr\"}}",
		"{\"entry\":{\"t_id\":\"" ID "\"," EDGES "}}", // no type
		"{\"entry\":{\"t_id\":\"" ID "\"," EDGES ",\"type\":\"0123456789abcdefg\"}}",
		"{\"entry\":{\"t_id\":\"" ID "\"," EDGES ",\"type\":\"a\\\"b\"}}",
		"{\"entry\":{\"t_id\":\"" ID "\"," EDGES ",\"type\":7}}",
		"{\"entry\":" PLAIN ",\"signatures\":[]}",
		"{\"entry\":" PLAIN ",\"signatures\":[\"\",\"\"]}",
		"{\"entry\":" PLAIN ",\"signatures\":{}}"};
	char longer[TP_ENTRY_JSON_MAX + 64];
	struct tp_entry e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(tp_entry_read(&e, bad[i], strlen(bad[i])), -EBADMSG);
	assert_int_equal(
		tp_entry_read(&e, "{\"entry\":" PLAIN "}", strlen("{\"entry\":" PLAIN "}")), 0);
	memset(longer, ' ', sizeof(longer));
	memcpy(longer, PLAIN, strlen(PLAIN));
	assert_int_equal(tp_entry_read_plain(&e, longer, TP_ENTRY_JSON_MAX), 0);
	assert_int_equal(tp_entry_read_plain(&e, longer, TP_ENTRY_JSON_MAX + 1), -EBADMSG);
}

static void lists_skip_what_is_no_entry_and_null_is_empty(void **state)
{
	static const char list[] = "[" PLAIN ",{},7," PLAIN "," PLAIN "]";
	struct tp_entry e[2];
	size_t bad;

	(void)state;
	assert_int_equal(tp_entry_read_list(e, 2, list, strlen(list), &bad), 2);
	assert_int_equal(bad, 2);
	assert_memory_equal(&e[0], &e[1], sizeof(e[0]));
	assert_int_equal(tp_entry_read_list(e, 2, "null\n", 5, &bad), 0);
	assert_int_equal(tp_entry_read_list(e, 2, "[]", 2, NULL), 0);
	assert_int_equal(tp_entry_read_list(e, 2, "{}", 2, NULL), -EBADMSG);
	assert_int_equal(tp_entry_read_list(e, 2, "", 0, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settlement_text_is_skywires_byte_for_byte),
		cmocka_unit_test(known_signatures_verify_at_their_edge_only),
		cmocka_unit_test(entry_is_of_its_own_pair_and_type_only),
		cmocka_unit_test(both_ends_sign_over_the_wire),
		cmocka_unit_test(transport_to_oneself_is_signed_in_the_first_place),
		cmocka_unit_test(longest_entry_fits_and_every_shorter_buffer_is_refused),
		cmocka_unit_test(other_forms_of_the_same_json_are_read),
		cmocka_unit_test(malformed_entries_are_refused),
		cmocka_unit_test(lists_skip_what_is_no_entry_and_null_is_empty),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
