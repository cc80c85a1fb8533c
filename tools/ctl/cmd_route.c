// `skyrail route dial|listen|close|trace`.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"
#include "tools/ctl/way.h"

#include <limits.h>
#include <string.h>

int cmd_route_dial(struct cli *c)
{
	struct api_route_ask m = {.timeout_ms = 60000};
	struct way_words way = {0};
	struct arg args[] = {
		WAY_ARGS(m, way),
		{"keep-alive", ARG_MS, &m.keep_alive_ms, 0, NULL, false, false},
	};
	const char *to;
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args));

	if (rc == CLI_OK)
		rc = way_take(c, &m, &way);
	if (rc == CLI_OK)
		rc = way_to(c, m.pk, &m.port, to);
	if (rc != CLI_OK)
		return rc;
	rc = stream_call(c, API_ROUTE_DIAL, &m, sizeof(m), (int)m.timeout_ms + STREAM_SLACK_MS);
	return rc == CLI_FAIL ? way_refused(c, &m) : rc;
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
	const char *digits; // the first ones of its key; NULL: it is no such text
	uint8_t of_name[API_PK_LEN]; // its key, if
	unsigned has_name; // ... this is 1
	struct api_route_close *m;
	unsigned n;
};

static bool is_peer(const struct by_peer *b, const uint8_t pk[API_PK_LEN])
{
	char text[KEY_PK_TEXT_LEN + 1];
	struct key_pk key;

	if (b->has_name == 1 && memcmp(b->of_name, pk, API_PK_LEN) == 0)
		return true;
	memcpy(key.b, pk, sizeof(key.b));
	key_pk_to_text(&key, text);
	return b->digits != NULL && strncmp(text, b->digits, strlen(b->digits)) == 0;
}

static int on_group(void *ctx, int more, const void *payload, size_t len)
{
	struct by_peer *b = ctx;
	struct api_route_group g;
	int rc = api_record_take(&g, sizeof(g), more, payload, len);

	if (rc <= 0)
		return rc;
	if (g.state >= API_GROUP_ENDED || g.remote_port != b->m->remote_port ||
		g.local_port != b->m->local_port || !is_peer(b, g.pk))
		return 0;
	memcpy(b->m->pk, g.pk, sizeof(g.pk));
	b->n++;
	return 0;
}

// "02", "0279be66": as `show groups` prints a key, or all of it. It may be a name as well.
static bool is_digits_of_key(const char *text)
{
	size_t n = strspn(text, "0123456789abcdef");

	return text[n] == '\0' && n >= 2 && text[0] == '0' && (text[1] == '2' || text[1] == '3');
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
	if (is_digits_of_key(words[0])) {
		b.digits = words[0];
		rc = way_name(c, b.of_name, words[0], strlen(words[0]), &b.has_name);
	} else {
		rc = way_node(c, b.of_name, words[0], strlen(words[0]));
		b.has_name = 1;
	}
	if (rc != CLI_OK)
		return rc;
	if (cli_call(c, API_GROUPS, NULL, 0, on_group, &b) < 0)
		return cli_failed(c);
	if (b.n != 1)
		return cli_error(CLI_FAIL,
			b.n == 0
				? "no open route has this PEER, PORT and OURS (see `skyrail show groups`)"
				: "several peers have keys that begin so, or this name: write more digits");
	return cli_call(c, API_ROUTE_CLOSE, &m, sizeof(m), NULL, NULL) < 0 ? cli_failed(c) : CLI_OK;
}

struct tracing {
	struct print *p;
	bool all; // also hops of which nothing is known
};

static int on_trace_hop(void *ctx, int more, const void *payload, size_t len)
{
	struct tracing *t = ctx;
	struct api_trace_hop h;
	int rc = api_record_take(&h, sizeof(h), more, payload, len);

	if (rc <= 0)
		return rc;
	return h.sent > 0 || t->all ? print_add(t->p, &h) : 0;
}

// What was measured is shown also when the rest could not be. Why that is stands in the error.
int cmd_route_trace(struct cli *c)
{
	struct api_route_trace m = {.way.timeout_ms = 60000, .pings = 5};
	struct way_words way = {0};
	struct arg args[] = {
		WAY_ARGS(m.way, way),
		{"pings", ARG_COUNT, &m.pings, API_TRACE_PINGS_MAX, NULL, false, false},
	};
	struct tracing t = {.all = c->json};
	struct api_node node;
	const char *to;
	int rc = cli_args(c, &to, 1, args, ARRAY_LEN(args)), failed;

	if (rc == CLI_OK)
		rc = way_take(c, &m.way, &way);
	if (rc == CLI_OK)
		rc = way_node(c, m.way.pk, to, strlen(to));
	if (rc != CLI_OK)
		return rc;
	if (cli_node(c, &node) < 0) // connects
		return cli_failed(c);
	api_client_timeout(c->client, (int)m.way.timeout_ms + STREAM_SLACK_MS);
	t.p = print_new(api_record_find(API_ROUTE_TRACE), c->json, c->all);
	if (t.p == NULL)
		return cli_error(CLI_FAIL, "out of memory");
	failed = cli_call(c, API_ROUTE_TRACE, &m, sizeof(m), on_trace_hop, &t);
	if (print_count(t.p) > 0 || failed >= 0 || c->json)
		rc = print_end(t.p);
	else
		print_drop(t.p);
	if (failed >= 0)
		return rc;
	cli_failed(c);
	return way_refused(c, &m.way);
}
