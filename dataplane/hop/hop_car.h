// Inside dataplane/hop/ and its tests only: hops in carried mode, whose packets the control plane
// carries over a connection of its own (dpmsg.h). Each has a queue of routes like a reliable link,
// and entries of routes like its (hop_route.h); the way out of the queue is the ring up. What comes
// in is judged like any hop's.
#pragma once

#include "dataplane/hop/hop_rel.h"

struct hop_car {
	struct rel_queue *q;
	struct hop *hop;
	const struct rel_hold *hold;
	struct hop_car *next; // in hop_hold.cars[carrier]
	uint8_t carrier; // 0, or k + 1: by whose ring its packets go up
	uint16_t account; // of what comes in by it
	bool begun; // in its owner's hold
	bool busy; // in hop_hold.cars[carrier]
	bool held; // its connection takes no more for now
	uint64_t stall_ns; // when what it holds ends if it is still held then
};

// ---- [main] ----
size_t hop_car_size(void); // of the memory behind a struct hop_car
struct hop_car *hop_car_make(void *mem, uint8_t carrier);

// ---- [worker: owner] ----
void hop_car_begin(struct wctx *w, struct hop *h); // taken over from main
void hop_car_end(struct wctx *w, struct hop *h); // let go: its routes end
void hop_car_drain(struct hop *h); // the worker has stopped: gives its buffers back
void hop_car_push(struct wctx *w, struct hop *h, struct rte_mbuf **m, unsigned n); // n <= BURST
void hop_car_wake(struct wctx *w, struct hop *h); // something may be in its queue
void hop_car_hold(struct wctx *w, struct hop *h, bool held, uint16_t limit_s);
void hop_car_visit(struct wctx *w, struct hop *h); // now and then
void hop_car_publish(struct hop *h);
// What those after us say about a route that comes in by it. False: no room for it now.
bool hop_car_ingress(struct wctx *w, const struct hop *h, const struct hop_msg *msg);
// The next packet of any of that carrier's, that may go up; NULL: none.
struct rte_mbuf *hop_car_pull(struct wctx *w, unsigned carrier, uint32_t *hop);
