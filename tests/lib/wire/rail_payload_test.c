// Handshake payloads of rail 2: what must be there, what must not, and what each value may be.
#include "lib/wire/rail_payload.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/base/err.h"

static struct rail_hs_payload sample(unsigned n_flows)
{
	struct rail_hs_payload pl = {.instance = 0x1122334455667788,
		.mode = RAIL_MODE_DATAGRAM,
		.ciphers = RAIL_CIPHER_CHACHA20_POLY1305,
		.n_flows = (uint8_t)n_flows,
		.payload_max = 1400,
		.sig = {1, 2, 3},
		.window_log2 = RAIL_WINDOW_LOG2_DEFAULT};

	rail_time_put(pl.time, 1700000000000000000);
	for (unsigned i = 0; i < n_flows; i++)
		pl.index[i] = 0x01000000 + i;
	for (unsigned i = 0; i + 1 < n_flows; i++)
		pl.port[i] = (uint16_t)(7000 + i);
	return pl;
}

static void round_trips_each_kind_and_number_of_flows(void **state)
{
	static const uint32_t want[] = {0x5fe, 0x5fc, 0x4fc, 0x4fc};
	uint8_t a[RAIL_PAYLOAD_LEN_MAX], b[RAIL_PAYLOAD_LEN_MAX];

	for (unsigned kind = 0; kind < 4; kind++) {
		for (unsigned n = 1; n <= RAIL_FLOWS_MAX; n++) {
			struct rail_hs_payload in = sample(n), out;
			int len = rail_payload_encode(a, sizeof(a), kind, &in);

			assert_true(len > 0);
			assert_int_equal(rail_payload_decode(a, (size_t)len, kind, &out), 0);
			assert_int_equal(out.has, want[kind]);
			assert_int_equal(out.n_flows, n);
			assert_int_equal(out.index[n - 1], in.index[n - 1]);
			assert_int_equal(out.instance, in.instance);
			assert_int_equal(out.payload_max, 1400);
			assert_memory_equal(out.port, in.port, 2 * (n - 1));
			assert_int_equal(rail_payload_encode(b, sizeof(b), kind, &out), len);
			assert_memory_equal(a, b, (size_t)len);
		}
	}
}

static void fills_the_stated_maximum(void **state)
{
	struct rail_hs_payload in = sample(RAIL_FLOWS_MAX);
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];

	assert_int_equal(
		rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in), RAIL_PAYLOAD_LEN_MAX);
	assert_true(RAIL_PAYLOAD_LEN_MAX + RAIL_INIT_MIN <= RAIL_HS_MAX);
}

static void refuses_each_truncation(void **state)
{
	struct rail_hs_payload in = sample(3), out;
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];
	int len = rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in);

	for (int n = 0; n < len; n++) {
		assert_int_equal(
			rail_payload_decode(a, (size_t)n, RAIL_PAYLOAD_INIT, &out), -EBADMSG);
		assert_int_equal(
			rail_payload_encode(a, (size_t)n, RAIL_PAYLOAD_INIT, &in), -ENOSPC);
	}
}

// Copies the payload without (skip) or with twice (twice) the TLV of a type.
static size_t edit(uint8_t *out, const uint8_t *in, size_t len, unsigned type, bool twice)
{
	size_t n = 0;

	for (size_t at = 0, one; at < len; at += one) {
		one = 3u + be16_get(in + at + 1);
		for (unsigned i = in[at] == type ? (twice ? 2 : 0) : 1; i > 0; i--) {
			memcpy(out + n, in + at, one);
			n += one;
		}
	}
	return n;
}

static void refuses_missing_and_doubled_tlvs(void **state)
{
	uint8_t a[RAIL_PAYLOAD_LEN_MAX], b[2 * RAIL_PAYLOAD_LEN_MAX];

	for (unsigned kind = 0; kind < 4; kind++) {
		struct rail_hs_payload in = sample(2), out;
		size_t len = (size_t)rail_payload_encode(a, sizeof(a), kind, &in);

		assert_int_equal(rail_payload_decode(a, len, kind, &out), 0);
		for (unsigned type = 1; type <= 10; type++) {
			size_t n = edit(b, a, len, type, false);

			if (n == len)
				continue; // not in this kind
			assert_int_equal(rail_payload_decode(b, n, kind, &out), -EBADMSG);
			n = edit(b, a, len, type, true);
			assert_int_equal(rail_payload_decode(b, n, kind, &out), -EBADMSG);
		}
	}
}

static void refuses_an_index_that_is_nobodys(void **state)
{
	struct rail_hs_payload in = sample(3), out;
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];

	for (unsigned i = 0; i < 3; i++) {
		struct rail_hs_payload bad = in;
		size_t len;

		bad.index[i] = 0;
		len = (size_t)rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &bad);
		assert_int_equal(rail_payload_decode(a, len, RAIL_PAYLOAD_INIT, &out), -EBADMSG);
	}
}

