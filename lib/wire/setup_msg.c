// Arguments and replies of route set-up. A descriptor travels as an array of 70 unsigned integers
// (not as bytes), a key and a transport id as values that encode themselves (BinaryMarshaler), a
// rule as bytes. Type ids are those that Go's own programs happen to use.

#include "lib/wire/setup_msg.h"

#include "lib/base/err.h"

#include <string.h>

// 67 RouteDescriptor, 73 EdgeRules, 75 []RouteID, 76 []Rule.
enum { ID_UINT = 3, ID_EDGE = 73, ID_IDS = 75, ID_RULES = 76 };

static const uint8_t edge_types[] = "\x39\xff\x91\x03\x01\x01\x09"
				    "EdgeRules\x01\xff\x92\x00\x01\x03\x01\x04"
				    "Desc\x01\xff\x86\x00\x01\x07"
				    "Forward\x01\x0a\x00\x01\x07"
				    "Reverse\x01\x0a\x00\x00\x00"
				    "\x20\xff\x85\x01\x01\x01\x0f"
				    "RouteDescriptor\x01\xff\x86\x00\x01\x06\x01\xff\x8c\x00\x00";
static const uint8_t ids_type[] = "\x0c\xff\x95\x02\x01\x02\xff\x96\x00\x01\x06\x00\x00";
static const uint8_t rules_type[] = "\x0c\xff\x97\x02\x01\x02\xff\x98\x00\x01\x0a\x00\x00";

// ---- reading ----

struct hop_in {
	struct gob_span tp_id, from, to;
};

static const struct gob_field hop_fields[] = {
	{"TpID", GOB_OPAQUE, offsetof(struct hop_in, tp_id), 0, NULL},
	{"From", GOB_OPAQUE, offsetof(struct hop_in, from), 0, NULL},
	{"To", GOB_OPAQUE, offsetof(struct hop_in, to), 0, NULL},
};
static const struct gob_struct hop_struct = {hop_fields, ARRAY_LEN(hop_fields)};

struct route_in {
	uint8_t desc[RULE_DESC_LEN];
	int64_t keep_alive_ns;
	struct gob_list forward, reverse;
};

static const struct gob_field route_fields[] = {
	{"Desc", GOB_OCTETS, offsetof(struct route_in, desc), RULE_DESC_LEN, NULL},
	{"KeepAlive", GOB_INT, offsetof(struct route_in, keep_alive_ns), 0, NULL},
	{"Forward", GOB_SLICE, offsetof(struct route_in, forward), 0, NULL},
	{"Reverse", GOB_SLICE, offsetof(struct route_in, reverse), 0, NULL},
};
static const struct gob_struct route_struct = {route_fields, ARRAY_LEN(route_fields)};

static bool take_key(struct key_pk *pk, struct gob_span s)
{
	if (s.len != KEY_PK_LEN)
		return false;
	memcpy(pk->b, s.p, KEY_PK_LEN);
	return key_pk_is_valid(pk);
}

static int read_path(struct setup_path *path, const struct netrpc_rx *rx, struct gob_list *list)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &hop_struct};

	if (list->n > SETUP_HOPS_MAX)
		return -E2BIG;
	for (;; path->n++) {
		struct hop_in in = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
		struct setup_hop *hop = &path->hop[path->n];
		int rc = gob_list_next(&rx->types, list, &as, &in);

		if (rc <= 0)
			return rc;
		if (in.tp_id.len != RULE_TP_ID_LEN || !take_key(&hop->from, in.from) ||
			!take_key(&hop->to, in.to))
			return -EBADMSG;
		memcpy(hop->tp_id, in.tp_id.p, RULE_TP_ID_LEN);
	}
}

int setup_route_read(struct setup_route *route, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &route_struct};
	struct route_in in = {.keep_alive_ns = 0};
	struct bytes_r r = bytes_r(in.desc, sizeof(in.desc));
	int rc;

	memset(route, 0, sizeof(*route));
	if (netrpc_body(rx, &as, &in) < 0)
		return -EBADMSG;
	rule_desc_read(&r, &route->desc);
	route->keep_alive_ns = in.keep_alive_ns;
	rc = read_path(&route->forward, rx, &in.forward);
	return rc < 0 ? rc : read_path(&route->reverse, rx, &in.reverse);
}

