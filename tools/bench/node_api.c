// Names of transports carry our process id, so that two benches on a node do not meet, and the next
// one knows those of a bench that was killed. Rules are not static: were we killed, they would age
// out.

#include "tools/bench/node_api.h"

#include "lib/api/api_client.h"
#include "lib/api/api_field.h"
#include "lib/api/api_rec.h"
#include "tools/bench/stale.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_PREFIX STALE_NAME "%d-"

enum { KEEP_ALIVE_MS = 600000, CHUNK = 1024, STALE_MAX = 64 };

struct node_api {
	struct api_client *client;
	unsigned n_transports;
	uint32_t *rule; // ids
	unsigned n_rules;
};

static void name_of(char out[API_NAME_LEN], unsigned link)
{
	snprintf(out, API_NAME_LEN, NAME_PREFIX "%u", (int)getpid(), link);
}

static int failed(struct node_api *n, const char *what, int rc, char err[NODE_API_ERR_MAX])
{
	snprintf(err, NODE_API_ERR_MAX, "%s: %s", what, api_client_error(n->client));
	return rc < 0 ? rc : -EIO;
}

struct node_api *node_api_open(const char *path, struct key_pk *node, char err[NODE_API_ERR_MAX])
{
	struct node_api *n = calloc(1, sizeof(*n));
	struct api_node told;
	char why[API_TEXT_MAX] = "out of memory";

	if (n == NULL || api_client_open(&n->client, path, 0, why) < 0) {
		snprintf(err, NODE_API_ERR_MAX, "--api %.80s: %.200s", path, why);
		free(n);
		return NULL;
	}
	if (api_client_node(n->client, &told) < 0) {
		failed(n, "the node's key", -EIO, err);
		node_api_close(n);
		return NULL;
	}
	memcpy(node->b, told.pk, sizeof(node->b));
	return n;
}

// ---- transports ----

struct stale {
	struct api_name_ask name[STALE_MAX];
	unsigned n;
};

static int on_stale(void *ctx, int more, const void *payload, size_t len)
{
	struct stale *s = ctx;
	struct api_transport t;
	int rc = api_record_take(&t, sizeof(t), more, payload, len);

	if (rc <= 0)
		return rc;
	t.name[sizeof(t.name) - 1] = '\0';
	if (s->n < STALE_MAX && stale_is(t.name, STALE_NAME))
		memcpy(s->name[s->n++].name, t.name, sizeof(t.name));
	return 0;
}

// Transports of benches that were killed. That one stays harms nobody, or is told when ours is
// added.
static void stale_remove(struct node_api *n)
{
	struct stale s;

	do {
		s.n = 0;
		if (api_client_call(n->client, API_TRANSPORTS, NULL, 0, on_stale, &s) < 0)
			return;
		for (unsigned i = 0; i < s.n; i++)
			if (api_client_call(n->client, API_TRANSPORT_DEL, &s.name[i],
				    sizeof(s.name[i]), NULL, NULL) < 0)
				return;
	} while (s.n == STALE_MAX);
}

int node_api_transports(struct node_api *n, const struct args *a, const struct key_pk *pk,
	char err[NODE_API_ERR_MAX])
{
	static const uint8_t ciphers[] = {[AEAD_CHACHA20_POLY1305] = API_CIPHER_CHACHA20,
		[AEAD_AES_256_GCM] = API_CIPHER_AES,
		[AEAD_NONE] = API_CIPHER_NONE};

	stale_remove(n);
	for (unsigned i = 0; i < a->n_transports; i++) {
		struct api_transport_add m = {.cipher = ciphers[a->cipher],
			.mode = a->reliable ? API_MODE_RELIABLE : API_MODE_DATAGRAM,
			.dial = 1, // it lost its state: it, and not we, will know
			.path_mtu = UINT16_MAX, // that of the port: no packet of a trial in parts
			.addr.port = (uint16_t)(a->udp_port + i)};
		int rc;

		name_of(m.name, i);
		memcpy(m.peer, pk[i].b, sizeof(m.peer));
		memcpy(m.addr.ip, a->port[i % a->n_ports].self.ip, sizeof(m.addr.ip));
		rc = api_client_call(n->client, API_TRANSPORT_ADD, &m, sizeof(m), NULL, NULL);
		if (rc < 0)
			return failed(n, m.name, rc, err);
		n->n_transports = i + 1;
	}
	return 0;
}

struct ready {
	char prefix[API_NAME_LEN]; // of our transports' names
	unsigned n_up;
	struct api_transport down; // one of ours that is not
};

static int on_transport(void *ctx, int more, const void *payload, size_t len)
{
	struct ready *r = ctx;
	struct api_transport t;
	int rc = api_record_take(&t, sizeof(t), more, payload, len);

	if (rc <= 0)
		return rc;
	if (strncmp(t.name, r->prefix, strlen(r->prefix)) != 0)
		return 0;
	r->n_up += t.state == API_TP_UP;
	if (t.state != API_TP_UP)
		r->down = t;
	return 0;
}

int node_api_ready(void *ctx, char err[NODE_API_ERR_MAX])
{
	struct node_api *n = ctx;
	struct ready r = {0};
	int rc;

	snprintf(r.prefix, sizeof(r.prefix), NAME_PREFIX, (int)getpid());
	rc = api_client_call(n->client, API_TRANSPORTS, NULL, 0, on_transport, &r);
	if (rc < 0)
		return failed(n, "transports", rc, err);
	if (r.n_up == n->n_transports)
		return 1;
	snprintf(err, NODE_API_ERR_MAX, "transport %.*s is not up at the node%s%.*s",
		API_NAME_LEN - 1, r.down.name, r.down.note[0] != '\0' ? ": " : "",
		(int)sizeof(r.down.note) - 1, r.down.note);
	return 0;
}

