// What the sections about dmsg mean together: servers of the client, our own server and its peers.
#include "controlplane/cp_conf_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"

// [server NAME] or [peer_server NAME]; the table checked keys and addresses.
static int load_servers(const struct cp_conf *c, const char *section, const struct conf_array *from,
	struct dmsg_server_at *to, char *err)
{
	const struct cp_server_values *v = from->v;
	int rc = 0;

	for (size_t i = 0; i < from->n; i++) {
		const char *wrong = cp_conf_check_name(v[i].name);

		if (wrong != NULL)
			rc = cp_conf_worse(rc, BAD(c, err, section, v[i].name, NULL, "%s", wrong));
		key_pk_from_text(&to[i].pk, v[i].key, strlen(v[i].key));
		snprintf(to[i].address, sizeof(to[i].address), "%s", v[i].address);
	}
	return cp_conf_worse(rc, conf_same_before(c->file, err, section, "key"));
}

static int load_peer_servers(struct cp_conf *c, char *err)
{
	const struct cp_server_values *v = c->v->peer_servers.v;
	int rc = 0;

	if (c->v->peer_servers.n > 0 && c->v->dmsg_server.listen[0] == '\0')
		rc = BAD(c, err, "peer_server", v[0].name, NULL,
			"this node is no dmsg server: set [dmsg_server] listen");
	c->n_peer_servers = c->v->peer_servers.n;
	return cp_conf_worse(
		rc, load_servers(c, "peer_server", &c->v->peer_servers, c->peer_servers, err));
}

struct own_check {
	const struct cp_conf *c;
	const struct cp_own *own;
	char *err;
	int rc;
};

static bool is_key(const struct key_pk *pk, const struct key_pk *own)
{
	return own != NULL && key_pk_cmp(pk, own) == 0;
}

static void check_own(void *arg, const struct conf_entry *e)
{
	static const char *const nobodys[] = {"peer_server", "hypervisor", "visor"};
	struct own_check *o = arg;
	struct key_pk pk;
	bool both = false;

	for (size_t i = 0; i < ARRAY_LEN(nobodys); i++)
		both = both || strcmp(e->item->section, nobodys[i]) == 0;
	if ((!both && strcmp(e->item->section, "server") != 0) ||
		strcmp(e->item->key, "key") != 0 ||
		key_pk_from_text(&pk, e->value, strlen(e->value)) < 0)
		return;
	if (is_key(&pk, o->own->node) || is_key(&pk, o->own->setup) ||
		(both && is_key(&pk, o->own->server)))
		o->rc = BAD(o->c, o->err, e->item->section, e->instance, "key",
			"this is a key of the node itself");
}

int cp_conf_check_own(const struct cp_conf *c, const struct cp_own *own, char err[CONF_ERR_MAX])
{
	struct own_check o = {.c = c, .own = own, .err = err};

	conf_walk(c->file, check_own, &o);
	return o.rc;
}

// An http:// or https:// URL of [dmsg] discovery: it needs no session.
static bool has_early_discovery(const struct cp_values *v)
{
	for (size_t i = 0; i < v->dmsg.discovery.n; i++)
		if (!http_client_is_dmsg(v->dmsg.discovery.v[i]))
			return true;
	return false;
}

// There can be a session without a discovery that is itself reached by one.
bool cp_conf_has_way_to_dmsg(const struct cp_values *v)
{
	return v->servers.n > 0 || v->saved_lan.n > 0 || v->lan_server.enable ||
	       has_early_discovery(v);
}

// A server that finds no entry of ours takes us for yamux's, so it must be there before a session.
static int check_mux(const struct cp_conf *c, char *err)
{
	if (c->v->dmsg.mux == DMSG_LINK_YAMUX || has_early_discovery(c->v))
		return 0;
	return BAD(c, err, "dmsg", "", "mux",
		"mux = smux needs discovery = URL by http:// or https://, where servers read it");
}

static int check_url(
	const struct cp_conf *c, const char *section, const char *key, const char *url, char *err)
{
	const char *wrong = http_client_check_url(url);

	if (wrong == NULL && http_client_is_dmsg(url) && !cp_conf_has_way_to_dmsg(c->v))
		wrong = "can't be reached: add a [server NAME], or an http:// or https:// "
			"URL to [dmsg] discovery";
	return wrong != NULL ? BAD(c, err, section, "", key, "%s %s", url, wrong) : 0;
}

static int check_urls(
	const struct cp_conf *c, const char *section, const struct conf_list *urls, char *err)
{
	int rc = 0;

	for (size_t i = 0; i < urls->n; i++)
		rc = cp_conf_worse(rc, check_url(c, section, "discovery", urls->v[i], err));
	return rc;
}

static int check_services(const struct cp_conf *c, char *err)
{
	const struct {
		const char *section, *key, *url;
	} all[] = {{"transports", "discovery", c->v->services.discovery},
		{"transports", "address_resolver", c->v->services.address_resolver},
		{"routing", "route_finder", c->v->routing.route_finder}};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].url[0] != '\0')
			rc = cp_conf_worse(
				rc, check_url(c, all[i].section, all[i].key, all[i].url, err));
	return rc;
}

