// Drivers' sockets among our own descriptors, and what the kernel says that they lost.
#include "dataplane/io/dev_socket.h"

#include <linux/if_packet.h>

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// Such a socket needs a right that may lack: then there is none to be found.
static void sockets_of_other_kinds_are_not_the_drivers(void **state)
{
	static const int domains[] = {AF_XDP, AF_PACKET};
	struct dev_socket s[8];
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(udp >= 0);
	for (unsigned i = 0; i < 2; i++) {
		int fd = socket(domains[i], SOCK_RAW | SOCK_CLOEXEC, 0);

		assert_int_equal(dev_sockets(domains[i], 0, s, 8), fd >= 0);
		if (fd < 0)
			continue;
		assert_int_equal(s[0].fd, fd);
		assert_int_equal(dev_sockets(domains[i], 0, s, 0), 0);
		dev_socket_ask(&s[0]);
		assert_int_equal(s[0].rx_full + s[0].tx_refused, 0);
		close(fd);
	}
	s[0] = (struct dev_socket){.fd = udp, .domain = AF_PACKET};
	dev_socket_ask(&s[0]);
	s[1] = (struct dev_socket){.fd = udp, .domain = AF_XDP};
	dev_socket_ask(&s[1]);
	assert_int_equal(s[0].rx_full + s[1].rx_full + s[1].tx_refused, 0);
	close(udp);
	assert_int_equal(dev_sockets(AF_PACKET, 0, s, 8), 0);
}

static void af_packet_is_told_apart_by_its_interface(void **state)
{
	const struct sockaddr_ll lo = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_LOOPBACK), // nothing of that comes
		.sll_ifindex = (int)if_nametoindex("lo")};
	struct dev_socket s[8];
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&lo, sizeof(lo)) < 0)
		skip();
	assert_int_equal(dev_sockets(AF_PACKET, (unsigned)lo.sll_ifindex, s, 8), 1);
	assert_int_equal(s[0].fd, fd);
	assert_int_equal(dev_sockets(AF_PACKET, (unsigned)lo.sll_ifindex + 1, s, 8), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_of_other_kinds_are_not_the_drivers),
		cmocka_unit_test(af_packet_is_told_apart_by_its_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
