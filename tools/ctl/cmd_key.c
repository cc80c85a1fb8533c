// `skyrail key gen|show`: identity keys in files, as the control plane reads them: 64 hex digits
// and a newline, mode 0600. The secret key is never printed.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "lib/crypto/key_file.h"
#include "tools/ctl/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_pk(const struct cli *c, const struct key_pk *pk)
{
	char text[KEY_PK_TEXT_LEN + 1];

	key_pk_to_text(pk, text);
	printf(c->json ? "{\"pk\":\"%s\"}\n" : "%s\n", text);
}

static int file_arg(struct cli *c, const char **path)
{
	if (c->argc > 1)
		return cli_error(CLI_USAGE, "one FILE at most");
	*path = c->argc == 1 ? c->argv[0] : "/var/lib/skyrail/node.key";
	return CLI_OK;
}

void cli_give_to_owner_of_dir(int fd, const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
		slash != NULL ? path : ".");
	if (stat(dir, &st) == 0 && st.st_uid != 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		fprintf(stderr, "skyrail: %s belongs to root: %s\n", path, strerror(errno));
}

static int write_key(const char *path, const struct key_sk *sk)
{
	int fd, rc;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	// Made by root for a node that is not: it belongs to whom the directory does.
	if (geteuid() == 0)
		cli_give_to_owner_of_dir(fd, path);
	rc = key_file_put(fd, sk);
	close(fd);
	if (rc < 0)
		unlink(path);
	return rc;
}

int cmd_key_gen(struct cli *c)
{
	struct key_sk sk;
	struct key_pk pk;
	const char *path = NULL;
	int rc = file_arg(c, &path);

	if (rc != CLI_OK)
		return rc;
	if (key_sk_generate(&sk) < 0)
		return cli_error(CLI_FAIL, "no random numbers from the system");
	rc = key_pk_from_sk(&pk, &sk);
	if (rc == 0)
		rc = write_key(path, &sk);
	key_wipe(&sk, sizeof(sk));
	if (rc == -EEXIST)
		return cli_error(CLI_FAIL,
			"%s is there already and is not overwritten: move it away first", path);
	if (rc == -ENOENT)
		return cli_error(
			CLI_FAIL, "%s: its directory is not there: make it, or name a FILE", path);
	if (rc < 0)
		return cli_error(CLI_FAIL, "%s: %s", path, strerror(-rc));
	print_pk(c, &pk);
	return CLI_OK;
}

int cli_read_key(const char *path, struct key_sk *sk)
{
	struct stat st;
	bool open_to_others;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cli_error(CLI_FAIL, "%s: %s", path, strerror(errno));
	rc = key_file_get(fd, sk);
	open_to_others = fstat(fd, &st) == 0 && (st.st_mode & 077) != 0;
	close(fd);
	if (rc == -EINVAL)
		return cli_error(
			CLI_FAIL, "%s holds no secret key: 64 hex digits are expected", path);
	if (rc < 0)
		return cli_error(CLI_FAIL, "%s: %s", path, strerror(-rc));
	if (open_to_others)
		fprintf(stderr,
			"skyrail: %s can be read by others: chmod 600 it, or make a new key\n",
			path);
	return CLI_OK;
}

// Without a file: the key of the node that runs.
static int show_node_key(struct cli *c)
{
	struct api_node n;
	struct key_pk pk;

	if (cli_node(c, &n) < 0)
		return cli_failed(c);
	memcpy(pk.b, n.pk, sizeof(pk.b));
	print_pk(c, &pk);
	return CLI_OK;
}

int cmd_key_show(struct cli *c)
{
	struct key_sk sk;
	struct key_pk pk;
	const char *path = NULL;
	int rc = file_arg(c, &path);

	if (rc != CLI_OK)
		return rc;
	if (c->argc == 0)
		return show_node_key(c);
	rc = cli_read_key(path, &sk);
	if (rc != CLI_OK)
		return rc;
	rc = key_pk_from_sk(&pk, &sk);
	key_wipe(&sk, sizeof(sk));
	if (rc < 0)
		return cli_error(CLI_FAIL, "%s holds no valid key", path);
	print_pk(c, &pk);
	return CLI_OK;
}