static int check_ca_file(const struct cp_conf *c, char *err)
{
	const char *path = c->v->ca_file;

	if (path[0] == '\0' || access(path, R_OK) == 0)
		return 0;
	return BAD(c, err, "node", "", "ca_file", "ca_file %s: %s", path, strerror(errno));
}

static int check_published(const struct cp_conf *c, char *err)
{
	const struct cp_dmsg_server_values *v = &c->v->dmsg_server;

	if (v->discovery.n == 0 && v->mesh_discover)
		return BAD(c, err, "dmsg_server", "", "mesh_discover",
			"mesh_discover needs discovery = URL, which lists the servers");
	if (v->discovery.n == 0 || (v->public_address[0] != '\0' && v->listen[0] != '\0'))
		return 0;
	return BAD(c, err, "dmsg_server", "", "discovery",
		"discovery needs listen and public_address = HOST:PORT, by which clients reach it");
}

static int check_key_file(const struct cp_conf *c, char *err)
{
	if (c->v->dmsg_server.listen[0] == '\0' ||
		strcmp(c->v->dmsg_server.key_file, c->v->key_file) != 0)
		return 0;
	return BAD(c, err, "dmsg_server", "", "key_file",
		"key_file is the node's: a dmsg server needs a key of its own");
}

static int check_setup_node(const struct cp_conf *c, char *err)
{
	const struct cp_values *v = c->v;

	if (!v->setup_node.enable)
		return 0;
	if (v->servers.n == 0 && !has_early_discovery(v)) // the LAN's servers are the node's
		return BAD(c, err, "setup_node", "", "enable",
			"a set-up node is reached by dmsg: add a [server NAME], or an http:// or "
			"https:// URL to [dmsg] discovery");
	if (strcmp(v->setup_node.key_file, v->key_file) == 0 ||
		(v->dmsg_server.listen[0] != '\0' &&
			strcmp(v->setup_node.key_file, v->dmsg_server.key_file) == 0))
		return BAD(c, err, "setup_node", "", "key_file",
			"key_file is another role's: a set-up node needs a key of its own");
	return 0;
}

uint32_t cp_conf_load_keys(const struct conf_array *from, struct key_pk *to)
{
	const struct cp_key_values *v = from->v;

	for (size_t i = 0; i < from->n; i++)
		key_pk_from_text(&to[i], v[i].key, strlen(v[i].key));
	return (uint32_t)from->n;
}

static int load_saved(const struct cp_conf *c, const struct cp_saved_lan_values *v,
	struct dmsg_client_lan *lan, char *err)
{
	key_pk_from_text(&lan->pk, v->key, strlen(v->key));
	key_pk_from_text(&lan->by, v->hypervisor, strlen(v->hypervisor));
	snprintf(lan->address, sizeof(lan->address), "%s", v->address);
	snprintf(lan->public_address, sizeof(lan->public_address), "%s", v->public_address);
	if (v->address[0] == '\0' && v->public_address[0] == '\0' &&
		!conf_is_told(c->file, "saved_lan_server", v->name, "address"))
		return BAD(c, err, "saved_lan_server", v->name, NULL,
			"neither address nor public_address: take the section out");
	return 0;
}

static int load_lan(struct cp_conf *c, char *err)
{
	const struct cp_saved_lan_values *v = c->v->saved_lan.v;
	struct cp_lan *lan = c->lan;
	int rc = conf_same_before(c->file, err, "hypervisor", "key");

	rc = cp_conf_worse(rc, conf_same_before(c->file, err, "visor", "key"));
	lan->n_hypervisors = cp_conf_load_keys(&c->v->hypervisors, lan->hypervisors);
	lan->n_visors = cp_conf_load_keys(&c->v->visors, lan->visors);
	for (size_t i = 0; i < c->v->saved_lan.n; i++, lan->n_saved++)
		rc = cp_conf_worse(rc, load_saved(c, &v[i], &lan->saved[i], err));
	if (lan->n_visors > 0 && !c->v->lan_server.enable &&
		!conf_is_told(c->file, "lan_server", "", "enable")) {
		const struct cp_key_values *first = c->v->visors.v;

		rc = cp_conf_worse(rc, BAD(c, err, "visor", first->name, NULL,
					       "this node has nothing to tell it: set "
					       "[lan_server] enable = yes"));
	}
	return rc;
}

int cp_conf_load_dmsg(struct cp_conf *c, char *err)
{
	int rc = check_key_file(c, err);

	rc = cp_conf_worse(rc, check_ca_file(c, err));
	rc = cp_conf_worse(rc, check_urls(c, "dmsg", &c->v->dmsg.discovery, err));
	rc = cp_conf_worse(rc, check_urls(c, "dmsg_server", &c->v->dmsg_server.discovery, err));
	rc = cp_conf_worse(rc, check_services(c, err));
	rc = cp_conf_worse(rc, check_mux(c, err));
	rc = cp_conf_worse(rc, check_published(c, err));
	c->n_servers = c->v->servers.n;
	rc = cp_conf_worse(rc, load_servers(c, "server", &c->v->servers, c->servers, err));
	rc = cp_conf_worse(rc, load_peer_servers(c, err));
	rc = cp_conf_worse(rc, check_setup_node(c, err));
	return cp_conf_worse(rc, load_lan(c, err));
}
