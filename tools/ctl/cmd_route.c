// `skyrail route dial|listen|close`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int cmd_route_dial(struct cli *c)
{
	struct api_route_ask m = {.timeout_ms = 60000};
	uint32_t hops = 0, min_hops = 0, max_hops = 0;
	struct arg args[] = {
		{"via", ARG_PKS, &m, 0, NULL, false, false},
		{"type", ARG_NAME, m.type, sizeof(m.type), NULL, false, false},
		{"hops", ARG_U32, &hops, 0, NULL, false, false},
		{"min-hops", ARG_U32, &min_hops, 0, NULL, false, false},
		{"max-hops", ARG_U32, &max_hops, 0, NULL, false, false},
		{"keep-alive", ARG_MS, &m.keep_alive_ms, 0, NULL, false, false},
		{"timeout", ARG_MS, &m.timeout_ms, 0, NULL, false, false},
	};
	const char *to;
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args));

	if (rc != CLI_OK)
		return rc;
	if (hops != 0 && (min_hops != 0 || max_hops != 0))
		return cli_error(CLI_USAGE, "hops= says both min-hops= and max-hops=");
	if (hops != 0)
		min_hops = max_hops = hops;
	if (min_hops > UINT8_MAX || max_hops > UINT8_MAX)
		return cli_error(CLI_USAGE, "a route has at most 50 hops");
	if (m.n_via > 0 && (min_hops != 0 || max_hops != 0))
		return cli_error(CLI_USAGE, "via= says how many hops there are");
	if (m.timeout_ms > API_ROUTE_TIMEOUT_MAX_MS)
		return cli_error(CLI_USAGE, "timeout is at most 120s");
	m.min_hops = (uint8_t)min_hops;
	m.max_hops = (uint8_t)max_hops;
	rc = stream_to(m.pk, &m.port, to);
	return rc != CLI_OK ? rc
			    : stream_call(c, API_ROUTE_DIAL, &m, sizeof(m),
				      (int)m.timeout_ms + STREAM_SLACK_MS);
}

int cmd_route_listen(struct cli *c)
{
	struct api_route_ask m = {0};
	const char *port;
	int rc = cli_args(c, &port, 1, NULL, 0);

	if (rc == CLI_OK)
		rc = stream_port(&m.port, port);
	return rc != CLI_OK ? rc : stream_call(c, API_ROUTE_LISTEN, &m, sizeof(m), INT_MAX);
}

struct by_peer {
	const char *peer; // the first digits of a key
	struct api_route_close *m;
	unsigned n;
};

static int on_group(void *ctx, int more, const void *payload, size_t len)
{
	struct by_peer *b = ctx;
	struct api_route_group g;
	char text[KEY_PK_TEXT_LEN + 1];
	struct key_pk pk;

	if (!more)
		return 0;
	if (len < sizeof(g))
		return -EPROTO;
	memcpy(&g, payload, sizeof(g));
	memcpy(pk.b, g.pk, sizeof(pk.b));
	key_pk_to_text(&pk, text);
	if (g.state >= API_GROUP_ENDED || g.remote_port != b->m->remote_port ||
		g.local_port != b->m->local_port || strncmp(text, b->peer, strlen(b->peer)) != 0)
		return 0;
	memcpy(b->m->pk, g.pk, sizeof(g.pk));
	b->n++;
	return 0;
}

int cmd_route_close(struct cli *c)
{
	struct api_route_close m = {0};
	struct by_peer b = {.m = &m};
	const char *words[3];
	int rc = cli_args(c, words, 3, NULL, 0);

	if (rc == CLI_OK)
		rc = stream_port(&m.remote_port, words[1]);
	if (rc == CLI_OK)
		rc = stream_port(&m.local_port, words[2]);
	if (rc != CLI_OK)
		return rc;
	b.peer = words[0];
	if (cli_call(c, API_GROUPS, NULL, 0, on_group, &b) < 0)
		return cli_failed(c);
	if (b.n != 1)
		return cli_error(CLI_FAIL,
			b.n == 0
				? "no open route has this PEER, PORT and OURS (see `skyrail show groups`)"
				: "several peers have keys that begin so: write more digits");
	return cli_call(c, API_ROUTE_CLOSE, &m, sizeof(m), NULL, NULL) < 0 ? cli_failed(c) : CLI_OK;
}
