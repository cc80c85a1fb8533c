// `skyrail transport move` and `skyrail worker rebalance`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/balance.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ITEMS_MAX = 65536, WORKERS_MAX = 64, PACKET_BYTES = 512 };

struct sample {
	char name[API_NAME_LEN]; // of the transport
	uint8_t flow;
	bool sisters; // it has several
	uint32_t worker;
	bool fixed; // of a byte stream: it has no port of its own, and stays with its worker
	double weight; // packets, and what their bytes cost in packets
};

// What flows and workers have done so far.
struct look {
	struct sample *s;
	size_t n, cap;
	uint64_t busy[WORKERS_MAX]; // cycles
	unsigned n_workers;
};

static int ask_move(struct cli *c, const char *name, uint32_t flow, uint32_t worker)
{
	struct api_transport_move m = {.worker = worker, .flow = flow};

	memcpy(m.name, name, strnlen(name, sizeof(m.name) - 1));
	return cli_call(c, API_TRANSPORT_MOVE, &m, sizeof(m), NULL, NULL) < 0 ? cli_failed(c)
									      : CLI_OK;
}

int cmd_transport_move(struct cli *c)
{
	uint16_t worker = 0, flow = 0;
	struct arg args[] = {{"worker", ARG_U16, &worker, 0, NULL, true, false},
		{"flow", ARG_U16, &flow, 0, NULL, false, false}};
	const char *name;
	int rc = cli_args(c, &name, 1, args, ARRAY_LEN(args));

	if (rc != CLI_OK)
		return rc;
	if (api_name_check(name, API_NAME_LEN) < 0)
		return cli_error(CLI_USAGE, "'%s' is no name of a transport", name);
	if (flow == 0 && args[1].seen)
		return cli_error(CLI_USAGE, "flows count from 1");
	return ask_move(c, name, flow, worker);
}

static int on_flow(void *ctx, int more, const void *rec, size_t len)
{
	const struct api_flow *t = rec;
	struct look *l = ctx;
	struct sample *grown, *s;

	if (!more)
		return 0;
	if (len != sizeof(*t))
		return -EPROTO;
	if (t->owner >= WORKERS_MAX || l->n == ITEMS_MAX)
		return 0;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 64 : 2 * l->cap;
		grown = realloc(l->s, l->cap * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		l->s = grown;
	}
	s = &l->s[l->n++];
	*s = (struct sample){.flow = t->flow,
		.worker = t->owner,
		.fixed = t->local_port == 0,
		.weight = (double)(t->rx_packets + t->tx_packets) +
			  (double)(t->rx_bytes + t->tx_bytes) / PACKET_BYTES};
	memcpy(s->name, t->name, sizeof(t->name));
	s->name[sizeof(s->name) - 1] = 0;
	if (s > l->s && strcmp(s[-1].name, s->name) == 0) // they are listed together
		s->sisters = s[-1].sisters = true;
	return 0;
}

static int on_counter(void *ctx, int more, const void *rec, size_t len)
{
	const struct api_counter *k = rec;
	struct look *l = ctx;
	unsigned w;

	if (!more)
		return 0;
	if (len != sizeof(*k))
		return -EPROTO;
	if (strcmp(k->name, "cycles_busy") != 0 || strncmp(k->of, "worker", 6) != 0)
		return 0;
	w = (unsigned)strtoul(k->of + 6, NULL, 10);
	if (w >= WORKERS_MAX)
		return 0;
	l->busy[w] = k->value;
	l->n_workers = w >= l->n_workers ? w + 1 : l->n_workers;
	return 0;
}

static int look(struct cli *c, struct look *l)
{
	const struct api_counters_ask ask = {.scopes = API_SCOPE_WORKER};

	if (cli_call(c, API_FLOWS, NULL, 0, on_flow, l) < 0 ||
		cli_call(c, API_COUNTERS, &ask, sizeof(ask), on_counter, l) < 0)
		return cli_failed(c);
	return CLI_OK;
}

static bool is_same(const struct sample *a, const struct sample *b)
{
	return a->flow == b->flow && strcmp(a->name, b->name) == 0;
}

