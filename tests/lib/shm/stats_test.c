// The statistics segment describes itself, and a foreign one is refused.

#include "lib/shm/stats.h"

#include "lib/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct stats_hdr *segment(size_t *len)
{
	struct stats_hdr *s;

	*len = stats_len(2, 3, 16);
	s = aligned_alloc(64, *len);
	assert_non_null(s);
	memset(s, 0, *len);
	stats_init(s, 2, 3, 16, 77);
	return s;
}

// Nothing of the hop that had this place before is seen.
static void a_place_that_is_used_again_begins_with_zeros(void **state)
{
	struct stats_hop st, want;

	memset(&st, 0x5a, sizeof(st));
	memset(&want, 0, sizeof(want));
	memcpy(want.name, st.name, sizeof(want.name));
	atomic_store(&want.hop, 0x5a5a5a5a);
	stats_hop_clear(&st);
	assert_memory_equal(&st, &want, offsetof(struct stats_hop, name) + sizeof(st.name));
}

static void each_counter_has_name_unit_and_help_once(void **state)
{
	for (int scope = SCOPE_WORKER; scope <= SCOPE_DMSG_SERVER; scope++) {
		size_t n;
		const struct counter_desc *d = stats_desc((enum counter_scope)scope, &n);

		for (size_t i = 0; i < n; i++) {
			assert_true(d[i].name[0] != '\0' && d[i].unit[0] != '\0' &&
				    d[i].help[0] != '\0');
			assert_int_equal(d[i].scope, scope);
			for (size_t k = 0; k < i; k++)
				assert_string_not_equal(d[i].name, d[k].name);
		}
	}
}

// The scopes whose drops are shown in one list.
static const struct {
	enum counter_scope scope;
	size_t n;
} dropping[] = {
	{SCOPE_WORKER, W_COUNT},
	{SCOPE_CONTROL, C_COUNT},
	{SCOPE_DMSG_CLIENT, DC_COUNT},
	{SCOPE_DMSG_SERVER, DS_COUNT},
};

static void a_counter_stands_at_its_number(void **state)
{
	size_t n;

	assert_string_equal(stats_desc(SCOPE_WORKER, &n)[W_drop_adj].name, "drop_adj");
}

static void drops_are_named_so(void **state)
{
	for (size_t a = 0; a < ARRAY_LEN(dropping); a++) {
		size_t n;
		const struct counter_desc *d = stats_desc(dropping[a].scope, &n);

		assert_int_equal(n, dropping[a].n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(
				d[i].role == ROLE_DROP, strncmp(d[i].name, "drop_", 5) == 0);
	}
}

// Names of ports' counters are those of devices.
static void what_devices_lost_before_a_worker_saw_it_is_dropped(void **state)
{
	size_t n;
	const struct counter_desc *d = stats_desc(SCOPE_PORT, &n);

	assert_int_equal(n, P_COUNT);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			d[i].role == ROLE_DROP, i == P_port_rx_missed || i == P_port_rx_nombuf);
}

static void no_name_stands_in_two_lists(void **state)
{
	for (size_t a = 0; a < ARRAY_LEN(dropping); a++)
		for (size_t b = 0; b < a; b++) {
			size_t n_a, n_b;
			const struct counter_desc *x = stats_desc(dropping[a].scope, &n_a);
			const struct counter_desc *y = stats_desc(dropping[b].scope, &n_b);

			for (size_t i = 0; i < n_a; i++)
				for (size_t k = 0; k < n_b; k++)
					assert_string_not_equal(x[i].name, y[k].name);
		}
}

static void blocks_do_not_overlap_and_end_at_len(void **state)
{
	size_t len;
	struct stats_hdr *s = segment(&len);

	assert_int_equal(stats_check(s, len), 0);
	assert_true((uintptr_t)stats_worker(s, 0) >= (uintptr_t)(s + 1));
	assert_ptr_equal(stats_worker(s, 2), stats_port(s, 0));
	assert_ptr_equal(stats_port(s, 3), stats_hop(s, 0));
	assert_int_equal((uintptr_t)stats_hop(s, 16) - (uintptr_t)s, len);
	stat_add(&stats_worker(s, 1)->c[W_rx_frames], 5);
	stat_add(&stats_worker(s, 1)->c[W_rx_frames], 6);
	assert_int_equal(stat_get(&stats_worker(s, 1)->c[W_rx_frames]), 11);
	assert_int_equal(stat_get(&stats_worker(s, 0)->c[W_rx_frames]), 0);
	free(s);
}

// The writer goes mad after it was checked: the reader looks where it looked before.
static void a_view_does_not_follow_a_header_that_changes(void **state)
{
	size_t len;
	struct stats_hdr *s = segment(&len);
	const void *hop0 = stats_hop(s, 0);
	struct stats_view v;

	memset(s->program, 'x', sizeof(s->program)); // no NUL
	s->tsc_hz = 2100000000;
	assert_int_equal(stats_view_open(&v, s, len, s->epoch + 1), -EPROTO);
	assert_int_equal(stats_view_open(&v, s, len - 1, s->epoch), -EPROTO);
	assert_int_equal(stats_view_open(&v, s, sizeof(*s) - 1, s->epoch), -EPROTO);
	assert_int_equal(stats_view_open(&v, s, len, s->epoch), 0);
	assert_int_equal(strlen(v.program), sizeof(v.program) - 1);
	assert_int_equal(v.tsc_hz, 2100000000);
	s->n_workers = s->n_ports = s->hop_max = UINT32_MAX;
	s->workers_off = s->ports_off = s->hops_off = ~0ull;
	assert_ptr_equal(stats_view_hop(&v, 0), hop0);
	assert_non_null(stats_view_worker(&v, 1));
	assert_non_null(stats_view_port(&v, 2));
	assert_null(stats_view_worker(&v, 2));
	assert_null(stats_view_port(&v, 3));
	assert_null(stats_view_hop(&v, 16));
	free(s);
}

static void check_refuses_a_segment_of_another_build(void **state)
{
	size_t len;
	struct stats_hdr *good = segment(&len);
	struct stats_hdr bad;

	memcpy(&bad, good, sizeof(bad));
	assert_int_equal(stats_check(&bad, sizeof(bad) - 1), -EPROTO);
	assert_int_equal(stats_check(&bad, len - 1), -EPROTO);
#define REFUSES(field, value)                                                                      \
	memcpy(&bad, good, sizeof(bad));                                                           \
	bad.field = value;                                                                         \
	assert_int_equal(stats_check(&bad, len), -EPROTO)
	REFUSES(magic, 1);
	REFUSES(version, 9);
	REFUSES(counters, good->counters ^ 1);
	REFUSES(n_workers, 65);
	REFUSES(n_workers, 3);
	REFUSES(n_ports, 33);
	REFUSES(hop_max, 0xffffffff);
	REFUSES(workers_off, 0);
	REFUSES(ports_off, good->len);
	REFUSES(hops_off, ~0ull);
	REFUSES(len, ~0ull);
#undef REFUSES
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_that_is_used_again_begins_with_zeros),
		cmocka_unit_test(each_counter_has_name_unit_and_help_once),
		cmocka_unit_test(a_counter_stands_at_its_number),
		cmocka_unit_test(drops_are_named_so),
		cmocka_unit_test(what_devices_lost_before_a_worker_saw_it_is_dropped),
		cmocka_unit_test(no_name_stands_in_two_lists),
		cmocka_unit_test(blocks_do_not_overlap_and_end_at_len),
		cmocka_unit_test(a_view_does_not_follow_a_header_that_changes),
		cmocka_unit_test(check_refuses_a_segment_of_another_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
