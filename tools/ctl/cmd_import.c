// `skyrail import-config`: a visor's configuration read from a file, ours put into a directory. All
// that can be refused is refused before anything is written; then both files are written under
// other names, and renamed.
#include "lib/base/err.h"
#include "lib/base/file.h"
#include "tools/ctl/cli.h"
#include "tools/ctl/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
	const char *from; // "-": standard input
	const char *dir; // NULL: to standard output
	bool made_dir;
	bool has_key[IMPORT_KEYS_MAX]; // their files are there, with these very keys
	bool force;
	bool open_to_others; // what the key is read from
	char *json;
	size_t len;
	char conf[PATH_MAX], key[PATH_MAX]; // to be written
	struct import *im;
};

// ---- the line ----

static int usage(void)
{
	return cli_error(CLI_USAGE,
		"usage: skyrail import-config FILE [-o DIR|-] [--key FILE] [--force] (see `skyrail "
		"import-config --help`)");
}

static int read_line(struct cli *c, struct job *j, const char **key)
{
	for (int i = 0; i < c->argc; i++) {
		const char *arg = c->argv[i];

		if (strcmp(arg, "--force") == 0)
			j->force = true;
		else if (strcmp(arg, "-o") == 0 && j->dir == NULL && i + 1 < c->argc)
			j->dir = c->argv[++i];
		else if (strcmp(arg, "--key") == 0 && *key == NULL && i + 1 < c->argc)
			*key = c->argv[++i];
		else if ((arg[0] != '-' || arg[1] == '\0') && j->from == NULL)
			j->from = arg;
		else
			return usage();
	}
	if (j->dir != NULL && strcmp(j->dir, "-") == 0)
		j->dir = NULL;
	if (j->from == NULL)
		return usage();
	if (*key != NULL && j->dir == NULL)
		return cli_error(CLI_USAGE, "--key goes with -o DIR: the key is never printed");
	return CLI_OK;
}

// Absolute, since the configuration names the key and is read from anywhere; a link that is there
// stays one. The directory of the file must be there.
static int absolute(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX], real[PATH_MAX];
	int n;

	n = slash == NULL ? snprintf(dir, sizeof(dir), ".")
			  : snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENAMETOOLONG;
	if (realpath(dir, real) == NULL)
		return -errno;
	n = snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") != 0 ? real : "",
		slash != NULL ? slash + 1 : path);
	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (realpath(out, real) != NULL)
		memcpy(out, real, sizeof(real));
	return 0;
}

// What absolute() found wrong is the directory: the file itself need not be there.
static int no_place(const char *path, int err)
{
	const char *slash = strrchr(path, '/');
	int len = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);

	return cli_error(CLI_FAIL, "%.*s: %s", len > 0 ? len : 1, len > 0 ? path : ".",
		err == ENOENT ? "no such directory" : strerror(err));
}

static int place_files(struct job *j, const char *key)
{
	char path[PATH_MAX];
	int rc = 0;

	if (j->dir == NULL)
		return CLI_OK;
	j->made_dir = mkdir(j->dir, 0755) == 0;
	if (!j->made_dir && errno != EEXIST)
		return cli_error(CLI_FAIL, "%s: %s", j->dir, strerror(errno));
	if (snprintf(path, sizeof(path), "%s/controlplane.ini", j->dir) >= (int)sizeof(path))
		return cli_error(CLI_FAIL, "%s: %s", j->dir, strerror(ENAMETOOLONG));
	rc = absolute(path, j->conf);
	if (rc < 0)
		return no_place(path, -rc);
	if (snprintf(path, sizeof(path), "%s/node.key", j->dir) >= (int)sizeof(path))
		return cli_error(CLI_FAIL, "%s: %s", j->dir, strerror(ENAMETOOLONG));
	rc = absolute(key != NULL ? key : path, j->key);
	if (rc < 0)
		return no_place(key != NULL ? key : path, -rc);
	if (!j->force && access(j->conf, F_OK) == 0)
		return cli_error(CLI_FAIL,
			"%s is there already: --force writes over it, -o - only prints", j->conf);
	return CLI_OK;
}

