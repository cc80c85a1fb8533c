// Whose the last places of the API socket are, and what comes when there is no memory.
#include "controlplane/rpc/api_server.h"

#include "lib/base/log.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct api_server *server;
static char dir[64], path[96];
static int fds[API_CLIENTS_MAX + 1];
static unsigned n_fds;

static void no_log(void *arg, enum log_level level, const char *module, const char *text)
{
	(void)arg, (void)level, (void)module, (void)text;
}

static int setup(void **state)
{
	struct api_server_conf c = {.path = path, .node = "n1", .group = (gid_t)-1, .tick_ms = 1};
	char err[256];

	(void)state;
	log_sink_set(no_log, NULL);
	n_fds = 0;
	strcpy(dir, "/tmp/skyrail-api.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	c.loop = loop = loop_new();
	server = api_server_new(&c, err, sizeof(err));
	return server == NULL;
}

static int teardown(void **state)
{
	(void)state;
	while (n_fds > 0)
		close(fds[--n_fds]);
	api_server_free(server);
	loop_free(loop);
	unlink(path);
	rmdir(dir);
	return 0;
}

static struct api_server_stats stats(void)
{
	struct api_server_stats st;

	api_server_stats_get(server, &st);
	return st;
}

static void turns(int n)
{
	while (n-- > 0)
		loop_turn(loop);
}

static void dial(uid_t as)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	uid_t own = geteuid();
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, path);
	assert_int_equal(seteuid(as), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(seteuid(own), 0);
	fds[n_fds++] = fd;
	turns(3);
}

static void the_last_places_are_the_operators(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); // nobody else can be made
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	while (n_fds <= API_GROUP_CLIENTS_MAX)
		dial(65534);
	assert_int_equal(stats().accepted, API_GROUP_CLIENTS_MAX);
	assert_int_equal(stats().refused, 1);
	dial(0);
	assert_int_equal(stats().accepted, API_GROUP_CLIENTS_MAX + 1);
	assert_int_equal(stats().refused, 1);
}

static unsigned no_pipes; // so many times

// libuv's, but for its failures.
int uv_pipe_init(uv_loop_t *uv, uv_pipe_t *pipe, int ipc)
{
	int (*real)(uv_loop_t *, uv_pipe_t *, int) =
		(int (*)(uv_loop_t *, uv_pipe_t *, int))dlsym(RTLD_NEXT, "uv_pipe_init");

	if (no_pipes > 0) {
		no_pipes--;
		return UV_ENOMEM;
	}
	return real(uv, pipe, ipc);
}

static void who_comes_while_there_is_no_memory_waits(void **state)
{
	(void)state;
	no_pipes = 2;
	dial(geteuid());
	dial(geteuid());
	for (int i = 0; i < 1000 && stats().accepted < 2; i++) {
		usleep(1000); // a tick
		turns(3);
	}
	assert_int_equal(no_pipes, 0);
	assert_int_equal(stats().accepted, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(the_last_places_are_the_operators),
		T(who_comes_while_there_is_no_memory_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
