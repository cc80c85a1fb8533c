// Discovery entries (dmsg 8.1). The writer is by hand, because order and form of every byte are
// signed; the reader is jansson. Go matches member names without regard to case, so we do; of two
// spellings of one name it takes the last, as we do.

#include "lib/wire/dmsg_entry.h"

#include "lib/base/err.h"
#include "lib/wire/json_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

// ---- writing ----

// A member after others, left out when it is empty.
static void put_word(struct json_text *t, const char *name, const char *s)
{
	if (*s == '\0')
		return;
	json_text_put(t, ",\"%s\":", name);
	json_text_quote(t, s);
}

static void put_client(struct json_text *t, const struct dmsg_entry *e)
{
	json_text_put(t, ",\"client\":{\"delegated_servers\":");
	if (e->servers_nil && e->n_servers == 0) {
		json_text_put(t, "null}");
		return;
	}
	for (uint32_t i = 0; i < e->n_servers; i++) {
		json_text_put(t, "%c", i == 0 ? '[' : ',');
		json_text_pk(t, &e->servers[i]);
	}
	json_text_put(t, e->n_servers == 0 ? "[]}" : "]}");
}

static void put_server(struct json_text *t, const struct dmsg_entry *e)
{
	json_text_put(t, ",\"server\":{\"address\":");
	json_text_quote(t, e->address);
	put_word(t, "address_v6", e->address_v6);
	put_word(t, "address_udp", e->address_udp);
	put_word(t, "address_udp_v6", e->address_udp_v6);
	put_word(t, "address_ws", e->address_ws);
	json_text_put(t, ",\"availableSessions\":%" PRId64, e->available_sessions);
	put_word(t, "serverType", e->server_type);
	if (e->dht_bootstrap)
		json_text_put(t, ",\"dht_bootstrap\":true");
	json_text_put(t, "}");
}

ssize_t dmsg_entry_write(const struct dmsg_entry *e, bool with_signature, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);

	if (e->n_servers > DMSG_ENTRY_SERVERS_MAX)
		return -EINVAL;
	json_text_put(&t, "{\"version\":");
	json_text_quote(&t, e->version);
	json_text_put(&t,
		",\"sequence\":%" PRIu64 ",\"timestamp\":%" PRId64 ",\"static\":", e->sequence,
		e->timestamp_ns);
	json_text_pk(&t, &e->pk);
	if (e->is_client)
		put_client(&t, e);
	put_word(&t, "client_type", e->client_type);
	if (e->is_server)
		put_server(&t, e);
	if (with_signature && e->has_signature) {
		json_text_put(&t, ",\"signature\":");
		json_text_sig(&t, &e->signature);
	}
	put_word(&t, "protocol", e->protocol);
	json_text_put(&t, "}");
	return json_text_done(&t);
}

// ---- reading ----

static bool take_servers(struct dmsg_entry *e, const json_t *v)
{
	size_t n = json_array_size(v);

	e->n_servers = 0;
	e->servers_nil = json_is_null(v);
	if (json_is_null(v))
		return true;
	if (!json_is_array(v) || n > DMSG_ENTRY_SERVERS_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!json_text_take_pk(&e->servers[i], json_array_get(v, i)))
			return false;
	e->n_servers = (uint32_t)n;
	return true;
}

static bool take_client(struct dmsg_entry *e, json_t *obj)
{
	const char *name;
	json_t *v;

	e->is_client = !json_is_null(obj);
	if (!e->is_client)
		return true;
	if (!json_is_object(obj))
		return false;
	e->servers_nil = true;
	json_object_foreach(obj, name, v)
	{
		if (strcasecmp(name, "delegated_servers") == 0 && !take_servers(e, v))
			return false;
	}
	return true;
}

enum kind {
	TEXT,
	INT,
	BOOL,
};

struct member {
	const char *name;
	enum kind kind;
	uint32_t ofs, cap;
};

#define AT(field) offsetof(struct dmsg_entry, field)

static const struct member server_members[] = {
	{"address", TEXT, AT(address), DMSG_ENTRY_ADDR_LEN},
	{"address_v6", TEXT, AT(address_v6), DMSG_ENTRY_ADDR_LEN},
	{"address_udp", TEXT, AT(address_udp), DMSG_ENTRY_ADDR_LEN},
	{"address_udp_v6", TEXT, AT(address_udp_v6), DMSG_ENTRY_ADDR_LEN},
	{"address_ws", TEXT, AT(address_ws), DMSG_ENTRY_ADDR_LEN},
	{"availableSessions", INT, AT(available_sessions), 0},
	{"serverType", TEXT, AT(server_type), DMSG_ENTRY_WORD_LEN},
	{"dht_bootstrap", BOOL, AT(dht_bootstrap), 0},
};

