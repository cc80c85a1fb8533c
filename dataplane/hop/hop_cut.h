// Cut through: a frame that came in as expected on a clear link leaves in the same buffer, at the
// same place, by a clear link over IPv4. Its length, its frame type and its zero tag stay; the 59
// bytes before the route packet are written anew, and nothing of the mbuf changes.
//
//     Ethernet 14 | IPv4 20 | UDP 8 | rail 16 | frame type 1 | route packet | tag 16
//                                                             ^ HEAD4_LEN
//
// Open, because the worker's judging loop puts packets in line. A cut lives no longer than a burst.
#pragma once

#include "dataplane/hop/hop.h"
#include "dataplane/io/encap.h"
#include "lib/base/bytes.h"
#include "lib/wire/rail.h"

#include <rte_mbuf.h>

#include <stdbool.h>
#include <stdint.h>

enum {
	HEAD4_LEN = ENCAP_HDR4_LEN + RAIL_DATA_HDR_LEN + 1, // all that goes before a route packet
	HEAD4_WRAP = HEAD4_LEN + RAIL_TAG_LEN,
};

// HEAD4_LEN bytes as four overlapping vectors; lengths, checksum and number are not in them.
typedef uint64_t head_v __attribute__((vector_size(16), aligned(1), may_alias));
struct head4 {
	head_v at0, at16, at32, last;
};

struct hop_cut {
	struct head4 head;
	struct hop *h;
	struct tx_array *tx;
	uint64_t counter; // of the next datagram
	uint64_t end; // the first one that may not be used
	uint32_t sum; // of the adj
	uint32_t frame_max; // greatest frame that the way takes
	uint32_t bytes; // of frames, so far
	uint16_t port;
};

// [worker] Open a cut for a hop of this worker; what waits to be sealed for it goes out first.
// False: not ours, not up, not clear, not over IPv4, or its counter needs care: the general way.
bool hop_cut_begin(struct wctx *w, uint32_t hop, struct hop_cut *c);
// [worker] Enter what went through it into the books.
void hop_cut_end(struct wctx *w, const struct hop_cut *c);

static inline bool hop_cut_takes(const struct hop_cut *c, uint32_t frame_len)
{
	return c->counter != c->end && frame_len <= c->frame_max;
}

// A whole frame of a clear link becomes the route packet in it.
static inline void hop_cut_strip(struct rte_mbuf *m)
{
	m->data_off = (uint16_t)(m->data_off + HEAD4_LEN);
	m->data_len = (uint16_t)(m->data_len - HEAD4_WRAP);
	m->pkt_len = m->data_len;
}

// [worker] Write the headers of the frame at p, but for number, lengths and checksum.
static inline void head4_put(const struct head4 *v, uint8_t *p)
{
	*(head_v *)p = v->at0;
	*(head_v *)(p + 16) = v->at16;
	*(head_v *)(p + 32) = v->at32;
	*(head_v *)(p + HEAD4_LEN - 16) = v->last;
}

// [worker] The frame is p, of len bytes; hop_cut_takes() said yes. Takes the mbuf.
static inline void hop_cut_put(
	struct wctx *w, struct hop_cut *c, struct rte_mbuf *m, uint8_t *p, uint32_t len)
{
	struct tx_array *t = c->tx;

	head4_put(&c->head, p);
	encap_lengths4(c->sum, p, len - ENCAP_HDR4_LEN);
	be64_put(p + ENCAP_HDR4_LEN + 8, c->counter++);
	c->bytes += len;
	t->bytes += len;
	t->m[t->n++] = m;
	if (unlikely(t->n == TX_ARRAY))
		tx_flush(w, c->port);
}
