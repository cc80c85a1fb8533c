// Transport set-up by net/rpc (skywire-routing 5.2): a node of the list asks another one for
// transports; both ends. Types are matched by field name, so messages of 2024 and 2026 are read
// alike. Bytes in, bytes out; no allocation.
#pragma once

#include "lib/crypto/key.h"
#include "lib/wire/netrpc.h"

#define TP_SETUP_SERVICE "TransportGateway"
#define TP_SETUP_ADD TP_SETUP_SERVICE ".AddTransport"
#define TP_SETUP_REMOVE TP_SETUP_SERVICE ".RemoveTransport"
#define TP_SETUP_LIST TP_SETUP_SERVICE ".GetTransports"

enum {
	TP_SETUP_PORT = 47, // dmsg, at each node
	TP_SETUP_ID_LEN = 16,
	TP_SETUP_TYPE_LEN = 16, // with the NUL
	TP_SETUP_MAX = 96, // transports of one list: so many fit into a message
	TP_SETUP_ASK_MAX = 512, // bytes of a call
	TP_SETUP_ANSWER_MAX = NETRPC_MSG_MAX, // bytes of an answer: a list
};

struct tp_setup_ask { // TransportRequest
	struct key_pk remote;
	char type[TP_SETUP_TYPE_LEN]; // "stcpr", ...: any text
};

struct tp_setup_tp { // TransportResponse
	uint8_t id[TP_SETUP_ID_LEN];
	struct key_pk local, remote;
	char type[TP_SETUP_TYPE_LEN];
};

// Bodies of calls and answers that netrpc_take() gave. -EBADMSG: another type, or values that
// cannot be: keys that are none, a type that is too long; -E2BIG: more transports than a list may
// have.
int tp_setup_ask_read(struct tp_setup_ask *ask, const struct netrpc_rx *rx);
int tp_setup_id_read(uint8_t id[TP_SETUP_ID_LEN], const struct netrpc_rx *rx);
int tp_setup_tp_read(struct tp_setup_tp *tp, const struct netrpc_rx *rx);
int tp_setup_removed_read(bool *v, const struct netrpc_rx *rx);
int tp_setup_list_read(
	struct tp_setup_tp list[TP_SETUP_MAX], uint32_t *n, const struct netrpc_rx *rx);

// Whole calls: at most TP_SETUP_ASK_MAX bytes. A connection carries no other service.
void tp_setup_put_add(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct tp_setup_ask *ask);
void tp_setup_put_remove(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const uint8_t id[TP_SETUP_ID_LEN]);
void tp_setup_put_list(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq);
// Whole answers, to each of the three.
void tp_setup_put_added(
	struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, const struct tp_setup_tp *tp);
void tp_setup_put_removed(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq, bool v);
void tp_setup_put_listed(struct netrpc_tx *tx, struct bytes_w *w, uint64_t seq,
	const struct tp_setup_tp *list, uint32_t n);
