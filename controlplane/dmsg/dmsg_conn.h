// A client's streams by name: a conn that passes everything on, counts bytes, and stands in a list
// with its two ends for as long as its owner holds it. So ports are known to be in use, and people
// can be shown what there is. Loop's thread only.
#pragma once

#include "controlplane/core/conn.h"
#include "lib/crypto/key.h"

#include <stdbool.h>

struct dmsg_conn_list;

struct dmsg_conn_info {
	struct key_pk peer, server; // the far end, and who relays
	uint16_t port, peer_port;
	bool dialled; // by us
	uint64_t since_ns; // monotonic
	uint64_t rx_bytes, tx_bytes;
};

struct dmsg_conn_list *dmsg_conn_list_new(void); // NULL: no memory
// Conns in it live on. NULL is allowed.
void dmsg_conn_list_free(struct dmsg_conn_list *list);
uint32_t dmsg_conn_list_len(const struct dmsg_conn_list *list);
bool dmsg_conn_list_has_port(const struct dmsg_conn_list *list, uint16_t port);
void dmsg_conn_list_each(const struct dmsg_conn_list *list,
	void (*fn)(void *arg, const struct dmsg_conn_info *info), void *arg);

// Takes the conn below, which is open, and closes it also when this fails (NULL, ENOMEM). Its
// owner sets events with conn_set_events() before the loop's next turn.
struct conn *dmsg_conn_new(
	struct dmsg_conn_list *list, struct conn *take_below, const struct dmsg_conn_info *info);
