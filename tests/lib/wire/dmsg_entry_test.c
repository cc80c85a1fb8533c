// Discovery entries: the shared ones are read, written back byte for byte and verified; ours
// verify; every other form of the same JSON gives the same entry, and what is malformed is refused.

#include "lib/wire/dmsg_entry.h"

#include "lib/base/err.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PK_A "02d6eb3583412e3a4ebddaaaae88ea6dd8af2bc485a1eac62e84de26ba1d005c94"

static void read_ok(struct dmsg_entry *e, const char *json)
{
	assert_int_equal(dmsg_entry_read(e, json, strlen(json)), 0);
}

static void shared_entries_are_read_written_and_verified(void **state)
{
	json_t *root = vectors_load("dmsg.json");
	const json_t *list = vectors_get(root, "discovery_entries");
	char text[DMSG_ENTRY_TEXT_MAX];
	struct dmsg_entry e;

	assert_int_equal(json_array_size(list), 6);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const char *want = vectors_str(v, "signed_bytes_ascii");
		const char *body = vectors_str(v, "post_body_ascii");

		read_ok(&e, body);
		assert_int_equal(
			dmsg_entry_write(&e, false, text, sizeof(text)), (ssize_t)strlen(want));
		assert_string_equal(text, want);
		assert_int_equal(
			dmsg_entry_write(&e, true, text, sizeof(text)), (ssize_t)strlen(body));
		assert_string_equal(text, body);
		assert_int_equal(dmsg_entry_verify(&e), 0);
		e.sequence++;
		assert_int_equal(dmsg_entry_verify(&e), -EBADMSG);
	}
	json_decref(root);
}

static void own_entries_verify_after_the_wire(void **state)
{
	json_t *root = vectors_load("dmsg.json");
	struct dmsg_entry e = {.version = DMSG_ENTRY_VERSION, .timestamp_ns = 5}, got;
	const json_t *s = vectors_get(vectors_get(root, "keys"), "S");
	char text[DMSG_ENTRY_TEXT_MAX];
	struct key_sk sk;
	ssize_t len;

	vectors_hex(s, "sk", sk.b, KEY_SK_LEN);
	vectors_hex(s, "pk", e.pk.b, KEY_PK_LEN);
	json_decref(root);
	e.is_server = true;
	strcpy(e.address, "[2001:db8::1]:8081");
	strcpy(e.address_ws, "a\"b\\c<&>");
	e.dht_bootstrap = true;
	e.available_sessions = -3;
	strcpy(e.protocol, "smux");
	assert_int_equal(dmsg_entry_sign(&e, &sk), 0);
	len = dmsg_entry_write(&e, true, text, sizeof(text));
	assert_non_null(strstr(text, "\"address_ws\":\"a\\\"b\\\\c<&>\",\"availableSessions\":-3,"
				     "\"dht_bootstrap\":true},\"signature\":\""));
	assert_non_null(strstr(text, "\",\"protocol\":\"smux\"}"));
	assert_int_equal(dmsg_entry_read(&got, text, (size_t)len), 0);
	assert_memory_equal(&got, &e, sizeof(e));
	assert_int_equal(dmsg_entry_verify(&got), 0);
	sk.b[5] ^= 1;
	assert_int_equal(dmsg_entry_sign(&e, &sk), -EINVAL); // not the key that it names
	assert_int_equal(dmsg_entry_verify(&e), -EBADMSG);
}

static void form_and_unknown_members_do_not_matter(void **state)
{
	static const char *const same[] = {
		"{\"version\":\"0.0.1\",\"sequence\":4,\"timestamp\":9,\"static\":\"" PK_A
		"\",\"client\":{\"delegated_servers\":[\"" PK_A "\"]}}",
		" {\n\"client\" : {\"x\":[1,{}], \"delegated_servers\":[\"" PK_A
		"\"]},\"static\":\"" PK_A
		"\" , \"timestamp\":9,\"other\":null,\"sequence\":4,\"version\":\"0.0.1\"}\n",
		"{\"VERSION\":\"0.0.\\u0031\",\"Sequence\":4,\"timestamp\":9,\"Static\":\"" PK_A
		"\",\"server\":null,\"signature\":\"\",\"protocol\":null,"
		"\"client\":{\"Delegated_Servers\":[\"" PK_A "\"]}}",
	};
	struct dmsg_entry first, e;

	read_ok(&first, same[0]);
	assert_true(first.is_client && !first.is_server && first.n_servers == 1);
	assert_int_equal(first.sequence, 4);
	for (size_t i = 1; i < ARRAY_LEN(same); i++) {
		read_ok(&e, same[i]);
		assert_memory_equal(&e, &first, sizeof(e));
	}
}

