// Rule installation over the rings, as a control plane does it: attaches to a running data plane
// (no control plane of its own may be attached) and measures RULE_ADD to DONE, one by one and in
// bulk.
//
//   bench_ctl SOCKET [RULES]

#include "lib/shm/region.h"
#include "tests/bench/figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BULK = 64, LATENCY_RUNS = 5000, ROUNDS = 5 };

struct client {
	struct region region;
	struct ring_w cmd;
	struct ring_r evt;
	uint64_t cookie;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_ctl: %s: %s\n", what, strerror(-err));
	exit(1);
}

// Wake the data plane if it sleeps, as lib/shm/region.h says.
static void bell(struct client *c)
{
	if (atomic_exchange(&c->region.hdr->dp_sleeping, 0) == 1) {
		uint64_t one = 1;
		if (write(c->region.bell_dp, &one, sizeof(one)) != sizeof(one))
			die("bell", -EIO);
	}
}

static bool put(struct client *c, void *cmd, uint32_t len, uint16_t type)
{
	struct dpmsg_hdr *h = cmd;
	void *slot = ring_w_reserve(&c->cmd, len);

	if (slot == NULL)
		return false;
	*h = (struct dpmsg_hdr){.len = len, .type = type, .cookie = ++c->cookie};
	memcpy(slot, cmd, len);
	return true;
}

// Read events until `want` answers came; dies on an error status unless `quiet`.
static unsigned answers(struct client *c, bool quiet)
{
	uint8_t buf[512];
	unsigned n = 0;
	int len;

	while ((len = ring_r_read(&c->evt, buf, sizeof(buf))) != 0) {
		struct evt_done *done = (struct evt_done *)buf;
		if (len < 0)
			die("event ring", len);
		if (done->h.type != EVT_DONE)
			continue;
		if (done->status != 0 && !quiet)
			die("command refused", done->status);
		n++;
	}
	ring_r_release(&c->evt);
	return n;
}

static void wait_answers(struct client *c, unsigned want, bool quiet)
{
	uint64_t deadline = now_ns() + 5000000000;

	while (want > 0) {
		unsigned n = answers(c, quiet);
		want -= n < want ? n : want;
		if (n == 0 && now_ns() > deadline)
			die("no answer", -ETIMEDOUT);
	}
}

static void attach(struct client *c, const char *path)
{
	struct region_hdr *h;
	struct cmd_hello hello = {.version = DPMSG_VERSION};
	struct ring_shm *cmd, *evt;
	size_t cmd_len, evt_len;
	int rc = region_attach(&c->region, path, REGION_ASK_CONTROL);

	if (rc != 0)
		die(path, rc);
	h = c->region.hdr;
	cmd = region_ring(&c->region, h->cmd_off, &cmd_len);
	evt = region_ring(&c->region, h->evt_off, &evt_len);
	if (cmd == NULL || evt == NULL || ring_w_attach(&c->cmd, cmd, cmd_len) != 0 ||
		ring_r_attach(&c->evt, evt, evt_len) != 0)
		die("rings", -EPROTO);
	c->cookie = now_ns();
	put(c, &hello, sizeof(hello), CMD_HELLO);
	ring_w_publish(&c->cmd);
	bell(c);
	wait_answers(c, 1, false);
}

static struct cmd_rule_add rule(uint32_t id)
{
	return (struct cmd_rule_add){
		.id = id,
		.next_id = id,
		.tx_hop = 1,
		.keep_alive_ms = 3600000,
		.type = RULE_INTERMEDIARY,
	};
}

static void clear(struct client *c, uint32_t n)
{
	uint32_t sent = 0, answered = 0;

	while (answered < n) {
		struct cmd_rule_del del = {.id = 0};
		while (sent < n && sent - answered < 4096) {
			del.id = sent + 1;
			if (!put(c, &del, sizeof(del), CMD_RULE_DEL))
				break;
			sent++;
		}
		ring_w_publish(&c->cmd);
		bell(c);
		answered += answers(c, true);
	}
	// grace periods end, so that the same ids may come again
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	answers(c, true);
}

static double bulk_rate(struct client *c, uint32_t n)
{
	uint64_t start = now_ns();
	uint32_t sent = 0, answered = 0;

	while (answered < n) {
		for (unsigned i = 0; i < BULK && sent < n; i++) {
			struct cmd_rule_add add = rule(sent + 1);
			if (!put(c, &add, sizeof(add), CMD_RULE_ADD))
				break;
			sent++;
		}
		ring_w_publish(&c->cmd);
		bell(c);
		answered += answers(c, false);
	}
	return n * 1e9 / (double)(now_ns() - start);
}

static void latencies(
	struct client *c, uint32_t first, long gap_ns, const char *name, double target)
{
	static double us[LATENCY_RUNS];
	unsigned n = gap_ns == 0 ? LATENCY_RUNS : 500;
	struct figure f = {.name = name, .unit = "us (median; max is p99)", .target = 0};

	for (unsigned i = 0; i < n; i++) {
		struct cmd_rule_add add = rule(first + i);
		uint64_t start;

		if (gap_ns != 0)
			nanosleep(&(struct timespec){.tv_nsec = gap_ns}, NULL);
		start = now_ns();
		put(c, &add, sizeof(add), CMD_RULE_ADD);
		ring_w_publish(&c->cmd);
		bell(c);
		wait_answers(c, 1, false);
		us[i] = (double)(now_ns() - start) / 1000;
	}
	qsort(us, n, sizeof(us[0]), figure_cmp);
	figure_value(&f, us[n / 2]);
	f.min = us[0];
	f.max = us[n * 99 / 100];
	f.target = target;
	f.met = target == 0 || f.value < target;
	figure_print(&f);
}

int main(int argc, char **argv)
{
	struct client c = {0};
	uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 50000;
	double rates[ROUNDS];
	struct figure f = {.name = "rule_install_ring", .unit = "rules/s", .target = 500000};

	if (argc < 2) {
		fprintf(stderr, "usage: bench_ctl SOCKET [RULES]\n");
		return 2;
	}
	attach(&c, argv[1]);
	if (n + LATENCY_RUNS + 1000 >= 1u << c.region.hdr->rule_bits)
		die("rule table too small", -ENOSPC);
	for (unsigned i = 0; i < ROUNDS; i++) {
		rates[i] = bulk_rate(&c, n);
		clear(&c, n);
	}
	qsort(rates, ROUNDS, sizeof(rates[0]), figure_cmp);
	figure_value(&f, rates[ROUNDS / 2]);
	f.min = rates[0];
	f.max = rates[ROUNDS - 1];
	f.met = f.value >= f.target;
	figure_print(&f);
	latencies(&c, n + 1, 0, "rule_latency_awake", 50);
	latencies(&c, n + 1 + LATENCY_RUNS, 5000000, "rule_latency_asleep", 0);
	region_close(&c.region);
	return 0;
}
