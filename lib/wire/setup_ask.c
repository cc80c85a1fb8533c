// What an initiator sends to a set-up node: BidirectionalRoute, the largest of the messages. Type
// ids are those that Go's own programs happen to use, as in setup_msg.c.
#include "lib/wire/setup_msg.h"

#include "lib/base/err.h"

enum { ID_ROUTE = 66 };

static const uint8_t route_types[] = "\x52\xff\x83\x03\x01\x01\x12"
				     "BidirectionalRoute\x01\xff\x84\x00\x01\x04\x01\x04"
				     "Desc\x01\xff\x86\x00\x01\x09"
				     "KeepAlive\x01\x04\x00\x01\x07"
				     "Forward\x01\xff\x8e\x00\x01\x07"
				     "Reverse\x01\xff\x8e\x00\x00\x00"
				     "\x20\xff\x85\x01\x01\x01\x0f"
				     "RouteDescriptor\x01\xff\x86\x00\x01\x06\x01\xff\x8c\x00\x00"
				     "\x1c\xff\x8d\x02\x01\x01\x0d"
				     "[]routing.Hop\x01\xff\x8e\x00\x01\xff\x88\x00\x00"
				     "\x2d\xff\x87\x03\x01\x01\x03"
				     "Hop\x01\xff\x88\x00\x01\x03\x01\x04"
				     "TpID\x01\xff\x8a\x00\x01\x04"
				     "From\x01\xff\x8c\x00\x01\x02"
				     "To\x01\xff\x8c\x00\x00\x00"
				     "\x10\xff\x89\x06\x01\x01\x04"
				     "UUID\x01\xff\x8a\x00\x00\x00"
				     "\x12\xff\x8b\x06\x01\x01\x06"
				     "PubKey\x01\xff\x8c\x00\x00\x00";

static void put_hop(struct bytes_w *w, const struct setup_hop *hop)
{
	unsigned last = 0;

	gob_put_bytes_field(w, &last, 1, hop->tp_id, sizeof(hop->tp_id));
	gob_put_bytes_field(w, &last, 2, hop->from.b, KEY_PK_LEN);
	gob_put_bytes_field(w, &last, 3, hop->to.b, KEY_PK_LEN);
	gob_put_uint(w, 0);
}

static void put_path(
	struct bytes_w *w, unsigned *last, unsigned number, const struct setup_path *path)
{
	if (path->n == 0)
		return;
	gob_put_field(w, last, number);
	gob_put_uint(w, path->n);
	for (uint32_t i = 0; i < path->n; i++)
		put_hop(w, &path->hop[i]);
}

void setup_put_dial(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct setup_route *route)
{
	uint8_t msg[NETRPC_MSG_MAX], bytes[RULE_DESC_LEN];
	struct bytes_w m = bytes_w(msg, sizeof(msg)), desc = bytes_w(bytes, sizeof(bytes));
	unsigned last = 0;

	netrpc_put_request(tx, w, SETUP_DIAL, seq);
	netrpc_put_types(w, &tx->sent_route, route_types, sizeof(route_types) - 1);
	rule_desc_write(&desc, &route->desc);
	gob_put_int(&m, ID_ROUTE);
	gob_put_field(&m, &last, 1);
	gob_put_octets(&m, bytes, sizeof(bytes));
	if (route->keep_alive_ns != 0) {
		gob_put_field(&m, &last, 2);
		gob_put_int(&m, route->keep_alive_ns);
	}
	put_path(&m, &last, 3, &route->forward);
	put_path(&m, &last, 4, &route->reverse);
	gob_put_uint(&m, 0);
	gob_put_message(w, &m);
}
