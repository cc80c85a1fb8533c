// Files written so that they are whole: for control plane and tools, not for workers. 0 or -errno.
#pragma once

#include <stddef.h>

// All of it, whatever one write() takes.
int file_write_all(int fd, const void *p, size_t len);
// Names made or changed in the directory of `path` are there after a crash.
int file_sync_dir(const char *path);
