// Temporary file beside the old one, fsync, rename, fsync of the directory: what a crash leaves is
// whole. The temporary file has one name, so that what a crash leaves of it is taken away the next
// time. A symbolic link stays one: the file that it names is written.
#include "controlplane/core/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/file.h"

struct file {
	char path[PATH_MAX]; // no link
	char tmp[PATH_MAX + 8];
	bool is_there;
	struct stat st;
	char *text;
	size_t len;
};

static int read_text(struct file *f, int fd)
{
	if (!S_ISREG(f->st.st_mode))
		return -EINVAL;
	if (f->st.st_size > CONF_EDIT_MAX)
		return -EFBIG;
	f->text = malloc((size_t)f->st.st_size + 1);
	if (f->text == NULL)
		return -ENOMEM;
	while (f->len < (size_t)f->st.st_size) {
		ssize_t n = read(fd, f->text + f->len, (size_t)f->st.st_size - f->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		f->len += (size_t)n;
	}
	return 0;
}

static int file_read(struct file *f, const char *path)
{
	int fd, rc;

	if (realpath(path, f->path) == NULL) {
		if (errno != ENOENT || strlen(path) >= sizeof(f->path))
			return -errno;
		snprintf(f->path, sizeof(f->path), "%s", path);
	}
	snprintf(f->tmp, sizeof(f->tmp), "%s.new", f->path);
	fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	f->is_there = true;
	rc = fstat(fd, &f->st) != 0 ? -errno : read_text(f, fd);
	close(fd);
	if (rc == 0 && (f->st.st_mode & 0222) == 0)
		return -EROFS; // somebody meant it, and root would not notice
	return rc != 0 || access(f->path, W_OK) == 0 ? rc : -errno;
}

static int replace(const struct file *f, const char *text, size_t len)
{
	int fd, rc;

	if (unlink(f->tmp) != 0 && errno != ENOENT)
		return -errno;
	fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = file_write_all(fd, text, len);
	if (rc == 0 && f->is_there && fchown(fd, f->st.st_uid, f->st.st_gid) != 0)
		rc = -errno;
	if (rc == 0 && (fchmod(fd, 0600) != 0 || fsync(fd) != 0))
		rc = -errno;
	close(fd);
	if (rc == 0 && rename(f->tmp, f->path) != 0)
		rc = -errno;
	if (rc != 0) {
		unlink(f->tmp);
		return rc;
	}
	return file_sync_dir(f->path);
}

int conf_file_set(const char *path, const struct conf_set *sets, size_t n_sets)
{
	struct file *f = calloc(1, sizeof(*f));
	char *text = NULL;
	size_t len;
	int rc;

	if (f == NULL)
		return -ENOMEM;
	rc = file_read(f, path);
	if (rc == 0) {
		text = conf_edit(f->text, f->len, sets, n_sets, &len);
		rc = text != NULL ? 0 : -errno;
	}
	if (rc == 0 && !(f->is_there && len == f->len && memcmp(text, f->text, len) == 0))
		rc = replace(f, text, len);
	// a secret key may be in them
	if (text != NULL)
		explicit_bzero(text, len);
	if (f->text != NULL)
		explicit_bzero(f->text, f->len);
	free(text);
	free(f->text);
	free(f);
	return rc;
}
