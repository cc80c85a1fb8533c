// Codec for the few rtnetlink messages of neigh. Lengths are checked by libmnl's validators; an
// attribute of the wrong size makes the message malformed. No sockets and no state.
#include "controlplane/dp/neigh_nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool neigh_nl_is_v4(const uint8_t ip[16])
{
	return memcmp(ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool neigh_nl_is_link_local(const uint8_t ip[16])
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

bool neigh_nl_is_unicast(const uint8_t ip[16])
{
	static const uint8_t zeros[16];

	if (neigh_nl_is_v4(ip))
		return ip[12] != 0 && ip[12] < 224 && ip[12] != 127;
	return ip[0] != 0xff && memcmp(ip, zeros, 15) != 0;
}

static uint8_t family_of(const uint8_t ip[16])
{
	return neigh_nl_is_v4(ip) ? AF_INET : AF_INET6;
}

static size_t addr_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

// 0 or -EBADMSG when the attribute is no address of that family.
static int addr_take(const struct nlattr *a, uint8_t family, uint8_t out[16])
{
	if (mnl_attr_get_payload_len(a) != addr_len(family))
		return -EBADMSG;
	if (family == AF_INET) {
		memcpy(out, v4_prefix, sizeof(v4_prefix));
		memcpy(out + 12, mnl_attr_get_payload(a), 4);
	} else {
		memcpy(out, mnl_attr_get_payload(a), 16);
	}
	return 0;
}

static bool has_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) == sizeof(uint32_t);
}

// libmnl walks attributes up to the aligned end, which must be the message's own.
static bool body_is_there(const struct nlmsghdr *h, size_t n)
{
	return h->nlmsg_len % MNL_ALIGNTO == 0 && mnl_nlmsg_get_payload_len(h) >= n;
}

int neigh_nl_link_decode(const struct nlmsghdr *h, struct neigh_nl_link *out)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (!body_is_there(h, sizeof(*m)))
		return -EBADMSG;
	if (m->ifi_family != AF_UNSPEC) // a bridge port's settings, for instance
		return -EAFNOSUPPORT;
	out->ifindex = m->ifi_index;
	out->gone = h->nlmsg_type == RTM_DELLINK;
	out->up = (m->ifi_flags & IFF_UP) != 0 && (m->ifi_flags & IFF_LOWER_UP) != 0;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		n = mnl_attr_get_payload_len(a);
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			if (n > sizeof(out->name))
				n = sizeof(out->name);
			memcpy(out->name, mnl_attr_get_payload(a), n);
			out->name[sizeof(out->name) - 1] = '\0';
			break;
		case IFLA_ADDRESS:
			if (n == sizeof(out->mac))
				memcpy(out->mac, mnl_attr_get_payload(a), n);
			break;
		case IFLA_MTU:
			if (!has_u32(a))
				return -EBADMSG;
			out->mtu = mnl_attr_get_u32(a);
			break;
		default:
			break;
		}
	}
	return out->ifindex > 0 && out->name[0] != '\0' ? 0 : -EBADMSG;
}

int neigh_nl_neigh_decode(const struct nlmsghdr *h, struct neigh_nl_neigh *out)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	bool has_ip = false;

	memset(out, 0, sizeof(*out));
	if (!body_is_there(h, sizeof(*m)))
		return -EBADMSG;
	if (m->ndm_family != AF_INET && m->ndm_family != AF_INET6)
		return -EAFNOSUPPORT;
	out->ifindex = m->ndm_ifindex;
	out->nud = m->ndm_state;
	out->gone = h->nlmsg_type == RTM_DELNEIGH;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		switch (mnl_attr_get_type(a)) {
		case NDA_DST:
			if (addr_take(a, m->ndm_family, out->ip) != 0)
				return -EBADMSG;
			has_ip = true;
			break;
		case NDA_LLADDR:
			if (mnl_attr_get_payload_len(a) == sizeof(out->mac)) {
				memcpy(out->mac, mnl_attr_get_payload(a), sizeof(out->mac));
				out->has_mac = true;
			}
			break;
		default:
			break;
		}
	}
	return has_ip ? 0 : -EBADMSG;
}

static int metrics_take(const struct nlattr *metrics, struct neigh_nl_route *out)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics)
	{
		if (mnl_attr_get_type(a) != RTAX_MTU)
			continue;
		if (!has_u32(a))
			return -EBADMSG;
		out->mtu = mnl_attr_get_u32(a);
	}
	return 0;
}

