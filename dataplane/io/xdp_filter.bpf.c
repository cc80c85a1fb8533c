// The XDP program of an af_xdp port. Our datagrams go to the socket of the queue they came by,
// everything else goes on into the kernel, and so do ours where that queue has no socket: because
// it is not one of the port's, or because the data plane is dead. Compiled by clang for the
// kernel's virtual machine and carried inside the data plane (xdp.c).

#include "dataplane/io/xdp_match.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// The name that DPDK's driver looks for; it puts its sockets in, by queue.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

// Empty until xdp_arm() fills it, so that the program starts by letting everything pass.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_conf);
} skyrail_conf SEC(".maps");

SEC("xdp")
int skyrail_rx(struct xdp_md *ctx)
{
	const uint8_t *p = (const uint8_t *)(long)ctx->data;
	const uint8_t *end = (const uint8_t *)(long)ctx->data_end;
	__u32 key = 0;
	const struct xdp_conf *c = bpf_map_lookup_elem(&skyrail_conf, &key);

	if (!c || !xdp_match(p, end, c))
		return XDP_PASS;
	// the last argument is the verdict where there is no socket
	return (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "BSD-3-Clause";
