// This worker's rings to the control plane: packets and handshakes up, packets and datagrams down;
// and a pair with each of the carriers k for which k % n_workers is this worker. Copies both ways;
// whatever comes down is copied first, then checked, then used. In a turn it never rings a bell
// (lib/shm/region.h): the main lcore does, or the worker when it has nothing else to do.
#pragma once

#include "dataplane/hop/hop.h"
#include "dataplane/worker/wctx.h"
#include "lib/shm/region.h"

struct uplink;

enum {
	UPLINK_TURN_MAX = 64, // records down per turn, so that no ring starves the ports
	UPLINK_TURN_BYTES = 128 * 1024, // ditto; two super-packets, about 100 frames of parts
};

// [main] Worker i's ends of the rings in the region. NULL with errno set.
struct uplink *uplink_new(const struct region *region, unsigned i);
void uplink_free(struct uplink *u); // [main] the worker has stopped

// [worker] Copy a whole route packet (maybe a chain) up as UP_ROUTE or UP_CONTROL; the
// caller keeps the mbuf. false: no room.
bool uplink_route(
	struct wctx *w, enum dpmsg_type type, uint32_t id, uint32_t hop, const struct rte_mbuf *m);
// [worker] An init, response or cookie whose mac was checked. false: no room.
bool uplink_handshake(struct wctx *w, const struct dpmsg_addr *src, const struct dpmsg_addr *dst,
	uint16_t port, const uint8_t *bytes, uint32_t len);
// [worker] The message of a REKEY frame. false: no room.
bool uplink_rekey(struct wctx *w, uint32_t hop, const uint8_t *bytes, uint32_t len);

// [worker] Work off what the control plane sent, by each ring up to UPLINK_TURN_MAX records and
// about UPLINK_TURN_BYTES; returns how many.
unsigned uplink_down(struct wctx *w);
// [worker, in a stop] Packets of reliable hops go up by w no sooner than the control plane has read
// what `before` gave it until now: they may be of the same routes.
void uplink_fence(struct wctx *w, const struct wctx *before);
bool uplink_fenced(struct wctx *w); // [worker] not yet
// [worker] Packets that waited for room in the ring, and those of carried hops.
void uplink_sink(struct wctx *w);
// [worker] Make visible what went up in this turn.
void uplink_publish(struct wctx *w);

// [worker, with nothing to do] System calls, both of them. Tell the control plane, if it sleeps,
// that something lies in the rings up.
void uplink_bell(struct wctx *w);
// Sleep until something comes down, but no longer than ns; some 50 us if what lies in the ring down
// can't be worked off now.
void uplink_wait(struct wctx *w, uint64_t ns);