// RTA_VIA: a next hop of the other family (IPv4 by an IPv6 router).
static int via_take(const struct nlattr *a, struct neigh_nl_route *out)
{
	const struct rtvia *v = mnl_attr_get_payload(a);
	size_t n = mnl_attr_get_payload_len(a);

	if (n < sizeof(*v) || (v->rtvia_family != AF_INET && v->rtvia_family != AF_INET6))
		return -EBADMSG;
	if (n - sizeof(*v) != addr_len((uint8_t)v->rtvia_family))
		return -EBADMSG;
	if (v->rtvia_family == AF_INET)
		memcpy(out->via, v4_prefix, sizeof(v4_prefix));
	memcpy(out->via + (v->rtvia_family == AF_INET ? 12 : 0), v->rtvia_addr, n - sizeof(*v));
	return 0;
}

static int route_attr(const struct nlattr *a, uint8_t family, struct neigh_nl_route *out)
{
	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
		if (!has_u32(a))
			return -EBADMSG;
		out->oif = (int)mnl_attr_get_u32(a);
		return 0;
	case RTA_GATEWAY:
		return addr_take(a, family, out->via);
	case RTA_VIA:
		return via_take(a, out);
	case RTA_PREFSRC:
		return addr_take(a, family, out->src);
	case RTA_METRICS:
		return metrics_take(a, out);
	default:
		return 0;
	}
}

int neigh_nl_route_decode(
	const struct nlmsghdr *h, const uint8_t dst[16], struct neigh_nl_route *out)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	int rc;

	memset(out, 0, sizeof(*out));
	if (!body_is_there(h, sizeof(*m)))
		return -EBADMSG;
	if (m->rtm_family != family_of(dst))
		return -EAFNOSUPPORT;
	out->unicast = m->rtm_type == RTN_UNICAST;
	memcpy(out->via, dst, 16);
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		rc = route_attr(a, m->rtm_family, out);
		if (rc != 0)
			return rc;
	}
	return out->unicast && out->oif <= 0 ? -EBADMSG : 0;
}

// ---- requests ----

static struct nlmsghdr *begin(void *buf, uint16_t type, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	return h;
}

static void put_addr(struct nlmsghdr *h, uint16_t type, const uint8_t ip[16])
{
	bool v4 = neigh_nl_is_v4(ip);

	mnl_attr_put(h, type, v4 ? 4 : 16, v4 ? ip + 12 : ip);
}

struct nlmsghdr *neigh_nl_dump(void *buf, uint16_t type, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *h = begin(buf, type, NLM_F_DUMP, seq);

	if (type == RTM_GETLINK) {
		struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

		m->ifi_family = family;
	} else {
		struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

		m->ndm_family = family;
	}
	return h;
}

struct nlmsghdr *neigh_nl_route_get(void *buf, const uint8_t dst[16], int oif, uint32_t seq)
{
	struct nlmsghdr *h = begin(buf, RTM_GETROUTE, 0, seq);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->rtm_family = family_of(dst);
	m->rtm_dst_len = (unsigned char)(8 * addr_len(m->rtm_family));
	put_addr(h, RTA_DST, dst);
	if (oif > 0)
		mnl_attr_put_u32(h, RTA_OIF, (uint32_t)oif);
	return h;
}

static struct nlmsghdr *neigh_request(
	void *buf, uint16_t type, uint16_t flags, int ifindex, const uint8_t ip[16], uint32_t seq)
{
	struct nlmsghdr *h = begin(buf, type, flags, seq);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ndm_family = family_of(ip);
	m->ndm_ifindex = ifindex;
	put_addr(h, NDA_DST, ip);
	return h;
}

struct nlmsghdr *neigh_nl_neigh_get(void *buf, int ifindex, const uint8_t ip[16], uint32_t seq)
{
	return neigh_request(buf, RTM_GETNEIGH, 0, ifindex, ip, seq);
}

struct nlmsghdr *neigh_nl_neigh_use(void *buf, int ifindex, const uint8_t ip[16], uint32_t seq)
{
	struct nlmsghdr *h =
		neigh_request(buf, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK, ifindex, ip, seq);
	struct ndmsg *m = mnl_nlmsg_get_payload(h);

	m->ndm_flags = NTF_USE;
	m->ndm_state = NUD_NONE;
	return h;
}

bool neigh_nl_is_routing(const struct nlmsghdr *h)
{
	return h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE ||
	       h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 &&
	       (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

bool neigh_nl_concerns(const struct nlmsghdr *h, const uint8_t ip[16])
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;
	uint8_t dst[16];

	if (h->nlmsg_type != RTM_NEWROUTE && h->nlmsg_type != RTM_DELROUTE)
		return true;
	if (!body_is_there(h, sizeof(*m)))
		return true;
	if ((m->rtm_flags & RTM_F_CLONED) != 0 || m->rtm_family != family_of(ip))
		return false;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		size_t off = m->rtm_family == AF_INET ? 12 : 0;

		if (mnl_attr_get_type(a) != RTA_DST || addr_take(a, m->rtm_family, dst) != 0 ||
			m->rtm_dst_len > 8 * addr_len(m->rtm_family))
			continue;
		return same_prefix(dst + off, ip + off, m->rtm_dst_len);
	}
	return true; // to everywhere
}
