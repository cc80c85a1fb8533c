// Clients, servers of ours and discoveries on one loop.
#pragma once

#include "controlplane/dmsg/dmsg_http.h"
#include "tests/controlplane/directory/fake_disc.h"
#include "tests/support/dmsg_nodes.h"

enum { N_SERVERS = 3, N_DISCS = 2 };

// Of discoveries.
struct asker {
	struct http_client *http;
	struct dir_client *dir;
};

static struct fake_disc disc[N_DISCS];
static struct asker asker[N_CLIENTS];
static struct identity *server_id[N_SERVERS];
static struct dmsg_server *server[N_SERVERS];

static inline void start_server(unsigned i)
{
	server[i] = serve_at(0, server_id[i], (struct dmsg_server_conf){.sessions_max = 10});
}

static inline void address_of(unsigned i, char *out, size_t cap)
{
	snprintf(out, cap, "127.0.0.1:%u", dmsg_server_port(server[i]));
}

static inline void list_server(struct fake_disc *d, unsigned i)
{
	struct dmsg_entry e = {.version = "0.0.1",
		.pk = *identity_pk(server_id[i]),
		.timestamp_ns = (int64_t)clock_wall_ns(),
		.is_server = true,
		.available_sessions = 5};

	address_of(i, e.address, sizeof(e.address));
	assert_int_equal(dmsg_entry_sign(&e, identity_sk(server_id[i])), 0);
	fake_disc_put(d, &e);
}

struct how {
	unsigned n_discs, sessions;
	int fixed; // server of the list; -1: none
	uint16_t port; // of it, when another has its key
	uint32_t idle_ms;
	enum dmsg_link_mux mux;
};

// Of so many discoveries.
static inline struct asker ask(unsigned n_discs)
{
	const char *urls[N_DISCS];
	struct asker a = {.http = http_client_new(l, "")};
	struct dir_client_conf c = {.loop = l, .http = a.http, .urls = urls, .n_urls = n_discs};

	assert_non_null(a.http);
	for (unsigned k = 0; k < n_discs; k++)
		urls[k] = disc[k].url;
	a.dir = dir_client_new(&c);
	assert_non_null(a.dir);
	return a;
}

static inline void ask_no_more(struct asker *a)
{
	dir_client_free(a->dir);
	http_client_free(a->http);
	*a = (struct asker){NULL, NULL};
}

static inline void start_client(unsigned i, const struct how *how)
{
	struct dmsg_server_at sc = {{{0}}, ""};
	struct dmsg_client_conf c = {.loop = l,
		.id = node[i].id,
		.servers = &sc,
		.n_servers = how->fixed >= 0,
		.retry_min_ms = RETRY_MS,
		.sessions = how->sessions,
		.client_type = "visor",
		.idle_ms = how->idle_ms,
		.mux = how->mux,
		.soon_ms = 5};

	if (how->fixed >= 0) {
		sc.pk = *identity_pk(server_id[how->fixed]);
		address_of((unsigned)how->fixed, sc.address, sizeof(sc.address));
		if (how->port != 0)
			snprintf(sc.address, sizeof(sc.address), "127.0.0.1:%u", how->port);
	}
	asker[i] = ask(how->n_discs);
	c.dir = asker[i].dir;
	node[i].c = dmsg_client_new(&c);
	assert_non_null(node[i].c);
}

static inline void stop_client(unsigned i)
{
	node_stop(i);
	ask_no_more(&asker[i]);
}

static inline int setup(void **state)
{
	setup_loop(state);
	nodes_init();
	for (unsigned i = 0; i < N_SERVERS; i++) {
		server_id[i] = identity_of((uint8_t)(i + 100));
		start_server(i);
	}
	for (unsigned i = 0; i < N_DISCS; i++)
		fake_disc_start(&disc[i]);
	return 0;
}

static inline int teardown(void **state)
{
	for (unsigned i = 0; i < N_CLIENTS; i++)
		stop_client(i);
	nodes_fini();
	for (unsigned i = 0; i < N_SERVERS; i++) {
		dmsg_server_free(server[i]);
		server[i] = NULL;
		identity_free(server_id[i]);
	}
	for (unsigned i = 0; i < N_DISCS; i++)
		fake_disc_stop(&disc[i]);
	return teardown_loop(state);
}

static inline const struct dmsg_entry *own(unsigned d, unsigned i)
{
	return fake_disc_find(&disc[d], identity_pk(node[i].id));
}

static inline bool lists(unsigned d, unsigned i, unsigned n)
{
	const struct dmsg_entry *e = own(d, i);

	return e != NULL && e->n_servers == n;
}

static inline void count_site(void *arg, const struct dmsg_publish_site *s)
{
	*(struct dmsg_publish_site *)arg = *s;
}

static inline void count_kind(void *arg, const struct dmsg_client_server *se)
{
	((unsigned *)arg)[se->kind]++;
}
