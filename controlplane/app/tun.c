// TUN devices by /dev/net/tun, their MTU, addresses and state by netlink. The device is persistent
// so that its addresses and routes survive a control plane that is killed; an orderly end takes
// that back. IPv6 address generation is off: router solicitations would keep routes alive that
// nobody uses.
#include "controlplane/app/tun.h"

#include "lib/link/gso.h"
#include "lib/wire/edge_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// The kernel's queue before us: at 10 000 packets/s it bridges 0.2 s in which we have no CPU.
enum { MSG_LEN = 512, ADDR_GEN_NONE = 1, TX_QUEUE = 2000 };

void tun_remove(int fd)
{
	ioctl(fd, TUNSETPERSIST, 0);
}

// Of linux/if_tun.h since 6.2.
enum { F_USO4 = 0x20, F_USO6 = 0x40 };

// What the kernel may hand us, and thereby takes from us. A persistent device remembers what it was
// told, so that it is told in any case. GSO_* as far as it goes.
static uint8_t set_offload(int fd, bool on)
{
	unsigned tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	if (on && ioctl(fd, TUNSETOFFLOAD, tso | F_USO4 | F_USO6) == 0)
		return GSO_TCP4 | GSO_TCP6 | GSO_UDP4 | GSO_UDP6;
	if (on && ioctl(fd, TUNSETOFFLOAD, tso) == 0)
		return GSO_TCP4 | GSO_TCP6;
	ioctl(fd, TUNSETOFFLOAD, 0);
	return 0;
}

int tun_open(const char *name, bool offload, bool *made, uint8_t *kinds, char *err, size_t err_len)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd, rc, vnet_len = sizeof(struct gso_vnet);

	if (offload)
		ifr.ifr_flags |= IFF_VNET_HDR;
	*made = if_nametoindex(name) == 0;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(err, err_len, "/dev/net/tun: %s: load the tun module (modprobe tun)",
			strerror(errno));
		return rc;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0) {
		rc = -errno;
		if (rc == -EPERM)
			snprintf(err, err_len,
				"device %s: not permitted: the control plane needs CAP_NET_ADMIN",
				name);
		else if (rc == -EBUSY)
			snprintf(err, err_len, "device %s belongs to another process", name);
		else if (rc == -EINVAL)
			snprintf(err, err_len, "%s is there already and is no TUN device", name);
		else
			snprintf(err, err_len, "device %s: %s", name, strerror(-rc));
		close(fd);
		return rc;
	}
	*kinds = set_offload(fd, offload);
	if (offload && (*kinds == 0 || ioctl(fd, TUNSETVNETHDRSZ, &vnet_len) < 0)) {
		rc = -errno;
		snprintf(err, err_len,
			"device %s: the kernel refuses offloads: %s: use offload = no", name,
			strerror(-rc));
		if (*made)
			tun_remove(fd);
		close(fd);
		return rc;
	}
	return fd;
}

// One request and its acknowledgement.
static int talk(struct mnl_socket *nl, struct nlmsghdr *h)
{
	char buf[8192];
	ssize_t n;

	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = (uint32_t)time(NULL);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL) < 0
		       ? -errno
		       : 0;
}

static int set_link(struct mnl_socket *nl, unsigned ifindex, uint32_t mtu)
{
	char buf[MSG_LEN];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	struct nlattr *spec, *v6;
	int rc;

	h->nlmsg_type = RTM_NEWLINK;
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_TXQLEN, TX_QUEUE);
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	v6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE);
	mnl_attr_nest_end(h, v6);
	mnl_attr_nest_end(h, spec);
	rc = talk(nl, h);
	if (rc == 0 || rc == -EPERM)
		return rc;
	// a kernel without IPv6 refuses its attribute
	h = mnl_nlmsg_put_header(buf);
	ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	h->nlmsg_type = RTM_NEWLINK;
	ifi->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_TXQLEN, TX_QUEUE);
	return talk(nl, h);
}

// The kernel makes no longer super-packets than we send; old ones can't be told, then we cut.
static void set_super_max(struct mnl_socket *nl, unsigned ifindex, uint32_t max)
{
	char buf[MSG_LEN];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	h->nlmsg_type = RTM_NEWLINK;
	ifi->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_GSO_MAX_SIZE, max);
	talk(nl, h);
}

static int set_up(struct mnl_socket *nl, unsigned ifindex)
{
	char buf[MSG_LEN];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	h->nlmsg_type = RTM_NEWLINK;
	ifi->ifi_index = (int)ifindex;
	ifi->ifi_change = IFF_UP;
	ifi->ifi_flags = IFF_UP;
	return talk(nl, h);
}

static int add_addr(struct mnl_socket *nl, unsigned ifindex, const uint8_t ip[16], uint8_t prefix)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	bool v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;
	char buf[MSG_LEN];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));

	h->nlmsg_type = RTM_NEWADDR;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	ifa->ifa_family = v4 ? AF_INET : AF_INET6;
	ifa->ifa_prefixlen = prefix;
	ifa->ifa_flags = v4 ? 0 : IFA_F_NODAD;
	ifa->ifa_index = ifindex;
	mnl_attr_put(h, IFA_LOCAL, v4 ? 4 : 16, v4 ? ip + 12 : ip);
	mnl_attr_put(h, IFA_ADDRESS, v4 ? 4 : 16, v4 ? ip + 12 : ip);
	return talk(nl, h);
}

int tun_setup(const struct api_edge_add *spec, char *err, size_t err_len)
{
	unsigned ifindex = if_nametoindex(spec->name);
	struct mnl_socket *nl;
	const char *what = "netlink";
	int rc = -ENODEV;

	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (nl == NULL || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		rc = -errno;
		goto out;
	}
	if (ifindex == 0)
		goto out;
	what = "setting its MTU";
	rc = set_link(nl, ifindex, spec->mtu);
	if (rc == 0 && spec->offload == API_OFFLOAD_AUTO)
		set_super_max(nl, ifindex, spec->super_max - EDGE_SUPER_HDR_LEN);
	for (size_t i = 0; rc == 0 && i < spec->n_addrs && i < API_EDGE_ADDRS; i++) {
		what = "adding its address";
		rc = add_addr(nl, ifindex, spec->addrs[i].ip, spec->addrs[i].prefix);
	}
	if (rc == 0) {
		what = "setting it up";
		rc = set_up(nl, ifindex);
	}
out:
	if (rc < 0)
		snprintf(err, err_len, "device %s: %s: %s%s", spec->name, what, strerror(-rc),
			rc == -EPERM ? ": the control plane needs CAP_NET_ADMIN" : "");
	if (nl != NULL)
		mnl_socket_close(nl);
	return rc;
}
