// Keys and discoveries of roles.
#include "controlplane/role.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"

LOG_MODULE("main");

struct identity *role_key(
	const char *section, const char *key_file, const struct identity *const *others, size_t n)
{
	char err[CONF_ERR_MAX] = "", text[KEY_PK_TEXT_LEN + 1];
	bool made = false;
	struct identity *id = identity_open(key_file, &made, err, sizeof(err));

	if (id == NULL) {
		log_err("[%s] key_file: %s", section, err);
		return NULL;
	}
	if (made)
		log_notice("file=%s new identity made", key_file);
	for (size_t i = 0; i < n; i++) {
		if (others[i] == NULL || key_pk_cmp(identity_pk(id), identity_pk(others[i])) != 0)
			continue;
		log_err("file=%s holds %s: this role needs a key of its own; set [%s] key_file to "
			"a new file",
			key_file, i == 0 ? "the node's key" : "the key of another role", section);
		identity_free(id);
		return NULL;
	}
	key_pk_to_text(identity_pk(id), text);
	log_notice("%s: key=%s", section, text);
	return id;
}

int role_keys(const struct cp_conf *c, const struct identity *node, struct identity **server,
	struct identity **setup)
{
	const struct cp_values *v = c->v;
	const struct identity *others[] = {node, NULL};
	struct cp_own own = {.node = identity_pk(node)};
	char err[CONF_ERR_MAX] = "";

	if (v->dmsg_server.listen[0] != '\0') {
		*server = role_key("dmsg_server", v->dmsg_server.key_file, others, 1);
		if (*server == NULL)
			return -1;
		own.server = identity_pk(*server);
	}
	others[1] = *server;
	if (v->setup_node.enable) {
		*setup = role_key("setup_node", v->setup_node.key_file, others, 2);
		if (*setup == NULL)
			return -1;
		own.setup = identity_pk(*setup);
	}
	if (cp_conf_check_own(c, &own, err) == 0)
		return 0;
	log_lines(LOG_ERR, err);
	return -1;
}

// NULL, and true: it is not there, or not for us to read.
static bool key_there(const char *section, const char *key_file, struct identity **id)
{
	char err[CONF_ERR_MAX] = "";
	bool made;

	*id = NULL;
	if (access(key_file, R_OK) < 0)
		return true;
	*id = identity_open(key_file, &made, err, sizeof(err));
	if (*id == NULL)
		log_err("[%s] key_file: %s", section, err);
	return *id != NULL;
}

static const struct key_pk *pk_of(const struct identity *id)
{
	return id != NULL ? identity_pk(id) : NULL;
}

int role_check(const struct cp_conf *c)
{
	const struct cp_values *v = c->v;
	struct identity *node = NULL, *server = NULL, *setup = NULL;
	bool ok = key_there("node", v->key_file, &node);
	char err[CONF_ERR_MAX] = "";
	struct cp_own own;

	if (v->dmsg_server.listen[0] != '\0')
		ok = key_there("dmsg_server", v->dmsg_server.key_file, &server) && ok;
	if (v->setup_node.enable)
		ok = key_there("setup_node", v->setup_node.key_file, &setup) && ok;
	own = (struct cp_own){.node = pk_of(node), .server = pk_of(server), .setup = pk_of(setup)};
	if (cp_conf_check_own(c, &own, err) < 0) {
		log_lines(LOG_ERR, err);
		ok = false;
	}
	identity_free(node);
	identity_free(server);
	identity_free(setup);
	return ok ? 0 : -1;
}

int role_http(struct loop *l, const char *ca_file, struct http_client **http)
{
	int err;

	if (*http == NULL)
		*http = http_client_new(l, ca_file);
	if (*http != NULL)
		return 0;
	err = errno;
	log_err("HTTP client: %s", strerror(err));
	return -err;
}

int role_dir(struct loop *l, const struct conf_list *urls, const char *ca_file,
	struct http_client **http, struct dir_client **dir)
{
	struct dir_client_conf c = {
		.loop = l, .urls = (const char *const *)urls->v, .n_urls = urls->n};
	int err;

	*dir = NULL;
	if (urls->n == 0)
		return 0;
	err = role_http(l, ca_file, http);
	if (err < 0)
		return err;
	c.http = *http;
	*dir = dir_client_new(&c);
	if (*dir != NULL)
		return 0;
	err = errno;
	log_err("dmsg discovery: %s", strerror(err));
	return -err;
}
