// What the sections about dmsg mean together: servers of the client, our own server and its peers.
#include "controlplane/cp_conf_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int load_server(const struct cp_conf *c, const struct cp_server_values *v,
	struct dmsg_client_server_conf *s, char *err)
{
	if (cp_conf_check_name(v->name) != NULL)
		return BAD(c, err, "server", v->name, NULL, "%s", cp_conf_check_name(v->name));
	key_pk_from_text(&s->pk, v->key, strlen(v->key)); // the table checked both
	snprintf(s->address, sizeof(s->address), "%s", v->address);
	return 0;
}

static int load_servers(struct cp_conf *c, char *err)
{
	const struct cp_server_values *v = c->v->servers.v;
	int rc = 0;

	for (size_t i = 0; i < c->v->servers.n; i++, c->n_servers++) {
		size_t k = 0;

		rc = cp_conf_worse(rc, load_server(c, &v[i], &c->servers[i], err));
		while (k < i && key_pk_cmp(&c->servers[k].pk, &c->servers[i].pk) != 0)
			k++;
		if (k < i && !key_pk_is_null(&c->servers[i].pk))
			rc = cp_conf_worse(rc, BAD(c, err, "server", v[i].name, "key",
						       "[server %s] has the same key", v[k].name));
	}
	return rc;
}

static int load_peer_server(struct cp_conf *c, const struct cp_peer_server_values *v,
	struct dmsg_mesh_peer_conf *p, char *err)
{
	if (cp_conf_check_name(v->name) != NULL)
		return BAD(c, err, "peer_server", v->name, NULL, "%s", cp_conf_check_name(v->name));
	key_pk_from_text(&p->pk, v->key, strlen(v->key)); // the table checked both
	snprintf(p->address, sizeof(p->address), "%s", v->address);
	for (size_t k = 0; k < c->n_peer_servers; k++)
		if (key_pk_cmp(&c->peer_servers[k].pk, &p->pk) == 0)
			return BAD(c, err, "peer_server", v->name, "key",
				"another [peer_server NAME] has the same key");
	return 0;
}

static int load_peer_servers(struct cp_conf *c, char *err)
{
	const struct cp_peer_server_values *v = c->v->peer_servers.v;
	int rc = 0;

	if (c->v->peer_servers.n > 0 && c->v->dmsg_server.listen[0] == '\0')
		rc = BAD(c, err, "peer_server", v[0].name, NULL,
			"this node is no dmsg server: set [dmsg_server] listen");
	for (size_t i = 0; i < c->v->peer_servers.n; i++, c->n_peer_servers++)
		rc = cp_conf_worse(rc, load_peer_server(c, &v[i], &c->peer_servers[i], err));
	return rc;
}

static int check_urls(
	const struct cp_conf *c, const char *section, const struct conf_list *urls, char *err)
{
	int rc = 0;

	for (size_t i = 0; i < urls->n; i++) {
		const char *wrong = http_client_check_url(urls->v[i]);

		if (wrong != NULL)
			rc = cp_conf_worse(rc,
				BAD(c, err, section, "", "discovery", "%s %s", urls->v[i], wrong));
	}
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
	if (v->servers.n == 0 && v->dmsg.discovery.n == 0)
		return BAD(c, err, "setup_node", "", "enable",
			"a set-up node is reached by dmsg: add a [server NAME], or set [dmsg] "
			"discovery");
	if (strcmp(v->setup_node.key_file, v->key_file) == 0 ||
		(v->dmsg_server.listen[0] != '\0' &&
			strcmp(v->setup_node.key_file, v->dmsg_server.key_file) == 0))
		return BAD(c, err, "setup_node", "", "key_file",
			"key_file is another role's: a set-up node needs a key of its own");
	return 0;
}

// The table checked all of them.
static uint32_t load_keys(const struct conf_array *from, struct key_pk *to)
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
	int rc = 0;

	lan->n_hypervisors = load_keys(&c->v->hypervisors, lan->hypervisors);
	lan->n_visors = load_keys(&c->v->visors, lan->visors);
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
	rc = cp_conf_worse(rc, check_published(c, err));
	rc = cp_conf_worse(rc, load_servers(c, err));
	rc = cp_conf_worse(rc, load_peer_servers(c, err));
	rc = cp_conf_worse(rc, check_setup_node(c, err));
	return cp_conf_worse(rc, load_lan(c, err));
}