// ---- the visor's file ----

static int slurp(struct job *j)
{
	bool in = strcmp(j->from, "-") == 0;
	int fd = in ? STDIN_FILENO : open(j->from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n = 1;
	int rc = 0;

	if (fd < 0)
		return cli_error(CLI_FAIL, "%s: %s", j->from, strerror(errno));
	j->open_to_others = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0;
	j->json = malloc(IMPORT_JSON_MAX + 1);
	while (j->json != NULL && n > 0 && j->len <= IMPORT_JSON_MAX) {
		n = read(fd, j->json + j->len, IMPORT_JSON_MAX + 1 - j->len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			j->len += (size_t)n;
	}
	if (j->json == NULL || n < 0)
		rc = errno;
	else if (j->len > IMPORT_JSON_MAX)
		rc = EFBIG;
	if (!in)
		close(fd);
	return rc == 0 ? CLI_OK : cli_error(CLI_FAIL, "%s: %s", j->from, strerror(rc));
}

static int convert(struct job *j)
{
	static char err[CONF_ERR_MAX];
	char *save = NULL;

	j->im = import_read(j->json, j->len, j->dir != NULL ? j->key : NULL, err);
	if (j->im != NULL)
		return CLI_OK;
	for (char *l = strtok_r(err, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save))
		cli_error(CLI_FAIL, "%s: %s", j->from, l);
	return CLI_FAIL;
}

// A key is an identity: no option writes over another one.
static int compare_key(const struct import_key *k, bool *is_same)
{
	char text[KEY_PK_TEXT_LEN + 1] = "";
	struct key_sk sk;
	struct key_pk pk;

	if (k->file[0] == '\0' || access(k->file, F_OK) < 0)
		return CLI_OK;
	if (cli_read_key(k->file, &sk) != CLI_OK)
		return CLI_FAIL;
	*is_same = key_equal(&sk, &k->sk, sizeof(sk));
	if (key_pk_from_sk(&pk, &sk) == 0)
		key_pk_to_text(&pk, text);
	key_wipe(&sk, sizeof(sk));
	return *is_same ? CLI_OK
			: cli_error(CLI_FAIL, "%s holds another key, of %s: move it away first",
				  k->file, text);
}

static int compare_keys(struct job *j)
{
	size_t n;
	const struct import_key *keys = import_keys(j->im, &n);
	int rc = CLI_OK;

	for (size_t i = 0; i < n && rc == CLI_OK; i++)
		rc = compare_key(&keys[i], &j->has_key[i]);
	return rc;
}

// ---- the check ----

// The check names the text by its line; who imports knows the visor's file only.
static int tell_mistake(const struct job *j, const char *name, const char *line)
{
	size_t len = strlen(name);
	const char *field;
	unsigned at;
	int used = 0;

	if (strncmp(line, name, len) != 0 || sscanf(line + len, ":%u: %n", &at, &used) != 1 ||
		used == 0)
		return cli_error(CLI_FAIL, "%s", line);
	field = import_field_of(j->im, at);
	return cli_error(
		CLI_FAIL, "%s: %s: %s", j->from, field != NULL ? field : "?", line + len + used);
}

static int tell_mistakes(const struct job *j, const char *name, FILE *said)
{
	static const char mark[] = "err main: ";
	char line[2 * CONF_MISTAKE_MAX];
	int rc = CLI_OK;

	rewind(said);
	while (fgets(line, sizeof(line), said) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, mark, sizeof(mark) - 1) == 0)
			rc = tell_mistake(j, name, line + sizeof(mark) - 1);
	}
	return rc != CLI_OK ? rc : cli_error(CLI_FAIL, "skyrail-controlplane checks nothing");
}

