// Found among our own descriptors, since DPDK does not say which are a device's. A kernel that
// tells less leaves counts at 0.

#include "dataplane/io/dev_socket.h"

#include <linux/if_packet.h>
#include <linux/if_xdp.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int dev_fd_next(DIR *dir)
{
	const struct dirent *e;

	do
		e = dir != NULL ? readdir(dir) : NULL;
	while (e != NULL && e->d_name[0] == '.');
	return e != NULL ? atoi(e->d_name) : -1;
}

static bool is_bound_to(int fd, unsigned ifindex)
{
	struct sockaddr_ll a = {0};
	socklen_t len = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
	       (unsigned)a.sll_ifindex == ifindex;
}

unsigned dev_sockets(int domain, unsigned ifindex, struct dev_socket *out, unsigned cap)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;
	int fd;

	while (n < cap && (fd = dev_fd_next(dir)) >= 0) {
		int its = 0;
		socklen_t len = sizeof(its);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &its, &len) != 0 || its != domain ||
			(domain == AF_PACKET && !is_bound_to(fd, ifindex)))
			continue;
		out[n] = (struct dev_socket){.fd = fd, .domain = domain};
		dev_socket_ask(&out[n]);
		if (domain == AF_PACKET) // what came before anybody was there to take it
			out[n].rx_full = 0;
		n++;
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

void dev_socket_ask(struct dev_socket *s)
{
	struct xdp_statistics xdp = {0};
	struct tpacket_stats packet = {0};
	socklen_t len = s->domain == AF_XDP ? sizeof(xdp) : sizeof(packet);

	if (s->domain == AF_XDP && getsockopt(s->fd, SOL_XDP, XDP_STATISTICS, &xdp, &len) == 0) {
		s->rx_full = xdp.rx_ring_full;
		s->tx_refused = xdp.tx_invalid_descs;
	} else if (s->domain == AF_PACKET &&
		   getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &packet, &len) == 0) {
		s->rx_full += packet.tp_drops;
	}
}
