// Capabilities that open ports need from then on: to be closed, and to be opened again. The least:
// whoever takes over a data plane has what it kept.

#include "dataplane/io/port_priv.h"

#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUPS_MAX = 256, READ_WRITE = 06, SEARCH = 01 };

// To open it again takes its address and locked rings.
#define PACKET_CAPS (1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW | 1ull << CAP_IPC_LOCK)

static bool is_of_our_groups(gid_t gid)
{
	gid_t all[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, all);

	for (int i = 0; i < n; i++)
		if (all[i] == gid)
			return true;
	return gid == getegid();
}

// What the file's mode says, whatever capabilities allow.
static bool is_allowed(const struct stat *st, unsigned want)
{
	unsigned mode = st->st_mode;

	if (st->st_uid == geteuid())
		mode >>= 6;
	else if (is_of_our_groups(st->st_gid))
		mode >>= 3;
	return (mode & want) == want;
}

// May we connect to the socket once more without CAP_DAC_OVERRIDE? One that is not there yet is
// taken to be the directory owner's.
static bool may_connect(const char *socket)
{
	char path[PATH_MAX];
	struct stat st;
	char *end;

	snprintf(path, sizeof(path), "%s", socket);
	if (stat(path, &st) == 0 && !is_allowed(&st, READ_WRITE))
		return false;
	end = strrchr(path, '/');
	if (end == NULL || end == path)
		return true;
	*end = '\0';
	if (access(socket, F_OK) != 0 && stat(path, &st) == 0 && st.st_uid != geteuid())
		return false;
	for (; end != NULL && end != path; end = strrchr(path, '/')) {
		*end = '\0';
		if (stat(path, &st) == 0 && !is_allowed(&st, SEARCH))
			return false;
	}
	return true;
}

static bool is_another_users(const struct port *p)
{
	char abstract[4], path[PORT_DEVICE_LEN];

	return port_is_memif_client(p) &&
	       port_device_arg(p->device, "socket-abstract", abstract, sizeof(abstract)) &&
	       strcmp(abstract, "no") == 0 &&
	       port_device_arg(p->device, "socket", path, sizeof(path)) && !may_connect(path);
}

uint64_t port_set_caps(const struct port_set *s)
{
	uint64_t caps = 0;

	for (unsigned i = 0; i < s->n_all; i++) {
		const struct port *p = &s->p[i];

		caps |= p->driver->xdp ? XDP_CAPS : p->kernel_backed ? PACKET_CAPS : 0;
		// its driver takes the interface down before it closes it
		if (strncmp(p->device, "net_tap", strlen("net_tap")) == 0)
			caps |= 1ull << CAP_NET_ADMIN;
		// new memory is locked for the device
		if (port_device_is_pci(p->device))
			caps |= 1ull << CAP_IPC_LOCK;
		if (is_another_users(p))
			caps |= 1ull << CAP_DAC_OVERRIDE;
	}
	return caps;
}
