// What sections about transports mean together: their types have different keys, and a peer has one
// transport of each type.
#include "controlplane/cp_conf_priv.h"

#include "lib/api/api_field.h"
#include "lib/base/err.h"

#include <stdio.h>
#include <string.h>

// Keys that only rails have, of a transport that is none: each is told.
static int check_of_rails(const struct cp_conf *c, const struct cp_transport_values *v, char *err)
{
	const struct {
		const char *key;
		bool given;
	} all[] = {{"interface", v->interface[0] != '\0'}, {"mode", v->mode != HOP_MODE_RELIABLE},
		{"cipher", v->cipher != 0}, {"congestion", v->congestion != HOP_CC_DEFAULT},
		{"path_mtu", v->path_mtu[0] != '\0'}, {"flows", v->flows != 0}};
	int rc = 0;

	for (size_t i = 0; v->type != TRANSPORT_RAIL && i < ARRAY_LEN(all); i++)
		if (all[i].given)
			rc = BAD(c, err, "transport", v->name, all[i].key,
				"%s is a key of rail transports only", all[i].key);
	return rc;
}

// Without a way to dmsg the node is no client, and never has the transport.
static int check_dmsg_way(const struct cp_conf *c, const struct cp_transport_values *v, char *err)
{
	if (v->type != TRANSPORT_DMSG || cp_conf_has_way_to_dmsg(c->v))
		return 0;
	return BAD(c, err, "transport", v->name, "type",
		"a dmsg transport goes by a dmsg server: add a [server NAME], or set [dmsg] "
		"discovery");
}

static int load_transport(const struct cp_conf *c, const struct cp_transport_values *v,
	struct transport_conf *t, char *err)
{
	static const uint8_t ciphers[] = {
		TRANSPORT_AUTO, TRANSPORT_CHACHA, TRANSPORT_AES, TRANSPORT_NONE};
	const char *wrong;
	struct api_addr a = {0};
	int rc;

	snprintf(t->name, sizeof(t->name), "%s", v->name); // rules that name it find it
	if (cp_conf_check_name(v->name) != NULL)
		return BAD(c, err, "transport", v->name, NULL, "%s", cp_conf_check_name(v->name));
	key_pk_from_text(&t->peer, v->peer, strlen(v->peer)); // the table checked it
	t->type = (uint8_t)v->type;
	rc = check_dmsg_way(c, v, err);
	if (check_of_rails(c, v, err) < 0)
		return -EINVAL;
	if (v->address[0] != '\0' && api_addr_parse(v->address, &a) < 0)
		return BAD(c, err, "transport", v->name, "address", "%s",
			cp_conf_check_addr(v->address));
	memcpy(t->addr.ip, a.ip, sizeof(t->addr.ip));
	t->addr.port = a.port;
	snprintf(t->scope_if, sizeof(t->scope_if), "%s", v->interface);
	t->mode = v->type == TRANSPORT_RAIL ? (uint8_t)v->mode : HOP_MODE_CARRIED;
	t->ciphers = ciphers[v->cipher];
	t->congestion = (uint8_t)v->congestion;
	t->path_mtu = cp_conf_path_mtu(v->path_mtu);
	t->flows = (uint8_t)v->flows;
	t->dial = v->dial && (a.port != 0 || !transport_type_has_address(v->type));
	t->origin = TRANSPORT_CONFIGURED;
	wrong = transport_addr_wrong(t);
	if (wrong != NULL)
		rc = BAD(c, err, "transport", v->name, "address", "%s", wrong);
	return rc;
}

// A peer has one transport of a type.
static int check_one_of_type(const struct cp_conf *c, size_t nr, char *err)
{
	const struct transport_conf *t = &c->transports[nr];

	for (size_t i = 0; i < nr && !key_pk_is_null(&t->peer); i++) {
		const struct transport_conf *o = &c->transports[i];

		if (o->type == t->type && key_pk_cmp(&o->peer, &t->peer) == 0)
			return BAD(c, err, "transport", t->name, "peer",
				"[transport %s] has the same peer", o->name);
	}
	return 0;
}

