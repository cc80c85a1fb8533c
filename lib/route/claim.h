// Route ids that set-up nodes hold at this node: who reserved each, until when, and whether a rule
// stands behind it. Time comes from the caller; ids are drawn and released by him (route_id). One
// thread.
//
//     claims_reserve --> RESERVED --claims_begin--> BUSY --claims_laid--> LAID
//                           | in time not used       | not installed        | the rule ended
//                           v                        v                      v
//                     claims_expire              claims_drop            claims_drop
//
// An id is begun once: whoever asks again for one that is BUSY or LAID is refused, so no two rules
// ever have one id.
#pragma once

#include "lib/crypto/key.h"

#include <stdbool.h>
#include <stddef.h>

enum claim_state { CLAIM_RESERVED, CLAIM_BUSY, CLAIM_LAID };

struct claim {
	uint32_t id;
	uint8_t state; // enum claim_state
	bool gone; // BUSY: its rule was there, and ended
	bool unwanted; // BUSY: to be taken away as soon as it is there
	struct key_pk by;
	uint64_t since_ns; // in this state
};

struct claims_limits {
	uint32_t reserved, reserved_of_key; // ids that may be RESERVED at once
	uint32_t rules, rules_of_key; // BUSY and LAID; with `reserved` they share `rules`
	uint64_t hold_ns; // how long an id is reserved
};

struct claims;

struct claims *claims_new(const struct claims_limits *limits); // NULL and errno
void claims_free(struct claims *c); // NULL is allowed
// As many rules as the table has room for, from now on.
void claims_set_rules(struct claims *c, uint32_t rules, uint32_t rules_of_key);

// Would n ids more of this key keep to the limits?
bool claims_has_room(const struct claims *c, const struct key_pk *by, uint32_t n);
// id is held by nobody. 0 or -ENOMEM.
int claims_reserve(struct claims *c, const struct key_pk *by, uint32_t id, uint64_t now_ns);
// All of them, or none: 0; -ENOENT: ids[*which] was not reserved by this key, or that is too long
// ago; -EEXIST: it has a rule, or is named twice; -EDQUOT: more rules than the limits.
int claims_begin(struct claims *c, const struct key_pk *by, const uint32_t *ids, size_t n,
	uint64_t now_ns, size_t *which);
void claims_laid(struct claims *c, uint32_t id, uint64_t now_ns); // was BUSY
void claims_drop(struct claims *c, uint32_t id); // no claim: nothing happens
struct claim *claims_find(struct claims *c, uint32_t id); // NULL: none

// Drops what is reserved for too long; fn for each. Returns when the next one is due, 0: none is.
uint64_t claims_expire(
	struct claims *c, uint64_t now_ns, void (*fn)(void *arg, uint32_t id), void *arg);
// In no order; fn may drop the claim that it is given.
void claims_each(struct claims *c, void (*fn)(void *arg, struct claim *claim), void *arg);
// Now: how many ids are reserved, and how many have rules, or get one.
uint32_t claims_n_reserved(const struct claims *c);
uint32_t claims_n_rules(const struct claims *c);
