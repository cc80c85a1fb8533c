// What happens to frames that are not ours, and to those that the kernel sends through a TAP. No
// frame is looked into here: parse.h decided, and the kernel's frames are none of our business.

#include "dataplane/io/exception.h"

#include "dataplane/io/encap.h"

static void send_all(struct wctx *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	count(w, W_tx_built, n);
	for (unsigned i = 0; i < n; i++)
		tx_frame(w, port, m[i]);
}

void exception_rx(struct wctx *w, uint16_t port, struct rte_mbuf **m, unsigned n)
{
	switch (w->exception[port]) {
	case PORT_KERNEL_COPY:
		count(w, W_to_kernel, n);
		rte_pktmbuf_free_bulk(m, n);
		return;
	case PORT_TAP:
		count(w, W_to_kernel, n);
		send_all(w, w->exception_peer[port], m, n);
		return;
	default:
		count(w, W_drop_exception, n);
		rte_pktmbuf_free_bulk(m, n);
	}
}

void exception_tap_rx(struct wctx *w, uint16_t tap, struct rte_mbuf **m, unsigned n)
{
	send_all(w, w->exception_peer[tap], m, n);
}
