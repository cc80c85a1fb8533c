// Joins parts of packets without looking at them. Each incomplete packet is a list of segments in
// the order of their offsets, without overlap; packets are in a queue in the order of their first
// part, so the oldest, which is the first to expire or to give way, is its head. All links are
// indices into two arrays in the caller's memory. Used in datagram mode; the reliable mode keys its
// parts by sequence and never drops them (rail 4), which is another file's business.
#include "lib/link/part.h"

#include <errno.h>
#include <string.h>

enum { NIL = 0xffff, PACKETS_MAX = 4096, SEGS_MAX = 32000 };

struct seg {
	void *handle;
	uint32_t offset;
	uint32_t charge; // bytes of the handle, counted at its last segment; else 0
	uint16_t skip;
	uint16_t take;
	uint16_t next;
	bool last; // of its handle
};

struct packet {
	uint64_t born_ns;
	uint32_t number;
	uint32_t total;
	uint32_t have;
	uint16_t n_segs;
	uint16_t first; // segment
	uint16_t next; // younger packet, or the next free one
	uint16_t prev;
};

struct part {
	struct part_conf conf;
	uint32_t bytes;
	uint16_t oldest, youngest;
	uint16_t free_packet;
	uint16_t free_seg;
	uint16_t n_free_segs;
	uint16_t n_held; // segments of incomplete packets
	uint16_t due; // segments whose handles wait for part_reap
	struct part_stats stats;
	struct packet *packets;
	struct seg *segs;
};

static size_t round8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

// Twice the limit: what one call drops stays there, due for part_reap, while it fills new ones.
static uint16_t all_segs(const struct part_conf *conf)
{
	return (uint16_t)(2 * conf->n_segs);
}

size_t part_mem_size(const struct part_conf *conf)
{
	if (conf->n_packets < 1 || conf->n_packets > PACKETS_MAX || conf->n_segs < 1 ||
		conf->n_segs > SEGS_MAX || conf->max_bytes < PART_TOTAL_MAX)
		return 0;
	return round8(sizeof(struct part)) + round8(conf->n_packets * sizeof(struct packet)) +
	       all_segs(conf) * sizeof(struct seg);
}

struct part *part_init(void *mem, const struct part_conf *conf)
{
	struct part *p = mem;

	if (part_mem_size(conf) == 0)
		return NULL;
	*p = (struct part){.conf = *conf, .oldest = NIL, .youngest = NIL, .due = NIL};
	p->packets = (struct packet *)((uint8_t *)mem + round8(sizeof(*p)));
	p->segs = (struct seg *)((uint8_t *)p->packets +
				 round8(conf->n_packets * sizeof(struct packet)));
	for (uint16_t i = 0; i < conf->n_packets; i++)
		p->packets[i].next = i + 1 < conf->n_packets ? (uint16_t)(i + 1) : NIL;
	for (uint16_t i = 0; i < all_segs(conf); i++)
		p->segs[i].next = i + 1 < all_segs(conf) ? (uint16_t)(i + 1) : NIL;
	p->n_free_segs = all_segs(conf);
	return p;
}

static void free_seg(struct part *p, uint16_t i)
{
	p->segs[i].next = p->free_seg;
	p->free_seg = i;
	p->n_free_segs++;
}

static void unlink_packet(struct part *p, uint16_t i)
{
	struct packet *k = &p->packets[i];

	if (k->prev != NIL)
		p->packets[k->prev].next = k->next;
	else
		p->oldest = k->next;
	if (k->next != NIL)
		p->packets[k->next].prev = k->prev;
	else
		p->youngest = k->prev;
	k->next = p->free_packet;
	p->free_packet = i;
}

// Ends a packet that will not be joined: its handles become due.
static void drop_packet(struct part *p, uint16_t i)
{
	for (uint16_t s = p->packets[i].first, next; s != NIL; s = next) {
		struct seg *g = &p->segs[s];

		next = g->next;
		p->bytes -= g->charge;
		p->n_held--;
		if (!g->last) {
			free_seg(p, s);
			continue;
		}
		g->next = p->due;
		p->due = s;
	}
	unlink_packet(p, i);
}

static uint16_t new_packet(struct part *p, uint32_t number, uint32_t total, uint64_t now_ns)
{
	uint16_t i = p->free_packet;
	struct packet *k = &p->packets[i];

	p->free_packet = k->next;
	*k = (struct packet){.born_ns = now_ns,
		.number = number,
		.total = total,
		.first = NIL,
		.next = NIL,
		.prev = p->youngest};
	if (p->youngest != NIL)
		p->packets[p->youngest].next = i;
	else
		p->oldest = i;
	p->youngest = i;
	return i;
}

// From the youngest on: parts of one packet come close together.
static uint16_t find_packet(const struct part *p, uint32_t number)
{
	uint16_t i = p->youngest;

	while (i != NIL && p->packets[i].number != number)
		i = p->packets[i].prev;
	return i;
}

static void expire(struct part *p, uint64_t now_ns)
{
	while (p->oldest != NIL && now_ns - p->packets[p->oldest].born_ns >= PART_LIFE_NS) {
		drop_packet(p, p->oldest);
		p->stats.expired++;
	}
}

