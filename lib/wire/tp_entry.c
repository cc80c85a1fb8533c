// Entries of transports (skywire-routing 6.3, 6.5). The two edges may be one key: then it has the
// first place, as in Skywire, and the second stays empty.
#include "lib/wire/tp_entry.h"

#include <errno.h>
#include <string.h>

#include "lib/wire/json_text.h"

static bool is_word(const char *s, size_t max)
{
	for (; *s != '\0'; s++, max--)
		if (max == 0 || *s < ' ' || *s > '~' || strchr("\"\\<>&", *s) != NULL)
			return false;
	return true;
}

int tp_entry_make(struct tp_entry *e, const struct key_pk *a, const struct key_pk *b,
	const char *type, const char *label)
{
	bool a_low = key_pk_cmp(a, b) <= 0;

	memset(e, 0, sizeof(*e));
	if (!is_word(type, ENTRY_TYPE_MAX) || !is_word(label, TP_ENTRY_LABEL_LEN - 1))
		return -EINVAL;
	e->edge[0] = a_low ? *a : *b;
	e->edge[1] = a_low ? *b : *a;
	memcpy(e->type, type, strlen(type));
	memcpy(e->label, label, strlen(label));
	return entry_transport_id(e->id, a->b, b->b, type);
}

bool tp_entry_is_of(
	const struct tp_entry *e, const struct key_pk *a, const struct key_pk *b, const char *type)
{
	struct tp_entry want;

	return tp_entry_make(&want, a, b, type, "") == 0 &&
	       memcmp(want.id, e->id, sizeof(want.id)) == 0 &&
	       memcmp(want.edge, e->edge, sizeof(want.edge)) == 0 &&
	       strcmp(want.type, e->type) == 0;
}

// ---- signing ----

// Index of an edge, or -1.
static int edge_of(const struct tp_entry *e, const struct key_pk *pk)
{
	for (int i = 0; i < 2; i++)
		if (key_pk_cmp(&e->edge[i], pk) == 0)
			return i;
	return -1;
}

// What is signed has the id that edges and type make, whatever `id` says: tp_entry_is_of() tells.
int tp_entry_sign(struct tp_entry *e, const struct key_pk *pk, const struct key_sk *sk)
{
	uint8_t hash[ENTRY_HASH_LEN];
	int i = edge_of(e, pk);

	if (i < 0 || entry_hash(hash, e->edge[0].b, e->edge[1].b, e->type) < 0)
		return -EINVAL;
	return sign_hash(&e->sig[i], sk, hash);
}

int tp_entry_verify(const struct tp_entry *e, const struct key_pk *pk)
{
	uint8_t hash[ENTRY_HASH_LEN];
	int i = edge_of(e, pk);

	if (i < 0 || entry_hash(hash, e->edge[0].b, e->edge[1].b, e->type) < 0)
		return -EBADMSG;
	return sign_verify_hash(&e->sig[i], pk, hash);
}

// ---- writing ----

ssize_t tp_entry_write(const struct tp_entry *e, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);
	char id[ENTRY_ID_TEXT_LEN];

	entry_id_format(id, e->id);
	json_text_put(&t, "{\"entry\":{\"t_id\":\"%s\",\"edges\":[", id);
	json_text_pk(&t, &e->edge[0]);
	json_text_put(&t, ",");
	json_text_pk(&t, &e->edge[1]);
	json_text_put(&t, "],\"type\":");
	json_text_quote(&t, e->type);
	json_text_put(&t, ",\"label\":");
	json_text_quote(&t, e->label);
	json_text_put(&t, "},\"signatures\":[");
	json_text_sig(&t, &e->sig[0]);
	json_text_put(&t, ",");
	json_text_sig(&t, &e->sig[1]);
	json_text_put(&t, "]}");
	return json_text_done(&t);
}

// ---- reading ----

static bool take_entry(struct tp_entry *e, json_t *obj)
{
	const char *id = json_string_value(json_text_find(obj, "t_id"));
	json_t *edges = json_text_find(obj, "edges");

	if (id == NULL || entry_id_parse(e->id, id) < 0 || json_array_size(edges) != 2)
		return false;
	for (size_t i = 0; i < 2; i++)
		if (!json_text_take_pk(&e->edge[i], json_array_get(edges, i)))
			return false;
	return json_text_take(e->type, sizeof(e->type), json_text_find(obj, "type")) &&
	       json_text_take(e->label, sizeof(e->label), json_text_find(obj, "label")) &&
	       e->type[0] != '\0' && is_word(e->type, ENTRY_TYPE_MAX) &&
	       is_word(e->label, TP_ENTRY_LABEL_LEN - 1);
}

static bool take_sigs(struct tp_entry *e, const json_t *list)
{
	if (list == NULL || json_is_null(list))
		return true;
	if (json_array_size(list) != 2)
		return false;
	for (size_t i = 0; i < 2; i++)
		if (!json_text_take_sig(&e->sig[i], json_array_get(list, i)))
			return false;
	return true;
}

static int read_entry(struct tp_entry *e, json_t *entry, const json_t *sigs)
{
	memset(e, 0, sizeof(*e));
	if (take_entry(e, entry) && take_sigs(e, sigs))
		return 0;
	memset(e, 0, sizeof(*e));
	return -EBADMSG;
}

static json_t *load(const char *json, size_t len)
{
	return len <= TP_ENTRY_JSON_MAX ? json_loadb(json, len, 0, NULL) : NULL;
}

int tp_entry_read(struct tp_entry *e, const char *json, size_t len)
{
	json_t *root = load(json, len);
	int rc = read_entry(e, json_text_find(root, "entry"), json_text_find(root, "signatures"));

	json_decref(root);
	return rc;
}

int tp_entry_read_plain(struct tp_entry *e, const char *json, size_t len)
{
	json_t *root = load(json, len);
	int rc = read_entry(e, root, NULL);

	json_decref(root);
	return rc;
}

ssize_t tp_entry_read_list(
	struct tp_entry *e, size_t max, const char *json, size_t len, size_t *n_bad)
{
	json_t *root = json_loadb(json, len, JSON_DECODE_ANY, NULL);
	bool is_list = json_is_array(root) || json_is_null(root);
	size_t n = 0, bad = 0;

	for (size_t i = 0; i < json_array_size(root) && n < max; i++) {
		if (read_entry(&e[n], json_array_get(root, i), NULL) == 0)
			n++;
		else
			bad++;
	}
	json_decref(root);
	if (n_bad != NULL)
		*n_bad = bad;
	return is_list ? (ssize_t)n : -EBADMSG;
}
