// Looks now and then which servers a dmsg discovery lists (dmsg 6.3), for a server that was told to
// have all of them as peers. Loop's thread only.
#pragma once

#include "controlplane/directory/dir_client.h"

enum {
	DMSG_MESH_FIND_FIRST_MS = 10000,
	DMSG_MESH_FIND_EVERY_MS = 60000, // as entries are put there
};

struct dmsg_mesh_find;

struct dmsg_mesh_find_conf {
	struct loop *loop;
	struct dir_client *dir; // borrowed
	uint32_t first_ms, every_ms; // 0: as above
	// A list, whole. A discovery that fails, or lists nobody, gives none.
	void (*list)(void *arg, const struct dmsg_entry *e, size_t n);
	void *arg;
};

struct dmsg_mesh_find *dmsg_mesh_find_new(const struct dmsg_mesh_find_conf *conf); // NULL and errno
void dmsg_mesh_find_free(struct dmsg_mesh_find *f); // NULL is allowed
