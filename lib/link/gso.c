// Super-packets out of a kernel, cut, and back into one. The checksum of a super-packet in between
// is complete: it protects the payload from edge to edge as the segments' own would have. What a
// segment's header is, follows RFC 9293 and 768: sequence numbers and identifications count on, FIN
// and PSH belong to the last segment, CWR to the first.
#include "lib/link/gso.h"

#include "lib/wire/ip.h"

#include <errno.h>
#include <string.h>

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, URG = 0x20, CWR = 0x80, TCP_FLAGS = 13 };

static void put16(uint8_t *p, uint32_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t n)
{
	put16(p, n >> 16);
	put16(p + 2, n);
}

static uint8_t *csum_of(uint8_t *l4, bool tcp)
{
	return l4 + (tcp ? IP_TCP_CSUM : IP_UDP_CSUM);
}

// The checksum of len bytes at l4, whose field is zero.
static void l4_sum(uint8_t *l4, uint32_t len, bool tcp, uint32_t pseudo)
{
	uint32_t sum = pseudo + ip_sum_u16((uint16_t)len);
	uint16_t csum = (uint16_t)~ip_fold(ip_sum(l4, len, sum));

	if (!tcp && csum == 0)
		csum = 0xffff; // 0 would mean none
	memcpy(csum_of(l4, tcp), &csum, sizeof(csum));
}

static uint8_t kind_of(const struct gso_pkt *g)
{
	if (g->tcp)
		return g->version == 4 ? GSO_TCP4 : GSO_TCP6;
	return g->version == 4 ? GSO_UDP4 : GSO_UDP6;
}

static int look(const uint8_t *p, size_t len, uint16_t size, struct gso_pkt *g, struct ip_view *v)
{
	uint32_t payload, n;

	if (len > GSO_PACKET_MAX || size == 0 || ip_parse(p, len, v) < 0)
		return -EBADMSG;
	payload = v->len - v->payload;
	n = (payload + size - 1) / size;
	*g = (struct gso_pkt){.p = p,
		.len = v->len,
		.size = size,
		.n = (uint16_t)n,
		.l4 = v->l4,
		.payload = v->payload,
		.version = v->version,
		.tcp = v->proto == IP_PROTO_TCP,
		.pseudo = ip_pseudo(p, v)};
	g->kind = kind_of(g);
	g->odd = v->extended || n > (g->tcp ? GSO_SEGS_MAX : GSO_UDP_SEGS_MAX) ||
		 (g->tcp && (p[v->l4 + TCP_FLAGS] & (SYN | RST | URG)) != 0);
	return n == 0 ? -EBADMSG : 0;
}

// ---- from a kernel ----

// Any protocol: the field holds the pseudo header's sum.
static int complete_plain(const struct gso_vnet *vnet, uint8_t *p, size_t len)
{
	size_t at = (size_t)vnet->csum_start + vnet->csum_offset;
	uint16_t csum;

	if (at + sizeof(csum) > len)
		return -EBADMSG;
	csum = (uint16_t)~ip_fold(ip_sum(p + vnet->csum_start, len - vnet->csum_start, 0));
	if (csum == 0 && vnet->csum_offset == IP_UDP_CSUM)
		csum = 0xffff;
	memcpy(p + at, &csum, sizeof(csum));
	return 0;
}

int gso_from_kernel(const struct gso_vnet *vnet, uint8_t *p, size_t len, struct gso_pkt *out)
{
	uint8_t type = vnet->type & (uint8_t)~GSO_VNET_ECN;
	struct ip_view v;
	uint16_t field;
	bool tcp;

	*out = (struct gso_pkt){.p = p, .len = (uint32_t)len};
	if (len > GSO_PACKET_MAX)
		return -EBADMSG;
	if (type == GSO_VNET_NONE)
		return vnet->flags & GSO_VNET_NEEDS_CSUM ? complete_plain(vnet, p, len) : 0;
	if (type != GSO_VNET_TCP4 && type != GSO_VNET_TCP6 && type != GSO_VNET_UDP)
		return -EBADMSG;
	tcp = type != GSO_VNET_UDP;
	if ((vnet->flags & GSO_VNET_NEEDS_CSUM) == 0 || look(p, len, vnet->size, out, &v) < 0)
		return -EBADMSG;
	if (out->tcp != tcp || out->l4 != vnet->csum_start ||
		vnet->csum_offset != (tcp ? IP_TCP_CSUM : IP_UDP_CSUM))
		return -EBADMSG;
	// what the kernel put there counts: with a routing header, its addresses are not these
	if (v.routed) {
		memcpy(&field, p + out->l4 + vnet->csum_offset, sizeof(field));
		out->pseudo =
			(uint32_t)field + (uint16_t)~ip_sum_u16((uint16_t)(out->len - out->l4));
	}
	return 0;
}