static void malformed_entries_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"null",
		"{}x",
		"7",
		"{\"sequence\":-1}",
		"{\"sequence\":1.5}",
		"{\"sequence\":\"1\"}",
		"{\"sequence\":99999999999999999999}",
		"{\"timestamp\":true}",
		"{\"version\":1}",
		"{\"version\":\"an entry's version is never as long as this\"}",
		"{\"static\":\"02\"}",
		"{\"static\":7}",
		"{\"static\":\"" PK_A "00\"}",
		"{\"static\":\"020000000000000000000000000000000000000000000000000000000000000005\"}",
		"{\"client\":[]}",
		"{\"client\":{\"delegated_servers\":{}}}",
		"{\"client\":{\"delegated_servers\":[\"x\"]}}",
		"{\"client\":{\"delegated_servers\":[null]}}",
		"{\"server\":\"x\"}",
		"{\"server\":{\"address\":5}}",
		"{\"server\":{\"availableSessions\":\"many\"}}",
		"{\"server\":{\"dht_bootstrap\":1}}",
		"{\"signature\":\"00\"}",
		"{\"signature\":1}",
		"{\"client_type\":\"a\\nb\"}",
		"{\"client_type\":\"a\\u0000b\"}",
		"{\"client_type\":\"\\u2028\"}",
		"{\"client_type\":\"\xff\"}",
	};
	static const struct dmsg_entry empty;
	struct dmsg_entry e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (dmsg_entry_read(&e, bad[i], strlen(bad[i])) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_memory_equal(&e, &empty, sizeof(e));
	}
}

static void limits_hold(void **state)
{
	static char json[2 * DMSG_ENTRY_JSON_MAX], text[DMSG_ENTRY_TEXT_MAX];
	struct dmsg_entry e;

	for (unsigned n = DMSG_ENTRY_SERVERS_MAX; n <= DMSG_ENTRY_SERVERS_MAX + 1; n++) {
		size_t len = (size_t)sprintf(json, "{\"client\":{\"delegated_servers\":[");

		for (unsigned i = 0; i < n; i++)
			len += (size_t)sprintf(json + len, "%s\"" PK_A "\"", i > 0 ? "," : "");
		len += (size_t)sprintf(json + len, "]}}");
		assert_int_equal(
			dmsg_entry_read(&e, json, len), n == DMSG_ENTRY_SERVERS_MAX ? 0 : -EBADMSG);
		if (n == DMSG_ENTRY_SERVERS_MAX)
			assert_true(dmsg_entry_write(&e, true, text, sizeof(text)) > 4000);
	}
	memset(json, ' ', sizeof(json));
	memcpy(json, "{}", 2);
	assert_int_equal(dmsg_entry_read(&e, json, DMSG_ENTRY_JSON_MAX), 0);
	assert_int_equal(dmsg_entry_read(&e, json, DMSG_ENTRY_JSON_MAX + 1), -EBADMSG);
	memset(&e, 0, sizeof(e));
	e.n_servers = DMSG_ENTRY_SERVERS_MAX + 1;
	assert_int_equal(dmsg_entry_write(&e, true, text, sizeof(text)), -EINVAL);
}

static void the_largest_entry_can_be_written_and_no_buffer_overruns(void **state)
{
	struct dmsg_entry e;
	char text[DMSG_ENTRY_TEXT_MAX];
	ssize_t len;

	memset(&e, 0, sizeof(e));
	e.is_client = e.is_server = e.has_signature = e.dht_bootstrap = true;
	e.n_servers = DMSG_ENTRY_SERVERS_MAX;
	e.sequence = UINT64_MAX;
	e.timestamp_ns = e.available_sessions = INT64_MIN;
	char *const words[] = {e.version, e.client_type, e.server_type, e.protocol};
	char *const addresses[] = {
		e.address, e.address_v6, e.address_udp, e.address_udp_v6, e.address_ws};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		memset(words[i], '"', DMSG_ENTRY_WORD_LEN - 1);
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		memset(addresses[i], '\\', DMSG_ENTRY_ADDR_LEN - 1);
	len = dmsg_entry_write(&e, true, text, sizeof(text));
	assert_true(len > 0);
	for (size_t cap = 1; cap <= (size_t)len; cap++) {
		char *exact = malloc(cap);

		assert_non_null(exact);
		assert_int_equal(dmsg_entry_write(&e, true, exact, cap), -ENOSPC);
		free(exact);
	}
}

static void lists_leave_out_what_cannot_be_read(void **state)
{
	static const char list[] = "[{\"static\":\"" PK_A "\",\"sequence\":1},{\"sequence\":-1},"
				   "7,{\"sequence\":2},{\"sequence\":3}]";
	struct dmsg_entry e[3];
	size_t n_bad;

	assert_int_equal(dmsg_entry_read_list(e, 3, list, strlen(list), &n_bad), 3);
	assert_int_equal(n_bad, 2);
	assert_int_equal(e[0].sequence, 1);
	assert_int_equal(e[2].sequence, 3);
	assert_int_equal(dmsg_entry_read_list(e, 1, list, strlen(list), NULL), 1);
	assert_int_equal(dmsg_entry_read_list(e, 3, "[]", 2, &n_bad), 0);
	assert_int_equal(dmsg_entry_read_list(e, 3, "{}", 2, &n_bad), -EBADMSG);
	assert_int_equal(dmsg_entry_read_list(e, 3, "[{]", 3, &n_bad), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_entries_are_read_written_and_verified),
		cmocka_unit_test(own_entries_verify_after_the_wire),
		cmocka_unit_test(form_and_unknown_members_do_not_matter),
		cmocka_unit_test(malformed_entries_are_refused),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(the_largest_entry_can_be_written_and_no_buffer_overruns),
		cmocka_unit_test(lists_leave_out_what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