static const struct sample *find(const struct look *l, const struct sample *s, size_t hint)
{
	if (hint < l->n && is_same(&l->s[hint], s))
		return &l->s[hint];
	for (size_t i = 0; i < l->n; i++)
		if (is_same(&l->s[i], s))
			return &l->s[i];
	return NULL;
}

// A worker's busy cycles are its flows', by what they carried. Those that carried nothing
// count a little: they are spread, too. Returns what all carried.
static double loads(const struct look *a, const struct look *b, struct balance_item *items)
{
	double weight[WORKERS_MAX] = {0}, all = 0, carried = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct sample *before = find(a, &b->s[i], i);
		double w = b->s[i].weight - (before != NULL ? before->weight : 0);

		items[i].worker = b->s[i].worker;
		items[i].fixed = b->s[i].fixed;
		carried += w > 0 ? w : 0;
		items[i].load = (w > 0 ? w : 0) + 1e-3;
		weight[items[i].worker] += items[i].load;
	}
	for (unsigned w = 0; w < b->n_workers; w++)
		all += weight[w] > 1 ? (double)(b->busy[w] - a->busy[w]) : 0;
	for (size_t i = 0; i < b->n && all > 0; i++) {
		unsigned w = items[i].worker;

		if (weight[w] > 1)
			items[i].load *= (double)(b->busy[w] - a->busy[w]) / weight[w];
	}
	return carried;
}

static double share(const struct balance_item *items, size_t n, unsigned worker)
{
	double sum = 0, all = 0;

	for (size_t i = 0; i < n; i++) {
		all += items[i].load;
		sum += items[i].worker == worker ? items[i].load : 0;
	}
	return all > 0 ? 100 * sum / all : 0;
}

static void print_shares(const struct cli *c, const char *when, const struct balance_item *items,
	size_t n, unsigned n_workers)
{
	if (c->json)
		return;
	printf("shares of the load of transports, %s:", when);
	for (unsigned w = 0; w < n_workers; w++)
		printf("  worker %u %.0f %%", w, share(items, n, w));
	printf("\n");
}

static void print_move(const struct sample *s, const struct balance_move *mv)
{
	printf("%s", s->name);
	if (s->sisters)
		printf(" flow %u", s->flow);
	printf(": worker %u -> %u\n", mv->from, mv->to);
}

static int nothing_to_move(const struct cli *c)
{
	printf("%s\n", c->json ? "{\"moved\":0}" : "no traffic: nothing to move");
	return CLI_OK;
}

static int carry_out(struct cli *c, const struct look *now, struct balance_item *items)
{
	struct balance_move mv;
	unsigned n = 0;
	int rc = CLI_OK;

	print_shares(c, "before", items, now->n, now->n_workers);
	while (rc == CLI_OK && n < now->n && balance_next(items, now->n, now->n_workers, &mv)) {
		const struct sample *s = &now->s[mv.item];

		rc = ask_move(c, s->name, s->flow, mv.to);
		if (rc != CLI_OK) {
			items[mv.item].worker = mv.from;
			break;
		}
		n++;
		if (!c->json)
			print_move(s, &mv);
	}
	print_shares(c, "after, if it stays as it was", items, now->n, now->n_workers);
	if (c->json)
		printf("{\"moved\":%u}\n", n);
	else if (n == 0 && rc == CLI_OK)
		printf("nothing to gain by moving a transport\n");
	return rc;
}

int cmd_rebalance(struct cli *c)
{
	uint32_t ms = 1000;
	struct arg args[] = {{"over", ARG_MS, &ms, 0, NULL, false, false}};
	struct look before = {0}, now = {0};
	struct balance_item *items = NULL;
	int rc = cli_args(c, NULL, 0, args, ARRAY_LEN(args));

	if (rc != CLI_OK)
		return rc;
	rc = look(c, &before);
	if (rc == CLI_OK) {
		nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
		rc = look(c, &now);
	}
	if (rc == CLI_OK) {
		items = calloc(now.n + 1, sizeof(*items));
		rc = items == NULL ? cli_error(CLI_FAIL, "out of memory") : CLI_OK;
	}
	if (rc == CLI_OK) {
		rc = balance_is_idle(loads(&before, &now, items), ms) ? nothing_to_move(c)
								      : carry_out(c, &now, items);
	}
	free(items);
	free(before.s);
	free(now.s);
	return rc;
}
