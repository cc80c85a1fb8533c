// One number in one small file, rewritten in place at each init: inits are rare. A file that can't
// be read or holds no number counts as none. It doesn't log; the caller says what init_time_open()
// found.
#include "controlplane/transport/init_time.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"

// A number further ahead than this is no clock that was set back but a broken file.
#define AHEAD_MAX_NS (400ull * 24 * 3600 * CLOCK_NS_PER_S)

struct init_time {
	int fd; // -1: not kept
	uint64_t last_ns;
};

static uint64_t read_last(int fd)
{
	char text[32] = "";
	char *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	uint64_t v;

	if (n <= 0)
		return 0;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\n' || v > clock_wall_ns() + AHEAD_MAX_NS)
		return 0;
	return v;
}

struct init_time *init_time_open(const char *dir, int *err)
{
	struct init_time *t = calloc(1, sizeof(*t));
	char path[4096];

	*err = 0;
	if (t == NULL)
		return NULL;
	t->fd = -1;
	if (snprintf(path, sizeof(path), "%s/last_init", dir) >= (int)sizeof(path)) {
		*err = -ENAMETOOLONG;
		return t;
	}
	t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (t->fd < 0)
		*err = -errno;
	else
		t->last_ns = read_last(t->fd);
	return t;
}

void init_time_close(struct init_time *t)
{
	if (t != NULL && t->fd >= 0)
		close(t->fd);
	free(t);
}

uint64_t init_time_next(struct init_time *t)
{
	uint64_t now = clock_wall_ns();
	char text[32];
	int n;

	t->last_ns = now > t->last_ns ? now : t->last_ns + 1;
	n = snprintf(text, sizeof(text), "%020" PRIu64 "\n", t->last_ns);
	if (t->fd >= 0 && pwrite(t->fd, text, (size_t)n, 0) != n) {
		close(t->fd); // a full disk: from here on in memory only
		t->fd = -1;
	}
	return t->last_ns;
}
