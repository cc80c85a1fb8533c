// A process that is not ours may have the id by now: then its things stay until it ends.

#include "tools/bench/stale.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool stale_is(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	char *end;
	long pid;

	if (strncmp(name, prefix, len) != 0 || name[len] < '1' || name[len] > '9')
		return false;
	pid = strtol(name + len, &end, 10);
	if ((*end != '\0' && *end != '-') || pid > INT_MAX)
		return false;
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

void stale_dirs_remove(const char *dir, const char *prefix)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (stale_is(e->d_name, prefix))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR); // only an empty one
	}
	closedir(d);
}
