// The parts of the set-up node role, made in order and ended in reverse.
#include "controlplane/setup_role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/dmsg/dmsg_http.h"
#include "controlplane/role.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("setup");

struct setup_role {
	const struct identity *id;
	// Of its own, so that strangers' routes take none of the node's requests. NULL: no
	// discovery.
	struct http_client *http;
	struct dir_client *dir;
	struct dmsg_client *client;
	struct dmsg_http *dmsg_http;
	struct setup_node *node;
};

static int start(struct setup_role *r, struct loop *l, const struct cp_conf *c)
{
	struct dmsg_client_conf dc = {.loop = l,
		.id = r->id,
		.of = ", of the set-up node",
		.servers = c->servers,
		.n_servers = (uint32_t)c->n_servers,
		.dir = r->dir,
		.sessions = c->v->dmsg.sessions,
		.mux = (enum dmsg_link_mux)c->v->dmsg.mux};
	struct setup_node_conf nc = {.loop = l};

	r->client = dmsg_client_new(&dc);
	if (r->client == NULL)
		return -errno;
	if (r->http != NULL) {
		r->dmsg_http = dmsg_http_new(r->http, r->client);
		if (r->dmsg_http == NULL)
			return -errno;
	}
	nc.client = r->client;
	r->node = setup_node_new(&nc);
	return r->node != NULL ? 0 : -errno;
}

struct setup_role *setup_role_new(
	struct loop *l, const struct cp_conf *c, const struct identity *id)
{
	struct setup_role *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL) {
		log_err("set-up node: %s", strerror(ENOMEM));
		return errno_null(ENOMEM);
	}
	r->id = id;
	rc = role_dir(l, &c->v->dmsg.discovery, c->v->ca_file, &r->http, &r->dir);
	if (rc == 0) {
		rc = start(r, l, c);
		if (rc < 0)
			log_err("set-up node: %s", strerror(-rc));
	}
	if (rc == 0)
		return r;
	setup_role_free(r);
	return errno_null(-rc);
}

void setup_role_free(struct setup_role *r)
{
	if (r == NULL)
		return;
	setup_node_free(r->node);
	dmsg_client_free(r->client);
	dir_client_free(r->dir);
	dmsg_http_free(r->dmsg_http);
	http_client_free(r->http);
	free(r);
}

void setup_role_leave(struct setup_role *r, loop_fn done, void *arg)
{
	dmsg_client_leave(r->client, done, arg);
}

const struct key_pk *setup_role_pk(const struct setup_role *r)
{
	return identity_pk(r->id);
}

const struct setup_node *setup_role_node(const struct setup_role *r)
{
	return r->node;
}

struct dmsg_client *setup_role_client(const struct setup_role *r)
{
	return r->client;
}

struct dir_client *setup_role_dir(const struct setup_role *r)
{
	return r->dir;
}

struct http_client *setup_role_http(const struct setup_role *r)
{
	return r->http;
}
