// The key file and the key in memory. The file is made with O_EXCL under a temporary name and
// linked into place, so that a crash leaves a whole key or none. It never logs.
#include "controlplane/core/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/crypto/key_file.h"

struct identity {
	struct key_pk pk;
	struct key_sk sk;
};

static void say(char *err, size_t err_len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL || err_len == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
}

// Whole pages of its own, so that they can be locked and left out of cores.
static size_t page_len(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct identity *identity_from_sk(const struct key_sk *sk)
{
	struct identity *id =
		mmap(NULL, page_len(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (id == MAP_FAILED)
		return NULL;
	// Best effort: RLIMIT_MEMLOCK may forbid the lock.
	(void)mlock(id, page_len());
	(void)madvise(id, page_len(), MADV_DONTDUMP);
	id->sk = *sk;
	rc = key_pk_from_sk(&id->pk, sk);
	if (rc != 0) {
		identity_free(id);
		return errno_null(rc);
	}
	return id;
}

void identity_free(struct identity *id)
{
	if (id == NULL)
		return;
	key_wipe(id, sizeof(*id));
	munmap(id, page_len());
}

// The directory that will hold path; only the last component is made.
static void make_dir(const char *path)
{
	char dir[4096];
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return;
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return;
	*slash = '\0';
	(void)mkdir(dir, 0755); // whether it is there now is found out by open()
}

static int key_file_write(const char *path, const struct key_sk *sk)
{
	char tmp[4096];
	int fd, rc;

	if (snprintf(tmp, sizeof(tmp), "%s.new.%d", path, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	make_dir(path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = key_file_put(fd, sk);
	close(fd);
	// link() and not rename(): never over a key that somebody made meanwhile.
	if (rc == 0 && link(tmp, path) != 0)
		rc = -errno;
	unlink(tmp);
	return rc;
}

static struct identity *make_key(const char *path, bool *made, char *err, size_t err_len)
{
	struct identity *id = NULL;
	struct key_sk sk;
	int rc = key_sk_generate(&sk);

	if (rc == 0)
		rc = key_file_write(path, &sk);
	if (rc == 0) {
		id = identity_from_sk(&sk);
		rc = id == NULL ? -errno : 0;
	}
	key_wipe(&sk, sizeof(sk));
	if (rc != 0) {
		say(err, err_len, "%s: cannot make the key file: %s", path, strerror(-rc));
		return errno_null(rc);
	}
	*made = true;
	return id;
}

static int check_file(int fd, const char *path, char *err, size_t err_len)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		say(err, err_len, "%s: not a regular file", path);
		return -EINVAL;
	}
	if ((st.st_mode & 077) != 0) {
		say(err, err_len,
			"%s: others can use this key file (mode %04o): chmod 600 it, and make a new "
			"key if somebody may have read it",
			path, (unsigned)(st.st_mode & 07777));
		return -EACCES;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0 && geteuid() != 0) {
		say(err, err_len, "%s: belongs to uid %u, not to this user: chown it", path,
			(unsigned)st.st_uid);
		return -EACCES;
	}
	return 0;
}

struct identity *identity_open(const char *path, bool *made, char *err, size_t err_len)
{
	struct identity *id = NULL;
	struct key_sk sk;
	int fd, rc;

	*made = false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return make_key(path, made, err, err_len);
	if (fd < 0) {
		rc = -errno;
		say(err, err_len, "%s: cannot read the key file: %s", path, strerror(-rc));
		return errno_null(rc);
	}
	say(err, err_len, "%s: cannot be used", path);
	rc = check_file(fd, path, err, err_len);
	if (rc == 0) {
		rc = key_file_get(fd, &sk);
		if (rc != 0)
			say(err, err_len,
				"%s: no key in it: 64 hex digits of a secp256k1 secret key are "
				"wanted; remove the file to get a new key",
				path);
	}
	close(fd);
	if (rc == 0) {
		id = identity_from_sk(&sk);
		rc = id == NULL ? -errno : 0;
	}
	key_wipe(&sk, sizeof(sk));
	return rc != 0 ? errno_null(rc) : id;
}

const struct key_pk *identity_pk(const struct identity *id)
{
	return &id->pk;
}

const struct key_sk *identity_sk(const struct identity *id)
{
	return &id->sk;
}
