// The bench service over a route group: each thing that it does, in small pieces and large ones,
// and with a reader that is slow.

#include "controlplane/app/route_bench.h"

#include "lib/crypto/hash.h"
#include "tests/controlplane/route/group_fixture.h"

static struct route_bench *bench;

static int bench_setup(void **state)
{
	setup(state);
	bench = route_bench_new(b.gs, PORT_B);
	assert_non_null(bench);
	assert_int_equal(accept_at_b(200, PORT_B, PORT_A), 0);
	answer_installs();
	open_at_a();
	turns();
	return ua.n_open != 1;
}

static int bench_teardown(void **state)
{
	conn_close(ua.c);
	ua.c = NULL;
	turns();
	route_bench_free(bench);
	return teardown(state);
}

static void send_all(const void *p, size_t len)
{
	assert_int_equal(conn_write(ua.c, p, len), len);
	turns();
}

static void send_line(const char *line)
{
	send_all(line, strlen(line));
}

static void expect_answer(const char *text)
{
	assert_int_equal(ua.n_got, strlen(text));
	assert_memory_equal(ua.got, text, ua.n_got);
	ua.n_got = 0;
}

static void hex_sum(const void *p, size_t len, char hex[129])
{
	uint8_t h[HASH_BLAKE2B_LEN];
	struct hash sum;

	hash_init(&sum, HASH_BLAKE2B);
	hash_update(&sum, p, len);
	hash_final(&sum, h);
	for (size_t i = 0; i < sizeof(h); i++)
		snprintf(hex + 2 * i, 3, "%02x", h[i]);
}

static void it_takes_and_sums(void **state)
{
	static uint8_t text[300000];
	char hex[129], want[160];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = text_at(i);
	send_line("take 5\nabcde");
	expect_answer("5\n");
	send_line("take 0\n");
	expect_answer("0\n");
	send_line("sum 3000");
	send_line("00\n");
	for (size_t at = 0; at < sizeof(text); at += 7000)
		send_all(text + at, sizeof(text) - at < 7000 ? sizeof(text) - at : 7000);
	hex_sum(text, sizeof(text), hex);
	snprintf(want, sizeof(want), "%zu %s\n", sizeof(text), hex);
	expect_answer(want);
}

static void it_sends_back(void **state)
{
	send_line("echo\nabc");
	expect_answer("abc");
	for (size_t done = 0; done < 100000; done += 1000) {
		assert_int_equal(write_text(&ua, done, 1000), 1000);
		turns();
	}
	expect_text(&ua, 100000);
}

static bool has_line_end(void)
{
	return ua.n_got > 0 && ua.got[ua.n_got - 1] == '\n' && ua.n_got > 1000000;
}

// More than ring and queues hold: it goes on as room comes.
static void it_gives_as_fast_as_is_read(void **state)
{
	char hex[129], want[160];
	size_t len;

	b.room = 10;
	send_line("give 1000000\ntake 1\n");
	ua.takes = 100;
	for (int i = 0; i < 2000 && !has_line_end(); i++) {
		b.room += 20;
		ua.takes = 20000;
		TELL(&b, on_room);
		conn_resume(ua.c);
		turns();
	}
	hex_sum(ua.got, 1000000, hex);
	len = (size_t)snprintf(want, sizeof(want), "1000000 %s\n", hex);
	assert_int_equal(ua.n_got, 1000000 + len);
	assert_memory_equal(ua.got + 1000000, want, len);
	ua.n_got = 0;
	ua.takes = SIZE_MAX;
	send_line("x"); // what came meanwhile was kept
	expect_answer("1\n");
}

static void what_is_no_line_is_the_end(void **state)
{
	static const char *const bad[] = {"what\n", "take\n", "take 1 2\n", "give x\n", "\n",
		"0123456789012345678901234567890123456789"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (i > 0)
			bench_setup(state);
		ua.closes = true;
		send_line(bad[i]);
		expect_answer("?\n");
		assert_null(ua.c);
		if (i + 1 < ARRAY_LEN(bad))
			bench_teardown(state);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		TEST(it_takes_and_sums),
		TEST(it_sends_back),
		TEST(it_gives_as_fast_as_is_read),
		TEST(what_is_no_line_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
