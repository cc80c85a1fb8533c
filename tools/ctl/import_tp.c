// Transports of a visor's configuration: its table of addresses, those that it keeps up, where
// peers call for them. Each becomes a section of its own.
#include "tools/ctl/import_priv.h"

#include "lib/base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// A visor's ":7777" is any address of the host.
void import_take_stcp_listen(struct import *im, const json_t *v, const char *path)
{
	const char *text = json_string_value(v);
	char where[128];

	snprintf(where, sizeof(where), "%s%s", text[0] == ':' ? "[::]" : "", text);
	import_set(im, im->row->section, im->row->key, where, path);
}

void import_take_stcp(struct import *im, const json_t *v, const char *path)
{
	struct import_stcp s = {.address = json_string_value(v)};

	if (!import_read_pk(im, im->name, &s.pk, path))
		return;
	snprintf(s.path, sizeof(s.path), "%s", path);
	for (size_t i = 0; i < im->stcp.n; i++)
		if (key_pk_cmp(&im->stcp.v[i].pk, &s.pk) == 0) {
			import_note(
				im, IMPORT_LEFT, path, "another one has the same key and counts");
			return;
		}
	if (im->stcp.n == IMPORT_STCP_MAX)
		import_note(im, IMPORT_LEFT, path, "256 transports are the most");
	else if (vec_push(&im->stcp, s) < 0)
		import_no_memory(im);
}

void import_take_stcpr_port(struct import *im, const json_t *v, const char *path)
{
	im->stcpr_port = json_integer_value(v);
	snprintf(im->stcpr_path, sizeof(im->stcpr_path), "%s", path);
}

// ---- those that are kept up ----

void import_take_persistent_pk(struct import *im, const json_t *v, const char *path)
{
	import_read_pk(im, json_string_value(v), &im->persistent.pk, path);
}

void import_take_persistent_type(struct import *im, const json_t *v, const char *path)
{
	(void)path;
	im->persistent.type = json_string_value(v);
}

void import_end_persistent(struct import *im, const json_t *v, const char *path)
{
	struct import_tp t = im->persistent;

	memset(&im->persistent, 0, sizeof(im->persistent));
	snprintf(t.path, sizeof(t.path), "%s", path);
	if (import_is_missing(json_object_get(v, "pk")) ||
		import_is_missing(json_object_get(v, "type")))
		import_mistake(im, path, "needs pk and type");
	if (key_pk_is_null(&t.pk) || t.type == NULL)
		return; // it was told what is wrong with it
	for (size_t i = 0; i < im->persistents.n; i++)
		if (key_pk_cmp(&im->persistents.v[i].pk, &t.pk) == 0 &&
			strcmp(im->persistents.v[i].type, t.type) == 0)
			return;
	if (im->persistents.n == IMPORT_STCP_MAX)
		import_note(im, IMPORT_LEFT, path, "256 transports are the most");
	else if (vec_push(&im->persistents, t) < 0)
		import_no_memory(im);
}

// ---- when all is known ----

static bool is_own(struct import *im, const struct key_pk *pk, const char *path)
{
	if (key_pk_cmp(pk, &im->pk) != 0)
		return false;
	import_note(im, IMPORT_LEFT, path, "is the node's own key");
	return true;
}

// As the control plane decides whether it is one.
static bool is_dmsg_client(const struct import *im)
{
	return import_count(im, "server") > 0 || import_has(im, "dmsg", "discovery") ||
	       import_has(im, "lan_server", "enable") || import_count(im, "saved_lan_server") > 0;
}

static void finish_stcpr(struct import *im)
{
	char where[32];

	if (im->stcpr_port == 0) {
		// any port, for a visor: what asks for nothing elsewhere makes it reachable
		if (import_has(im, "transports", "address_resolver"))
			import_note(im, IMPORT_LEFT, "transport.stcpr_port",
				"0: nobody may call by stcpr; set [stcpr] listen");
		return;
	}
	snprintf(where, sizeof(where), "[::]:%" JSON_INTEGER_FORMAT, im->stcpr_port);
	if (import_has(im, "transports", "address_resolver"))
		import_set(im, "stcpr", "listen", where, im->stcpr_path);
	else
		import_note(im, IMPORT_LEFT, im->stcpr_path,
			"nobody finds it without an address resolver");
}

// A table of addresses becomes transports that are kept up.
static void finish_stcp(struct import *im)
{
	char section[CONF_NAME_MAX + 1], pk[KEY_PK_TEXT_LEN + 1];

	for (unsigned i = 0; i < im->stcp.n; i++) {
		const struct import_stcp *s = &im->stcp.v[i];

		if (is_own(im, &s->pk, s->path))
			continue;
		key_pk_to_text(&s->pk, pk);
		snprintf(section, sizeof(section), "transport stcp-%u", i + 1);
		import_set(im, section, "peer", pk, s->path);
		import_set(im, section, "type", "stcp", s->path);
		import_set(im, section, "address", s->address, s->path);
	}
}

// One of the table is kept up anyway.
static bool is_in_table(const struct import *im, const struct import_tp *t)
{
	for (size_t i = 0; strcmp(t->type, "stcp") == 0 && i < im->stcp.n; i++)
		if (key_pk_cmp(&im->stcp.v[i].pk, &t->pk) == 0)
			return true;
	return false;
}

static void finish_persistent(struct import *im)
{
	char section[CONF_NAME_MAX + 1], pk[KEY_PK_TEXT_LEN + 1];
	unsigned n = 0;

	for (size_t i = 0; i < im->persistents.n; i++) {
		const struct import_tp *t = &im->persistents.v[i];

		if (is_own(im, &t->pk, t->path) || is_in_table(im, t))
			continue;
		if (strcmp(t->type, "stcpr") != 0 && strcmp(t->type, "dmsg") != 0) {
			import_note(im, IMPORT_LATER, t->path, "of stcpr and dmsg transports only");
			continue;
		}
		if (strcmp(t->type, "dmsg") == 0 && !is_dmsg_client(im)) {
			import_note(im, IMPORT_LEFT, t->path,
				"goes over dmsg, and there is no way to it");
			continue;
		}
		key_pk_to_text(&t->pk, pk);
		snprintf(section, sizeof(section), "transport kept-%u", ++n);
		import_set(im, section, "peer", pk, t->path);
		import_set(im, section, "type", t->type, t->path);
	}
}

// Wherever a visor takes transports, it takes those of every key.
static void finish_peers(struct import *im)
{
	if (import_has(im, "stcp", "listen") || import_has(im, "stcpr", "listen") ||
		is_dmsg_client(im))
		import_set(im, "peers", "allow", "any", "[peers] allow");
}

void import_finish_transports(struct import *im)
{
	finish_stcpr(im);
	finish_stcp(im);
	finish_persistent(im);
	finish_peers(im);
}
