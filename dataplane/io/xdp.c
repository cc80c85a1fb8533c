// Looks after the XDP program of an af_xdp port by libbpf and ethtool's ioctl. The program itself
// is in xdp_filter.bpf.c; its object is part of this file, so that it cannot be missing or of
// another version. Whether the owner of a program lives is told by its UDP port, which each data
// plane claims, and which the program's map names.

#include "dataplane/io/xdp.h"

#include "dataplane/io/dev_socket.h"
#include "dataplane/io/udp_claim.h"
#include "lib/base/err.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

__asm__(".section .rodata\n"
	".balign 8\n"
	"xdp_object_begin:\n"
	".incbin \"" XDP_OBJECT "\"\n"
	"xdp_object_end:\n"
	".previous\n");
extern const uint8_t object_begin[] __asm__("xdp_object_begin");
extern const uint8_t object_end[] __asm__("xdp_object_end");

const uint8_t *xdp_object(size_t *len)
{
	*len = (size_t)(object_end - object_begin);
	return object_begin;
}

int xdp_object_open(void)
{
	int fd = memfd_create("skyrail-xdp", MFD_CLOEXEC);
	size_t len;
	const uint8_t *p = xdp_object(&len);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, p, len);
	if (n == (ssize_t)len)
		return fd;
	close(fd);
	return n < 0 ? -errno : -ENOSPC;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, XDP_WHY_MAX, fmt, ap);
	va_end(ap);
	return err;
}

// ---- what is attached ----

struct attached {
	int fd; // of the program, -1: none
	bool native;
	bool ours;
	char name[BPF_OBJ_NAME_LEN];
	int conf_fd; // map of our program, else -1
};

static void attached_close(struct attached *a)
{
	if (a->conf_fd >= 0)
		close(a->conf_fd);
	if (a->fd >= 0)
		close(a->fd);
	a->fd = a->conf_fd = -1;
}

static int conf_map_find(struct attached *a, const uint32_t *ids, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			return -errno;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
			strcmp(info.name, XDP_CONF_MAP) == 0 &&
			info.value_size == sizeof(struct xdp_conf)) {
			a->conf_fd = fd;
			return 0;
		}
		close(fd);
	}
	return 0;
}

// 0 also when nothing is attached.
static int attached_find(unsigned ifindex, struct attached *a)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	uint32_t ids[8] = {0};
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = ARRAY_LEN(ids)};
	uint32_t len = sizeof(info), id;
	int rc = bpf_xdp_query((int)ifindex, 0, &q);

	*a = (struct attached){.fd = -1, .conf_fd = -1};
	if (rc < 0)
		return rc;
	id = q.drv_prog_id != 0 ? q.drv_prog_id : q.skb_prog_id;
	if (id == 0)
		id = q.hw_prog_id;
	if (id == 0)
		return 0;
	a->native = q.drv_prog_id != 0;
	a->fd = bpf_prog_get_fd_by_id(id);
	if (a->fd < 0)
		return -errno;
	rc = bpf_obj_get_info_by_fd(a->fd, &info, &len) < 0 ? -errno : 0;
	if (rc == 0) {
		snprintf(a->name, sizeof(a->name), "%s", info.name);
		if (strcmp(info.name, XDP_PROG_NAME) == 0)
			rc = conf_map_find(a, ids, info.nr_map_ids);
		a->ours = a->conf_fd >= 0;
	}
	if (rc < 0)
		attached_close(a);
	return rc;
}

// ---- before the device is opened ----

// Its data plane lives if somebody has the UDP ports that it was armed with.
static bool is_in_use(const struct attached *a, struct xdp_range ours)
{
	struct xdp_conf conf = {0};
	struct udp_claim claim;
	uint32_t key = 0;

	if (bpf_map_lookup_elem(a->conf_fd, &key, &conf) < 0 || conf.n_ports == 0)
		return false;
	// a port of theirs that is ours now, they have no more
	if (conf.port < ours.port + ours.n && ours.port < conf.port + conf.n_ports)
		return false;
	if (udp_claim_open(&claim, conf.port, 1) == -EADDRINUSE)
		return true;
	udp_claim_close(&claim);
	return false;
}

static bool is_of_libxdp(const struct attached *a)
{
	return strcmp(a->name, "xsk_def_prog") == 0 || strcmp(a->name, "xdp_dispatcher") == 0;
}

