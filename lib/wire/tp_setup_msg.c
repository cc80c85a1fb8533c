// Arguments and replies of transport set-up. Keys and ids travel as values that encode themselves
// (BinaryMarshaler), a type of transport as a text. Type ids are those that Go's own programs may
// use, and not those of setup_msg.c: a connection has one service.
#include "lib/wire/tp_setup_msg.h"

#include "lib/base/err.h"

#include <string.h>

// 67 PubKey, 69 UUID.
enum { ID_ASK = 66, ID_TP = 68, ID_UUID_ASK = 70, ID_RESULT = 71, ID_LIST = 73 };

#define PK_TYPE                                                                                    \
	"\x12\xff\x85\x06\x01\x01\x06"                                                             \
	"PubKey\x01\xff\x86\x00\x00\x00"
#define UUID_TYPE                                                                                  \
	"\x10\xff\x89\x06\x01\x01\x04"                                                             \
	"UUID\x01\xff\x8a\x00\x00\x00"

static const uint8_t ask_types[] = "\x35\xff\x83\x03\x01\x01\x10"
				   "TransportRequest\x01\xff\x84\x00\x01\x02\x01\x08"
				   "RemotePK\x01\xff\x86\x00\x01\x04"
				   "Type\x01\x0c\x00\x00\x00" PK_TYPE;
static const uint8_t id_types[] = "\x21\xff\x8b\x03\x01\x01\x0b"
				  "UUIDRequest\x01\xff\x8c\x00\x01\x01\x01\x02"
				  "ID\x01\xff\x8a\x00\x00\x00" UUID_TYPE;
static const uint8_t tp_types[] = "\x47\xff\x87\x03\x01\x01\x11"
				  "TransportResponse\x01\xff\x88\x00\x01\x04\x01\x02"
				  "ID\x01\xff\x8a\x00\x01\x05"
				  "Local\x01\xff\x86\x00\x01\x06"
				  "Remote\x01\xff\x86\x00\x01\x04"
				  "Type\x01\x0c\x00\x00\x00" UUID_TYPE PK_TYPE;
static const uint8_t result_type[] = "\x25\xff\x8d\x03\x01\x01\x0c"
				     "BoolResponse\x01\xff\x8e\x00\x01\x01\x01\x06"
				     "Result\x01\x02\x00\x00\x00";
static const uint8_t list_type[] = "\x0d\xff\x91\x02\x01\x02\xff\x92\x00\x01\xff\x88\x00\x00";

// ---- reading ----

struct tp_in {
	struct gob_span id, local, remote, type;
};

static const struct gob_field ask_fields[] = {
	{"RemotePK", GOB_OPAQUE, offsetof(struct tp_in, remote), 0, NULL},
	{"Type", GOB_STRING, offsetof(struct tp_in, type), 0, NULL},
};
static const struct gob_struct ask_struct = {ask_fields, ARRAY_LEN(ask_fields)};

static const struct gob_field tp_fields[] = {
	{"ID", GOB_OPAQUE, offsetof(struct tp_in, id), 0, NULL},
	{"Local", GOB_OPAQUE, offsetof(struct tp_in, local), 0, NULL},
	{"Remote", GOB_OPAQUE, offsetof(struct tp_in, remote), 0, NULL},
	{"Type", GOB_STRING, offsetof(struct tp_in, type), 0, NULL},
};
static const struct gob_struct tp_struct = {tp_fields, ARRAY_LEN(tp_fields)};
static const struct gob_struct id_struct = {tp_fields, 1};

static bool take_key(struct key_pk *pk, struct gob_span s)
{
	if (s.len != KEY_PK_LEN)
		return false;
	memcpy(pk->b, s.p, KEY_PK_LEN);
	return key_pk_is_valid(pk);
}

static bool take_id(uint8_t id[TP_SETUP_ID_LEN], struct gob_span s)
{
	if (s.len != TP_SETUP_ID_LEN)
		return false;
	memcpy(id, s.p, TP_SETUP_ID_LEN);
	return true;
}

// Printed and compared as it is: nothing but letters, digits and the like.
static bool take_type(char type[TP_SETUP_TYPE_LEN], struct gob_span s)
{
	if (s.len >= TP_SETUP_TYPE_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
		type[i] = (char)s.p[i];
	}
	type[s.len] = '\0';
	return true;
}

int tp_setup_ask_read(struct tp_setup_ask *ask, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &ask_struct};
	struct tp_in in = {.type = {NULL, 0}};

	memset(ask, 0, sizeof(*ask));
	if (netrpc_body(rx, &as, &in) < 0 || !take_key(&ask->remote, in.remote) ||
		!take_type(ask->type, in.type))
		return -EBADMSG;
	return 0;
}

int tp_setup_id_read(uint8_t id[TP_SETUP_ID_LEN], const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &id_struct};
	struct tp_in in = {.type = {NULL, 0}};

	return netrpc_body(rx, &as, &in) < 0 || !take_id(id, in.id) ? -EBADMSG : 0;
}

static int take_tp(struct tp_setup_tp *tp, const struct tp_in *in)
{
	memset(tp, 0, sizeof(*tp));
	return take_id(tp->id, in->id) && take_key(&tp->local, in->local) &&
			       take_key(&tp->remote, in->remote) && take_type(tp->type, in->type)
		       ? 0
		       : -EBADMSG;
}

