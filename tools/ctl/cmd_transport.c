// `skyrail transport add|del|list`, here or at another node, and `skyrail ping`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"
#include "tools/ctl/way.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int call(struct cli *c, uint16_t type, const void *payload, size_t len)
{
	return cli_call(c, type, payload, len, NULL, NULL) < 0 ? cli_failed(c) : CLI_OK;
}

static int take_name(char *dst, size_t cap, const char *name)
{
	if (strlen(name) >= cap || api_name_check(name, cap) < 0)
		return cli_error(CLI_USAGE,
			"'%s': a name has 1 to %zu characters, no blanks, no '/'", name, cap - 1);
	strcpy(dst, name);
	return CLI_OK;
}

struct finding {
	const struct api_transport_add *like; // of its peer and type
	char name[API_NAME_LEN];
};

static int on_transport(void *ctx, int more, const void *payload, size_t len)
{
	struct finding *f = ctx;
	struct api_transport t;
	int rc = api_record_take(&t, sizeof(t), more, payload, len);

	if (rc <= 0)
		return rc;
	if (t.type == f->like->type && memcmp(t.peer, f->like->peer, sizeof(t.peer)) == 0)
		snprintf(f->name, sizeof(f->name), "%.*s", (int)sizeof(t.name) - 1, t.name);
	return 0;
}

// A transport that the peer made by itself gets the name that it is given now: say so.
static int add(struct cli *c, const struct api_transport_add *m)
{
	struct finding f = {.like = m};
	int rc;

	if (cli_call(c, API_TRANSPORTS, NULL, 0, on_transport, &f) < 0)
		return cli_failed(c);
	rc = call(c, API_TRANSPORT_ADD, m, sizeof(*m));
	if (rc == CLI_OK && f.name[0] != '\0' && strcmp(f.name, m->name) != 0)
		fprintf(stderr, "skyrail: the transport %s of this peer is called %.*s now\n",
			f.name, (int)sizeof(m->name) - 1, m->name);
	return rc;
}

// ---- at another node ----

static bool is_elsewhere(const struct cli *c)
{
	for (int i = 0; i < c->argc; i++)
		if (strncmp(c->argv[i], "on=", 3) == 0)
			return true;
	return false;
}

struct nodes { // keys or names
	const char *on, *peer;
};

static int other(struct cli *c, struct api_tp_setup_ask *m, const struct nodes *nodes,
	struct arg *args, size_t n)
{
	int rc = cli_args(c, NULL, 0, args, n);
	struct api_node node;

	if (rc != CLI_OK)
		return rc;
	if (m->timeout_ms > API_TP_SETUP_MAX_MS)
		return cli_error(CLI_USAGE, "timeout is at most 5m");
	rc = way_node(c, m->on, nodes->on, strlen(nodes->on));
	if (rc == CLI_OK && nodes->peer != NULL)
		rc = way_node(c, m->peer, nodes->peer, strlen(nodes->peer));
	if (rc != CLI_OK)
		return rc;
	if (cli_node(c, &node) < 0) // connects
		return cli_failed(c);
	api_client_timeout(c->client, (int)m->timeout_ms + STREAM_SLACK_MS);
	if (m->what == API_TP_SETUP_REMOVE)
		return call(c, API_TP_SETUP, m, sizeof(*m));
	return cli_list(c, API_TP_SETUP, m, sizeof(*m));
}

// What each of them has.
#define ON(nodes)                                                                                  \
	{                                                                                          \
		"on", ARG_TEXT, &(nodes).on, 0, NULL, true, false                                  \
	}
#define TIMEOUT(m)                                                                                 \
	{                                                                                          \
		"timeout", ARG_MS, &(m).timeout_ms, 0, NULL, false, false                          \
	}
#define ASK(what_)                                                                                 \
	{                                                                                          \
		.what = (what_), .timeout_ms = 120000                                              \
	}

static int add_other(struct cli *c)
{
	struct api_tp_setup_ask m = ASK(API_TP_SETUP_ADD);
	struct nodes nodes = {0};
	struct arg args[] = {ON(nodes), TIMEOUT(m),
		{"peer", ARG_TEXT, &nodes.peer, 0, NULL, true, false},
		{"type", ARG_NAME, m.type, sizeof(m.type), NULL, true, false}};

	return other(c, &m, &nodes, args, ARRAY_LEN(args));
}

static int del_other(struct cli *c)
{
	struct api_tp_setup_ask m = ASK(API_TP_SETUP_REMOVE);
	struct nodes nodes = {0};
	struct arg args[] = {ON(nodes), TIMEOUT(m), {"id", ARG_UUID, m.id, 0, NULL, true, false}};

	return other(c, &m, &nodes, args, ARRAY_LEN(args));
}

int cmd_transport_list(struct cli *c)
{
	struct api_tp_setup_ask m = ASK(API_TP_SETUP_LIST);
	struct nodes nodes = {0};
	struct arg args[] = {ON(nodes), TIMEOUT(m)};

	return other(c, &m, &nodes, args, ARRAY_LEN(args));
}

// ---- here ----