// `config check` of the text, which is in no directory yet.
static int check(const struct job *j)
{
	size_t len;
	const char *text = import_text(j->im, &len);
	int fd = memfd_create("controlplane.ini", 0), rc;
	FILE *said = tmpfile();
	char name[40];

	if (fd < 0 || said == NULL || write(fd, text, len) != (ssize_t)len) {
		rc = cli_error(CLI_FAIL, "temporary file: %s", strerror(errno));
	} else {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		rc = cli_check_controlplane(name, said);
		if (rc == CLI_FAIL)
			rc = tell_mistakes(j, name, said);
	}
	if (said != NULL)
		fclose(said);
	if (fd >= 0)
		close(fd);
	return rc;
}

// ---- our files ----

// path ends with XXXXXX, in place of which a name is made that nobody has.
static int write_new(const struct job *j, char *path, const char *text, size_t len, mode_t mode)
{
	int fd = mkostemp(path, O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	// what nobody else may read is for the user whose key it is
	if (mode == 0600 && geteuid() == 0)
		cli_give_to_owner_of_dir(fd, j->key);
	rc = file_write_all(fd, text, len);
	if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		rc = -errno;
	close(fd);
	if (rc < 0)
		unlink(path);
	return rc;
}

// over: also where a file is.
static int put_in_place(const char *from, const char *to, bool over)
{
	if (over ? rename(from, to) < 0 : link(from, to) < 0)
		return -errno;
	if (!over)
		unlink(from);
	return file_sync_dir(to);
}

static int write_key(const struct job *j, const struct import_key *k)
{
	char text[KEY_SK_TEXT_LEN + 2], tmp[IMPORT_FILE_MAX + 8];
	int rc;

	snprintf(tmp, sizeof(tmp), "%s.XXXXXX", k->file);
	key_sk_to_text(&k->sk, text);
	text[KEY_SK_TEXT_LEN] = '\n';
	rc = write_new(j, tmp, text, KEY_SK_TEXT_LEN + 1, 0600);
	key_wipe(text, sizeof(text));
	if (rc == 0)
		rc = put_in_place(tmp, k->file, false);
	if (rc < 0)
		unlink(tmp);
	return rc;
}

static int write_conf(const struct job *j)
{
	char tmp[PATH_MAX + 8];
	size_t len;
	const char *text = import_text(j->im, &len);
	int rc;

	snprintf(tmp, sizeof(tmp), "%s.XXXXXX", j->conf);
	rc = write_new(j, tmp, text, len, import_has_secret(j->im) ? 0600 : 0644);
	if (rc == 0)
		rc = put_in_place(tmp, j->conf, j->force);
	if (rc < 0)
		unlink(tmp);
	return rc;
}

// Keys first: a node that has a configuration without its key makes another one.
static int write_files(const struct job *j)
{
	size_t n;
	const struct import_key *keys = import_keys(j->im, &n);
	int rc;

	for (size_t i = 0; i < n; i++) {
		rc = j->has_key[i] ? 0 : write_key(j, &keys[i]);
		if (rc < 0)
			return cli_error(CLI_FAIL, "%s: %s", keys[i].file, strerror(-rc));
	}
	rc = write_conf(j);
	return rc == 0 ? CLI_OK : cli_error(CLI_FAIL, "%s: %s", j->conf, strerror(-rc));
}

// ---- the report ----

static void print_note(const struct import_note *n)
{
	int col = fprintf(stderr, "  %s", n->path);

	if (n->more > 0)
		col += fprintf(stderr, " and %u more", n->more);
	if (n->why[0] != '\0')
		fprintf(stderr, "%*s%s", col < 40 ? 40 - col : 1, "", n->why);
	fputc('\n', stderr);
}

static void print_notes(const struct import *im)
{
	static const char *const heads[] = {[IMPORT_LATER] = "not supported yet, left out:",
		[IMPORT_NONE] = "without a counterpart, left out:",
		[IMPORT_UNKNOWN] = "not known as fields of a visor, left out:",
		[IMPORT_LEFT] = "to look at:"};
	size_t n;
	unsigned more;
	const struct import_note *notes = import_notes(im, &n, &more);

	for (int kind = 0; kind < IMPORT_KINDS; kind++) {
		bool first = true;

		for (size_t i = 0; i < n; i++) {
			if ((int)notes[i].kind != kind)
				continue;
			if (first)
				fprintf(stderr, "%s\n", heads[kind]);
			first = false;
			print_note(&notes[i]);
		}
	}
	if (more > 0)
		fprintf(stderr, "and %u more\n", more);
}

static void print_files(const struct job *j)
{
	size_t n;
	const struct import_key *keys = import_keys(j->im, &n);

	fprintf(stderr, "written: %s\n", j->conf);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "         %s (%s key%s)\n", keys[i].file,
			i == 0 ? "the" : "the set-up node's", j->has_key[i] ? ", as it was" : "");
	fputs("Stop the visor before this node starts: two with one key cut each other off.\n",
		stderr);
}

