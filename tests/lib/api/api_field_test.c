// Field tables against the structs they describe, and how the kinds read.
#include "lib/api/api_field.h"
#include "lib/api/api_rec.h"
#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static void fields_lie_in_their_struct_without_overlap(void **state)
{
	size_t n;
	const struct api_record *r = api_records(&n);

	assert_true(n >= 11);
	for (size_t i = 0; i < n; i++) {
		uint8_t used[1024] = {0};
		size_t sum = 0;

		assert_true(r[i].size <= sizeof(used));
		for (size_t k = 0; k < r[i].n_fields; k++) {
			const struct api_field *f = &r[i].fields[k];

			assert_true(f->offset + f->size <= r[i].size);
			for (size_t b = 0; b < f->size; b++)
				assert_int_equal(used[f->offset + b]++, 0);
			sum += f->size;
		}
		// what no field names is padding: less than a word per hole
		assert_true(r[i].size - sum < 24);
	}
}

static void names_are_unique_and_kinds_fit_their_width(void **state)
{
	size_t n;
	const struct api_record *r = api_records(&n);

	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(api_record_find(r[i].type), &r[i]);
		for (size_t k = 0; k < r[i].n_fields; k++) {
			const struct api_field *f = &r[i].fields[k];

			for (size_t j = 0; j < k; j++)
				assert_string_not_equal(f->name, r[i].fields[j].name);
			if (f->kind == API_K_PK)
				assert_int_equal(f->size, API_PK_LEN);
			else if (f->kind == API_K_ADDR)
				assert_int_equal(f->size, sizeof(struct api_addr));
			else if (f->kind == API_K_MAC)
				assert_int_equal(f->size, 6);
			else if (f->kind == API_K_UUID)
				assert_int_equal(f->size, 16);
			else if (f->kind != API_K_STR)
				assert_true(f->size == 1 || f->size == 2 || f->size == 4 ||
					    f->size == 8);
			if (f->kind == API_K_WORD)
				assert_true(f->n_words > 1);
		}
	}
	assert_null(api_record_find(API_HELLO));
}

static void what_does_not_apply_to_a_rule_is_null(void **state)
{
	static const char *const names[] = {
		"next_id", "transport", "in_transport", "keep_alive_ms", "expires_ms", "orphan_ms"};
	struct api_rule r = {.id = 5};
	char buf[1024];
	json_t *j;

	for (int known = 0; known < 2; known++) {
		if (known)
			r = (struct api_rule){.id = 5,
				.next_id = 6,
				.transport = "c",
				.in_transport = "a",
				.keep_alive_ms = 30000,
				.expires_ms = 1,
				.orphan_ms = 2};
		assert_true(api_record_json(api_record_find(API_RULES), &r, buf, sizeof(buf)) > 0);
		j = json_loads(buf, 0, NULL);
		assert_non_null(j);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			assert_int_equal(json_is_null(json_object_get(j, names[i])), !known);
		assert_int_equal(json_integer_value(json_object_get(j, "idle_ms")), 0);
		json_decref(j);
	}
}

static void what_is_not_known_is_null(void **state)
{
	static const char *const names[] = {"rtt_us", "cipher", "mtu", "owner"};
	struct api_transport t = {.owner = UINT32_MAX};
	char buf[4096];
	json_t *j;

	for (int known = 0; known < 2; known++) {
		if (known) {
			t.rtt_us = 5;
			t.cipher = API_CIPHER_AES;
			t.mtu = 1500;
			t.owner = 0; // worker 0
		}
		assert_true(
			api_record_json(api_record_find(API_TRANSPORTS), &t, buf, sizeof(buf)) > 0);
		j = json_loads(buf, 0, NULL);
		assert_non_null(j);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			assert_int_equal(json_is_null(json_object_get(j, names[i])), !known);
		json_decref(j);
	}
}

