// `skyrail route close` against a control plane made of three functions: which route it ends.
#include "lib/api/api_rec.h"
#include "lib/api/api_route.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"
#include "tools/ctl/way.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { GROUPS = 4, NAMES = 5, CLOSES = 4 };

// Keys begin so; the rest is zeros.
static const struct {
	uint8_t pk[2];
	uint16_t remote, local;
} groups[GROUPS] = {
	{{0x02, 0xaa}, 3, 1000},
	{{0x03, 0xbb}, 3, 1001},
	{{0x02, 0xcc}, 3, 1002},
	{{0x03, 0xbb}, 3, 1002},
};

static const struct {
	const char *name;
	uint8_t pk[2];
} names[NAMES] = {
	{"b", {0x03, 0xbb}},
	{"02", {0x03, 0xbb}},
	{"03ab", {0x02, 0xaa}},
	{"03cd", {0x02, 0xaa}},
	{"03cd", {0x03, 0xbb}},
};

struct api_client {
	struct api_route_close closes[CLOSES];
	unsigned n_closes;
};

int api_client_open(
	struct api_client **out, const char *path, int timeout_ms, char err[API_TEXT_MAX])
{
	return -ENOENT;
}

void api_client_free(struct api_client *c)
{
}

int api_client_get(
	struct api_client *c, uint16_t type, const void *payload, size_t len, void *out, size_t cap)
{
	return -ENOSYS;
}

int api_client_node(struct api_client *c, struct api_node *out)
{
	return -ENOSYS;
}

const char *api_client_error(const struct api_client *c)
{
	return "refused";
}

int api_client_take_fd(struct api_client *c, const uint8_t **first, size_t *first_len)
{
	return -1;
}

void api_client_timeout(struct api_client *c, int timeout_ms)
{
}

static int tell_groups(api_client_cb cb, void *ctx)
{
	for (unsigned i = 0; i < GROUPS; i++) {
		struct api_route_group g = {.state = API_GROUP_OPEN,
			.remote_port = groups[i].remote,
			.local_port = groups[i].local};

		memcpy(g.pk, groups[i].pk, 2);
		assert_int_equal(cb(ctx, 1, &g, sizeof(g)), 0);
	}
	return cb(ctx, 0, NULL, 0);
}

static int tell_transports(api_client_cb cb, void *ctx)
{
	for (unsigned i = 0; i < NAMES; i++) {
		struct api_transport t = {0};

		strcpy(t.name, names[i].name);
		memcpy(t.peer, names[i].pk, 2);
		assert_int_equal(cb(ctx, 1, &t, sizeof(t)), 0);
	}
	return cb(ctx, 0, NULL, 0);
}

int api_client_call(struct api_client *c, uint16_t type, const void *payload, size_t len,
	api_client_cb cb, void *ctx)
{
	switch (type) {
	case API_GROUPS:
		return tell_groups(cb, ctx);
	case API_TRANSPORTS:
		return tell_transports(cb, ctx);
	case API_CONFIG:
		return cb(ctx, 0, NULL, 0);
	case API_ROUTE_CLOSE:
		assert_int_equal(len, sizeof(c->closes[0]));
		assert_true(c->n_closes < CLOSES);
		memcpy(&c->closes[c->n_closes++], payload, len);
		return 0;
	default:
		return -ENOSYS;
	}
}

static void the_route_that_is_meant_ends_and_no_other(void **state)
{
	static const struct {
		const char *words[3];
		int group; // that is closed; -1: none
	} cases[] = {
		{{"02", "3", "1000"}, 0}, // digits
		{{"02aa", "3", "1000"}, 0},
		{{"02ab", "3", "1000"}, -1},
		{{"b", "3", "1001"}, 1}, // a name
		{{"b", "3", "1000"}, -1},
		{{"02", "3", "1001"}, 1}, // a name of digits
		{{"03ab", "3", "1000"}, 0},
		{{"03ab", "3", "1001"}, -1}, // of which no key begins so
		{{"03cd", "3", "1000"}, -1}, // of several
		{{"02", "3", "1002"}, -1}, // the key of one and the name of another
		{{"02cc", "3", "1002"}, 2},
		{{"02", "4", "1000"}, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct api_client k = {0};
		struct cli c = {
			.client = &k, .argc = 3, .argv = (char **)(uintptr_t)cases[i].words};
		int rc = cmd_route_close(&c), g = cases[i].group;

		assert_int_equal(rc, g >= 0 ? CLI_OK : CLI_FAIL);
		assert_int_equal(k.n_closes, g >= 0);
		if (g < 0)
			continue;
		assert_memory_equal(k.closes[0].pk, groups[g].pk, 2);
		assert_int_equal(k.closes[0].remote_port, groups[g].remote);
		assert_int_equal(k.closes[0].local_port, groups[g].local);
	}
}

// What is said on standard error.
static const char *said_of(int status, const struct api_route_ask *m)
{
	static char text[200];
	struct cli c = {.status = status, .error = "whatever no such transport means"};
	FILE *was = stderr;

	memset(text, 0, sizeof(text));
	stderr = fmemopen(text, sizeof(text), "w");
	assert_non_null(stderr);
	assert_int_equal(way_refused(&c, m), CLI_FAIL);
	fclose(stderr);
	stderr = was;
	return text;
}

static void a_type_that_was_not_said_is_told(void **state)
{
	struct api_route_ask m = {.n_via = 1};

	assert_string_equal(said_of(-ENODEV, &m),
		"skyrail: without type=, the transports behind a via= node are rails\n");
	assert_string_equal(said_of(-EREMOTEIO, &m), "");
	strcpy(m.type, "stcp");
	assert_string_equal(said_of(-ENODEV, &m), "");
	m = (struct api_route_ask){.n_via = 0};
	assert_string_equal(said_of(-ENODEV, &m), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_that_was_not_said_is_told),
		cmocka_unit_test(the_route_that_is_meant_ends_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