// Number of pieces that [offset, end) adds to the packet: its gaps that lie within.
static unsigned count_new(
	const struct part *p, const struct packet *k, uint32_t offset, uint32_t end)
{
	uint32_t at = offset;
	unsigned n = 0;

	for (uint16_t s = k->first; s != NIL && at < end; s = p->segs[s].next) {
		const struct seg *g = &p->segs[s];

		if (g->offset > at)
			n++;
		if (g->offset + g->take > at)
			at = g->offset + g->take;
	}
	return n + (at < end);
}

// Puts a segment for [at, stop) behind prev (NIL: at the head).
static uint16_t put_seg(struct part *p, struct packet *k, uint16_t prev, uint32_t at, uint32_t stop,
	uint32_t offset, void *handle)
{
	uint16_t i = p->free_seg;
	struct seg *g = &p->segs[i];

	p->free_seg = g->next;
	p->n_free_segs--;
	p->n_held++;
	*g = (struct seg){.handle = handle,
		.offset = at,
		.skip = (uint16_t)(at - offset),
		.take = (uint16_t)(stop - at),
		.next = prev != NIL ? p->segs[prev].next : k->first};
	if (prev != NIL)
		p->segs[prev].next = i;
	else
		k->first = i;
	k->have += g->take;
	k->n_segs++;
	return i;
}

// Fills the gaps of the packet from this part. At least one segment is made (count_new said so).
static void fill(struct part *p, struct packet *k, uint32_t offset, uint32_t end, void *handle)
{
	uint32_t at = offset;
	uint16_t prev = NIL;
	uint16_t mine = NIL;
	uint16_t s = k->first;

	while (s != NIL && at < end) {
		struct seg *g = &p->segs[s];
		uint32_t g_end = g->offset + g->take;

		if (g->offset > at)
			mine = put_seg(
				p, k, prev, at, g->offset < end ? g->offset : end, offset, handle);
		if (g_end > at)
			at = g_end;
		prev = s;
		s = g->next;
	}
	if (at < end)
		mine = put_seg(p, k, prev, at, end, offset, handle);
	p->segs[mine].last = true;
	p->segs[mine].charge = end - offset;
	p->bytes += end - offset;
}

static void take_whole(struct part *p, uint16_t i, struct part_joined *out)
{
	const struct packet *k = &p->packets[i];

	out->number = k->number;
	out->total = k->total;
	out->n = 0;
	for (uint16_t s = k->first, next; s != NIL; s = next) {
		const struct seg *g = &p->segs[s];

		next = g->next;
		out->seg[out->n++] = (struct part_seg){
			.handle = g->handle, .skip = g->skip, .take = g->take, .last = g->last};
		p->bytes -= g->charge;
		p->n_held--;
		free_seg(p, s);
	}
	unlink_packet(p, i);
}

// The oldest packet, but not `mine`. False: there is none.
static bool evict(struct part *p, uint16_t mine)
{
	uint16_t victim = p->oldest;

	if (victim != NIL && victim == mine)
		victim = p->packets[victim].next;
	if (victim == NIL)
		return false;
	drop_packet(p, victim);
	p->stats.evicted++;
	return true;
}

bool part_give_way(struct part *p, uint32_t number)
{
	return evict(p, find_packet(p, number));
}

// Room for a part of a packet (NIL: a new one). Older packets give way, this one never does.
static bool make_room(struct part *p, uint16_t mine, unsigned n_new, uint32_t len)
{
	while (p->n_held + n_new > p->conf.n_segs || p->bytes + len > p->conf.max_bytes ||
		(mine == NIL && p->free_packet == NIL))
		if (!evict(p, mine))
			return false;
	return p->n_free_segs >= n_new; // false only if the caller does not drain part_reap
}

int part_add(struct part *p, uint32_t number, uint32_t total, uint32_t offset, uint32_t len,
	void *handle, uint64_t now_ns, struct part_joined *out)
{
	unsigned n_new = 1;
	uint16_t i;

	if (len == 0 || total > PART_TOTAL_MAX || len > UINT16_MAX || offset > total ||
		len > total - offset)
		return -EPROTO;
	expire(p, now_ns);
	i = find_packet(p, number);
	if (i != NIL) {
		if (p->packets[i].total != total)
			return -EPROTO;
		n_new = count_new(p, &p->packets[i], offset, offset + len);
		if (n_new == 0) {
			p->stats.duplicate++;
			return PART_REFUSED;
		}
	}
	if ((i != NIL && p->packets[i].n_segs + n_new > PART_SEGS_MAX) ||
		!make_room(p, i, n_new, len)) {
		p->stats.no_room++;
		return PART_REFUSED;
	}
	if (i == NIL)
		i = new_packet(p, number, total, now_ns);
	fill(p, &p->packets[i], offset, offset + len, handle);
	if (p->packets[i].have < total)
		return PART_HELD;
	take_whole(p, i, out);
	return PART_WHOLE;
}

void *part_reap(struct part *p, uint64_t now_ns)
{
	uint16_t s;

	expire(p, now_ns);
	s = p->due;
	if (s == NIL)
		return NULL;
	p->due = p->segs[s].next;
	free_seg(p, s);
	return p->segs[s].handle;
}

void part_flush(struct part *p)
{
	while (p->oldest != NIL)
		drop_packet(p, p->oldest);
}

bool part_is_empty(const struct part *p)
{
	return p->oldest == NIL && p->due == NIL;
}

uint32_t part_bytes(const struct part *p)
{
	return p->bytes;
}

const struct part_stats *part_stats(const struct part *p)
{
	return &p->stats;
}