static void what_a_dmsg_node_has_not_is_null(void **state)
{
	static const struct {
		uint16_t type;
		uint8_t byte; // all of the record
		const char *null[6], *not [4];
	} t[] = {
		{API_DMSG, 0, {"server_pk", "server_port", "lan_pk", "lan_address"},
			{"client", "relays", "pushed"}},
		{API_DMSG, 0xff, {"servers", "dir_asked", "relays", "hypervisors", "visors"}, {0}},
		{API_DMSG_SERVERS, 0, {"rtt_us", "by"}, {"streams", "opened", "rx_bytes"}},
		{API_DMSG_SERVERS, 0xff, {"rx_bytes", "tx_bytes"}, {"opened"}},
		{API_DMSG_DISCOVERIES, 0, {"age_ms", "next_ms", "sequence"}, {"failed"}},
		{API_DMSG_SESSIONS, 0, {"rtt_us", "address"}, {"streams", "rx_bytes"}},
	};
	char rec[1024], buf[8192];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		json_t *j;

		memset(rec, t[i].byte, sizeof(rec));
		assert_true(api_record_json(api_record_find(t[i].type), rec, buf, sizeof(buf)) > 0);
		j = json_loads(buf, JSON_DECODE_INT_AS_REAL, NULL);
		assert_non_null(j);
		for (size_t k = 0; t[i].null[k] != NULL; k++)
			assert_true(json_is_null(json_object_get(j, t[i].null[k])));
		for (size_t k = 0; t[i].not [k] != NULL; k++)
			assert_false(json_is_null(json_object_get(j, t[i].not [k])));
		json_decref(j);
	}
}

static void sizes_and_rates_read_with_their_unit(void **state)
{
	static const struct {
		enum api_kind kind;
		uint64_t v;
		const char *want;
	} t[] = {
		{API_K_SIZE, 0, "0B"},
		{API_K_SIZE, 9999, "9999B"},
		{API_K_SIZE, 14438, "14.1kB"},
		{API_K_RATE, 0, "0 bit/s"},
		{API_K_RATE, 124, "992 bit/s"},
		{API_K_RATE, 125, "1.0 kbit/s"},
		{API_K_RATE, 1562500000, "12.5 Gbit/s"},
	};
	char buf[64], json[64];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const struct api_field f = {
			.name = "v", .label = "V", .size = 8, .kind = t[i].kind};
		const struct api_record r = {.fields = &f, .n_fields = 1, .size = 8};

		assert_string_equal(api_field_text(&f, &t[i].v, buf, sizeof(buf)), t[i].want);
		assert_true(api_field_right(&f));
		// programs get the number as it is
		assert_true(api_record_json(&r, &t[i].v, json, sizeof(json)) > 0);
		snprintf(buf, sizeof(buf), "{\"v\":%llu}", (unsigned long long)t[i].v);
		assert_string_equal(json, buf);
	}
}

static void every_record_of_any_bytes_is_json(void **state)
{
	size_t n;
	const struct api_record *r = api_records(&n);
	uint8_t rec[1024];
	char buf[8192];
	unsigned seed = 7;

	for (size_t i = 0; i < n; i++) {
		for (int round = 0; round < 200; round++) {
			json_error_t err;
			json_t *j;
			int len;

			for (size_t b = 0; b < sizeof(rec); b++) {
				seed = seed * 1103515245 + 12345;
				rec[b] = round == 0 ? 0 : (uint8_t)(seed >> 16);
			}
			len = api_record_json(&r[i], rec, buf, sizeof(buf));
			assert_true(len > 0);
			assert_int_equal(len, strlen(buf));
			j = json_loads(buf, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &err);
			assert_non_null(j);
			assert_int_equal(json_object_size(j), r[i].n_fields);
			json_decref(j);
			for (size_t k = 0; k < r[i].n_fields; k++) {
				char text[200];

				api_field_text(&r[i].fields[k], rec, text, sizeof(text));
				assert_true(strlen(text) < sizeof(text));
				for (const char *p = text; *p; p++)
					assert_true((unsigned char)*p >= 0x20);
			}
		}
	}
}

static void json_says_no_space_at_every_short_length(void **state)
{
	const struct api_record *r = api_record_find(API_RULES);
	struct api_rule rule = {.id = 7, .transport = "b"};
	char buf[2048];
	int full = api_record_json(r, &rule, buf, sizeof(buf));

	assert_true(full > 0);
	for (int cap = 1; cap <= full; cap++)
		assert_int_equal(api_record_json(r, &rule, buf, (size_t)cap), -ENOSPC);
	assert_int_equal(api_record_json(r, &rule, buf, (size_t)full + 1), full);
}

static void strings_are_escaped(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{"plain", "\"plain\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"tab\there", "\"tab\\u0009here\""},
		{"\xc3\xa9", "\"\xc3\xa9\""},
		{"\xc3", "\"\\ufffd\""},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, // a surrogate
		{"\xc0\xaf", "\"\\ufffd\\ufffd\""}, // overlong
		{"", "\"\""},
	};
	char buf[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
			api_json_string(cases[i].in, 32, buf, sizeof(buf)), strlen(cases[i].out));
		assert_string_equal(buf, cases[i].out);
	}
}