int cp_conf_load_transports(struct cp_conf *c, char *err)
{
	const struct cp_transport_values *v = c->v->transports.v;
	int rc = 0;

	for (size_t i = 0; i < c->v->transports.n; i++) {
		rc = cp_conf_worse(rc, load_transport(c, &v[i], &c->transports[i], err));
		c->n_transports++;
	}
	for (size_t i = 0; i < c->n_transports; i++)
		rc = cp_conf_worse(rc, check_one_of_type(c, i, err));
	return rc;
}

static struct dpmsg_addr address(const char *text)
{
	struct dpmsg_addr out = {.port = 0};
	struct api_addr a = {0};

	if (text[0] != '\0')
		(void)api_addr_parse(text, &a); // the table checked it
	memcpy(out.ip, a.ip, sizeof(a.ip));
	out.port = a.port;
	return out;
}

// One place would be taken when the second comes to it; [::] is IPv4, too.
static bool overlap(const struct dpmsg_addr *x, const struct dpmsg_addr *y)
{
	static const uint8_t any6[16], any4[16] = {[10] = 0xff, 0xff};

	if (x->port == 0 || x->port != y->port)
		return false;
	return memcmp(x->ip, y->ip, 16) == 0 || memcmp(x->ip, any6, 16) == 0 ||
	       memcmp(y->ip, any6, 16) == 0 ||
	       (memcmp(x->ip, any4, 12) == 0 && memcmp(y->ip, any4, 12) == 0 &&
		       (memcmp(x->ip, any4, 16) == 0 || memcmp(y->ip, any4, 16) == 0));
}

// All that listens by TCP.
static int check_listeners(const struct cp_conf *c, char *err)
{
	const struct {
		const char *section, *key;
		struct dpmsg_addr at;
	} all[] = {{"stcp", "listen", c->stcp_listen}, {"stcpr", "listen", c->stcpr_listen},
		{"dmsg_server", "listen", address(c->v->dmsg_server.listen)},
		{"lan_server", "port",
			{.port = c->v->lan_server.enable ? c->v->lan_server.port : 0}}};
	int rc = 0;

	for (size_t i = 1; i < ARRAY_LEN(all); i++)
		for (size_t k = 0; k < i; k++)
			if (overlap(&all[i].at, &all[k].at))
				rc = BAD(c, err, all[i].section, "", all[i].key,
					"port %u is that of [%s] in line %u, too", all[i].at.port,
					all[k].section,
					conf_line(c->file, all[k].section, "", all[k].key));
	return rc;
}

int cp_conf_load_listen(struct cp_conf *c, char *err)
{
	int rc = 0;

	c->stcp_listen = address(c->v->stcp_listen);
	c->stcpr_listen = address(c->v->stcpr_listen);
	if (c->stcpr_listen.port != 0 && c->v->services.address_resolver[0] == '\0')
		rc = BAD(c, err, "stcpr", "", "listen",
			"nobody finds it without an address resolver: [transports] "
			"address_resolver");
	return cp_conf_worse(rc, check_listeners(c, err));
}

int cp_conf_load_setup(struct cp_conf *c, char *err)
{
	const struct conf_array *nodes = &c->v->transport_setup;
	const struct cp_key_values *first = nodes->v;
	int rc = conf_same_before(c->file, err, "transport_setup", "key");

	cp_conf_load_keys(nodes, c->transport_setup);
	if (nodes->n > 0 && !cp_conf_has_way_to_dmsg(c->v))
		rc = cp_conf_worse(rc, BAD(c, err, "transport_setup", first->name, NULL,
					       "set-up nodes reach this node by dmsg: add a "
					       "[server NAME], or set [dmsg] discovery"));
	return rc;
}
