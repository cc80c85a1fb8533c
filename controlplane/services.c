// Builds the clients of Skywire's services out of the configuration.
#include "controlplane/services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/directory/resolver_keep.h"
#include "controlplane/role.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

LOG_MODULE("main");

struct services {
	struct loop *loop;
	struct service *of[SERVICES_KINDS];
	struct tp_register *reg;
	uint8_t listen[16]; // of the next one
	struct resolver_keep *bound; // NULL: nobody has to find us
};

static int start(struct services *s, enum services_kind kind, const char *url,
	const struct service_conf *like)
{
	struct service_conf c = *like;

	if (url[0] == '\0')
		return 0;
	c.url = url;
	s->of[kind] = service_new(&c);
	return s->of[kind] != NULL ? 0 : -errno;
}

static int start_all(struct services *s, const struct cp_conf *c, const struct identity *id,
	struct http_client *http)
{
	const struct cp_values *v = c->v;
	const struct service_conf known = {.loop = s->loop, .http = http, .id = id};
	const struct service_conf open = {.loop = s->loop,
		.http = http,
		.timeout_ms = (uint32_t)(v->routing.finder_timeout_ns / CLOCK_NS_PER_MS)};
	struct tp_register_conf reg = {.loop = s->loop};
	int rc = start(s, SERVICES_DISCOVERY, v->services.discovery, &known);

	if (rc == 0)
		rc = start(s, SERVICES_RESOLVER, v->services.address_resolver, &known);
	if (rc == 0)
		rc = start(s, SERVICES_FINDER, v->routing.route_finder, &open);
	reg.service = s->of[SERVICES_DISCOVERY];
	if (rc == 0 && reg.service != NULL) {
		s->reg = tp_register_new(&reg);
		rc = s->reg != NULL ? 0 : -errno;
	}
	return rc;
}

struct services *services_new(struct loop *l, const struct cp_conf *c, const struct identity *id,
	struct http_client **http)
{
	const struct cp_values *v = c->v;
	bool any = v->services.discovery[0] != '\0' || v->services.address_resolver[0] != '\0' ||
		   v->routing.route_finder[0] != '\0';
	int rc = any ? role_http(l, v->ca_file, http) : 0;
	struct services *s;

	if (rc < 0)
		return errno_null(rc);
	s = calloc(1, sizeof(*s));
	rc = -ENOMEM;
	if (s != NULL) {
		s->loop = l;
		rc = any ? start_all(s, c, id, *http) : 0;
	}
	if (rc == 0)
		return s;
	log_err("services: %s", strerror(-rc));
	services_free(s);
	return errno_null(rc);
}

void services_free(struct services *s)
{
	if (s == NULL)
		return;
	resolver_keep_free(s->bound);
	tp_register_free(s->reg);
	for (size_t i = 0; i < SERVICES_KINDS; i++)
		service_free(s->of[i]);
	free(s);
}

struct service *services_get(const struct services *s, enum services_kind kind)
{
	return s->of[kind];
}

struct tp_register *services_register(const struct services *s)
{
	return s->reg;
}

int services_bind(struct services *s, const struct dpmsg_addr *listen)
{
	const struct resolver_keep_conf c = {.loop = s->loop,
		.service = s->of[SERVICES_RESOLVER],
		.port = listen->port,
		.addrs = resolver_keep_addrs,
		.arg = s->listen};

	memcpy(s->listen, listen->ip, sizeof(s->listen));
	s->bound = resolver_keep_new(&c);
	return s->bound != NULL ? 0 : -errno;
}

bool services_unbind(struct services *s, loop_fn done, void *arg)
{
	if (s->bound == NULL)
		return false;
	resolver_keep_leave(s->bound, done, arg);
	return true;
}
