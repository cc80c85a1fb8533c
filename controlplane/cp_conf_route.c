// What the sections about routes mean together: who may lay them here, and how ours are dialled.
#include "controlplane/cp_conf_priv.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

static_assert((int)ROUTE_DIAL_SETUP_NODES_MAX == (int)ROUTE_PEER_NODES_MAX, "the same sections");

static int check_hops(const struct cp_conf *c, const char *section, const char *name,
	struct route_path_limits hops, char *err)
{
	return hops.max == 0 || hops.min <= hops.max
		       ? 0
		       : BAD(c, err, section, name, "min_hops", "min_hops is more than max_hops");
}

static int load_destinations(struct cp_conf *c, char *err)
{
	const struct conf_array *from = &c->v->route_to;
	const struct cp_route_to_values *v = from->v;
	int rc = conf_same_before(c->file, err, "route_to", "key");

	for (size_t i = 0; i < from->n; i++) {
		c->route_to[i].hops = (struct route_path_limits){v[i].min_hops, v[i].max_hops};
		key_pk_from_text(&c->route_to[i].pk, v[i].key, strlen(v[i].key));
		rc = cp_conf_worse(
			rc, check_hops(c, "route_to", v[i].name, c->route_to[i].hops, err));
	}
	return rc;
}

int cp_conf_load_routing(struct cp_conf *c, char *err)
{
	const struct conf_array *nodes = &c->v->route_setup_nodes;
	const struct cp_routing_values *v = &c->v->routing;
	uint32_t n = cp_conf_load_keys(nodes, c->route_setup_nodes);
	int rc = conf_same_before(c->file, err, "route_setup_node", "key");

	c->routing = (struct route_peer_policy){
		.nodes = c->route_setup_nodes, .n_nodes = n, .no_transit = v->no_transit};
	c->dials = (struct route_dial_policy){.nodes = c->route_setup_nodes,
		.n_nodes = n,
		.hops = {v->min_hops, v->max_hops},
		.to = c->route_to,
		.n_to = c->v->route_to.n,
		.keep_alive_s = (uint32_t)(v->keep_alive_ns / CLOCK_NS_PER_S)};
	rc = cp_conf_worse(rc, check_hops(c, "routing", "", c->dials.hops, err));
	rc = cp_conf_worse(rc, load_destinations(c, err));
	if (nodes->n > 0 && !cp_conf_has_way_to_dmsg(c->v)) {
		const struct cp_key_values *first = nodes->v;

		rc = cp_conf_worse(rc, BAD(c, err, "route_setup_node", first->name, NULL,
					       "set-up nodes reach this node by dmsg: add a "
					       "[server NAME], or set [dmsg] discovery"));
	}
	return rc;
}
