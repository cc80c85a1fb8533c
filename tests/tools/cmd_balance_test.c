// `skyrail transport move` and `skyrail worker rebalance` against a control plane made of three
// functions: what is asked for, and what is printed.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { FLOWS = 5, MOVES = 8 };

struct api_client {
	unsigned looks; // at the flows
	uint64_t packets[FLOWS]; // of each in the time looked at
	uint32_t owner[FLOWS];
	struct api_transport_move moves[MOVES];
	unsigned n_moves;
};

static const struct {
	const char *name;
	uint8_t flow;
} flows[FLOWS] = {{"one", 1}, {"four", 1}, {"four", 2}, {"four", 3}, {"four", 4}};

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

static int tell_flows(struct api_client *k, api_client_cb cb, void *ctx)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct api_flow f = {.flow = flows[i].flow,
			.owner = k->owner[i],
			.local_port = 7780, // of a rail
			.rx_packets = 1000 + k->looks * k->packets[i]};

		strcpy(f.name, flows[i].name);
		assert_int_equal(cb(ctx, 1, &f, sizeof(f)), 0);
	}
	k->looks++;
	return cb(ctx, 0, NULL, 0);
}

static int tell_counters(const struct api_client *k, api_client_cb cb, void *ctx)
{
	for (unsigned w = 0; w < 2; w++) {
		struct api_counter n = {.name = "cycles_busy", .value = k->looks * 1000000ull};

		snprintf(n.of, sizeof(n.of), "worker%u", w);
		assert_int_equal(cb(ctx, 1, &n, sizeof(n)), 0);
	}
	return cb(ctx, 0, NULL, 0);
}

int api_client_call(struct api_client *c, uint16_t type, const void *payload, size_t len,
	api_client_cb cb, void *ctx)
{
	switch (type) {
	case API_FLOWS:
		return tell_flows(c, cb, ctx);
	case API_COUNTERS:
		return tell_counters(c, cb, ctx);
	case API_TRANSPORT_MOVE:
		assert_int_equal(len, sizeof(c->moves[0]));
		assert_true(c->n_moves < MOVES);
		memcpy(&c->moves[c->n_moves++], payload, len);
		return 0;
	default:
		return -ENOSYS;
	}
}

// Runs a command; what it printed is in *out, to be freed.
static int command(struct api_client *k, int (*fn)(struct cli *c), const char *const *args, int n,
	bool json, char **out)
{
	char *argv[4];
	struct cli c = {.client = k, .argc = n, .argv = argv, .json = json};
	FILE *was = stdout;
	size_t len;
	int rc;

	for (int i = 0; i < n; i++)
		argv[i] = strdup(args[i]);
	stdout = open_memstream(out, &len);
	assert_non_null(stdout);
	rc = fn(&c);
	fclose(stdout);
	stdout = was;
	for (int i = 0; i < n; i++)
		free(argv[i]);
	return rc;
}

static void a_move_names_the_flow_or_none(void **state)
{
	static const struct {
		const char *args[3];
		int n, rc;
		uint32_t flow, worker;
	} rows[] = {
		{{"four", "worker=1"}, 2, CLI_OK, 0, 1},
		{{"four", "flow=3", "worker=1"}, 3, CLI_OK, 3, 1},
		{{"four", "worker=0", "flow=1"}, 3, CLI_OK, 1, 0},
		{{"four", "worker=0", "flow=0"}, 3, CLI_USAGE, 0, 0},
		{{"four", "flow=1"}, 2, CLI_USAGE, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct api_client k = {0};
		char *out;

		assert_int_equal(
			command(&k, cmd_transport_move, rows[i].args, rows[i].n, false, &out),
			rows[i].rc);
		assert_int_equal(k.n_moves, rows[i].rc == CLI_OK);
		assert_int_equal(k.moves[0].flow, rows[i].flow);
		assert_int_equal(k.moves[0].worker, rows[i].worker);
		free(out);
	}
}

// A second passes.
int nanosleep(const struct timespec *t, struct timespec *left)
{
	assert_int_equal(t->tv_sec, 1);
	assert_int_equal(t->tv_nsec, 0);
	return 0;
}

static void each_flow_is_a_load_of_its_own_worker(void **state)
{
	// all but a little at worker 0, by two flows of one transport
	struct api_client k = {.owner = {1, 0, 1, 0, 1}, .packets = {0, 5000, 0, 5000, 0}};
	char *out;

	assert_int_equal(command(&k, cmd_rebalance, NULL, 0, false, &out), CLI_OK);
	assert_int_equal(k.n_moves, 1);
	assert_string_equal(k.moves[0].name, "four");
	assert_true(k.moves[0].flow == 1 || k.moves[0].flow == 3);
	assert_int_equal(k.moves[0].worker, 1);
	assert_non_null(strstr(out, k.moves[0].flow == 1 ? "four flow 1: worker 0 -> 1\n"
							 : "four flow 3: worker 0 -> 1\n"));
	assert_non_null(strstr(out, "before:  worker 0 100 %  worker 1 0 %\n"));
	assert_non_null(strstr(out, "after, if it stays as it was:  worker 0 50 %  worker 1 50 %"));
	free(out);
}

static void an_only_flow_is_called_as_its_transport(void **state)
{
	struct api_client k = {.owner = {0, 0, 1, 1, 1}, .packets = {5000, 5000, 0, 0, 0}};
	char *out;

	assert_int_equal(command(&k, cmd_rebalance, NULL, 0, false, &out), CLI_OK);
	assert_int_equal(k.n_moves, 1);
	assert_string_equal(k.moves[0].name, "one");
	assert_int_equal(k.moves[0].flow, 1);
	assert_non_null(strstr(out, "\none: worker 0 -> 1\n"));
	free(out);
}

static void spread_flows_stay(void **state)
{
	struct api_client k = {.owner = {1, 0, 1, 0, 1}, .packets = {0, 50, 50, 50, 50}};
	char *out;

	assert_int_equal(command(&k, cmd_rebalance, NULL, 0, false, &out), CLI_OK);
	assert_int_equal(k.n_moves, 0);
	assert_non_null(strstr(out, "nothing to gain"));
	free(out);
}

static void an_idle_node_is_left_alone(void **state)
{
	static const char *const says[] = {"no traffic: nothing to move\n", "{\"moved\":0}\n"};

	for (unsigned json = 0; json < 2; json++) {
		struct api_client k = {0};
		char *out;

		assert_int_equal(command(&k, cmd_rebalance, NULL, 0, json, &out), CLI_OK);
		assert_int_equal(k.n_moves, 0);
		assert_string_equal(out, says[json]);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_move_names_the_flow_or_none),
		cmocka_unit_test(each_flow_is_a_load_of_its_own_worker),
		cmocka_unit_test(an_only_flow_is_called_as_its_transport),
		cmocka_unit_test(spread_flows_stay),
		cmocka_unit_test(an_idle_node_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
