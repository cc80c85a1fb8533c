// What kernels and far ends hand to an edge. Input: 10 bytes of virtio-net header, then a packet.
// From a kernel: complete or cut, and each piece is a sound packet. From a far end (segment size =
// bytes 4 and 5): refused, or a virtio-net header that a kernel takes. And joining: whatever is
// joined can be cut into as many packets again.
#include <stdlib.h>
#include <string.h>

#include "lib/link/gro.h"
#include "lib/wire/edge_msg.h"
#include "lib/wire/ip.h"
#include "tests/fuzz/fuzz.h"

static uint8_t copy[GSO_PACKET_MAX + 1], out[GSO_PACKET_MAX];

static void cut_all(const struct gso_pkt *g)
{
	uint32_t sum = g->payload;
	struct gso_cut c;
	struct ip_view v;
	unsigned n = 0;
	ptrdiff_t len;

	gso_cut_begin(&c, g);
	while ((len = gso_cut_next(&c, out, sizeof(out))) != 0) {
		fuzz_check(len > g->payload && len <= g->payload + g->size);
		fuzz_check(ip_parse(out, (size_t)len, &v) == 0);
		fuzz_check(v.len == (size_t)len && v.payload == g->payload);
		fuzz_check(v.routed || ip_sums_are_right(out, &v));
		sum += (uint32_t)len - g->payload;
		n++;
	}
	fuzz_check(sum == g->len && n == g->n);
}

// What Linux looks at in virtio_net_hdr_to_skb().
static void kernel_takes(const struct gso_vnet *v, const uint8_t *p, size_t len)
{
	fuzz_check(v->hdr_len <= len);
	fuzz_check((size_t)v->csum_start + v->csum_offset + 2 <= len);
	fuzz_check(v->type == GSO_VNET_NONE || (v->size != 0 && v->flags == GSO_VNET_NEEDS_CSUM));
	if (v->type == GSO_VNET_UDP)
		fuzz_check(v->csum_offset == IP_UDP_CSUM);
	else if (v->type != GSO_VNET_NONE)
		fuzz_check(v->csum_offset == IP_TCP_CSUM);
	if (v->type == GSO_VNET_TCP4)
		fuzz_check(p[0] >> 4 == 4);
	if (v->type == GSO_VNET_TCP6)
		fuzz_check(p[0] >> 4 == 6);
}

static void on_out(void *arg, void *owner, const struct gso_pkt *g)
{
	unsigned *n = arg;
	struct gso_vnet v;
	uint8_t hdr[128];

	*n += g->size != 0 ? g->n : 1;
	if (g->size == 0)
		return;
	cut_all(g);
	fuzz_check(g->payload <= sizeof(hdr));
	memcpy(hdr, g->p, g->payload);
	gso_to_kernel(g, hdr, &v);
	kernel_takes(&v, hdr, g->len);
}

// The input is cut at the first `size` bytes: packets of one length.
static void join(const uint8_t *data, size_t size, size_t each)
{
	static void *mem;
	unsigned n_in = 0, n_out = 0;
	struct gro *g;

	if (mem == NULL)
		mem = malloc(gro_mem_size());
	fuzz_check(mem != NULL);
	g = gro_init(mem, on_out, &n_out);
	for (; size > 0 && n_in < 200; data += each, size -= each) {
		if (each == 0 || each > size)
			each = size;
		n_in += gro_add(g, g, 15, data, each);
	}
	gro_flush(g);
	fuzz_check(n_in == n_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct edge_hello h;
	struct gso_vnet v;
	struct gso_pkt g;

	edge_hello_decode(data, size, &h);
	if (size < sizeof(v) || size - sizeof(v) > GSO_PACKET_MAX)
		return 0;
	memcpy(&v, data, sizeof(v));
	data += sizeof(v);
	size -= sizeof(v);
	memcpy(copy, data, size);
	if (gso_from_kernel(&v, copy, size, &g) == 0 && g.size != 0) {
		cut_all(&g);
		gso_complete(&g, copy);
	}
	if (gso_from_far(copy, size, v.size, &g) == 0) {
		cut_all(&g);
		gso_to_kernel(&g, copy, &v);
		kernel_takes(&v, copy, size);
	}
	join(data, size, v.hdr_len);
	return 0;
}
