// Messages of the address resolver: the body that is signed, and which addresses are tried in which
// order.
#include "lib/wire/resolver_msg.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "tests/support/vectors.h"

#define PK_A "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"
#define PK_B "024d4b6cd1361032ca9bd2aeb9d900aa4d45d9ead80ac9423374c451a7254d0766"

static void bind_body_is_skywires_with_the_port_as_text(void **state)
{
	static const char *const addrs[] = {"198.51.100.7", "2001:db8::7"};
	json_t *root = vectors_load("skywire-routes.json");
	char text[RESOLVER_BIND_MAX];
	ssize_t len = resolver_bind_write(7777, addrs, 1, text, sizeof(text));

	(void)state;
	assert_string_equal(text, vectors_str(vectors_get(root, "http_auth"), "body"));
	assert_int_equal(len, strlen(text));
	json_decref(root);
	assert_true(resolver_bind_write(1, addrs, 2, text, sizeof(text)) > 0);
	assert_string_equal(
		text, "{\"port\":\"1\",\"addresses\":[\"198.51.100.7\",\"2001:db8::7\"]}\n");
	assert_true(resolver_bind_write(65535, addrs, 0, text, sizeof(text)) > 0);
	assert_string_equal(text, "{\"port\":\"65535\",\"addresses\":[]}\n");
	for (size_t cap = 1; cap < 32; cap++)
		assert_int_equal(resolver_bind_write(65535, addrs, 0, text, cap), -ENOSPC);
}