static int detach(unsigned ifindex, const struct attached *a, char *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t mode = a->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	int rc;

	opts.old_prog_fd = a->fd; // that one, not whatever came meanwhile
	rc = bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE | mode, &opts);
	if (rc < 0)
		refuse(why, rc, "can't remove the XDP program of a killed data plane: %s",
			strerror(-rc));
	return rc;
}

int xdp_make_room(const char *ifname, struct xdp_range ours, bool sharing, char why[XDP_WHY_MAX])
{
	unsigned ifindex = if_nametoindex(ifname);
	struct attached a;
	int rc;

	if (ifindex == 0)
		return refuse(why, -ENODEV, "no interface %s in this network namespace", ifname);
	rc = attached_find(ifindex, &a);
	if (rc < 0)
		return refuse(
			why, rc, "can't tell which XDP program %s has: %s", ifname, strerror(-rc));
	if (a.fd < 0 || (sharing && is_of_libxdp(&a)))
		rc = 0;
	else if (!a.ours)
		rc = refuse(why, -EBUSY,
			"%s has an XDP program of somebody else, %s; what to do with it is yours: "
			"ip link set dev %s xdp off",
			ifname, a.name, ifname);
	else if (is_in_use(&a, ours))
		rc = refuse(why, -EBUSY, "another data plane uses %s by XDP", ifname);
	else
		rc = detach(ifindex, &a, why);
	attached_close(&a);
	return rc;
}

// The driver says of its own failure only that there was one.
int xdp_try_load(char why[XDP_WHY_MAX])
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "skyrail");
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	size_t len;
	const uint8_t *p = xdp_object(&len);
	struct bpf_object *obj = bpf_object__open_mem(p, len, &opts);
	int rc = obj == NULL ? -errno : bpf_object__load(obj);

	bpf_object__close(obj);
	libbpf_set_print(print);
	if (rc == -EPERM || rc == -EACCES)
		return refuse(why, rc,
			"no right to load an XDP program (CAP_SYS_ADMIN and CAP_NET_ADMIN, or root)");
	if (rc < 0)
		return refuse(
			why, rc, "the kernel does not take our XDP program: %s", strerror(-rc));
	return 0;
}

// ---- afterwards ----

int xdp_arm_again(int map_fd, struct xdp_range ours, const uint8_t mac[6])
{
	struct xdp_conf conf = {.port = ours.port, .n_ports = ours.n};
	uint32_t key = 0;

	memcpy(conf.mac, mac, sizeof(conf.mac));
	return bpf_map_update_elem(map_fd, &key, &conf, BPF_ANY) < 0 ? -errno : 0;
}

// The driver has the map open; to ask for it by its id would take another right. The youngest one
// is that of the program loaded last.
static int conf_map_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t youngest = 0;
	int best = -1, fd;

	while ((fd = dev_fd_next(dir)) >= 0) {
		char path[32], kind[32] = "";
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, kind, sizeof(kind) - 1) < 0 ||
			strcmp(kind, "anon_inode:bpf-map") != 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.id > youngest &&
			strcmp(info.name, XDP_CONF_MAP) == 0 &&
			info.value_size == sizeof(struct xdp_conf)) {
			youngest = info.id;
			best = fd;
		}
	}
	if (best >= 0)
		best = fcntl(best, F_DUPFD_CLOEXEC, 0);
	if (dir != NULL)
		closedir(dir);
	return best >= 0 ? best : -ENOENT;
}

int xdp_arm(const char *ifname, struct xdp_range ours, const uint8_t mac[6], bool *native)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int rc = bpf_xdp_query((int)if_nametoindex(ifname), 0, &q);
	int fd = rc < 0 ? rc : conf_map_open();

	if (fd < 0)
		return fd;
	*native = q.drv_prog_id != 0;
	rc = q.drv_prog_id != 0 || q.skb_prog_id != 0 ? xdp_arm_again(fd, ours, mac) : -ENOENT;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

// DPDK's driver counts combined queues only, and takes an interface without such for one queue.
void xdp_queues(const char *ifname, unsigned *served, unsigned *all)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (char *)&ch};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*served = *all = 1;
	if (fd < 0)
		return;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCETHTOOL, &ifr) == 0) {
		if (ch.max_combined != 0 && ch.combined_count != 0)
			*served = ch.combined_count;
		if (ch.combined_count + ch.rx_count != 0)
			*all = ch.combined_count + ch.rx_count;
	}
	close(fd);
}
