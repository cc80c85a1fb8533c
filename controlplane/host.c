// Directories, capabilities and groups: each is looked at once, and told in a line that says what
// to do. Nothing here is needed later.
#include "controlplane/host.h"

#include "lib/base/err.h"
#include "lib/base/log.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

LOG_MODULE("main");

static int make_dir(const char *path)
{
	char buf[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, n + 1);
	for (char *p = buf + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(buf, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int host_make_dirs(const struct cp_values *v)
{
	const char *dirs[] = {v->run_dir, v->state_dir};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		int rc = dirs[i][0] != '\0' ? make_dir(dirs[i]) : 0;

		if (rc < 0) {
			log_err("directory=%s: %s: make it, or set [node] %s", dirs[i],
				strerror(-rc), i == 0 ? "run_dir" : "state_dir");
			return -1;
		}
	}
	return 0;
}

void host_check_caps(void)
{
	unsigned long long eff = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "CapEff: %llx", &eff) == 1)
			break;
	if (f != NULL)
		fclose(f);
	if (!(eff >> CAP_NET_ADMIN & 1))
		log_warn("CAP_NET_ADMIN is missing: no TUN edges, and neighbours are not probed");
}

int host_group(const struct cp_values *v, gid_t *gid)
{
	struct group *g;

	*gid = (gid_t)-1;
	if (v->api_group[0] == '\0')
		return 0;
	g = getgrnam(v->api_group);
	if (g == NULL && strcmp(v->api_group, "skyrail") == 0)
		return 0; // the default: not every machine has it
	if (g == NULL) {
		log_err("group %s does not exist: make it (groupadd --system %s), or change [node] api_group",
			v->api_group, v->api_group);
		return -1;
	}
	*gid = g->gr_gid;
	return 0;
}