int tp_setup_tp_read(struct tp_setup_tp *tp, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &tp_struct};
	struct tp_in in = {.type = {NULL, 0}};

	return netrpc_body(rx, &as, &in) < 0 ? -EBADMSG : take_tp(tp, &in);
}

int tp_setup_removed_read(bool *v, const struct netrpc_rx *rx)
{
	static const struct gob_field field = {"Result", GOB_BOOL, 0, 0, NULL};
	static const struct gob_struct result = {&field, 1};
	static const struct gob_field as = {NULL, GOB_STRUCT, 0, 0, &result};

	*v = false;
	return netrpc_body(rx, &as, v);
}

int tp_setup_list_read(
	struct tp_setup_tp list[TP_SETUP_MAX], uint32_t *n, const struct netrpc_rx *rx)
{
	static const struct gob_field as = {NULL, GOB_SLICE, 0, 0, NULL};
	static const struct gob_field elem = {NULL, GOB_STRUCT, 0, 0, &tp_struct};
	struct gob_list of = {NULL, 0, 0, 0};

	*n = 0;
	if (netrpc_body(rx, &as, &of) < 0)
		return -EBADMSG;
	if (of.n > TP_SETUP_MAX)
		return -E2BIG;
	for (;; ++*n) {
		struct tp_in in = {.type = {NULL, 0}};
		int rc = gob_list_next(&rx->types, &of, &elem, &in);

		if (rc <= 0)
			return rc;
		if (take_tp(&list[*n], &in) < 0)
			return -EBADMSG;
	}
}

// ---- writing ----

void tp_setup_put_add(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct tp_setup_ask *ask)
{
	uint8_t msg[64];
	struct bytes_w m = bytes_w(msg, sizeof(msg));
	unsigned last = 0;

	netrpc_put_request(tx, w, TP_SETUP_ADD, seq);
	netrpc_put_types(w, &tx->sent_tp_ask, ask_types, sizeof(ask_types) - 1);
	gob_put_int(&m, ID_ASK);
	gob_put_bytes_field(&m, &last, 1, ask->remote.b, KEY_PK_LEN);
	gob_put_bytes_field(&m, &last, 2, ask->type, strlen(ask->type));
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}

void tp_setup_put_remove(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint8_t id[TP_SETUP_ID_LEN])
{
	uint8_t msg[32];
	struct bytes_w m = bytes_w(msg, sizeof(msg));
	unsigned last = 0;

	netrpc_put_request(tx, w, TP_SETUP_REMOVE, seq);
	netrpc_put_types(w, &tx->sent_tp_id, id_types, sizeof(id_types) - 1);
	gob_put_int(&m, ID_UUID_ASK);
	gob_put_bytes_field(&m, &last, 1, id, TP_SETUP_ID_LEN);
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}

void tp_setup_put_list(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq)
{
	netrpc_put_request(tx, w, TP_SETUP_LIST, seq);
	netrpc_put_empty(tx, w);
}

static void put_tp(struct bytes_w *m, const struct tp_setup_tp *tp)
{
	unsigned last = 0;

	gob_put_bytes_field(m, &last, 1, tp->id, sizeof(tp->id));
	gob_put_bytes_field(m, &last, 2, tp->local.b, KEY_PK_LEN);
	gob_put_bytes_field(m, &last, 3, tp->remote.b, KEY_PK_LEN);
	gob_put_bytes_field(m, &last, 4, tp->type, strlen(tp->type));
	gob_put_uint(m, 0);
}

void tp_setup_put_added(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct tp_setup_tp *tp)
{
	uint8_t msg[128];
	struct bytes_w m = bytes_w(msg, sizeof(msg));

	netrpc_put_response(tx, w, TP_SETUP_ADD, seq);
	netrpc_put_types(w, &tx->sent_tp, tp_types, sizeof(tp_types) - 1);
	gob_put_int(&m, ID_TP);
	put_tp(&m, tp);
	gob_put_message(w, &m);
}

void tp_setup_put_removed(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, bool v)
{
	uint8_t msg[8];
	struct bytes_w m = bytes_w(msg, sizeof(msg));
	unsigned last = 0;

	netrpc_put_response(tx, w, TP_SETUP_REMOVE, seq);
	netrpc_put_types(w, &tx->sent_result, result_type, sizeof(result_type) - 1);
	gob_put_int(&m, ID_RESULT);
	if (v) {
		gob_put_field(&m, &last, 1);
		gob_put_uint(&m, 1);
	}
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}

void tp_setup_put_listed(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq,
	const struct tp_setup_tp *list, uint32_t n)
{
	uint8_t msg[TP_SETUP_ANSWER_MAX];
	struct bytes_w m = bytes_w(msg, sizeof(msg));

	netrpc_put_response(tx, w, TP_SETUP_LIST, seq);
	netrpc_put_types(w, &tx->sent_tps, list_type, sizeof(list_type) - 1);
	netrpc_put_types(w, &tx->sent_tp, tp_types, sizeof(tp_types) - 1);
	gob_put_int(&m, ID_LIST);
	gob_put_uint(&m, 0);
	gob_put_uint(&m, n);
	for (uint32_t i = 0; i < n; i++)
		put_tp(&m, &list[i]);
	gob_put_message(w, &m);
}
