// The rules that shall outlive a data plane: those of the configuration and the static ones. What
// is *wanted* is here, what is installed is the data plane's. Each names its transports by name,
// since a transport that is made again has other handles. Found by index of its id in O(1); 40
// bytes a rule, and 4 bytes an index once there is any. One thread: the loop's.
#pragma once

#include "lib/shm/dpmsg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rule_keep;

enum rule_keep_origin { RULE_KEEP_CONFIG, RULE_KEEP_API, RULE_KEEP_ADOPTED };

// Open: a plain value.
struct rule_kept {
	uint32_t id;
	uint32_t next_id;
	uint32_t keep_alive_ms;
	uint32_t tx_hop; // handle it was installed with; 0 = none
	uint32_t in_tp; // RULE_IN_*, or the handle it was installed with
	uint16_t tx_name; // interned; 0 = none
	uint16_t in_name; // ditto: names the ingress transport
	uint8_t type; // enum dpmsg_rule_type
	uint8_t flags; // RULE_STATIC
	uint8_t origin; // enum rule_keep_origin
	bool seen; // the data plane has it, just as it is here
	bool busy; // a command about it is under way
	bool again; // it goes from the data plane to come back changed
	bool due; // `again`, and the command for it is not made yet
	bool unwanted; // the configuration has it no more: it goes for good
	bool spent; // expired or closed: not again before a new data plane
	bool marked; // by rule_mgr_config()
};

// bits: log2 of the rule table's size. NULL and errno.
struct rule_keep *rule_keep_new(unsigned bits);
void rule_keep_free(struct rule_keep *k); // NULL is allowed

// The kept rule with this id or NULL; valid until the next put or drop.
struct rule_kept *rule_keep_find(struct rule_keep *k, uint32_t id);
// The kept rule in the slot that this id has, whoever it is, or NULL; valid as above.
const struct rule_kept *rule_keep_same_slot(const struct rule_keep *k, uint32_t id);
// Add or replace. NULL and errno (ENOMEM; EEXIST: its index is another rule's).
struct rule_kept *rule_keep_put(struct rule_keep *k, const struct rule_kept *r);
void rule_keep_drop(struct rule_keep *k, uint32_t id);
size_t rule_keep_count(const struct rule_keep *k);
struct rule_kept *rule_keep_at(struct rule_keep *k, size_t i);

// Names of transports: number of a name (0 when out of memory or for ""), and back ("" for 0).
uint16_t rule_keep_intern(struct rule_keep *k, const char *name);
uint16_t rule_keep_number(const struct rule_keep *k, const char *name); // 0: no rule ever had it
const char *rule_keep_name(const struct rule_keep *k, uint16_t n);
