// Joins two conns: what comes from one goes to the other, no faster than that one takes it. Nothing
// is kept here; bytes wait in the conns. One that breaks may still give what came before: it ends
// the join by its `end`, and what the other sends it meanwhile is thrown away. A conn whose partner
// is not there yet can be held. Loop's thread only.
#pragma once

#include "controlplane/core/conn.h"

#include <stdbool.h>

struct conn_join;

// Called once, in an event of one of the conns, when both have been closed: err is 0, or what broke
// first; an end that had finished and takes no more has not broken. The join is freed after it.
typedef void (*conn_join_fn)(void *arg, int err);

enum conn_join_mode {
	CONN_JOIN_HALF_CLOSE, // an end of file is passed on; over when both have ended
	CONN_JOIN_CLOSE_BOTH, // over at the first end of file, as dmsg servers do (dmsg 5.3)
};

// Takes both conns, which are open, and closes them also when this fails (NULL and errno).
struct conn_join *conn_join_new(struct conn *take_a, struct conn *take_b, enum conn_join_mode mode,
	conn_join_fn done, void *arg);
// Bytes that b (a) has taken from a (b) so far.
void conn_join_bytes(const struct conn_join *j, uint64_t *a_to_b, uint64_t *b_to_a);
// Bytes that came for a (b) after it had finished: where streams carry no half (dmsg 5.3), they are
// lost.
void conn_join_late(const struct conn_join *j, uint64_t *for_a, uint64_t *for_b);
// Ends it early: no `done`. NULL is allowed.
void conn_join_close(struct conn_join *j);

// A conn that waits for its partner: nothing of it is read, what was written goes out. Open so that
// it can lie in its owner's struct; zeroed: it holds none.
struct conn_hold {
	struct conn *c;
	bool over; // it has ended
	int err; // why, then
};
void conn_hold(struct conn_hold *h, struct conn *take_conn);
// The conn, now the caller's; NULL: it has ended.
struct conn *conn_hold_take(struct conn_hold *h);
void conn_hold_close(struct conn_hold *h);