int setup_ids_read(uint32_t ids[SETUP_IDS_MAX], uint32_t *n, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_SLICE, 0, 0, NULL};
	static const struct gob_field number = {NULL, GOB_UINT, 0, UINT32_MAX, NULL};
	struct gob_list list = {NULL, 0, 0, 0};
	uint64_t v = 0;
	int rc;

	*n = 0;
	if (netrpc_body(rx, &as, &list) < 0)
		return -EBADMSG;
	if (list.n > SETUP_IDS_MAX)
		return -E2BIG;
	while ((rc = gob_list_next(&rx->types, &list, &number, &v)) > 0)
		ids[(*n)++] = (uint32_t)v;
	return rc;
}

int setup_bool_read(bool *v, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_BOOL, 0, 0, NULL};

	*v = false;
	return netrpc_body(rx, &as, v);
}

int setup_count_read(uint8_t *n, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_UINT, 0, UINT8_MAX, NULL};
	uint64_t v = 0;
	int rc = netrpc_body(rx, &as, &v);

	*n = (uint8_t)v;
	return rc;
}

int setup_rules_read(struct rule_wire rules[SETUP_IDS_MAX], uint32_t *n, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_SLICE, 0, 0, NULL};
	static const struct gob_field bytes = {NULL, GOB_BYTES, 0, 0, NULL};
	struct gob_list list = {NULL, 0, 0, 0};
	int rc;

	*n = 0;
	if (netrpc_body(rx, &as, &list) < 0)
		return -EBADMSG;
	if (list.n > SETUP_IDS_MAX)
		return -E2BIG;
	for (;; ++*n) {
		struct gob_span rule = {NULL, 0};

		rc = gob_list_next(&rx->types, &list, &bytes, &rule);
		if (rc <= 0)
			return rc;
		if (rule.p == NULL || rule_decode(rule.p, rule.len, &rules[*n]) < 0)
			return -EBADMSG;
	}
}

struct edge_in {
	uint8_t desc[RULE_DESC_LEN];
	struct gob_span forward, reverse;
};

static const struct gob_field edge_fields[] = {
	{"Desc", GOB_OCTETS, offsetof(struct edge_in, desc), RULE_DESC_LEN, NULL},
	{"Forward", GOB_BYTES, offsetof(struct edge_in, forward), 0, NULL},
	{"Reverse", GOB_BYTES, offsetof(struct edge_in, reverse), 0, NULL},
};
static const struct gob_struct edge_struct = {edge_fields, ARRAY_LEN(edge_fields)};

// The bytes of a rule of this kind, which have one length.
static bool take_rule(uint8_t *to, size_t len, enum rule_kind kind, struct gob_span s)
{
	struct rule_wire rule;

	if (s.p == NULL || rule_decode(s.p, s.len, &rule) < 0 || rule.kind != kind)
		return false;
	memcpy(to, s.p, len);
	return true;
}

int setup_edge_read(struct setup_edge *edge, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &edge_struct};
	struct edge_in in = {.forward = {NULL, 0}};
	struct bytes_r r = bytes_r(in.desc, sizeof(in.desc));

	memset(edge, 0, sizeof(*edge));
	if (netrpc_body(rx, &as, &in) < 0 ||
		!take_rule(edge->forward, RULE_FORWARD_LEN, RULE_KIND_FORWARD, in.forward) ||
		!take_rule(edge->consume, RULE_CONSUME_LEN, RULE_KIND_CONSUME, in.reverse))
		return -EBADMSG;
	rule_desc_read(&r, &edge->desc);
	return 0;
}

bool setup_edge_rules(
	const struct setup_edge *edge, struct rule_wire *forward, struct rule_wire *consume)
{
	return rule_decode(edge->forward, sizeof(edge->forward), forward) > 0 &&
	       rule_decode(edge->consume, sizeof(edge->consume), consume) > 0 &&
	       forward->kind == RULE_KIND_FORWARD && consume->kind == RULE_KIND_CONSUME;
}

bool setup_edge_is_one(const struct setup_edge *edge, const struct rule_wire *forward,
	const struct rule_wire *consume)
{
	struct rule_desc back;

	rule_desc_invert(&back, &edge->desc);
	return rule_desc_equal(&forward->desc, &back) &&
	       rule_desc_equal(&consume->desc, &edge->desc);
}

