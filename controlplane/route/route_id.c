// Route ids of this node. The allocator is lib/base/idpool; here are the number of the life, kept
// in a small file that is replaced atomically, and the random source. Whether a rule stands behind
// an id is rule_mgr's business.
#include "controlplane/route/route_id.h"

#include "lib/base/idpool.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

LOG_MODULE("route");

struct route_id {
	struct idpool *pool;
	unsigned bits;
	uint32_t life;
	uint8_t secret[HTAB_SECRET_LEN];
	char *path;
	uint32_t entropy[64]; // bulk reservations would pay a system call each
	unsigned n_entropy;
	uint8_t *held; // during a recount: a bit per index
};

static uint32_t random_u32(void)
{
	uint32_t v = 0;

	while (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		continue;
	return v;
}

static uint32_t random_below(void *arg, uint32_t upper)
{
	struct route_id *r = arg;
	uint32_t v;

	if (r->n_entropy == 0) {
		// requests of up to 256 bytes are never cut short
		while (getrandom(r->entropy, sizeof(r->entropy), 0) != (ssize_t)sizeof(r->entropy))
			continue;
		r->n_entropy = sizeof(r->entropy) / sizeof(r->entropy[0]);
	}
	v = r->entropy[--r->n_entropy];
	// multiply-shift: the bias is upper / 2^32
	return (uint32_t)((uint64_t)v * upper >> 32);
}

static bool life_read(const char *path, uint32_t *life)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (f == NULL)
		return false;
	ok = fscanf(f, "%u", life) == 1;
	fclose(f);
	return ok;
}

static int life_write(const char *path, uint32_t life)
{
	char tmp[4096], text[16];
	int fd, n, rc = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%u\n", life);
	if (write(fd, text, (size_t)n) != n || fsync(fd) < 0)
		rc = errno ? -errno : -EIO;
	close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(tmp);
	return rc;
}

static void next_life(struct route_id *r)
{
	uint32_t life;
	int rc;

	if (r->path == NULL || !life_read(r->path, &life))
		life = random_u32();
	r->life = life + 1;
	if (r->path == NULL)
		return;
	rc = life_write(r->path, r->life);
	if (rc < 0) {
		log_warn("file=%s can't be written (%s): route ids begin at random", r->path,
			strerror(-rc));
		r->life = random_u32();
	}
}

struct route_id *route_id_new(const uint8_t secret[32], const char *state_path)
{
	struct route_id *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	memcpy(r->secret, secret, sizeof(r->secret) < 32 ? sizeof(r->secret) : 32);
	if (state_path != NULL && (r->path = strdup(state_path)) == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

void route_id_free(struct route_id *r)
{
	if (r == NULL)
		return;
	idpool_free_pool(r->pool);
	free(r->held);
	free(r->path);
	free(r);
}

int route_id_reset(struct route_id *r, unsigned bits)
{
	struct idpool_conf conf = {.index_bits = bits, .random = random_below, .random_arg = r};
	struct idpool *pool;

	next_life(r);
	conf.life = r->life;
	memcpy(conf.secret, r->secret, sizeof(conf.secret));
	pool = idpool_new(&conf);
	if (pool == NULL)
		return -errno;
	idpool_free_pool(r->pool);
	r->pool = pool;
	r->bits = bits;
	free(r->held);
	r->held = NULL;
	return 0;
}

// ---- recount ----

int route_id_recount_begin(struct route_id *r)
{
	if (r->pool == NULL)
		return 0;
	free(r->held);
	r->held = calloc(((size_t)1 << r->bits) / 8 + 1, 1);
	return r->held != NULL ? 0 : -ENOMEM;
}

static void hold(struct route_id *r, uint32_t id)
{
	uint32_t index;

	if (r->held == NULL || !idpool_is_live(r->pool, id))
		return;
	index = idpool_index(r->pool, id);
	r->held[index / 8] |= (uint8_t)(1u << index % 8);
}

void route_id_recount_end(struct route_id *r)
{
	if (r->held == NULL)
		return;
	for (uint32_t i = 0; i < 1u << r->bits; i++) {
		uint32_t id = idpool_at(r->pool, i);

		if (id != 0 && !(r->held[i / 8] & 1u << i % 8))
			idpool_free(r->pool, id);
	}
	free(r->held);
	r->held = NULL;
}

int route_id_found(struct route_id *r, uint32_t id)
{
	uint32_t other;
	int rc;

	if (r->pool == NULL)
		return -ENOTCONN;
	other = idpool_at(r->pool, idpool_index(r->pool, id));
	if (id != 0 && other != 0 && other != id)
		idpool_free(r->pool, other);
	rc = idpool_take_exact(r->pool, id);
	hold(r, id);
	return rc == -EEXIST ? 0 : rc;
}

uint32_t route_id_reserve(struct route_id *r)
{
	uint32_t id = r->pool != NULL ? idpool_take(r->pool) : 0;

	hold(r, id);
	return id;
}

int route_id_take(struct route_id *r, uint32_t id)
{
	int rc = r->pool != NULL ? idpool_take_exact(r->pool, id) : -ENOTCONN;

	hold(r, id);
	return rc;
}

int route_id_release(struct route_id *r, uint32_t id)
{
	return r->pool != NULL ? idpool_free(r->pool, id) : -ENOENT;
}

bool route_id_is_live(const struct route_id *r, uint32_t id)
{
	return r->pool != NULL && idpool_is_live(r->pool, id);
}

uint32_t route_id_n_live(const struct route_id *r)
{
	return r->pool != NULL ? idpool_n_live(r->pool) : 0;
}

unsigned route_id_bits(const struct route_id *r)
{
	return r->bits;
}
