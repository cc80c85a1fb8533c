// The connection of a carried transport as bytes: route packets out of what it brings, and into it
// (docs/design/transports-carried.md). It knows no peers, rules or times: who has to wait, what is
// answered and when it ends is its owner's business. The links of one loop are a set. Loop's thread
// only.
#pragma once

#include "controlplane/core/conn.h"
#include "controlplane/core/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	// Of a link in a turn of the loop, between two looks at what the data plane says: a single
	// read may bring thousands of small ones, far more than a worker keeps for a slow route.
	CARRIED_LINK_TURN = 512,
	// Packets with route id 0: so many at once, then so many a second; more are dropped. Each
	// is looked at on the main loop, and a peer that means well sends a few a minute.
	CARRIED_LINK_CONTROL_BURST = 128,
	CARRIED_LINK_CONTROL_PER_S = 32,
	CARRIED_LINK_OUT_KEEP = 64 * 1024, // of memory, when all is written
	CARRIED_LINK_OUT_MAX = 64 << 20, // bytes for a blocked peer: more than a ring can hold
	CARRIED_LINKS_OUT_MAX = 256 << 20, // for those of a set
};

struct carried_links;
struct carried_link;

struct carried_link_events {
	// A whole packet of a route, borrowed. False: there is no room for it; it is given again
	// after carried_links_room().
	bool (*packet)(void *arg, const uint8_t *p, size_t len);
	// ... with route id 0: the link's own, at a bounded rate.
	void (*control)(void *arg, const uint8_t *p, size_t len);
	// The connection takes no more, or takes again.
	void (*blocked)(void *arg, bool blocked);
	// 0: the peer hung up; -ENOBUFS: it left more than any other for us to keep, and that was
	// too much in sum; -errno. The link is of no more use.
	void (*end)(void *arg, int err);
};

// Of bytes that peers do not take no more than out_max are kept for longer than a burst. NULL and
// errno.
struct carried_links *carried_links_new(struct loop *l, size_t out_max);
void carried_links_free(struct carried_links *ls); // there is no link; NULL is allowed
uint64_t carried_links_flood(const struct carried_links *ls); // dropped so far; any thread
// There may be room again for packets that were refused.
void carried_links_room(struct carried_links *ls);
// Writes what carried_link_put() gathered: at the end of a burst.
void carried_links_flush(struct carried_links *ls);

// Takes the conn, also when it fails (NULL and errno). Nothing is read before carried_link_read().
struct carried_link *carried_link_new(struct carried_links *ls, struct conn *take_conn,
	const struct carried_link_events *ev, void *arg);
// NULL is allowed; also from within `end`.
void carried_link_close(struct carried_link *k);
// The same without its conn, which is the caller's: nothing was read or written.
struct conn *carried_link_release(struct carried_link *k);

void carried_link_read(struct carried_link *k, bool on);
// A whole packet for the peer, copied, then looked at; written at the end of the burst. -EBADMSG:
// it is none, or the link has ended; -ENOMEM.
int carried_link_put(struct carried_link *k, const uint8_t *p, size_t len);
// ... that is written at once, or never: one who does not read need not be answered.
void carried_link_say(struct carried_link *k, const uint8_t *p, size_t len);
size_t carried_link_unsent(const struct carried_link *k); // bytes
