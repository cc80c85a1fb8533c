// Compares two configurations section by section and tells the modules what changed. First it asks
// them whether they would take it, since a change that stopped half-way would be neither the old
// configuration nor the new one. It reads no file and keeps nothing.
#include "controlplane/reload.h"

#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

LOG_MODULE("main");

// ---- one by one ----

void reload_add_transport(struct transport_mgr *m, const struct transport_conf *t)
{
	char err[API_TEXT_MAX] = "out of memory";

	if (transport_mgr_add(m, t, err, sizeof(err)) < 0)
		log_err("transport=%s: %s", t->name, err);
}

int reload_listen(struct transport_mgr *m, const struct cp_conf *c, char *err, size_t err_len)
{
	const struct dpmsg_addr *at = c->stcp_listen.port != 0 ? &c->stcp_listen : NULL;
	int rc;

	// Not what the last file said: a reload that failed may have lost that place.
	if (transport_mgr_listens_at(m, TRANSPORT_STCP, at))
		return 0;
	rc = transport_mgr_listen(m, TRANSPORT_STCP, at);
	if (rc < 0)
		snprintf(err, err_len, "[stcp] listen = %s: %s", c->v->stcp_listen, strerror(-rc));
	return rc;
}

void reload_add_edge(struct edge_mgr *m, const struct api_edge_add *e)
{
	char err[API_TEXT_MAX] = "out of memory";

	if (edge_add(m, e, EDGE_CONFIGURED, err, sizeof(err)) < 0)
		log_err("edge=%s: %s", e->name, err);
}

void reload_attach_edges(struct edge_mgr *m, const struct cp_conf *c)
{
	char err[API_TEXT_MAX] = "";

	for (size_t i = 0; i < c->n_edges; i++) {
		const struct api_edge_attach *t = &c->attach[i];

		if (t->forward_id != 0 && edge_attach(m, t->name, t->forward_id, t->consume_id,
						  NULL, NULL, err, sizeof(err)) < 0)
			log_err("edge=%s: %s", t->name, err);
	}
}

// ---- transports ----

static const struct transport_conf *conf_transport(const struct cp_conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_transports; i++)
		if (strcmp(c->transports[i].name, name) == 0)
			return &c->transports[i];
	return NULL;
}

static bool same_transport(const struct transport_conf *x, const struct transport_conf *y)
{
	return key_pk_cmp(&x->peer, &y->peer) == 0 &&
	       memcmp(&x->addr, &y->addr, sizeof(x->addr)) == 0 &&
	       strcmp(x->scope_if, y->scope_if) == 0 && x->type == y->type && x->mode == y->mode &&
	       x->ciphers == y->ciphers && x->congestion == y->congestion &&
	       x->path_mtu == y->path_mtu && x->flows == y->flows && x->dial == y->dial;
}

// Is there one of this name that the file made?
static bool is_configured(struct transport_mgr *m, const char *name)
{
	struct transport *t = transport_mgr_find(m, name);
	struct transport_info info;

	if (t == NULL)
		return false;
	transport_info_get(t, &info);
	return info.conf.origin == TRANSPORT_CONFIGURED;
}

static void reload_transports(
	const struct reload *r, const struct cp_conf *now, const struct cp_conf *next)
{
	for (size_t i = 0; i < now->n_transports; i++) {
		const struct transport_conf *old = &now->transports[i];
		const struct transport_conf *new = conf_transport(next, old->name);

		if ((new == NULL || !same_transport(old, new)) &&
			is_configured(r->transports, old->name))
			transport_mgr_del(r->transports, old->name);
	}
	for (size_t i = 0; i < next->n_transports; i++)
		if (!is_configured(r->transports, next->transports[i].name))
			reload_add_transport(r->transports, &next->transports[i]);
}

// ---- edges ----

static bool has_edge(const struct cp_conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_edges; i++)
		if (strcmp(c->edges[i].name, name) == 0)
			return true;
	return false;
}

static void reload_edges(
	const struct reload *r, const struct cp_conf *now, const struct cp_conf *next)
{
	char err[API_TEXT_MAX];
	bool made = false;

	for (size_t i = 0; i < now->n_edges; i++)
		if (!has_edge(next, now->edges[i].name) &&
			edge_is_configured(r->edges, now->edges[i].name))
			edge_del(r->edges, now->edges[i].name, err, sizeof(err));
	for (size_t i = 0; i < next->n_edges; i++)
		if (!edge_is_configured(r->edges, next->edges[i].name)) {
			reload_add_edge(r->edges, &next->edges[i]);
			made = true;
		}
	if (made || now->n_edges != next->n_edges ||
		memcmp(now->attach, next->attach, now->n_edges * sizeof(*now->attach)) != 0)
		reload_attach_edges(r->edges, next);
}

