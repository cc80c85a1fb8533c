// Two bound UDP sockets a port with a socket filter that accepts nothing. They are never read.

#include "dataplane/io/udp_claim.h"

#include "lib/base/err.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int claim(int family, const struct sockaddr *sa, socklen_t len)
{
	// "return 0": keep no byte of any datagram
	struct sock_filter none[] = {{.code = BPF_RET | BPF_K, .k = 0}};
	struct sock_fprog filter = {.len = ARRAY_LEN(none), .filter = none};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
		goto err_close;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		goto err_close;
	if (bind(fd, sa, len) < 0)
		goto err_close;
	return fd;
err_close:
	err = -errno;
	close(fd);
	return err;
}

static int claim_both(int *fd4, int *fd6, uint16_t port)
{
	struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 sa6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int err;

	*fd4 = claim(AF_INET, (struct sockaddr *)&sa4, sizeof(sa4));
	if (*fd4 < 0)
		return *fd4;
	*fd6 = claim(AF_INET6, (struct sockaddr *)&sa6, sizeof(sa6));
	if (*fd6 >= 0)
		return 0;
	err = *fd6;
	*fd6 = -1;
	if (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL)
		return 0; // no IPv6 here: nobody would answer either
	close(*fd4);
	return err;
}

int udp_claim_open(struct udp_claim *c, uint16_t first, unsigned n)
{
	for (c->n = 0; c->n < n; c->n++) {
		int err = claim_both(&c->fd4[c->n], &c->fd6[c->n], (uint16_t)(first + c->n));

		if (err == 0)
			continue;
		c->failed = (uint16_t)(first + c->n);
		udp_claim_close(c);
		return err;
	}
	return 0;
}

void udp_claim_close(struct udp_claim *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		close(c->fd4[i]);
		if (c->fd6[i] >= 0)
			close(c->fd6[i]);
	}
	c->n = 0;
}