static void durations_read_well(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0ms"},
		{350, "350ms"},
		{1000, "1.0s"},
		{12540, "12.5s"},
		{60000, "1m00s"},
		{200000, "3m20s"},
		{7500000, "2h05m"},
		{356400000, "4d03h"},
	};
	char buf[32];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
			api_duration_text(cases[i].ms, buf, sizeof(buf)), cases[i].text);
}

static void addresses_round_trip(void **state)
{
	static const char *const good[] = {"10.0.0.1:7780", "[2001:db8::1]:1", "[fe80::1]:65535"};
	struct api_addr a;
	char buf[64];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(api_addr_parse(good[i], &a), 0);
		assert_string_equal(api_addr_text(&a, buf, sizeof(buf)), good[i]);
	}
}

static void refuses_bad_addresses(void **state)
{
	static const char *const bad[] = {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0",
		"10.0.0.1:65536", "10.0.0.1:1x", "10.0.0.1:+1", "10.0.0:1", "::1:7780", "[::1]",
		"[::1:7780", "[]:1", "host:7780",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:1"};
	struct api_addr a;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(api_addr_parse(bad[i], &a), -EINVAL);
}

static void networks_are_added(void **state)
{
	struct api_edge_add e = {.n_addrs = 0};

	assert_int_equal(api_nets_parse("10.9.0.1/24", &e), 0);
	assert_int_equal(api_nets_parse("fd00::1/128,,10.9.0.2/32,", &e), 0);
	assert_int_equal(e.n_addrs, 3);
	assert_memory_equal(e.addrs[0].ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x09\0\1", 16);
	assert_memory_equal(e.addrs[1].ip, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	assert_int_equal(e.addrs[0].prefix, 24);
	assert_int_equal(e.addrs[1].prefix, 128);
	assert_int_equal(e.addrs[2].prefix, 32);
}

static void refuses_bad_networks(void **state)
{
	static const char *const bad[] = {"", ",", "10.9.0.1", "10.9.0.1/", "10.9.0.1/33",
		"10.9.0.1/-1", "10.9.0.1/+1", "10.9.0.1/8x", "fd00::1/129", "10.9.0.1/8/8",
		"10.9.0.1,/8", "/8", "::ffff:10.9.0.1/33", "host/8",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8"};
	struct api_edge_add full = {.n_addrs = API_EDGE_ADDRS};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct api_edge_add e = {.n_addrs = 0};

		assert_int_equal(api_nets_parse(bad[i], &e), -EINVAL);
	}
	assert_int_equal(api_nets_parse("10.9.0.1/8", &full), -EINVAL);
}

static void names_are_checked(void **state)
{
	char full[4] = {'a', 'b', 'c', 'd'};

	assert_int_equal(api_name_check("wan0", 32), 0);
	assert_int_equal(api_name_check("", 32), -EINVAL);
	assert_int_equal(api_name_check("a b", 32), -EINVAL);
	assert_int_equal(api_name_check("../x", 32), -EINVAL);
	assert_int_equal(api_name_check("\x1b[31m", 32), -EINVAL);
	assert_int_equal(api_name_check(full, sizeof(full)), -EINVAL);
}

static void frame_lengths_are_bounded(void **state)
{
	struct api_frame f = {.len = sizeof(f)};

	assert_int_equal(api_frame_check(&f), 0);
	f.len = API_FRAME_MAX;
	assert_int_equal(api_frame_check(&f), 0);
	f.len = API_FRAME_MAX + 1;
	assert_int_equal(api_frame_check(&f), -EBADMSG);
	f.len = sizeof(f) - 1;
	assert_int_equal(api_frame_check(&f), -EBADMSG);
	f.len = 0;
	assert_int_equal(api_frame_check(&f), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_lie_in_their_struct_without_overlap),
		cmocka_unit_test(names_are_unique_and_kinds_fit_their_width),
		cmocka_unit_test(what_is_not_known_is_null),
		cmocka_unit_test(what_a_dmsg_node_has_not_is_null),
		cmocka_unit_test(what_does_not_apply_to_a_rule_is_null),
		cmocka_unit_test(sizes_and_rates_read_with_their_unit),
		cmocka_unit_test(every_record_of_any_bytes_is_json),
		cmocka_unit_test(json_says_no_space_at_every_short_length),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(durations_read_well),
		cmocka_unit_test(addresses_round_trip),
		cmocka_unit_test(refuses_bad_addresses),
		cmocka_unit_test(networks_are_added),
		cmocka_unit_test(refuses_bad_networks),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(frame_lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
