// Requests to route finders and their answers (skywire-routing 6.5). A path is only taken when it
// leads from one end to the other: whoever lays a route by it need not look again.
#include "lib/wire/finder_msg.h"

#include <errno.h>
#include <string.h>

#include "lib/wire/entry.h"
#include "lib/wire/json_text.h"

enum { PAIR_LEN = 2 * KEY_PK_TEXT_LEN + 2 }; // PK:PK, with the final NUL

static void put_pair(char out[PAIR_LEN], const struct key_pk *src, const struct key_pk *dst)
{
	key_pk_to_text(src, out);
	out[KEY_PK_TEXT_LEN] = ':';
	key_pk_to_text(dst, out + KEY_PK_TEXT_LEN + 1);
}

ssize_t finder_request_write(const struct finder_ask *ask, char *out, size_t cap)
{
	struct json_text t = json_text(out, cap);
	char there[PAIR_LEN], back[PAIR_LEN];

	put_pair(there, &ask->src, &ask->dst);
	put_pair(back, &ask->dst, &ask->src);
	json_text_put(&t, "{\"Edges\":[\"%s\",\"%s\"],\"Opts\":{\"MinHops\":%u,\"MaxHops\":%u}}",
		there, back, ask->min_hops, ask->max_hops);
	return json_text_done(&t);
}

// ---- the answer ----

static bool take_hop(struct setup_hop *hop, json_t *obj)
{
	const char *id = json_string_value(json_text_find(obj, "TpID"));

	return id != NULL && entry_id_parse(hop->tp_id, id) == 0 &&
	       json_text_take_pk(&hop->from, json_text_find(obj, "From")) &&
	       json_text_take_pk(&hop->to, json_text_find(obj, "To"));
}

static bool take_path(struct setup_path *p, const json_t *list, const struct key_pk *src,
	const struct key_pk *dst)
{
	size_t n = json_array_size(list);
	const struct key_pk *at = src;

	if (n == 0 || n > SETUP_HOPS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!take_hop(&p->hop[i], json_array_get(list, i)) ||
			key_pk_cmp(&p->hop[i].from, at) != 0)
			return false;
		at = &p->hop[i].to;
	}
	p->n = (uint32_t)n;
	return key_pk_cmp(at, dst) == 0;
}

// False: no list.
static bool take_paths(struct finder_paths *p, uint32_t *n_bad, json_t *root,
	const struct key_pk *src, const struct key_pk *dst)
{
	char pair[PAIR_LEN];
	const json_t *list;

	put_pair(pair, src, dst);
	list = json_text_find(root, pair);
	if (list == NULL || json_is_null(list))
		return true;
	for (size_t i = 0; i < json_array_size(list) && p->n < FINDER_PATHS_MAX; i++) {
		if (take_path(&p->path[p->n], json_array_get(list, i), src, dst))
			p->n++;
		else
			++*n_bad;
	}
	return json_is_array(list);
}

int finder_answer_read(
	struct finder_answer *a, const struct finder_ask *ask, const char *json, size_t len)
{
	json_t *root = len <= FINDER_JSON_MAX ? json_loadb(json, len, JSON_DECODE_ANY, NULL) : NULL;
	bool good;

	memset(a, 0, sizeof(*a));
	good = (json_is_object(root) || json_is_null(root)) &&
	       take_paths(&a->forward, &a->n_bad, root, &ask->src, &ask->dst) &&
	       take_paths(&a->reverse, &a->n_bad, root, &ask->dst, &ask->src);
	json_decref(root);
	return good ? 0 : -EBADMSG;
}
