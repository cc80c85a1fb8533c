// Messages between threads: none is lost, and all come in order.
#include "controlplane/core/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 100000 };

struct letter {
	struct mail mail;
	unsigned n;
};

static struct loop *l;
static struct mailbox *box;
static unsigned got;

static void on_mail(void *arg, struct mail *take_m)
{
	struct letter *m = (struct letter *)take_m;

	(void)arg;
	assert_int_equal(m->n, got++);
	free(m);
	if (got == N)
		loop_stop(l);
}

static void *post(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < N; i++) {
		struct letter *m = malloc(sizeof(*m));

		if (m == NULL)
			return NULL;
		m->n = i;
		mailbox_post(box, &m->mail);
	}
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	got = 0;
	l = loop_new();
	box = l != NULL ? mailbox_new(l, on_mail, NULL) : NULL;
	return box == NULL;
}

static int teardown(void **state)
{
	(void)state;
	mailbox_free(box);
	loop_free(l);
	return 0;
}

static void all_come_in_order(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, post, NULL), 0);
	loop_run(l);
	pthread_join(t, NULL);
	assert_int_equal(got, N);
}

static void what_is_there_can_be_taken_at_the_end(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, post, NULL), 0);
	pthread_join(t, NULL);
	mailbox_empty(box);
	assert_int_equal(got, N);
	mailbox_empty(box);
	assert_int_equal(got, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_there_can_be_taken_at_the_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