int cmd_transport_add(struct cli *c)
{
	static const char *const ciphers[] = {
		"auto", "chacha20-poly1305", "none", "aes-256-gcm", NULL};
	static const char *const modes[] = {"datagram", "reliable", NULL};
	static const char *const types[] = {"rail", "stcp", "stcpr", "dmsg", NULL};
	static const char *const congestions[] = {"default", "bbr", "cubic", NULL};
	static const char *const yes_no[] = {"no", "yes", NULL};
	struct api_transport_add m = {.dial = 1, .mode = API_MODE_RELIABLE};
	uint16_t flows = 0;
	const char *peer = NULL;
	struct arg args[] = {
		{"peer", ARG_TEXT, &peer, 0, NULL, true, false},
		{"type", ARG_WORD, &m.type, 0, types, false, false},
		{"address", ARG_ADDR, &m.addr, 0, NULL, false, false},
		{"interface", ARG_NAME, m.interface, sizeof(m.interface), NULL, false, false},
		{"cipher", ARG_WORD, &m.cipher, 0, ciphers, false, false},
		{"mode", ARG_WORD, &m.mode, 0, modes, false, false},
		{"congestion", ARG_WORD, &m.congestion, 0, congestions, false, false},
		{"path_mtu", ARG_MTU, &m.path_mtu, 0, NULL, false, false},
		{"flows", ARG_U16, &flows, 0, NULL, false, false},
		{"dial", ARG_WORD, &m.dial, 0, yes_no, false, false},
	};
	const char *name;
	int rc;

	if (is_elsewhere(c))
		return add_other(c);
	rc = cli_args(c, &name, 1, args, ARRAY_LEN(args));
	if (rc == CLI_OK)
		rc = take_name(m.name, sizeof(m.name), name);
	if (rc == CLI_OK)
		rc = way_node(c, m.peer, peer, strlen(peer));
	m.flows = flows < UINT8_MAX ? (uint8_t)flows : UINT8_MAX; // more than there can be: refused
	return rc != CLI_OK ? rc : add(c, &m);
}

int cmd_transport_del(struct cli *c)
{
	struct api_name_ask m = {0};
	const char *name;
	int rc;

	if (is_elsewhere(c))
		return del_other(c);
	rc = cli_args(c, &name, 1, NULL, 0);
	if (rc == CLI_OK)
		rc = take_name(m.name, sizeof(m.name), name);
	return rc != CLI_OK ? rc : call(c, API_TRANSPORT_DEL, &m, sizeof(m));
}

struct pings {
	unsigned sent, got;
	uint32_t min_us, max_us;
	uint64_t sum_us;
};

static int ping_one(struct cli *c, const struct api_ping *m, struct pings *p)
{
	struct api_pong pong;
	int rc;

	p->sent++;
	rc = cli_get(c, API_PING, m, sizeof(*m), &pong, sizeof(pong));
	if (rc == -ETIMEDOUT) {
		if (!c->json)
			printf("%s: no answer\n", m->name);
		return CLI_OK;
	}
	if (rc < 0)
		return cli_failed(c);
	p->min_us = p->got == 0 || pong.rtt_us < p->min_us ? pong.rtt_us : p->min_us;
	p->max_us = pong.rtt_us > p->max_us ? pong.rtt_us : p->max_us;
	p->sum_us += pong.rtt_us;
	p->got++;
	if (!c->json)
		printf("%s: seq=%u time=%.3f ms\n", m->name, p->sent, pong.rtt_us / 1000.0);
	fflush(stdout);
	return CLI_OK;
}

static void ping_sum(const struct cli *c, const char *name, const struct pings *p)
{
	double avg = p->got > 0 ? (double)p->sum_us / p->got : 0;

	if (c->json)
		printf("{\"transport\":\"%s\",\"sent\":%u,\"received\":%u,\"min_us\":%u,"
		       "\"avg_us\":%.0f,\"max_us\":%u}\n",
			name, p->sent, p->got, p->min_us, avg, p->max_us);
	else
		printf("%u sent, %u answered, min/avg/max %.3f/%.3f/%.3f ms\n", p->sent, p->got,
			p->min_us / 1000.0, avg / 1000.0, p->max_us / 1000.0);
}

static void pause_s(double s)
{
	struct timespec ts = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&ts, NULL);
}

static volatile sig_atomic_t ping_ends;

static void on_int(int sig)
{
	(void)sig;
	ping_ends = 1;
}

int cmd_ping(struct cli *c)
{
	struct api_ping m = {.timeout_ms = 2000};
	struct pings p = {0};
	unsigned long count = 4;
	double interval = 1;
	char *argv[32] = {(char *)"ping"};
	int argc = 1, opt, rc;

	for (int i = 0; i < c->argc && argc < 31; i++)
		argv[argc++] = c->argv[i];
	optind = 0;
	while ((opt = getopt(argc, argv, "c:i:")) != -1) {
		char *end;

		if (opt == 'c')
			count = strtoul(optarg, &end, 10);
		else if (opt == 'i')
			interval = strtod(optarg, &end);
		else
			return cli_error(
				CLI_USAGE, "usage: skyrail ping TRANSPORT [-c COUNT] [-i SECONDS]");
		if (opt == 'c' && (*end != '\0' || count == 0))
			return cli_error(CLI_USAGE, "-c %s: expected a count, from 1", optarg);
		if (opt == 'i' && (*end != '\0' || !(interval >= 0.001 && interval <= 3600)))
			return cli_error(
				CLI_USAGE, "-i %s: expected seconds from 0.001 to 3600", optarg);
	}
	if (optind != argc - 1)
		return cli_error(
			CLI_USAGE, "usage: skyrail ping TRANSPORT [-c COUNT] [-i SECONDS]");
	rc = take_name(m.name, sizeof(m.name), argv[optind]);
	// The first one ends it with the sum, a second one at once.
	sigaction(
		SIGINT, &(struct sigaction){.sa_handler = on_int, .sa_flags = SA_RESETHAND}, NULL);
	for (unsigned long i = 0; rc == CLI_OK && i < count && !ping_ends; i++) {
		if (i > 0)
			pause_s(interval);
		if (ping_ends)
			break;
		rc = ping_one(c, &m, &p);
	}
	if (rc != CLI_OK && !ping_ends)
		return rc;
	ping_sum(c, m.name, &p);
	return p.got > 0 ? CLI_OK : CLI_FAIL;
}
