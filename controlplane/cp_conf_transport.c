// What sections about transports mean together: their types have different keys, and a peer has one
// transport of each type.
#include "controlplane/cp_conf_priv.h"

#include "lib/api/api_field.h"

#include <stdio.h>
#include <string.h>

// The key of a transport that is no rail, and that only rails have. NULL: none is given.
static const char *of_rails(const struct cp_transport_values *v)
{
	if (v->type == TRANSPORT_RAIL)
		return NULL;
	if (v->interface[0] != '\0')
		return "interface";
	if (v->mode != HOP_MODE_RELIABLE)
		return "mode";
	if (v->cipher != 0)
		return "cipher";
	if (v->congestion != HOP_CC_DEFAULT)
		return "congestion";
	if (v->path_mtu[0] != '\0')
		return "path_mtu";
	return v->flows != 0 ? "flows" : NULL;
}

static int load_transport(const struct cp_conf *c, const struct cp_transport_values *v,
	struct transport_conf *t, char *err)
{
	static const uint8_t ciphers[] = {
		TRANSPORT_AUTO, TRANSPORT_CHACHA, TRANSPORT_AES, TRANSPORT_NONE};
	const char *wrong = of_rails(v);
	struct api_addr a = {0};

	snprintf(t->name, sizeof(t->name), "%s", v->name); // rules that name it find it
	if (cp_conf_check_name(v->name) != NULL)
		return BAD(c, err, "transport", v->name, NULL, "%s", cp_conf_check_name(v->name));
	key_pk_from_text(&t->peer, v->peer, strlen(v->peer)); // the table checked it
	t->type = (uint8_t)v->type;
	if (wrong != NULL)
		return BAD(c, err, "transport", v->name, wrong, "is of rail transports only");
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
	return wrong == NULL ? 0 : BAD(c, err, "transport", v->name, "address", "%s", wrong);
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

int cp_conf_load_listen(struct cp_conf *c, char *err)
{
	c->stcp_listen = address(c->v->stcp_listen);
	c->stcpr_listen = address(c->v->stcpr_listen);
	if (c->stcpr_listen.port == 0 || c->v->services.address_resolver[0] != '\0')
		return 0;
	return BAD(c, err, "stcpr", "", "listen",
		"nobody finds it without an address resolver: [transports] address_resolver");
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