static void bind_refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = {"198.51.100.7:7777", "", "host", "1\",\""};
	const char *many[RESOLVER_ADDRS_MAX + 1];
	char text[RESOLVER_BIND_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(resolver_bind_write(1, &bad[i], 1, text, sizeof(text)), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = "2001:db8:1111:2222:3333:4444:5555:6666";
	assert_true(resolver_bind_write(1, many, RESOLVER_ADDRS_MAX, text, sizeof(text)) > 0);
	assert_int_equal(
		resolver_bind_write(1, many, RESOLVER_ADDRS_MAX + 1, text, sizeof(text)), -EINVAL);
}

static void addresses_are_tried_local_ones_first_then_the_remote_one(void **state)
{
	static const struct {
		const char *json, *addr[3];
	} t[] = {
		{"{\"remote_addr\":\"198.51.100.7\",\"port\":\"7777\"}", {"198.51.100.7:7777"}},
		{"{\"remote_addr\":\"198.51.100.7:8888\",\"port\":\"7777\"}",
			{"198.51.100.7:8888"}},
		{"{\"remote_addr\":\"2001:db8::7\",\"port\":\"7777\"}", {"[2001:db8::7]:7777"}},
		{"{\"remote_addr\":\"[2001:db8::7]:8\",\"port\":\"7777\"}", {"[2001:db8::7]:8"}},
		{"{\"remote_addr\":\"[2001:db8::7]\",\"port\":\"7777\"}", {"[2001:db8::7]:7777"}},
		{"{\"remote_addr\":\"198.51.100.7\"}", {NULL}}, // no port at all
		{"{\"remote_addr\":\"198.51.100.7\",\"is_local\":true,\"port\":\"7777\",\"addresses\":["
		 "\"192.168.1.2\",\"x\",7,\"2001:db8::1\"]}",
			{"192.168.1.2:7777", "[2001:db8::1]:7777", "198.51.100.7:7777"}},
		{"{\"remote_addr\":\"198.51.100.7\",\"is_local\":false,\"port\":\"7777\",\"addresses\":["
		 "\"192.168.1.2\"]}",
			{"198.51.100.7:7777"}},
		{"{\"remote_addr\":\"198.51.100.7\",\"is_local\":true,\"port\":\"7777\",\"addresses\":"
		 "null}",
			{"198.51.100.7:7777"}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		char addr[RESOLVER_ADDR_LEN];
		struct resolver_visor v;
		unsigned n = 0;

		assert_int_equal(resolver_visor_read(&v, t[i].json, strlen(t[i].json)), 0);
		for (; n < 3 && t[i].addr[n] != NULL; n++) {
			assert_true(resolver_visor_addr(&v, n, addr));
			assert_string_equal(addr, t[i].addr[n]);
		}
		assert_false(resolver_visor_addr(&v, n, addr));
	}
}

static void malformed_answers_are_refused(void **state)
{
	static const char *const bad[] = {"", "null", "[]", "{}", "{\"remote_addr\":\"\"}",
		"{\"remote_addr\":\"host\",\"port\":\"1\"}", "{\"remote_addr\":7}",
		"{\"remote_addr\":\"198.51.100.7:\"}", "{\"remote_addr\":\"198.51.100.7:0\"}",
		"{\"remote_addr\":\"198.51.100.7:65536\"}", "{\"remote_addr\":\"198.51.100.7:1x\"}",
		"{\"remote_addr\":\":80\"}", "{\"remote_addr\":\"[]:80\"}",
		"{\"remote_addr\":\"198.51.100.7\",\"port\":7777}",
		"{\"remote_addr\":\"198.51.100.7\",\"port\":\"65536\"}",
		"{\"remote_addr\":\"198.51.100.7\",\"port\":\"-1\"}",
		"{\"remote_addr\":\"198.51.100.7\",\"is_local\":\"yes\"}"};
	struct resolver_visor v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(resolver_visor_read(&v, bad[i], strlen(bad[i])), -EBADMSG);
}

static void at_most_32_local_addresses_are_kept(void **state)
{
	char json[4096] =
		"{\"remote_addr\":\"198.51.100.7\",\"is_local\":true,\"port\":\"1\",\"addresses\":[";
	struct resolver_visor v;

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(json, "\"10.0.0.1\",");
	strcat(json, "\"10.0.0.2\"]}");
	assert_int_equal(resolver_visor_read(&v, json, strlen(json)), 0);
	assert_int_equal(v.n, RESOLVER_ADDRS_MAX);
}

static void addresses_of_private_networks_are_not_public(void **state)
{
	static const struct {
		const char *text;
		bool public;
	} cases[] = {{"198.51.100.7", true}, {"203.0.113.1", true}, {"8.8.8.8", true},
		{"172.15.255.255", true}, {"172.16.0.0", false}, {"172.31.255.255", false},
		{"172.32.0.0", true}, {"10.0.0.1", false}, {"11.0.0.1", true}, {"9.9.9.9", true},
		{"192.168.0.1", false}, {"192.167.0.1", true}, {"192.169.0.1", true},
		{"169.254.1.1", false}, {"169.253.1.1", true}, {"127.0.0.1", false},
		{"0.0.0.0", false}, {"223.255.255.255", true}, {"224.0.0.1", false},
		{"255.255.255.255", false}, {"::", false}, {"::1", false}, {"fe80::1", false},
		{"febf::1", false}, {"fec0::1", false}, {"fc00::1", false}, {"fdff::1", false},
		{"fe00::1", false}, {"ff02::1", false}, {"2001:db8::1", true},
		{"2002:a00:1::1", false}, {"64:ff9b::a00:1", false}, {"3fff::1", true},
		{"4000::1", false}, {"100.64.0.1", false}, {"100.127.255.255", false},
		{"100.128.0.1", true}, {"192.0.0.8", false}, {"192.0.1.1", true},
		{"198.18.0.1", false}, {"198.19.255.255", false}, {"198.20.0.1", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};

		if (inet_pton(AF_INET, cases[i].text, ip + 12) != 1)
			assert_int_equal(inet_pton(AF_INET6, cases[i].text, ip), 1);
		if (resolver_ip_is_public(ip) != cases[i].public)
			fail_msg("%s", cases[i].text);
	}
}

static void lists_give_the_keys_of_one_type(void **state)
{
	static const char list[] = "{\"sudph\":[\"" PK_A "\"],\"stcpr\":[\"" PK_B "\",\"x\",\"" PK_A
				   "\",\"" PK_B "\"]}\n";
	struct key_pk pk[2], a, b;

	(void)state;
	key_pk_from_text(&a, PK_A, KEY_PK_TEXT_LEN);
	key_pk_from_text(&b, PK_B, KEY_PK_TEXT_LEN);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", list, strlen(list)), 2);
	assert_true(key_pk_cmp(&pk[0], &b) == 0 && key_pk_cmp(&pk[1], &a) == 0);
	assert_int_equal(resolver_list_read(pk, 2, "sudph", list, strlen(list)), 1);
	assert_int_equal(resolver_list_read(pk, 2, "stcp", list, strlen(list)), 0);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", "null", 4), 0);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", "{\"stcpr\":null}", 14), 0);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", "{\"stcpr\":{}}", 12), -EBADMSG);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", "[]", 2), -EBADMSG);
	assert_int_equal(resolver_list_read(pk, 2, "stcpr", "", 0), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bind_body_is_skywires_with_the_port_as_text),
		cmocka_unit_test(bind_refuses_what_is_no_address),
		cmocka_unit_test(addresses_are_tried_local_ones_first_then_the_remote_one),
		cmocka_unit_test(malformed_answers_are_refused),
		cmocka_unit_test(addresses_of_private_networks_are_not_public),
		cmocka_unit_test(at_most_32_local_addresses_are_kept),
		cmocka_unit_test(lists_give_the_keys_of_one_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
