// `skyrail dmsg dial|listen|ping|ip`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"
#include "tools/ctl/way.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

int cmd_dmsg_dial(struct cli *c)
{
	struct api_dmsg_ask m = {.timeout_ms = 20000};
	struct arg args[] = {{"timeout", ARG_MS, &m.timeout_ms, 0, NULL, false, false}};
	const char *to;
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args));

	if (rc == CLI_OK && (m.timeout_ms == 0 || m.timeout_ms > API_DMSG_TIMEOUT_MAX_MS))
		return cli_error(CLI_USAGE, "timeout is at most 60s");
	if (rc == CLI_OK)
		rc = way_to(c, m.pk, &m.port, to);
	return rc != CLI_OK ? rc
			    : stream_call(c, API_DMSG_DIAL, &m, sizeof(m),
				      (int)m.timeout_ms + STREAM_SLACK_MS);
}

int cmd_dmsg_listen(struct cli *c)
{
	struct api_dmsg_ask m = {0};
	const char *port;
	int rc = cli_args(c, &port, 1, NULL, 0);

	if (rc == CLI_OK)
		rc = stream_port(&m.port, port);
	return rc != CLI_OK ? rc : stream_call(c, API_DMSG_LISTEN, &m, sizeof(m), INT_MAX);
}

struct by_name {
	const char *name;
	struct api_dmsg_ask *ask;
	bool found;
};

static int on_server(void *ctx, int more, const void *payload, size_t len)
{
	struct by_name *n = ctx;
	struct api_dmsg_server s;
	int rc = api_record_take(&s, sizeof(s), more, payload, len);

	if (rc <= 0)
		return rc;
	if (strncmp(s.section, n->name, sizeof(s.section)) == 0 && s.kind == API_DMSG_PLAIN) {
		memcpy(n->ask->pk, s.pk, API_PK_LEN);
		n->found = true;
	}
	return 0;
}

// KEY, or NAME of a [server NAME].
static int take_server(struct cli *c, struct api_dmsg_ask *m, const char *text)
{
	struct by_name n = {.name = text, .ask = m};
	struct key_pk pk;

	if (key_pk_from_text(&pk, text, strlen(text)) == 0)
		return stream_key(m->pk, text, strlen(text));
	if (cli_call(c, API_DMSG_SERVERS, NULL, 0, on_server, &n) < 0)
		return cli_failed(c);
	return n.found ? CLI_OK
		       : cli_error(CLI_FAIL,
				 "'%s' is neither a public key of 66 hex digits nor the name of a "
				 "server (see `skyrail show servers`)",
				 text);
}

// [KEY|NAME] [timeout=]: of ping and ip.
static int ask_server(struct cli *c, struct api_dmsg_ask *m)
{
	struct arg args[] = {{"timeout", ARG_MS, &m->timeout_ms, 0, NULL, false, false}};
	bool named = c->argc > 0 && strchr(c->argv[0], '=') == NULL;
	const char *server;
	int rc = cli_args(c, &server, named, args, ARRAY_LEN(args));

	if (rc != CLI_OK)
		return rc;
	if (m->timeout_ms == 0 || m->timeout_ms > API_DMSG_TIMEOUT_MAX_MS)
		return cli_error(CLI_USAGE, "timeout is at most 60s");
	return named ? take_server(c, m, server) : CLI_OK;
}

int cmd_dmsg_ping(struct cli *c)
{
	struct api_dmsg_ask m = {.timeout_ms = 4000};
	struct api_dmsg_pong pong;
	char key[KEY_PK_TEXT_LEN + 1];
	struct key_pk pk;
	int rc = ask_server(c, &m);

	if (rc != CLI_OK)
		return rc;
	if (cli_get(c, API_DMSG_PING, &m, sizeof(m), &pong, sizeof(pong)) < 0)
		return cli_failed(c);
	memcpy(pk.b, pong.pk, sizeof(pk.b));
	key_pk_to_text(&pk, key);
	pong.section[sizeof(pong.section) - 1] = '\0';
	if (c->json)
		printf("{\"rtt_us\":%u,\"pk\":\"%s\",\"section\":\"%s\"}\n", pong.rtt_us, key,
			pong.section);
	else
		printf("%.3f ms, server %.*s\n", pong.rtt_us / 1000.0,
			pong.section[0] != '\0' ? API_NAME_LEN : 8,
			pong.section[0] != '\0' ? pong.section : key);
	return CLI_OK;
}

int cmd_dmsg_ip(struct cli *c)
{
	struct api_dmsg_ask m = {.timeout_ms = 4000};
	char text[INET6_ADDRSTRLEN] = "";
	struct api_dmsg_ip ip;
	int rc = ask_server(c, &m);

	if (rc != CLI_OK)
		return rc;
	if (cli_get(c, API_DMSG_IP, &m, sizeof(m), &ip, sizeof(ip)) < 0)
		return cli_failed(c);
	inet_ntop(ip.len == 4 ? AF_INET : AF_INET6, ip.ip, text, sizeof(text));
	printf(c->json ? "{\"ip\":\"%s\"}\n" : "%s\n", text);
	return CLI_OK;
}
