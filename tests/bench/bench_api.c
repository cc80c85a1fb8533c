// Rule installation as programs do it: through the API of a running node, in bulk and one by one.
// Every rule is confirmed by the data plane before its request is answered.
//
//   bench_api SOCKET TRANSPORT [RULES]
//
// Rules are intermediary ones that leave by TRANSPORT, with ids that the node chooses; they are
// removed again. Must be the only one who changes rules.

#include "lib/api/api_client.h"
#include "tests/bench/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, SINGLES = 500 };

struct bench {
	struct api_client *client;
	uint32_t *ids; // installed and not yet removed
	uint32_t n_ids;
	struct api_bulk_done done; // of the last request
};

static struct {
	struct api_bulk head;
	struct api_rule_add rules[API_BULK_MAX];
} add;
static struct {
	struct api_bulk head;
	uint32_t ids[API_BULK_MAX];
} del;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_api: %s: %s\n", what, why);
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int take_ids(void *ctx, int more, const void *payload, size_t len)
{
	struct bench *b = ctx;
	const uint8_t *p = payload;

	if (more || len < sizeof(b->done))
		return 0;
	memcpy(&b->done, p, sizeof(b->done));
	if (b->done.n_failed != 0)
		return 0;
	for (size_t at = sizeof(b->done); at + sizeof(struct api_rule_done) <= len;
		at += sizeof(struct api_rule_done)) {
		struct api_rule_done done;

		memcpy(&done, p + at, sizeof(done));
		b->ids[b->n_ids++] = done.id;
	}
	return 0;
}

static int take_done(void *ctx, int more, const void *payload, size_t len)
{
	struct bench *b = ctx;

	if (!more && len >= sizeof(b->done))
		memcpy(&b->done, payload, sizeof(b->done));
	return 0;
}

static void install(struct bench *b, uint32_t n)
{
	size_t len = sizeof(add.head) + n * sizeof(add.rules[0]);

	add.head.n = n;
	if (api_client_call(b->client, API_RULE_ADD, &add, len, take_ids, b) != 0)
		die("rule add", api_client_error(b->client));
	if (b->done.n_ok != n)
		die("rule add", b->done.text);
}

static double remove_all(struct bench *b)
{
	uint32_t total = b->n_ids;
	double start = now_us();

	while (b->n_ids > 0) {
		uint32_t n = b->n_ids < API_BULK_MAX ? b->n_ids : API_BULK_MAX;

		del.head.n = n;
		b->n_ids -= n;
		memcpy(del.ids, b->ids + b->n_ids, n * sizeof(del.ids[0]));
		if (api_client_call(b->client, API_RULE_DEL, &del,
			    sizeof(del.head) + n * sizeof(del.ids[0]), take_done, b) != 0)
			die("rule del", api_client_error(b->client));
		if (b->done.n_ok != n)
			die("rule del", b->done.text);
	}
	return total * 1e6 / (now_us() - start);
}

static void bulk(struct bench *b, uint32_t n_rules)
{
	double adds[ROUNDS], dels[ROUNDS];
	struct figure f = {.name = "rule_install_api", .unit = "rules/s, confirmed"};
	struct figure g = {.name = "rule_remove_api", .unit = "rules/s, confirmed"};

	for (unsigned i = 0; i < ROUNDS; i++) {
		double start = now_us();

		for (uint32_t left = n_rules; left > 0;) {
			uint32_t n = left < API_BULK_MAX ? left : API_BULK_MAX;

			install(b, n);
			left -= n;
		}
		adds[i] = n_rules * 1e6 / (now_us() - start);
		dels[i] = remove_all(b);
		// the ids of removed rules are free again after a grace period
		nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	}
	qsort(adds, ROUNDS, sizeof(adds[0]), figure_cmp);
	qsort(dels, ROUNDS, sizeof(dels[0]), figure_cmp);
	figure_value(&f, adds[ROUNDS / 2]);
	f.min = adds[0];
	f.max = adds[ROUNDS - 1];
	f.target = 500000;
	f.met = f.value >= f.target;
	figure_print(&f);
	figure_value(&g, dels[ROUNDS / 2]);
	g.min = dels[0];
	g.max = dels[ROUNDS - 1];
	figure_print(&g);
}

static void singles(struct bench *b)
{
	static double us[SINGLES];
	struct figure f = {.name = "rule_latency_api", .unit = "us from sleep (median; max p99)"};

	for (unsigned i = 0; i < SINGLES; i++) {
		double start;

		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); // all fall asleep
		start = now_us();
		install(b, 1);
		us[i] = now_us() - start;
	}
	qsort(us, SINGLES, sizeof(us[0]), figure_cmp);
	figure_value(&f, us[SINGLES / 2]);
	f.min = us[0];
	f.max = us[SINGLES * 99 / 100];
	figure_print(&f);
	remove_all(b);
}

int main(int argc, char **argv)
{
	char err[API_TEXT_MAX];
	struct bench b = {0};
	uint32_t n = argc > 3 ? (uint32_t)atoi(argv[3]) : 200000;

	if (argc < 3) {
		fprintf(stderr, "usage: bench_api SOCKET TRANSPORT [RULES]\n");
		return 2;
	}
	if (strlen(argv[2]) >= API_NAME_LEN)
		die(argv[2], "name too long");
	if (api_client_open(&b.client, argv[1], 20000, err) != 0)
		die(argv[1], err);
	b.ids = calloc(n > SINGLES ? n : SINGLES, sizeof(b.ids[0]));
	if (b.ids == NULL)
		die("ids", "out of memory");
	for (unsigned i = 0; i < API_BULK_MAX; i++) {
		add.rules[i] = (struct api_rule_add){
			.keep_alive_ms = 3600000, .type = API_RULE_CONSUME, .in = API_IN_TRANSPORT};
		memcpy(add.rules[i].in_transport, argv[2], strlen(argv[2]));
	}
	bulk(&b, n);
	singles(&b);
	free(b.ids);
	api_client_free(b.client);
	return 0;
}
