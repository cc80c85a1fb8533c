// The program that the data plane carries, as far as it can be looked at without loading it.

#include "dataplane/io/xdp.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void the_object_has_what_the_driver_and_we_look_for(void **state)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "test");
	size_t len;
	const uint8_t *p = xdp_object(&len);
	struct bpf_object *obj = bpf_object__open_mem(p, len, &opts);
	const struct bpf_program *prog;
	const struct bpf_map *map;

	assert_non_null(obj);
	prog = bpf_object__next_program(obj, NULL); // the driver takes the first one
	assert_non_null(prog);
	assert_string_equal(bpf_program__name(prog), XDP_PROG_NAME);
	assert_int_equal(bpf_program__type(prog), BPF_PROG_TYPE_XDP);
	assert_null(bpf_object__next_program(obj, (struct bpf_program *)prog));
	map = bpf_object__find_map_by_name(obj, "xsks_map");
	assert_non_null(map);
	assert_int_equal(bpf_map__type(map), BPF_MAP_TYPE_XSKMAP);
	map = bpf_object__find_map_by_name(obj, XDP_CONF_MAP);
	assert_non_null(map);
	assert_int_equal(bpf_map__value_size(map), sizeof(struct xdp_conf));
	bpf_object__close(obj);
	assert_true(strlen(XDP_PROG_NAME) < BPF_OBJ_NAME_LEN);
	assert_true(strlen(XDP_CONF_MAP) < BPF_OBJ_NAME_LEN);
}

static void the_driver_gets_the_same_bytes(void **state)
{
	size_t len;
	const uint8_t *p = xdp_object(&len);
	uint8_t *copy = malloc(len + 1);
	int fd = xdp_object_open();

	assert_non_null(copy);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, copy, len + 1, 0), len);
	assert_memory_equal(copy, p, len);
	close(fd);
	free(copy);
}

static void an_interface_that_is_not_there(void **state)
{
	static const uint8_t mac[6] = {2};
	char why[XDP_WHY_MAX] = "";
	const struct xdp_range ours = {.port = 7780, .n = 1};
	unsigned served = 7, all = 7;
	bool native;

	assert_int_equal(xdp_make_room("nosuchif0", ours, false, why), -ENODEV);
	assert_non_null(strstr(why, "nosuchif0"));
	assert_true(xdp_arm("nosuchif0", ours, mac, &native) < 0);
	xdp_queues("nosuchif0", &served, &all);
	assert_int_equal(served, 1);
	assert_int_equal(all, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_object_has_what_the_driver_and_we_look_for),
		cmocka_unit_test(the_driver_gets_the_same_bytes),
		cmocka_unit_test(an_interface_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
