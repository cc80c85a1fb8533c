// Carrier threads: each has a loop of its own, and moves the packets of its links between their
// connections and its rings to one worker (docs/design/transports-carried.md). It knows bytes and
// rings; who has to wait and when a link ends is decided on the main loop, and told by messages
// both ways. All calls here are the main loop's, and all events come there.
#pragma once

#include "controlplane/core/noise_conn.h"
#include "controlplane/transport/carried_link.h"
#include "lib/shm/region.h"

struct carriers;
struct carrier;
struct carrier_link;

// n threads, 1..DPMSG_MAX_CARRIERS, that have no rings yet. NULL and errno.
struct carriers *carriers_new(struct loop *l, unsigned n);
// Ends the links that there are, and the threads. NULL is allowed, here and below.
void carriers_free(struct carriers *cs);

// The rings of a data plane that has just been attached to, whose handles of hops have an index
// below hop_max; borrowed. A carrier that can't have them takes no links, and is tried again.
void carriers_attach(struct carriers *cs, const struct region *r, uint32_t hop_max);
// When this returns no carrier has rings any more, and somebody else may have them. Links that
// there are lose what they read, and are to be closed. Waits for the carriers.
void carriers_detach(struct carriers *cs);

// The one with rings that has the fewest links, then the fewest bytes. NULL: none.
struct carrier *carriers_pick(const struct carriers *cs);
// Packets that came up for links that had ended.
uint64_t carriers_late(const struct carriers *cs);
// Packets of links' own that came too often.
uint64_t carriers_flood(const struct carriers *cs);

uint8_t carrier_nr(const struct carrier *c); // as CMD_HOP_ADD has it: from 1 on
// A link whose hop is in the data plane with that carrier. Takes m in any case. Nothing is read
// before carrier_link_read(). Events as carried_link.h has them, without `packet`. NULL and errno.
struct carrier_link *carrier_take(struct carrier *c, uint32_t hop, struct noise_conn_moved *take_m,
	const struct carried_link_events *ev, void *arg);
void carrier_link_read(struct carrier_link *k, bool on);
void carrier_link_say(struct carrier_link *k, const uint8_t *p, size_t len);
// The data plane sends nothing up for a link that is blocked: until this is told the carrier may
// have to stop reading for all of its links.
void carrier_link_held(struct carrier_link *k);
// No event comes any more. NULL is allowed.
void carrier_link_close(struct carrier_link *k);
