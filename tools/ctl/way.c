// Names stand for keys because keys are long: those that the node knows already, of transports
// that it has and of sections that name a node.
#include "tools/ctl/way.h"

#include <errno.h>
#include <string.h>

#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "tools/ctl/stream.h"

// Of transports; the names are Skywire's, and rail is ours.
static int take_type(struct api_route_ask *m, const char *text)
{
	static const char *const types[] = {"rail", "stcp", "stcpr", "sudph", "dmsg"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i], text) == 0) {
			snprintf(m->type, sizeof(m->type), "%s", text);
			return CLI_OK;
		}
	return cli_error(CLI_USAGE, "type=%s: expected rail, stcp, stcpr, sudph, dmsg", text);
}

struct by_name {
	char name[API_NAME_LEN];
	uint8_t *pk;
	unsigned n; // different keys
};

static void note(struct by_name *b, const uint8_t pk[API_PK_LEN])
{
	if (b->n > 0 && memcmp(b->pk, pk, API_PK_LEN) == 0)
		return;
	memcpy(b->pk, pk, API_PK_LEN);
	b->n++;
}

static int on_transport(void *ctx, int more, const void *payload, size_t len)
{
	struct by_name *b = ctx;
	struct api_transport t;
	int rc = api_record_take(&t, sizeof(t), more, payload, len);

	if (rc <= 0)
		return rc;
	if (strncmp(t.name, b->name, sizeof(t.name)) == 0)
		note(b, t.peer);
	return 0;
}

static int on_key(void *ctx, int more, const void *payload, size_t len)
{
	static const char *const classes[] = {"peer ", "route_to "};
	struct by_name *b = ctx;
	struct api_conf conf;
	struct key_pk pk;
	int rc = api_record_take(&conf, sizeof(conf), more, payload, len);

	if (rc <= 0)
		return rc;
	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(classes[i]);

		if (strncmp(conf.section, classes[i], n) == 0 &&
			strncmp(conf.section + n, b->name, sizeof(conf.section) - n) == 0 &&
			strncmp(conf.key, "key", sizeof(conf.key)) == 0 &&
			key_pk_from_text(
				&pk, conf.value, strnlen(conf.value, sizeof(conf.value))) == 0)
			note(b, pk.b);
	}
	return 0;
}

static bool is_name(struct by_name *b, const char *text, size_t len)
{
	if (len >= sizeof(b->name))
		return false;
	memcpy(b->name, text, len);
	return api_name_check(b->name, sizeof(b->name)) == 0;
}

static int look_up(struct cli *c, struct by_name *b)
{
	if (cli_call(c, API_TRANSPORTS, NULL, 0, on_transport, b) < 0 ||
		cli_call(c, API_CONFIG, NULL, 0, on_key, b) < 0)
		return cli_failed(c);
	return CLI_OK;
}

int way_name(struct cli *c, uint8_t pk[API_PK_LEN], const char *text, size_t len, unsigned *n)
{
	struct by_name b = {.pk = pk};
	int rc = is_name(&b, text, len) ? look_up(c, &b) : CLI_OK;

	*n = b.n;
	return rc;
}

int way_node(struct cli *c, uint8_t pk[API_PK_LEN], const char *text, size_t len)
{
	struct by_name b = {.pk = pk};
	struct key_pk key;
	int rc;

	if (key_pk_from_text(&key, text, len) == 0 || !is_name(&b, text, len))
		return stream_key(pk, text, len);
	rc = look_up(c, &b);
	if (rc != CLI_OK || b.n == 1)
		return rc;
	return cli_error(CLI_FAIL,
		b.n == 0 ? "'%s' is neither a public key of 66 hex digits nor the name of a "
			   "transport, a [peer] or a [route_to] of this node"
			 : "'%s' is the name of several nodes: write the key",
		b.name);
}

static int take_via(struct cli *c, struct api_route_ask *m, const char *text)
{
	int rc = CLI_OK;

	for (m->n_via = 0; rc == CLI_OK; text++) {
		size_t len = strcspn(text, ",");

		if (m->n_via == API_ROUTE_VIA_MAX)
			return cli_error(CLI_USAGE, "via: at most %d nodes", API_ROUTE_VIA_MAX);
		rc = way_node(c, m->via[m->n_via++], text, len);
		text += len;
		if (*text == '\0')
			break;
	}
	return rc;
}

int way_limits(uint32_t min, uint32_t max)
{
	if (max != 0 && min > max)
		return cli_error(CLI_USAGE, "min-hops=%u is more than max-hops=%u", min, max);
	return CLI_OK;
}

int way_take(struct cli *c, struct api_route_ask *m, const struct way_words *w)
{
	uint32_t min = w->hops != 0 ? w->hops : w->min_hops;
	uint32_t max = w->hops != 0 ? w->hops : w->max_hops;

	if (w->hops != 0 && (w->min_hops != 0 || w->max_hops != 0))
		return cli_error(CLI_USAGE, "hops= says both min-hops= and max-hops=");
	if (way_limits(min, max) != CLI_OK)
		return CLI_USAGE;
	if (w->via != NULL && (min != 0 || max != 0))
		return cli_error(CLI_USAGE, "via= says how many hops there are");
	if (w->type != NULL && w->via == NULL)
		return cli_error(CLI_USAGE,
			"type= goes with via=: it is that of the transports between those nodes");
	if (w->type != NULL && take_type(m, w->type) != CLI_OK)
		return CLI_USAGE;
	if (m->timeout_ms > API_ROUTE_TIMEOUT_MAX_MS)
		return cli_error(CLI_USAGE, "timeout is at most 120s");
	m->min_hops = (uint8_t)min;
	m->max_hops = (uint8_t)max;
	return w->via != NULL ? take_via(c, m, w->via) : CLI_OK;
}

int way_refused(const struct cli *c, const struct api_route_ask *m)
{
	if (m->n_via == 0 || m->type[0] != '\0' || c->status != -ENODEV)
		return CLI_FAIL;
	return cli_error(CLI_FAIL, "without type=, the transports behind a via= node are rails");
}

int way_to(struct cli *c, uint8_t pk[API_PK_LEN], uint16_t *port, const char *text)
{
	const char *colon = strchr(text, ':');
	int rc;

	if (colon == NULL)
		return cli_error(CLI_USAGE,
			"'%s' has no port: KEY:PORT, or NAME:PORT; a KEY has 66 hex digits", text);
	rc = stream_port(port, colon + 1);
	return rc != CLI_OK ? rc : way_node(c, pk, text, (size_t)(colon - text));
}
