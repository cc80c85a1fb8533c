// Frames that are not ours. A device that DPDK owns gets a TAP port beside it: the kernel sees the
// network through the TAP, and what it sends there leaves by the device unchanged. With af_packet
// the kernel has its own copy already, so ours is freed.
#pragma once

#include "dataplane/worker/wctx.h"

// [worker] n <= BURST frames that `port` received and that are not for us. Takes the mbufs; counts
// to_kernel or drop_exception.
void exception_rx(struct wctx *w, uint16_t port, struct rte_mbuf **m, unsigned n);

// [worker] Is this port a TAP, whose frames go out of exception_peer[] as they are?
static inline bool exception_is_tap(const struct wctx *w, uint16_t port)
{
	return w->exception[port] == PORT_IS_TAP;
}

// [worker] n <= BURST frames of the kernel from a TAP port (not counted as rx_frames: they are
// outside the books until they are built for the device). Takes the mbufs.
void exception_tap_rx(struct wctx *w, uint16_t tap, struct rte_mbuf **m, unsigned n);
