// The rings of one carrier: packets of carried hops between its thread and one worker
// (lib/shm/dpmsg.h), with a mapping of its own, so that it needs nothing of the dp_client that it
// came from. One thread at a time. What comes up is not copied here: who takes it does that, and
// then checks it.
#pragma once

#include "lib/shm/dpmsg.h"
#include "lib/shm/region.h"

struct dp_lane;

enum {
	// Of a ring down, for carried packets: those who come behind it when a route has to wait
	// are no more than a worker can keep.
	DP_CARRIED_PART = 4,
};

// May a carried packet be written to that ring now?
bool dp_carried_has_room(struct ring_w *w);

// Lane k of an attached region, mapped. NULL and errno.
struct dp_lane *dp_lane_new(const struct region *r, unsigned k);
// Takes its rings as they are now, and before all that follows: another lane over them must not be
// used any more. 0 or -EPROTO.
int dp_lane_open(struct dp_lane *l);
void dp_lane_free(struct dp_lane *l); // NULL is allowed

// As dp_client_send_carried(); seen by the worker after dp_lane_publish(), if not sooner.
int dp_lane_send_carried(struct dp_lane *l, uint32_t hop, const void *packet, size_t len);
void dp_lane_publish(struct dp_lane *l);

// Notes what has come up so far. Whatever was told to this thread before the worker put it there
// can be heard from then on.
void dp_lane_look(struct dp_lane *l);
// A route packet for the peer of that hop, still in shared memory until return: the bytes may
// change, so copy, then check, then use. False: no more of them now.
typedef bool (*dp_lane_fn)(void *arg, uint32_t hop, const uint8_t *shm, size_t len);
// Up to max of those noted; how many there were. -EPROTO: the ring was broken; what was in it is
// lost.
int dp_lane_recv(struct dp_lane *l, unsigned max, dp_lane_fn fn, void *arg);

// A descriptor that gets readable when packets came for who sleeps; read it with dp_lane_awake().
int dp_lane_bell(const struct dp_lane *l);
// About to sleep. False: packets have come meanwhile.
bool dp_lane_sleeps(struct dp_lane *l);
void dp_lane_awake(struct dp_lane *l);