bool setup_edge_is_of(const struct setup_edge *edge, const struct rule_desc *desc,
	const uint8_t tp_id[RULE_TP_ID_LEN], int64_t keep_alive_ns, struct rule_wire rules[2])
{
	return rule_desc_equal(&edge->desc, desc) && setup_edge_rules(edge, &rules[0], &rules[1]) &&
	       setup_edge_is_one(edge, &rules[0], &rules[1]) &&
	       rules[0].keep_alive_ns == keep_alive_ns && rules[1].keep_alive_ns == keep_alive_ns &&
	       memcmp(rules[0].next_tp, tp_id, RULE_TP_ID_LEN) == 0;
}

// ---- writing ----

// Before a value that is no struct.
static void put_plain(struct bytes_w *m, int64_t id)
{
	gob_put_int(m, id);
	gob_put_uint(m, 0);
}

void setup_put_reserve(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, uint8_t n)
{
	uint8_t msg[8];
	struct bytes_w m = bytes_w(msg, sizeof(msg));

	netrpc_put_request(tx, w, SETUP_RESERVE, seq);
	put_plain(&m, ID_UINT);
	gob_put_uint(&m, n);
	gob_put_message(w, &m);
}

void setup_put_intermediary(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint8_t *rules, uint32_t n)
{
	uint8_t msg[SETUP_IDS_MAX * (RULE_INTERMEDIARY_LEN + 1) + 16];
	struct bytes_w m = bytes_w(msg, sizeof(msg));

	netrpc_put_request(tx, w, SETUP_INTERMEDIARY, seq);
	netrpc_put_types(w, &tx->sent_rules, rules_type, sizeof(rules_type) - 1);
	put_plain(&m, ID_RULES);
	gob_put_uint(&m, n);
	for (uint32_t i = 0; i < n; i++)
		gob_put_bytes(&m, rules + (size_t)i * RULE_INTERMEDIARY_LEN, RULE_INTERMEDIARY_LEN);
	gob_put_message(w, &m);
}

static void put_ids(struct netrpc_tx *tx, struct bytes_w *w, const uint32_t *ids, uint32_t n)
{
	uint8_t msg[SETUP_IDS_MAX * 5 + 16];
	struct bytes_w m = bytes_w(msg, sizeof(msg));

	netrpc_put_types(w, &tx->sent_ids, ids_type, sizeof(ids_type) - 1);
	put_plain(&m, ID_IDS);
	gob_put_uint(&m, n);
	for (uint32_t i = 0; i < n; i++)
		gob_put_uint(&m, ids[i]);
	gob_put_message(w, &m);
}

void setup_put_delete(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint32_t *ids, uint32_t n)
{
	netrpc_put_request(tx, w, SETUP_DELETE, seq);
	put_ids(tx, w, ids, n);
}

static void put_edge(struct netrpc_tx *tx, struct bytes_w *w, const struct setup_edge *edge)
{
	uint8_t msg[2 * RULE_DESC_LEN + RULE_FORWARD_LEN + RULE_CONSUME_LEN + 32];
	uint8_t bytes[RULE_DESC_LEN];
	struct bytes_w m = bytes_w(msg, sizeof(msg)), desc = bytes_w(bytes, sizeof(bytes));
	unsigned last = 0;

	rule_desc_write(&desc, &edge->desc);
	netrpc_put_types(w, &tx->sent_edge, edge_types, sizeof(edge_types) - 1);
	gob_put_int(&m, ID_EDGE);
	gob_put_field(&m, &last, 1);
	gob_put_octets(&m, bytes, sizeof(bytes));
	gob_put_bytes_field(&m, &last, 2, edge->forward, sizeof(edge->forward));
	gob_put_bytes_field(&m, &last, 3, edge->consume, sizeof(edge->consume));
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}

void setup_put_edge(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_edge *edge)
{
	netrpc_put_request(tx, w, SETUP_EDGE, seq);
	put_edge(tx, w, edge);
}

void setup_put_dialled(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_edge *edge)
{
	netrpc_put_response(tx, w, SETUP_DIAL, seq);
	put_edge(tx, w, edge);
}

void setup_put_reserved(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint32_t *ids, uint32_t n)
{
	netrpc_put_response(tx, w, SETUP_RESERVE, seq);
	put_ids(tx, w, ids, n);
}

void setup_put_bool(
	struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq, bool v)
{
	netrpc_put_response(tx, w, method, seq);
	netrpc_put_bool(w, v);
}
