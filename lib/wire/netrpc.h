// Go's net/rpc over gob, both directions of one connection (skywire-routing 5.4): who serves reads
// requests and writes responses, who calls the reverse. Bytes in, bytes out; no allocation.
//
//     request    = Request{ServiceMethod string, Seq uint} | argument
//     response   = Response{ServiceMethod string, Seq uint, Error string} | reply
//
// Each is a gob message, with descriptors before it the first time that a direction needs them. The
// reply of a call that failed is an empty struct.
#pragma once

#include "lib/wire/gob.h"

enum {
	NETRPC_MSG_MAX = 12288, // one message: a route of 100 hops
	NETRPC_TYPES_MAX = 8192, // bytes of all descriptors of a direction
	NETRPC_METHOD_MAX = 128, // with the NUL
	NETRPC_ERROR_MAX = 512, // with the NUL; longer ones are cut
};

// What arrives, zeroed at first. Owner: whoever holds the connection.
struct netrpc_rx {
	struct gob_types types;
	size_t types_len;
	size_t have; // bytes of msg
	bool has_head; // the next value is a body
	bool has_body; // msg is the body of a call that was returned
	uint64_t seq;
	char method[NETRPC_METHOD_MAX];
	char error[NETRPC_ERROR_MAX]; // of a response; "" when the call did not fail
	uint8_t types_buf[NETRPC_TYPES_MAX];
	uint8_t msg[NETRPC_MSG_MAX];
};

// Which descriptors left already, zeroed at first.
struct netrpc_tx {
	bool sent_request, sent_response, sent_empty;
	bool sent_lan; // of visor_msg.h
	bool sent_rules, sent_edge, sent_ids, sent_route; // of setup_msg.h
	bool sent_tp_ask, sent_tp_id, sent_tp, sent_tps, sent_result; // of tp_setup_msg.h
};

// Takes bytes up to the end of the next call, and returns their number. *ready: method, seq and
// error say what it is, and its body can be read until the next call of this. -EBADMSG: not
// net/rpc, or larger than the limits; the connection is of no more use.
ssize_t netrpc_take(struct netrpc_rx *rx, const uint8_t *p, size_t len, bool *ready);
// Has a call begun that is not whole yet?
bool netrpc_is_amid(const struct netrpc_rx *rx);
// The body, as gob_read_value does. -EBADMSG: it is of another type; the connection goes on.
int netrpc_body(const struct netrpc_rx *rx, const struct gob_field *as, void *out);

// Heads. The caller puts the argument or reply behind it, with its descriptors before it.
void netrpc_put_request(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq);
void netrpc_put_response(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq);
// A whole response that says why the call failed; the text is not empty.
void netrpc_put_error(struct netrpc_tx *tx, struct bytes_w *w, const char *method, uint64_t seq,
	const char *error);
// Descriptors, unless they were sent before: *sent is one of tx.
void netrpc_put_types(struct bytes_w *w, bool *sent, const uint8_t *types, size_t len);
void netrpc_put_bool(struct bytes_w *w, bool v);
// An empty struct, for nothing.
void netrpc_put_empty(struct netrpc_tx *tx, struct bytes_w *w);

// What a Go server with the one service answers to a method that it does not have, into `buf`.
const char *netrpc_no_method(const char *method, const char *service, char *buf, size_t len);
