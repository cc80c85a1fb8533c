// The load of `bench route` against a bench service that a thread plays, as the protocol says and
// otherwise, over a pair of sockets.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/crypto/hash.h"
#include "tools/ctl/route_load.h"

enum wrong { RIGHT, OTHER_SERVICE, PROMPT, SILENT, HANGS_UP, OTHER_SUM, OTHER_BYTES, CUT };

enum { PATIENT_MS = 60000 };

static struct {
	int fd;
	enum wrong wrong;
	uint64_t taken, given; // to be read when it has ended
	_Atomic uint64_t calls, biggest; // ... and between two answers
} service;
static int fd;
static pthread_t thread;
static struct route_load *load;
static char why[ROUTE_LOAD_WHY_MAX];

static void say(const void *p, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(service.fd, (const char *)p + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

static void answer(uint64_t n, const uint8_t *sum)
{
	char line[160];
	int len = snprintf(line, sizeof(line), "%" PRIu64, n);

	for (int i = 0; sum != NULL && i < HASH_BLAKE2B_LEN; i++)
		len += snprintf(
			line + len, 3 + (size_t)(i == 0), i == 0 ? " %02x" : "%02x", sum[i]);
	line[len++] = '\n';
	say(line, (size_t)len);
}

static void serve_sum(FILE *in, uint64_t n)
{
	static uint8_t buf[65536];
	uint8_t sum[HASH_BLAKE2B_LEN];
	struct hash h;

	hash_init(&h, HASH_BLAKE2B);
	for (uint64_t left = n; left > 0;) {
		size_t got = fread(buf, 1, left < sizeof(buf) ? left : sizeof(buf), in);

		if (got == 0)
			return;
		hash_update(&h, buf, got);
		left -= got;
	}
	hash_final(&h, sum);
	sum[3] ^= service.wrong == OTHER_SUM;
	service.taken += n;
	answer(n, sum);
}

static void serve_give(uint64_t n)
{
	static uint8_t buf[65536];
	uint8_t sum[HASH_BLAKE2B_LEN];
	struct hash h;

	hash_init(&h, HASH_BLAKE2B);
	for (uint64_t left = n; left > 0;) {
		size_t part = left < sizeof(buf) ? left : sizeof(buf);

		memset(buf, (int)(left >> 16), part);
		hash_update(&h, buf, part);
		buf[0] ^= service.wrong == OTHER_BYTES;
		say(buf, part);
		left -= part;
	}
	hash_final(&h, sum);
	service.given += n;
	answer(n, sum);
}

static void *serve(void *arg)
{
	FILE *in = fdopen(service.fd, "r+");
	char line[64], word[32];
	uint64_t n;

	while (fgets(line, sizeof(line), in) != NULL &&
		sscanf(line, "%31s %" SCNu64, word, &n) == 2) {
		service.calls++;
		service.biggest = n > service.biggest ? n : service.biggest;
		if (service.wrong == OTHER_SERVICE)
			say("HTTP/1.1 400\r\n", 14);
		else if (service.wrong == PROMPT)
			say("login: ", 7);
		else if (service.wrong == SILENT)
			continue;
		else if (service.wrong == HANGS_UP || (service.wrong == CUT && n > 0))
			break;
		else if (strcmp(word, "take") == 0)
			answer(n, NULL);
		else if (strcmp(word, "sum") == 0)
			serve_sum(in, n);
		else if (strcmp(word, "give") == 0)
			serve_give(n);
		else
			break;
	}
	fclose(in);
	return NULL;
}

static void start(enum wrong wrong)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	memset(&service, 0, sizeof(service));
	service.fd = pair[1];
	service.wrong = wrong;
	fd = pair[0];
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	load = route_load_new(fd, "", 0);
	assert_non_null(load);
}

static void end(void)
{
	route_load_free(load);
	close(fd);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static struct route_load_result run(bool back, uint64_t bytes)
{
	const struct route_load_limit limit = {.bytes = bytes};
	struct route_load_result r;

	assert_int_equal(route_load_run(load, back, limit, &r, why), 0);
	assert_int_equal(r.bytes, bytes);
	assert_true(r.seconds > 0);
	return r;
}

static void so_many_bytes_go_each_way(void **state)
{
	static const uint64_t sizes[] = {1, 65536, 65537, 20000003};
	uint32_t us[ROUTE_LOAD_ASKS];
	uint64_t sum = 0;

	start(RIGHT);
	assert_int_equal(route_load_latency(load, PATIENT_MS, us, why), 0);
	assert_int_equal(service.calls, ROUTE_LOAD_ASKS);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		run(false, sizes[i]);
		run(true, sizes[i]);
		sum += sizes[i];
	}
	assert_int_equal(route_load_latency(load, PATIENT_MS, us, why), 0); // nothing is left of it
	end();
	assert_int_equal(service.taken, sum);
	assert_int_equal(service.given, sum);
}

// They begin small, and no part is more than an eighth of what has gone before, twice that for the
// powers of two.
static void parts_grow(void **state)
{
	start(RIGHT);
	run(false, 300000);
	assert_int_equal(service.biggest, ROUTE_LOAD_PART_MIN);
	run(false, 60000000);
	end();
	assert_int_equal(service.biggest, ROUTE_LOAD_PART_MAX);
}

static void time_ends_it_too(void **state)
{
	const struct route_load_limit limit = {.for_ms = 100};
	struct route_load_result r;

	for (int back = 0; back < 2; back++) {
		start(RIGHT);
		assert_int_equal(route_load_run(load, back != 0, limit, &r, why), 0);
		end();
		assert_true(r.seconds >= 0.1);
		assert_int_equal(r.bytes, back ? service.given : service.taken);
		assert_true(r.bytes > 0);
	}
}

static void what_is_wrong_is_told(void **state)
{
	static const struct {
		enum wrong wrong;
		bool back;
		int latency, err;
	} cases[] = {
		{OTHER_SERVICE, false, -EPROTO, -EBADMSG},
		{OTHER_SUM, false, 0, -EBADMSG},
		{OTHER_BYTES, true, 0, -EBADMSG},
		{CUT, false, 0, -ECONNRESET},
		{CUT, true, 0, -ECONNRESET},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct route_load_limit limit = {.bytes = 1000000};
		uint32_t us[ROUTE_LOAD_ASKS];
		struct route_load_result r;

		start(cases[i].wrong);
		why[0] = '\0';
		assert_int_equal(route_load_latency(load, PATIENT_MS, us, why), cases[i].latency);
		assert_int_equal(route_load_run(load, cases[i].back, limit, &r, why), cases[i].err);
		assert_int_not_equal(why[0], '\0');
		assert_int_equal(r.bytes, 0);
		end();
	}
}

// Who has the port instead may say nothing at all, or nothing that is a line.
static void what_is_no_service_is_not_waited_for(void **state)
{
	static const struct {
		enum wrong wrong;
		uint32_t first_ms;
		int err;
		const char *says;
	} cases[] = {
		{PROMPT, PATIENT_MS, -EPROTO, "something else than a bench service answers there"},
		{SILENT, 50, -ETIMEDOUT, "no answer in 0.1 s: it is not its bench service"},
		{HANGS_UP, PATIENT_MS, -ECONNRESET,
			"the stream ended without an answer: it is not its bench service"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t us[ROUTE_LOAD_ASKS];

		start(cases[i].wrong);
		assert_int_equal(
			route_load_latency(load, cases[i].first_ms, us, why), cases[i].err);
		assert_ptr_equal(strstr(why, cases[i].says), why);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_bytes_go_each_way),
		cmocka_unit_test(parts_grow),
		cmocka_unit_test(time_ends_it_too),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(what_is_no_service_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
