// `skyrail dmsg dial|listen|ping|ip`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"

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
		rc = stream_to(m.pk, &m.port, to);
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

// [KEY] [timeout=]: of ping and ip.
static int ask_server(struct cli *c, struct api_dmsg_ask *m)
{
	struct arg args[] = {{"timeout", ARG_MS, &m->timeout_ms, 0, NULL, false, false}};
	bool named = c->argc > 0 && strchr(c->argv[0], '=') == NULL;
	const char *key;
	int rc = cli_args(c, &key, named, args, ARRAY_LEN(args));

	if (rc != CLI_OK)
		return rc;
	if (m->timeout_ms == 0 || m->timeout_ms > API_DMSG_TIMEOUT_MAX_MS)
		return cli_error(CLI_USAGE, "timeout is at most 60s");
	return named ? stream_key(m->pk, key, strlen(key)) : CLI_OK;
}

int cmd_dmsg_ping(struct cli *c)
{
	struct api_dmsg_ask m = {.timeout_ms = 4000};
	struct api_pong pong;
	int rc = ask_server(c, &m);

	if (rc != CLI_OK)
		return rc;
	if (cli_get(c, API_DMSG_PING, &m, sizeof(m), &pong, sizeof(pong)) < 0)
		return cli_failed(c);
	if (c->json)
		printf("{\"rtt_us\":%u}\n", pong.rtt_us);
	else
		printf("%.3f ms\n", pong.rtt_us / 1000.0);
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
