// Super-packets: one IP packet with the payload of many TCP segments or UDP datagrams, as kernels
// hand them over with a virtio-net header, and as edges hand them to each other (edge.md). Here
// they are checked, cut into packets of their own size, and made ready for a kernel. Pure
// functions; the caller's memory.
//
// Nothing is believed: neither the kernel's offsets, so that nothing is read or written outside of
// the packet, nor a far end's packet, so that a kernel never gets a header that it would refuse.
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Kinds, as bits: what a device or a far end takes.
enum { GSO_TCP4 = 1, GSO_TCP6 = 2, GSO_UDP4 = 4, GSO_UDP6 = 8 };

enum {
	GSO_SEGS_MAX = 128, // of one super-packet: 65535 bytes in TCP segments of 512
	GSO_UDP_SEGS_MAX = 64, // what every kernel that can cut UDP allows
	GSO_PACKET_MAX = 65535,
};

// struct virtio_net_hdr (virtio 1.1, 5.1.6) in host order, as TUN devices speak it by default.
struct gso_vnet {
	uint8_t flags; // GSO_VNET_*
	uint8_t type; // GSO_VNET_TCP4...
	uint16_t hdr_len;
	uint16_t size; // payload of each segment but the last
	uint16_t csum_start;
	uint16_t csum_offset;
};
static_assert(sizeof(struct gso_vnet) == 10, "gso_vnet");
enum {
	GSO_VNET_NEEDS_CSUM = 1,
	GSO_VNET_NONE = 0,
	GSO_VNET_TCP4 = 1,
	GSO_VNET_TCP6 = 4,
	GSO_VNET_UDP = 5,
	GSO_VNET_ECN = 0x80,
};

// A packet that was looked at; borrows the bytes.
struct gso_pkt {
	const uint8_t *p;
	uint32_t len;
	uint16_t size; // 0: no super-packet
	uint16_t n; // segments
	uint16_t l4; // offset of the TCP or UDP header
	uint16_t payload; // offset of what is behind it
	uint8_t version;
	uint8_t kind; // GSO_*
	bool tcp;
	bool odd; // headers that not everyone understands: to be cut here
	uint32_t pseudo; // sum of the pseudo header without its length
};

// What a kernel read as vnet and len bytes. size 0: a packet whose checksum is complete now; else a
// super-packet whose checksum is yet to be made (gso_complete(), gso_cut_next()). -EBADMSG: it
// makes no sense.
int gso_from_kernel(const struct gso_vnet *vnet, uint8_t *p, size_t len, struct gso_pkt *out);
// What a far end sent as a super-packet with segments of `size` bytes: every length and checksum
// was looked at. -EBADMSG.
int gso_from_far(const uint8_t *p, size_t len, uint16_t size, struct gso_pkt *out);

// The checksum as if it were one packet: so a super-packet travels, for the far end to check. p is
// g->p, to be written to.
void gso_complete(const struct gso_pkt *g, uint8_t *p);
// For a kernel that takes its kind: hdr (a copy of the headers, or g->p itself) gets the pseudo
// header's sum for a checksum, vnet says the rest.
void gso_to_kernel(const struct gso_pkt *g, uint8_t *hdr, struct gso_vnet *vnet);

// Cuts a super-packet. g is borrowed until the end; its bytes stay as they are.
struct gso_cut {
	const struct gso_pkt *g;
	uint32_t done; // payload bytes cut so far
	uint16_t i; // segments
};
void gso_cut_begin(struct gso_cut *c, const struct gso_pkt *g);
// The next packet, with its own lengths, identification, flags and checksums; its length, 0 at the
// end, -ENOSPC.
ptrdiff_t gso_cut_next(struct gso_cut *c, uint8_t *out, size_t cap);
bool gso_cut_is_done(const struct gso_cut *c);