// ---- rules ----

struct bulk {
	struct api_bulk_done head;
	struct api_rule_done done[CHUNK];
	unsigned n;
};

static int on_bulk(void *ctx, int more, const void *payload, size_t len)
{
	struct bulk *b = ctx;

	if (more)
		return 0;
	if (len < sizeof(b->head))
		return -EPROTO;
	memcpy(&b->head, payload, sizeof(b->head));
	b->head.text[sizeof(b->head.text) - 1] = '\0';
	len -= sizeof(b->head);
	b->n = (unsigned)(len / sizeof(b->done[0]));
	if (b->n > CHUNK)
		return -EPROTO;
	memcpy(b->done, (const char *)payload + sizeof(b->head), b->n * sizeof(b->done[0]));
	return 0;
}

static int chunk_add(struct node_api *n, const struct args *a, struct traffic *t, unsigned first,
	unsigned count, char err[NODE_API_ERR_MAX])
{
	struct {
		struct api_bulk head;
		struct api_rule_add rule[CHUNK];
	} *m = calloc(1, sizeof(*m));
	struct bulk *b = calloc(1, sizeof(*b));
	int rc = m == NULL || b == NULL ? -ENOMEM : 0;

	if (rc == 0)
		m->head.n = count;
	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct api_rule_add *r = &m->rule[i];
		unsigned in = (first + i) % t->n_links;

		r->next_id = t->flow[first + i].out_id;
		r->keep_alive_ms = KEEP_ALIVE_MS;
		r->type = API_RULE_INTERMEDIARY;
		r->in = API_IN_TRANSPORT;
		name_of(r->in_transport, in);
		name_of(r->transport, a->same_transport ? in : (in + 1) % t->n_links);
	}
	if (rc == 0)
		rc = api_client_call(n->client, API_RULE_ADD, m,
			sizeof(m->head) + count * sizeof(m->rule[0]), on_bulk, b);
	if (rc < 0)
		failed(n, "rules", rc, err);
	for (unsigned i = 0; rc == 0 && i < b->n && i < count; i++) {
		if (b->done[i].status == 0 || b->done[i].status == -EINPROGRESS)
			n->rule[n->n_rules++] = t->flow[first + i].in_id = b->done[i].id;
	}
	if (rc == 0 && (b->n != count || b->head.n_failed > 0)) {
		snprintf(err, NODE_API_ERR_MAX, "rules: %s", b->head.text);
		rc = -EIO;
	}
	free(b);
	free(m);
	return rc;
}

int node_api_rules(
	struct node_api *n, const struct args *a, struct traffic *t, char err[NODE_API_ERR_MAX])
{
	n->rule = calloc(t->n_flows, sizeof(n->rule[0]));
	if (n->rule == NULL) {
		snprintf(err, NODE_API_ERR_MAX, "out of memory");
		return -ENOMEM;
	}
	for (unsigned first = 0; first < t->n_flows; first += CHUNK) {
		unsigned count = t->n_flows - first < CHUNK ? t->n_flows - first : CHUNK;
		int rc = chunk_add(n, a, t, first, count, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

// ---- counters ----

static void counter_add(const char *name, uint64_t n, enum counter_scope scope, uint64_t *sum)
{
	size_t n_desc;
	const struct counter_desc *d = stats_desc(scope, &n_desc);

	for (size_t k = 0; k < n_desc; k++)
		if (strncmp(d[k].name, name, API_NAME_LEN) == 0)
			sum[k] += n;
}

static int on_counter(void *ctx, int more, const void *payload, size_t len)
{
	struct drops *d = ctx;
	struct api_counter c;
	int rc = api_record_take(&c, sizeof(c), more, payload, len);

	if (rc <= 0)
		return rc;
	if (c.scope == API_SCOPE_WORKER && c.role == API_ROLE_DROP)
		counter_add(c.name, c.value, SCOPE_WORKER, d->worker);
	else if (c.scope == API_SCOPE_PORT)
		counter_add(c.name, c.value, SCOPE_PORT, d->port);
	return 0;
}

int node_api_drops(void *ctx, struct drops *out)
{
	struct node_api *n = ctx;
	const struct api_counters_ask ask = {.scopes = API_SCOPE_WORKER | API_SCOPE_PORT};

	*out = (struct drops){0};
	return api_client_call(n->client, API_COUNTERS, &ask, sizeof(ask), on_counter, out);
}

// ---- the end ----

static void chunk_del(struct node_api *n, unsigned first, unsigned count)
{
	struct {
		struct api_bulk head;
		uint32_t id[CHUNK];
	} m = {.head.n = count};

	memcpy(m.id, n->rule + first, count * sizeof(m.id[0]));
	api_client_call(
		n->client, API_RULE_DEL, &m, sizeof(m.head) + count * sizeof(m.id[0]), NULL, NULL);
}

void node_api_close(struct node_api *n)
{
	if (n == NULL)
		return;
	for (unsigned first = 0; first < n->n_rules; first += CHUNK)
		chunk_del(n, first, n->n_rules - first < CHUNK ? n->n_rules - first : CHUNK);
	for (unsigned i = 0; i < n->n_transports; i++) {
		struct api_name_ask m = {0};

		name_of(m.name, i);
		api_client_call(n->client, API_TRANSPORT_DEL, &m, sizeof(m), NULL, NULL);
	}
	api_client_free(n->client);
	free(n->rule);
	free(n);
}
