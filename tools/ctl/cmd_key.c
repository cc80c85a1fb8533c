// `skyrail key gen|show`: identity keys in files, as the control plane reads them: 64 hex digits
// and a newline, mode 0600. The secret key is never printed.
#include "lib/api/api_rec.h"
#include "lib/base/err.h"
#include "lib/crypto/key.h"
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
	char text[KEY_SK_TEXT_LEN + 2];
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	// Made by root for a node that is not: it belongs to whom the directory does.
	if (geteuid() == 0)
		cli_give_to_owner_of_dir(fd, path);
	key_sk_to_text(sk, text);
	text[KEY_SK_TEXT_LEN] = '\n';
	if (write(fd, text, KEY_SK_TEXT_LEN + 1) != KEY_SK_TEXT_LEN + 1 || fsync(fd) < 0)
		rc = errno != 0 ? -errno : -EIO;
	key_wipe(text, sizeof(text));
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
	if (key_sk_generate(&sk) < 0 || key_pk_from_sk(&pk, &sk) < 0)
		return cli_error(CLI_FAIL, "no random numbers from the system");
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
	char text[KEY_SK_TEXT_LEN + 1];
	struct stat st;
	bool open_to_others;
	ssize_t n;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cli_error(CLI_FAIL, "%s: %s", path, strerror(errno));
	n = read(fd, text, sizeof(text));
	open_to_others = fstat(fd, &st) == 0 && (st.st_mode & 077) != 0;
	close(fd);
	rc = n >= KEY_SK_TEXT_LEN ? key_sk_from_text(sk, text, KEY_SK_TEXT_LEN) : -EINVAL;
	key_wipe(text, sizeof(text));
	if (rc < 0)
		return cli_error(CLI_FAIL, "%s holds no key: 64 hex digits are expected", path);
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
