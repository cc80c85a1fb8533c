// A long buffer of records (length 2, port 2, frame), filled from the transmit arrays of the links.

#include "tools/bench/prepare.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { REC_HDR = 4, ROUND = 8 };

struct prepare {
	uint8_t *buf;
	size_t end; // of what is written
	size_t at; // next to send
};

struct prepare *prepare_new(void)
{
	struct prepare *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	// pages that are never written cost nothing
	p->buf = mmap(NULL, PREPARE_MAX_LEN, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->buf != MAP_FAILED)
		return p;
	free(p);
	return NULL;
}

void prepare_free(struct prepare *p)
{
	if (p == NULL)
		return;
	munmap(p->buf, PREPARE_MAX_LEN);
	free(p);
}

uint64_t prepare_room(const struct traffic *t)
{
	return (uint64_t)(PREPARE_MAX_LEN / (t->frame_len + REC_HDR + ROUND) * 0.95);
}

// What the hops built for a port goes into the buffer instead of to the device.
static int take_frames(struct prepare *p, struct peer *peer, uint16_t port)
{
	struct tx_array *tx = &peer->w.tx[port];
	int rc = 0;

	for (unsigned i = 0; i < tx->n; i++) {
		struct rte_mbuf *m = tx->m[i];
		uint16_t rec[2] = {m->data_len, port};
		size_t need = (REC_HDR + (size_t)m->data_len + ROUND - 1) & ~(size_t)(ROUND - 1);

		if (p->end + need > PREPARE_MAX_LEN) {
			rc = -ENOMEM;
		} else {
			memcpy(p->buf + p->end, rec, sizeof(rec));
			memcpy(p->buf + p->end + REC_HDR, rte_pktmbuf_mtod(m, void *), m->data_len);
			p->end += need;
		}
	}
	rte_pktmbuf_free_bulk(tx->m, tx->n);
	tx->n = 0;
	tx->bytes = 0;
	tx->bytes = 0;
	return rc;
}

int prepare_fill(struct prepare *p, struct peer *peer, struct traffic *t, uint64_t n, double gap_ns)
{
	struct rte_mbuf *m[BURST];
	uint64_t done = 0;

	p->at = p->end = 0;
	peer_turn(peer); // what waits leaves first
	while (done < n) {
		struct traffic_link *l = traffic_next_link(t);
		unsigned burst = n - done < 32 ? (unsigned)(n - done) : 32;

		if (rte_pktmbuf_alloc_bulk(peer->w.pool, m, burst) != 0)
			return -ENOMEM;
		for (unsigned i = 0; i < burst; i++)
			traffic_fill(t, l, m[i], (uint64_t)((double)(done + i) * gap_ns));
		if (hop_tx_push(&peer->w, l->hop, m, burst) != HOP_PUSHED) {
			rte_pktmbuf_free_bulk(m, burst);
			return -ENOTCONN;
		}
		peer_seal(peer);
		if (take_frames(p, peer, l->port) < 0)
			return -ENOMEM;
		done += burst;
	}
	return 0;
}

unsigned prepare_send(struct prepare *p, struct peer *peer, unsigned n, uint64_t *refused)
{
	struct rte_mbuf *m[BURST];
	unsigned got = 0;
	uint16_t port = 0;

	n = n < BURST ? n : BURST;
	if (rte_pktmbuf_alloc_bulk(peer->w.pool, m, n) != 0)
		return 0;
	while (got < n && p->at < p->end) {
		const uint8_t *r = p->buf + p->at;
		uint16_t rec[2];

		memcpy(rec, r, sizeof(rec));
		if (got > 0 && rec[1] != port)
			break;
		port = rec[1];
		memcpy(rte_pktmbuf_mtod(m[got], void *), r + REC_HDR, rec[0]);
		m[got]->data_len = rec[0];
		m[got++]->pkt_len = rec[0];
		p->at += (REC_HDR + (size_t)rec[0] + ROUND - 1) & ~(size_t)(ROUND - 1);
		__builtin_prefetch(p->buf + p->at + 256); // the next records
	}
	rte_pktmbuf_free_bulk(m + got, n - got);
	if (got == 0)
		return 0;
	unsigned sent = rte_eth_tx_burst(port, 0, m, (uint16_t)got);

	rte_pktmbuf_free_bulk(m + sent, got - sent);
	*refused += got - sent;
	return got;
}