static void refuses_misplaced_kinds(void **state)
{
	struct rail_hs_payload in = sample(1), out;
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];

	for (unsigned from = 0; from < 4; from++) {
		size_t len = (size_t)rail_payload_encode(a, sizeof(a), from, &in);

		for (unsigned to = 0; to < 4; to++) {
			bool same = from == to || (from >= 2 && to >= 2);

			assert_int_equal(
				rail_payload_decode(a, len, to, &out), same ? 0 : -EBADMSG);
		}
	}
}

static void ignores_unknown_tlvs(void **state)
{
	struct rail_hs_payload in = sample(1), out;
	uint8_t a[RAIL_PAYLOAD_LEN_MAX + 12];
	size_t len = (size_t)rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in);

	memcpy(a + len, "\x0b\0\x02zz\x00\0\0\xff\0\0", 11);
	assert_int_equal(rail_payload_decode(a, len + 11, RAIL_PAYLOAD_INIT, &out), 0);
}

static void refuses_bad_values(void **state)
{
	static const struct {
		uint8_t type, off, value;
		enum rail_payload_kind kind;
	} t[] = {
		{RAIL_TLV_MODE, 0, 2, RAIL_PAYLOAD_INIT},
		{RAIL_TLV_CIPHERS, 0, 0, RAIL_PAYLOAD_INIT},
		{RAIL_TLV_CIPHERS, 0, 3, RAIL_PAYLOAD_RESPONSE},
		{RAIL_TLV_CIPHERS, 0, 8, RAIL_PAYLOAD_RESPONSE},
		{RAIL_TLV_PAYLOAD_MAX, 0, 4, RAIL_PAYLOAD_INIT}, // 0x478 = 1144
		{RAIL_TLV_WINDOW, 0, 9, RAIL_PAYLOAD_INIT},
		{RAIL_TLV_WINDOW, 0, 24, RAIL_PAYLOAD_RESPONSE},
		{RAIL_TLV_TIME, 0, 0, RAIL_PAYLOAD_INIT},
	};
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct rail_hs_payload in = sample(1), out;
		size_t len = (size_t)rail_payload_encode(a, sizeof(a), t[i].kind, &in);
		size_t at = 0;

		while (a[at] != t[i].type)
			at += 3u + be16_get(a + at + 1);
		a[at + 3 + t[i].off] = t[i].value;
		assert_int_equal(rail_payload_decode(a, len, t[i].kind, &out), -EBADMSG);
	}
}

static void refuses_bad_flows(void **state)
{
	struct rail_hs_payload in = sample(2);
	uint8_t a[RAIL_PAYLOAD_LEN_MAX];

	in.port[0] = 0;
	assert_int_equal(rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in), -EINVAL);
	in.n_flows = 0;
	assert_int_equal(rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in), -EINVAL);
	in.n_flows = 33;
	assert_int_equal(rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_INIT, &in), -EINVAL);
}

static void refusal_stands_alone_in_answers(void **state)
{
	struct rail_hs_payload out, in = {.has = RAIL_HAS(RAIL_TLV_REFUSAL),
					    .refusal = RAIL_REFUSAL_MODE,
					    .refusal_text = (const uint8_t *)"reliable only",
					    .refusal_text_len = 13};
	struct rail_hs_payload full = sample(1);
	uint8_t a[2 * RAIL_PAYLOAD_LEN_MAX];
	int n = rail_payload_encode(a, sizeof(a), RAIL_PAYLOAD_RESPONSE, &in);

	assert_int_equal(n, 17);
	assert_int_equal(rail_payload_decode(a, 17, RAIL_PAYLOAD_RESPONSE, &out), 0);
	assert_int_equal(out.has, RAIL_HAS(RAIL_TLV_REFUSAL));
	assert_int_equal(out.refusal, RAIL_REFUSAL_MODE);
	assert_memory_equal(out.refusal_text, "reliable only", 13);
	assert_string_equal(rail_refusal_name(out.refusal), "mode");
	assert_string_equal(rail_refusal_name(9), "unknown");
	assert_int_equal(rail_payload_decode(a, 17, RAIL_PAYLOAD_INIT, &out), -EBADMSG);
	n = rail_payload_encode(a + 17, sizeof(a) - 17, RAIL_PAYLOAD_RESPONSE, &full);
	assert_int_equal(
		rail_payload_decode(a, 17 + (size_t)n, RAIL_PAYLOAD_RESPONSE, &out), -EBADMSG);
	// A code is needed, a text is not.
	assert_int_equal(rail_payload_decode("\x09\0\0", 3, RAIL_PAYLOAD_RESPONSE, &out), -EBADMSG);
	assert_int_equal(rail_payload_decode("\x09\0\1\1", 4, RAIL_PAYLOAD_RESPONSE, &out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips_each_kind_and_number_of_flows),
		cmocka_unit_test(fills_the_stated_maximum),
		cmocka_unit_test(refuses_each_truncation),
		cmocka_unit_test(refuses_missing_and_doubled_tlvs),
		cmocka_unit_test(refuses_an_index_that_is_nobodys),
		cmocka_unit_test(refuses_misplaced_kinds),
		cmocka_unit_test(ignores_unknown_tlvs),
		cmocka_unit_test(refuses_bad_values),
		cmocka_unit_test(refuses_bad_flows),
		cmocka_unit_test(refusal_stands_alone_in_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