static const struct member entry_members[] = {
	{"version", TEXT, AT(version), DMSG_ENTRY_WORD_LEN},
	{"timestamp", INT, AT(timestamp_ns), 0},
	{"client_type", TEXT, AT(client_type), DMSG_ENTRY_WORD_LEN},
	{"protocol", TEXT, AT(protocol), DMSG_ENTRY_WORD_LEN},
};

// False when the value is of another type; *known tells whether the name is in the table.
static bool take_member(struct dmsg_entry *e, const struct member *m, size_t n, const char *name,
	const json_t *v, bool *known)
{
	*known = true;
	for (size_t i = 0; i < n; i++) {
		void *dst = (char *)e + m[i].ofs;

		if (strcasecmp(m[i].name, name) != 0)
			continue;
		switch (m[i].kind) {
		case TEXT:
			return json_text_take(dst, m[i].cap, v);
		case INT:
			return json_text_take_int(dst, v);
		default:
			return json_text_take_bool(dst, v);
		}
	}
	*known = false;
	return true;
}

static bool take_server(struct dmsg_entry *e, json_t *obj)
{
	const char *name;
	json_t *v;
	bool known;

	e->is_server = !json_is_null(obj);
	if (!e->is_server)
		return true;
	if (!json_is_object(obj))
		return false;
	json_object_foreach(obj, name, v)
	{
		if (!take_member(e, server_members, ARRAY_LEN(server_members), name, v, &known))
			return false;
	}
	return true;
}

static bool take_signature(struct dmsg_entry *e, const json_t *v)
{
	const char *s = json_string_value(v);

	if (json_is_null(v) || (s != NULL && *s == '\0'))
		return true;
	e->has_signature = json_text_take_sig(&e->signature, v);
	return e->has_signature;
}

static bool take_sequence(struct dmsg_entry *e, const json_t *v)
{
	int64_t n = 0;

	if (!json_text_take_int(&n, v) || n < 0)
		return false;
	e->sequence = (uint64_t)n;
	return true;
}

static bool take_entry_member(struct dmsg_entry *e, const char *name, json_t *v)
{
	bool known;

	if (!take_member(e, entry_members, ARRAY_LEN(entry_members), name, v, &known))
		return false;
	if (known)
		return true;
	if (strcasecmp(name, "sequence") == 0)
		return take_sequence(e, v);
	if (strcasecmp(name, "static") == 0)
		return json_text_take_pk(&e->pk, v);
	if (strcasecmp(name, "client") == 0)
		return take_client(e, v);
	if (strcasecmp(name, "server") == 0)
		return take_server(e, v);
	if (strcasecmp(name, "signature") == 0)
		return take_signature(e, v);
	return true; // unknown: dropped
}

static int take_entry(struct dmsg_entry *e, json_t *obj)
{
	const char *name;
	json_t *v;

	memset(e, 0, sizeof(*e));
	if (!json_is_object(obj))
		return -EBADMSG;
	json_object_foreach(obj, name, v)
	{
		if (!take_entry_member(e, name, v)) {
			memset(e, 0, sizeof(*e));
			return -EBADMSG;
		}
	}
	return 0;
}

int dmsg_entry_read(struct dmsg_entry *e, const char *json, size_t len)
{
	json_t *root = len <= DMSG_ENTRY_JSON_MAX ? json_loadb(json, len, 0, NULL) : NULL;
	int rc = take_entry(e, root);

	json_decref(root);
	return rc;
}

ssize_t dmsg_entry_read_list(
	struct dmsg_entry *e, size_t max, const char *json, size_t len, size_t *n_bad)
{
	json_t *root = json_loadb(json, len, 0, NULL);
	size_t n = 0, bad = 0;

	if (!json_is_array(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	for (size_t i = 0; i < json_array_size(root) && n < max; i++) {
		if (take_entry(&e[n], json_array_get(root, i)) == 0)
			n++;
		else
			bad++;
	}
	json_decref(root);
	if (n_bad != NULL)
		*n_bad = bad;
	return (ssize_t)n;
}

// ---- signing ----

int dmsg_entry_sign(struct dmsg_entry *e, const struct key_sk *sk)
{
	char text[DMSG_ENTRY_TEXT_MAX];
	struct key_pk pk;
	ssize_t len;
	int rc = key_pk_from_sk(&pk, sk);

	e->has_signature = false;
	if (rc < 0 || key_pk_cmp(&pk, &e->pk) != 0)
		return -EINVAL;
	len = dmsg_entry_write(e, false, text, sizeof(text));
	if (len < 0)
		return (int)len;
	rc = sign_payload(&e->signature, sk, text, (size_t)len);
	e->has_signature = rc == 0;
	return rc;
}

int dmsg_entry_verify(const struct dmsg_entry *e)
{
	char text[DMSG_ENTRY_TEXT_MAX];
	ssize_t len = dmsg_entry_write(e, false, text, sizeof(text));

	if (len < 0 || !e->has_signature)
		return -EBADMSG;
	return sign_verify(&e->signature, &e->pk, text, (size_t)len);
}