// ---- what was removed by hand ----

static const struct api_rule_add *conf_rule(const struct cp_conf *c, const char *name, size_t *hint)
{
	const struct cp_rule_values *v = c->v->rules.v;

	for (size_t n = 0; n < c->n_rules; n++) {
		size_t at = *hint;

		*hint = at + 1 < c->n_rules ? at + 1 : 0;
		if (strcmp(v[at].name, name) == 0)
			return &c->rules[at];
	}
	return NULL;
}

bool reload_is_missing(const struct reload *r, const struct cp_conf *next, const char *section,
	const char *instance, size_t *hint)
{
	const struct api_rule_add *rule;

	if (strcmp(section, "transport") == 0)
		return !is_configured(r->transports, instance);
	if (strcmp(section, "edge") == 0)
		return !edge_is_configured(r->edges, instance);
	if (strcmp(section, "rule") != 0)
		return false;
	rule = conf_rule(next, instance, hint);
	return rule != NULL && !rule_mgr_wants(r->rules, rule->id);
}

// ---- peers of our dmsg server ----

// The same list changes nothing, but brings in who was left out for want of memory or places.
static void reload_peer_servers(const struct reload *r, const struct cp_conf *next)
{
	int rc;

	if (r->dmsg_server == NULL || next->v->dmsg_server.listen[0] == '\0')
		return;
	rc = dmsg_server_set_peers(
		r->dmsg_server, next->peer_servers, (uint32_t)next->n_peer_servers);
	if (rc < 0)
		log_err("peer servers of the configuration not taken: %s", strerror(-rc));
}

// ---- set-up nodes ----

static void reload_routing(const struct reload *r, const struct cp_conf *next)
{
	int rc;

	if (r->route_peer == NULL) {
		if (next->routing.n_nodes > 0)
			log_warn("set-up nodes reach this node from the next start on, when it is "
				 "a dmsg client");
		return;
	}
	rc = route_peer_set_policy(r->route_peer, &next->routing);
	if (rc == 0)
		rc = route_dialler_set(r->dialler, &next->dials);
	if (rc < 0)
		log_err("set-up nodes of the configuration not taken: %s", strerror(-rc));
}

static void reload_transport_setup(const struct reload *r, const struct cp_conf *next)
{
	const size_t n = next->v->transport_setup.n;
	int rc = 0;

	if (r->tp_gateway != NULL)
		rc = tp_gateway_set_nodes(r->tp_gateway, next->transport_setup, (uint32_t)n);
	else if (n > 0)
		log_warn("transport set-up nodes reach this node from the next start on, when it "
			 "is a dmsg client");
	if (rc < 0)
		log_err("transport set-up nodes of the configuration not taken: %s", strerror(-rc));
}

// ---- the whole ----

int reload_check(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next,
	char *err, size_t err_len)
{
	char why[API_TEXT_MAX] = "";
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < next->n_transports; i++) {
		const struct transport_conf *t = &next->transports[i];

		rc = transport_mgr_check(r->transports, t, why, sizeof(why));
		if (rc < 0)
			snprintf(err, err_len, "[transport %s]: %s", t->name, why);
	}
	for (size_t i = 0; rc == 0 && i < next->n_edges; i++) {
		const struct api_edge_add *e = &next->edges[i];

		if (!edge_is_configured(r->edges, e->name))
			rc = edge_check(r->edges, e, why, sizeof(why));
		if (rc < 0)
			snprintf(err, err_len, "%s", why);
	}
	if (rc == 0)
		rc = rule_mgr_check(r->rules, next->rules, next->n_rules, err, err_len);
	return rc;
}

void reload_apply(const struct reload *r, const struct cp_conf *now, const struct cp_conf *next)
{
	log_level_set("all", next->v->log_level);
	// A peer that came by itself may have got a name now, with which it may stay.
	reload_transports(r, now, next);
	transport_mgr_policy(r->transports, next->v->allow == 1, next->peers);
	if (rule_mgr_config(r->rules, next->rules, next->n_rules) < 0)
		log_err("rules of the configuration not taken: out of memory");
	reload_edges(r, now, next);
	reload_peer_servers(r, next);
	reload_routing(r, next);
	reload_transport_setup(r, next);
}
