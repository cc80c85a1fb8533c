// Route ids of this node: reserved, released, taken exactly. On top of lib/base/idpool this file
// knows what must outlast a process: the node's secret and the number of its life, so that ids
// which a former life gave away are not given away again. One thread: the loop's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct route_id;

// secret: of the node, the same in each life. state_path: file that counts lives; NULL or one that
// can't be written: a random life. The table of ids is made by route_id_reset(). NULL and errno.
struct route_id *route_id_new(const uint8_t secret[32], const char *state_path);
void route_id_free(struct route_id *r); // NULL is allowed

// Begin a new life with 2^bits ids: all ids are free again, with fresh generations. 0 or -errno.
int route_id_reset(struct route_id *r, unsigned bits);

// A recount, when it got lost which ids went: from now on each id that is taken, reserved or found
// counts as held, and route_id_recount_end() releases all others: who reserved ids for rules that
// are not there yet takes them again meanwhile (the -EEXIST says so). Without a table: nothing
// happens. -ENOMEM.
int route_id_recount_begin(struct route_id *r);
void route_id_recount_end(struct route_id *r);
// The data plane has it, which is proof: another id of the same index is released for it. -EINVAL,
// -ENOTCONN as below.
int route_id_found(struct route_id *r, uint32_t id);

// A fresh id, 0 when all are taken (or there is no table yet).
uint32_t route_id_reserve(struct route_id *r);
// -EINVAL: 0; -EEXIST: its index is taken; -ENOTCONN: no table yet.
int route_id_take(struct route_id *r, uint32_t id);
int route_id_release(struct route_id *r, uint32_t id); // -ENOENT
bool route_id_is_live(const struct route_id *r, uint32_t id);
uint32_t route_id_n_live(const struct route_id *r);
unsigned route_id_bits(const struct route_id *r); // 0: no table yet