// After what is always told: what there is.
static void print_more(const struct import *im)
{
	const struct {
		const char *name;
		unsigned n;
	} all[] = {{"route set-up node", import_count(im, "route_setup_node")},
		{"transport set-up node", import_count(im, "transport_setup")},
		{"transport", import_count(im, "transport")},
		{"service", import_has(im, "transports", "discovery") +
				    import_has(im, "transports", "address_resolver") +
				    import_has(im, "routing", "route_finder")}};
	const char *sep = "";

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].n == 0)
			continue;
		fprintf(stderr, "%s%u %s%s", sep, all[i].n, all[i].name, all[i].n == 1 ? "" : "s");
		sep = ", ";
	}
	if (sep[0] != '\0')
		fputc('\n', stderr);
}

static void print_sum(const struct job *j)
{
	char pk[KEY_PK_TEXT_LEN + 1];
	unsigned servers = import_count(j->im, "server"),
		 discoveries = import_count(j->im, "discovery"),
		 hypervisors = import_count(j->im, "hypervisor");

	key_pk_to_text(import_pk(j->im), pk);
	fprintf(stderr, "%s\n%u dmsg server%s, %u dmsg discover%s, %u hypervisor%s\n", pk, servers,
		servers == 1 ? "" : "s", discoveries, discoveries == 1 ? "y" : "ies", hypervisors,
		hypervisors == 1 ? "" : "s");
	print_more(j->im);
	if (import_has(j->im, "peers", "allow"))
		fputs("[peers] allow = any: transports of every key are taken, as by a visor\n",
			stderr);
	print_notes(j->im);
	if (j->open_to_others)
		fprintf(stderr, "%s can be read by others, and holds the key: chmod 600\n",
			strcmp(j->from, "-") == 0 ? "the file on standard input" : j->from);
	if (j->dir == NULL)
		fputs("nothing was written, and secret keys are not printed: -o DIR writes all, "
		      "with [node] key_file and state_dir, which are in DIR\n",
			stderr);
	else
		print_files(j);
}

static int print_text(const struct job *j)
{
	size_t len;
	const char *text = import_text(j->im, &len);

	fwrite(text, 1, len, stdout);
	return fflush(stdout) == 0 ? CLI_OK
				   : cli_error(CLI_FAIL, "standard output: %s", strerror(errno));
}

int cmd_import_config(struct cli *c)
{
	struct job j = {0};
	const char *key = NULL;
	int rc = read_line(c, &j, &key);

	if (rc == CLI_OK)
		rc = place_files(&j, key);
	if (rc == CLI_OK)
		rc = slurp(&j);
	if (rc == CLI_OK)
		rc = convert(&j);
	if (rc == CLI_OK)
		rc = compare_keys(&j);
	if (rc == CLI_OK)
		rc = check(&j);
	if (rc == CLI_OK)
		rc = j.dir != NULL ? write_files(&j) : print_text(&j);
	if (rc == CLI_OK)
		print_sum(&j);
	else if (j.made_dir)
		rmdir(j.dir);
	import_free(j.im);
	if (j.json != NULL)
		key_wipe(j.json, j.len);
	free(j.json);
	return rc;
}
