// The table of commands and how words find their row: each word may be shortened as long as it fits
// only one.
#include "lib/base/err.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct command commands[] = {
	{{"show", "node"}, "", "this node: key, versions, life, totals", cmd_show_node, ""},
	{{"show", "ports"}, "[NAME...]", "devices and what they carried", cmd_show_ports,
		"wan0 -a"},
	{{"show", "workers"}, "[N...]", "poll-mode workers and their load", cmd_show_workers, "0"},
	{{"show", "transports"}, "[NAME...]",
		"links to peers; QUEUED waits for them, RX LOST are datagrams that never came",
		cmd_show_transports, "c -a"},
	{{"show", "flows"}, "[TRANSPORT...]", "flows of transports: ports, workers, counters",
		cmd_show_flows, "c"},
	{{"show", "rules"}, "[ID...]", "the rule table", cmd_show_rules, "0x11 -w 1"},
	{{"show", "drops"}, "", "what was dropped and why; the books of each stage", cmd_show_drops,
		"-a"},
	{{"show", "rings"}, "[NAME...]", "shared-memory rings", cmd_show_rings, ""},
	{{"show", "memory"}, "[WHAT...]", "where memory went", cmd_show_memory, ""},
	{{"show", "edges"}, "[NAME...]", "TUN devices at the ends of routes", cmd_show_edges,
		"sky0 -a"},
	{{"show", "neighbours"}, "[PEER...]", "next hops of peers", cmd_show_neighbours,
		"10.0.0.2"},
	{{"show", "counters"}, "[OF|COUNTER...]", "every counter that is not zero",
		cmd_show_counters, "worker0"},
	{{"show", "dmsg"}, "", "dmsg: what this node is, and totals", cmd_show_dmsg, ""},
	{{"show", "servers"}, "[HOST:PORT...]", "dmsg servers that sessions are kept to",
		cmd_show_servers, ""},
	{{"show", "sessions"}, "", "dmsg sessions, as client and as server", cmd_show_sessions, ""},
	{{"show", "streams"}, "", "dmsg streams: ours, and those that our server relays",
		cmd_show_streams, ""},
	{{"show", "discoveries"}, "", "dmsg discoveries and our entries there",
		cmd_show_discoveries, ""},
	{{"show", "hypervisors"}, "", "hypervisors that this node is under", cmd_show_hypervisors,
		""},
	{{"show", "routes"}, "[ID...]", "rules that set-up nodes laid here, and ids they reserved",
		cmd_show_routes, ""},
	{{"show", "groups"}, "", "routes that end here, and those that ended last", cmd_show_groups,
		""},
	{{"show", "setups"}, "", "routes that our set-up node lays, and the last ones",
		cmd_show_setups, ""},
	{{"show", "services"}, "",
		"services of Skywire that are asked: transport discovery, address resolver, route finder",
		cmd_show_services, ""},
	{{"transport", "add"},
		"NAME peer=NODE [type=rail|stcp|stcpr|dmsg] [address=IP:PORT] [interface=NAME] [cipher=auto|chacha20-poly1305|aes-256-gcm|none] [mode=reliable|datagram] [congestion=bbr|cubic] [path_mtu=auto|BYTES] [flows=N] [dial=yes|no] | on=NODE peer=NODE type=stcpr|dmsg [timeout=2m]",
		"make a transport; with on=, at another node", cmd_transport_add,
		"c peer=0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 address=192.0.2.3:7780"},
	{{"transport", "del"}, "NAME | on=NODE id=UUID [timeout=2m]",
		"end a transport; with on=, at another node", cmd_transport_del, "c"},
	{{"transport", "list"}, "on=NODE [timeout=2m]",
		"transports that another node made for transport set-up nodes", cmd_transport_list,
		"on=0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
	{{"transport", "move"}, "NAME [flow=I] worker=N", "have another worker own it",
		cmd_transport_move, "c flow=2 worker=1"},
	{{"rule", "add"},
		"consume|forward|intermediary [id=ID|auto] [next=ID] [transport=NAME] [in=NAME|any|local] [keep-alive=30s] [--static]",
		"install a rule; prints its id", cmd_rule_add,
		"intermediary id=0x11 next=0x12 transport=c keep-alive=30s"},
	{{"rule", "del"}, "ID...", "remove rules", cmd_rule_del, "0x11 0x12"},
	{{"edge", "add"},
		"NAME [address=IP/PREFIX,...] [mtu=1280] [offload=auto|no] [super-max=65535]",
		"make a TUN device", cmd_edge_add, "sky0 address=10.9.0.1/24"},
	{{"edge", "attach"}, "NAME forward=ID consume=ID", "bind it to a route", cmd_edge_attach,
		"sky0 forward=0x11 consume=0x12"},
	{{"edge", "detach"}, "NAME [--close]", "let the route go, or close it", cmd_edge_detach,
		"sky0 --close"},
	{{"edge", "del"}, "NAME", "remove a TUN device", cmd_edge_del, "sky0"},
	{{"ping", NULL}, "TRANSPORT [-c COUNT] [-i SECONDS]", "round trips to a peer", cmd_ping,
		"c -c 10 -i 0.2"},
	{{"worker", "rebalance"}, "[over=1s]",
		"move flows of transports so that workers are equally busy", cmd_rebalance,
		"over=5s"},
	{{"route", "find"}, "NODE [from=NODE] [min-hops=1] [max-hops=50]",
		"paths to a node and back, as the route finder tells them", cmd_route_find,
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 min-hops=2"},
	{{"route", "dial"},
		"NODE:PORT [via=NODE,... [type=rail|stcp|stcpr|sudph|dmsg]] [hops=N] [min-hops=N] [max-hops=N] [keep-alive=10m] [timeout=60s]",
		"lay a route to a node, and join standard input and output to it", cmd_route_dial,
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798:3 hops=2 <file"},
	{{"route", "listen"}, "PORT",
		"join standard input and output to the first route that comes to a port",
		cmd_route_listen, "3 >file"},
	{{"route", "trace"},
		"NODE [via=NODE,... [type=rail|stcp|stcpr|sudph|dmsg]] [hops=N] [min-hops=N] [max-hops=N] [pings=5] [timeout=60s]",
		"round trips to each node of a way, by routes that come back here", cmd_route_trace,
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 via=c,d pings=10"},
	{{"route", "close"}, "PEER PORT OURS",
		"end an open route; PEER, PORT and OURS as `show groups` prints them",
		cmd_route_close, "0279be66 3 54108"},
	{{"bench", "route"},
		"NODE:PORT [via=NODE,... [type=rail|stcp|stcpr|sudph|dmsg]] [hops=N] [min-hops=N] [max-hops=N] [timeout=60s] [for=5s | size=BYTES] [way=both|there|back]",
		"speed and latency of a stream over a route, to the bench service of a node",
		cmd_bench_route,
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798:5 via=c for=10s"},
	{{"dmsg", "dial"}, "NODE:PORT [timeout=20s]",
		"join standard input and output to a stream; timeout: until it is there",
		cmd_dmsg_dial,
		"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798:4000 timeout=5s <file"},
	{{"dmsg", "listen"}, "PORT",
		"join standard input and output to the first stream that comes to a port",
		cmd_dmsg_listen, "4000 >file"},
	{{"dmsg", "ping"}, "[NAME|KEY] [timeout=4s]",
		"round trip to a dmsg server, or to the nearest", cmd_dmsg_ping, ""},
	{{"dmsg", "ip"}, "[NAME|KEY] [timeout=4s]",
		"our address, as a dmsg server or the nearest sees it", cmd_dmsg_ip, ""},
	{{"config", "show"}, "[SECTION...] | [--dataplane|--controlplane] -c FILE",
		"every key of the node, or of a file, with value, default and origin",
		cmd_config_show, "link"},
	{{"config", "check"}, "[--dataplane|--controlplane] [-c FILE]",
		"read configuration files and say what is wrong", cmd_config_check,
		"--dataplane -c new.ini"},
	{{"config", "reload"}, "", "have the control plane read its configuration again",
		cmd_config_reload, ""},
	{{"import-config", NULL}, "FILE [-o DIR|-] [--key FILE] [--force]",
		"make a configuration and a key file from those of a Skywire visor",
		cmd_import_config, "skywire-config.json -o new --key new/node.key"},
	{{"key", "gen"}, "[FILE]", "make an identity key; prints the public key", cmd_key_gen,
		"/var/lib/skyrail/node.key"},
	{{"key", "show"}, "[FILE]", "public key of a file, or of the running node", cmd_key_show,
		""},
	{{"log", "level"}, "[MODULE] err|warn|notice|info|debug", "change what is logged",
		cmd_log_level, "transport debug"},
};

const struct command *cli_commands(size_t *n)
{
	*n = ARRAY_LEN(commands);
	return commands;
}

int cli_error(int code, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "skyrail: %s\n", text); // at once: others may write there, too
	return code;
}

const char *cli_see(const struct cli *c, char buf[CLI_SEE_MAX])
{
	const char *second = c->command != NULL ? c->command->words[1] : NULL;

	if (c->command == NULL)
		return " (see `skyrail help`)";
	snprintf(buf, CLI_SEE_MAX, " (see `skyrail %s%s%s --help`)", c->command->words[0],
		second != NULL ? " " : "", second != NULL ? second : "");
	return buf;
}

const char *cli_why(const struct cli *c)
{
	return c->client != NULL ? api_client_error(c->client) : c->error;
}

int cli_failed(const struct cli *c)
{
	return cli_error(CLI_FAIL, "%s", cli_why(c));
}

static int connected(struct cli *c)
{
	return c->client != NULL ? 0 : api_client_open(&c->client, c->socket, 0, c->error);
}

static int ended(struct cli *c, int rc)
{
	c->status = rc < 0 ? rc : 0;
	return rc;
}

int cli_call(
	struct cli *c, uint16_t type, const void *payload, size_t len, api_client_cb cb, void *ctx)
{
	int rc = connected(c);

	return ended(c, rc < 0 ? rc : api_client_call(c->client, type, payload, len, cb, ctx));
}

int cli_node(struct cli *c, struct api_node *out)
{
	int rc = connected(c);

	return ended(c, rc < 0 ? rc : api_client_node(c->client, out));
}

int cli_get(struct cli *c, uint16_t type, const void *payload, size_t len, void *out, size_t cap)
{
	int rc = connected(c);

	return ended(c, rc < 0 ? rc : api_client_get(c->client, type, payload, len, out, cap));
}

static bool fits(const char *name, const char *word)
{
	return word[0] != '\0' && strncmp(name, word, strlen(word)) == 0;
}

// The full word that `word` stands for at this place, given the first one; -ENOENT, -EEXIST.
static int expand(const char *first, const char *word, const char **full)
{
	*full = NULL;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *name = first == NULL ? commands[i].words[0] : commands[i].words[1];

		if (first != NULL && strcmp(commands[i].words[0], first) != 0)
			continue;
		if (name == NULL || !fits(name, word))
			continue;
		if (strcmp(name, word) == 0) {
			*full = name;
			return 0;
		}
		if (*full != NULL && strcmp(*full, name) != 0)
			return -EEXIST;
		*full = name;
	}
	return *full != NULL ? 0 : -ENOENT;
}

enum {
	CHOICES_MAX = 400,
	CHOICES_COLS = 56, // where "(see `skyrail help`)" fits behind
	LEAD_MAX = 8, // "\n    " and the like
};

// " node, ports, ...": what may follow; many of them begin a line of their own.
static void choices(const char *first, const char *prefix, char buf[CHOICES_MAX])
{
	const char *last = "";
	const char *lead;
	size_t o = 0, begin = 0, n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *name = first == NULL ? commands[i].words[0] : commands[i].words[1];
		const char *sep = n > 0 ? ", " : "";

		if (name == NULL || (first != NULL && strcmp(commands[i].words[0], first) != 0) ||
			strcmp(name, last) == 0 || strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		if (o - begin + strlen(name) > CHOICES_COLS) {
			sep = ",\n    ";
			begin = o;
		}
		if (o + strlen(sep) + strlen(name) >= CHOICES_MAX - LEAD_MAX)
			break;
		o += (size_t)snprintf(buf + o, CHOICES_MAX - LEAD_MAX - o, "%s%s", sep, name);
		last = name;
		n++;
	}
	lead = begin > 0 ? "\n    " : " ";
	memmove(buf + strlen(lead), buf, o + 1);
	memcpy(buf, lead, strlen(lead));
}

static int complain(int rc, const char *first, const char *word, char *err, size_t err_len)
{
	char list[CHOICES_MAX];

	choices(first, rc == -EEXIST ? word : "", list);
	if (rc == -EEXIST)
		snprintf(err, err_len, "'%s' may be%s: write more of it", word, list);
	else
		snprintf(err, err_len, "unknown command '%s%s%s': expected one of%s",
			first != NULL ? first : "", first != NULL ? " " : "", word, list);
	return rc;
}

int cli_find(int argc, char **argv, const struct command **out, char *err, size_t err_len)
{
	const char *first, *second = NULL;
	char list[CHOICES_MAX];
	int rc;

	if (argc < 1) {
		snprintf(err, err_len, "a command is missing");
		return -ENOENT;
	}
	rc = expand(NULL, argv[0], &first);
	if (rc < 0)
		return complain(rc, NULL, argv[0], err, err_len);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].words[1] == NULL && strcmp(commands[i].words[0], first) == 0) {
			*out = &commands[i];
			return 1;
		}
	if (argc < 2) {
		choices(first, "", list);
		snprintf(err, err_len, "'%s' needs one of%s", first, list);
		return -ENOENT;
	}
	rc = expand(first, argv[1], &second);
	if (rc < 0)
		return complain(rc, first, argv[1], err, err_len);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].words[0], first) == 0 &&
			strcmp(commands[i].words[1], second) == 0)
			*out = &commands[i];
	return 2;
}
