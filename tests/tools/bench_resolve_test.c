// ARP and Neighbour Discovery of the bench: two ends talk to each other, and to known bytes.
#include "tools/bench/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};
static const uint8_t a4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
static const uint8_t b4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2};
static const uint8_t a6[16] = {0xfd, [15] = 1}, b6[16] = {0xfd, [13] = 0xab, [15] = 2};

static void an_arp_request_has_the_bytes_of_the_standard(void **state)
{
	static const uint8_t want[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0xa, 8,
		6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xa, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0,
		0, 2};
	uint8_t f[RESOLVE_MAX];

	assert_int_equal(resolve_ask(f, mac_a, a4, b4), sizeof(want));
	assert_memory_equal(f, want, sizeof(want));
}

// The sum over pseudo-header and message, the sum in it included, is all ones.
static void checksum_is_right(const uint8_t *f)
{
	uint32_t sum = 58 + 32;

	for (unsigned i = 14 + 8; i < 86; i += 2)
		sum += (uint32_t)f[i] << 8 | f[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

static void a_solicitation_goes_to_the_group_of_its_target(void **state)
{
	static const uint8_t group_mac[6] = {0x33, 0x33, 0xff, 0xab, 0, 2};
	static const uint8_t group[16] = {
		0xff, 2, [11] = 1, [12] = 0xff, [13] = 0xab, [14] = 0, [15] = 2};
	uint8_t f[RESOLVE_MAX];

	assert_int_equal(resolve_ask(f, mac_a, a6, b6), 86);
	assert_memory_equal(f, group_mac, 6);
	assert_memory_equal(f + 38, group, 16);
	assert_memory_equal(f + 62, b6, 16);
	assert_int_equal(f[21], 255);
	checksum_is_right(f);
}

static void two_ends_find_each_other(const uint8_t *a, const uint8_t *b)
{
	uint8_t f[RESOLVE_MAX];
	struct resolved at_b, at_a;
	uint32_t len = resolve_ask(f, mac_a, a, b);

	assert_true(resolve_take(f, len, mac_b, b, &at_b));
	assert_true(at_b.learned);
	assert_memory_equal(at_b.ip, a, 16);
	assert_memory_equal(at_b.mac, mac_a, 6);
	assert_true(at_b.reply_len > 0);
	if (a == a6)
		checksum_is_right(at_b.reply);
	assert_true(resolve_take(at_b.reply, at_b.reply_len, mac_a, a, &at_a));
	assert_true(at_a.learned);
	assert_memory_equal(at_a.ip, b, 16);
	assert_memory_equal(at_a.mac, mac_b, 6);
	assert_int_equal(at_a.reply_len, 0);
}

static void both_families_resolve(void **state)
{
	two_ends_find_each_other(a4, b4);
	two_ends_find_each_other(a6, b6);
}

static void what_is_for_others_is_left_alone(void **state)
{
	uint8_t f[RESOLVE_MAX];
	struct resolved r;

	assert_false(resolve_take(f, resolve_ask(f, mac_a, a4, b4), mac_a, a4, &r));
	assert_false(resolve_take(f, resolve_ask(f, mac_a, a6, b6), mac_a, a6, &r));
	assert_false(resolve_take(f, resolve_ask(f, mac_a, a4, b4), mac_b, b6, &r));
}

static void cut_frames_are_refused(void **state)
{
	uint8_t f[RESOLVE_MAX];
	struct resolved r;
	uint32_t len = resolve_ask(f, mac_a, a4, b4);

	for (uint32_t i = 0; i < len; i++) {
		uint8_t *cut = malloc(i + 1); // so that a sanitizer sees each byte too many

		memcpy(cut, f, i);
		assert_false(resolve_take(cut, i, mac_b, b4, &r));
		free(cut);
	}
	len = resolve_ask(f, mac_a, a6, b6);
	for (uint32_t i = 0; i < 14 + 40 + 24; i++) {
		uint8_t *cut = malloc(i + 1);

		memcpy(cut, f, i);
		assert_false(resolve_take(cut, i, mac_b, b6, &r));
		free(cut);
	}
	assert_true(resolve_take(f, len, mac_b, b6, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arp_request_has_the_bytes_of_the_standard),
		cmocka_unit_test(a_solicitation_goes_to_the_group_of_its_target),
		cmocka_unit_test(both_families_resolve),
		cmocka_unit_test(what_is_for_others_is_left_alone),
		cmocka_unit_test(cut_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