void gso_complete(const struct gso_pkt *g, uint8_t *p)
{
	uint8_t *l4 = p + g->l4;

	memset(csum_of(l4, g->tcp), 0, 2);
	l4_sum(l4, g->len - g->l4, g->tcp, g->pseudo);
	if (g->version == 4)
		ip4_hdr_sum(p, g->l4);
}

// ---- from a far end, to a kernel ----

int gso_from_far(const uint8_t *p, size_t len, uint16_t size, struct gso_pkt *out)
{
	struct ip_view v;

	if (look(p, len, size, out, &v) < 0 || out->odd || v.len != len ||
		!ip_sums_are_right(p, &v))
		return -EBADMSG;
	return 0;
}

void gso_to_kernel(const struct gso_pkt *g, uint8_t *hdr, struct gso_vnet *vnet)
{
	uint8_t *l4 = hdr + g->l4;
	uint16_t pseudo = ip_fold(g->pseudo + ip_sum_u16((uint16_t)(g->len - g->l4)));

	memcpy(csum_of(l4, g->tcp), &pseudo, sizeof(pseudo));
	*vnet = (struct gso_vnet){.flags = GSO_VNET_NEEDS_CSUM,
		.hdr_len = g->payload,
		.csum_start = g->l4,
		.csum_offset = g->tcp ? IP_TCP_CSUM : IP_UDP_CSUM};
	// one segment is a packet like others whose checksum is missing
	if (g->n > 1) {
		vnet->size = g->size;
		vnet->type = !g->tcp           ? GSO_VNET_UDP
			     : g->version == 4 ? GSO_VNET_TCP4
					       : GSO_VNET_TCP6;
	}
}

// ---- cutting ----

void gso_cut_begin(struct gso_cut *c, const struct gso_pkt *g)
{
	*c = (struct gso_cut){.g = g};
}

bool gso_cut_is_done(const struct gso_cut *c)
{
	return c->g == NULL || c->i >= c->g->n;
}

static void cut_ip(const struct gso_cut *c, uint8_t *out, uint32_t len)
{
	const struct gso_pkt *g = c->g;

	if (g->version == 4) {
		put16(out + 2, len);
		put16(out + 4, ((uint32_t)g->p[4] << 8 | g->p[5]) + c->i);
		ip4_hdr_sum(out, g->l4);
	} else {
		put16(out + 4, len - IP6_HDR_LEN);
	}
}

static void cut_l4(const struct gso_cut *c, uint8_t *l4, uint32_t len)
{
	const struct gso_pkt *g = c->g;

	if (g->tcp) {
		put32(l4 + 4, get32(l4 + 4) + c->done);
		if (c->i + 1 < g->n)
			l4[TCP_FLAGS] &= (uint8_t) ~(FIN | PSH);
		if (c->i > 0)
			l4[TCP_FLAGS] &= (uint8_t)~CWR;
	} else {
		put16(l4 + 4, len);
	}
	memset(csum_of(l4, g->tcp), 0, 2);
	l4_sum(l4, len, g->tcp, g->pseudo);
}

ptrdiff_t gso_cut_next(struct gso_cut *c, uint8_t *out, size_t cap)
{
	const struct gso_pkt *g = c->g;
	uint32_t left, take, len;

	if (gso_cut_is_done(c))
		return 0;
	left = g->len - g->payload - c->done;
	take = left < g->size ? left : g->size;
	len = g->payload + take;
	if (len > cap)
		return -ENOSPC;
	memcpy(out, g->p, g->payload);
	memcpy(out + g->payload, g->p + g->payload + c->done, take);
	cut_ip(c, out, len);
	cut_l4(c, out + g->l4, len - g->l4);
	c->done += take;
	c->i++;
	return (ptrdiff_t)len;
}
