// A queue of lists over the data plane's DUMP of rules. Only the one in front has a dump under way,
// so a dump record is always its own. A list that was cancelled lets its dump run out unheard.
#include "controlplane/route/rule_list.h"

#include "lib/base/err.h"

#include <errno.h>
#include <stdlib.h>

enum { RETRY_MS = 20, LISTS_MAX = 256 };

struct rule_list {
	struct rule_lists *ls;
	struct rule_list *next;
	uint32_t first;
	uint32_t max;
	rule_each_fn fn; // NULL: cancelled
	rule_end_fn done;
	void *arg;
};

struct rule_lists {
	struct dp_client *dp;
	struct loop_timer *timer; // starts the list in front, from the loop
	struct rule_list *front, **last;
	size_t n;
	bool dumping;
	bool freeing;
};

static void list_pop(struct rule_lists *ls, int status)
{
	struct rule_list *l = ls->front;

	ls->front = l->next;
	if (ls->front == NULL)
		ls->last = &ls->front;
	else
		loop_timer_start(ls->timer, 0, 0);
	ls->n--;
	if (l->fn != NULL)
		l->done(l->arg, status);
	free(l);
}

static void on_dumped(void *arg, int status, uint32_t aux)
{
	struct rule_lists *ls = arg;

	ls->dumping = false;
	if (ls->freeing)
		rule_lists_free(ls);
	else if (ls->front != NULL)
		list_pop(ls, status);
}

static void start(void *arg)
{
	struct rule_lists *ls = arg;
	int rc;

	if (ls->dumping || ls->front == NULL)
		return;
	if (ls->front->fn == NULL) {
		list_pop(ls, -ECANCELED);
		return;
	}
	ls->dumping = true;
	rc = dp_client_dump(ls->dp, DUMP_RULES, ls->front->first, ls->front->max, on_dumped, ls);
	if (rc == 0)
		return;
	ls->dumping = false;
	if (rc == -EAGAIN)
		loop_timer_start(ls->timer, RETRY_MS, 0);
	else
		list_pop(ls, rc);
}

struct rule_lists *rule_lists_new(struct loop *loop, struct dp_client *dp)
{
	struct rule_lists *ls = calloc(1, sizeof(*ls));

	if (ls == NULL)
		return NULL;
	ls->timer = loop_timer_new(loop, start, ls);
	if (ls->timer == NULL) {
		free(ls);
		return errno_null(ENOMEM);
	}
	ls->dp = dp;
	ls->last = &ls->front;
	return ls;
}

void rule_lists_free(struct rule_lists *ls)
{
	if (ls == NULL)
		return;
	loop_timer_free(ls->timer);
	ls->timer = NULL;
	for (struct rule_list *l = ls->front, *next; l != NULL; l = next) {
		next = l->next;
		free(l);
	}
	ls->front = NULL;
	ls->freeing = true;
	if (!ls->dumping) // else on_dumped() frees it
		free(ls);
}

struct rule_list *rule_lists_add(struct rule_lists *ls, uint32_t first, uint32_t max,
	rule_each_fn fn, rule_end_fn done, void *arg)
{
	struct rule_list *l;

	if (ls->n >= LISTS_MAX)
		return errno_null(EBUSY);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	*l = (struct rule_list){
		.ls = ls, .first = first, .max = max, .fn = fn, .done = done, .arg = arg};
	*ls->last = l;
	ls->last = &l->next;
	ls->n++;
	if (ls->front == l)
		loop_timer_start(ls->timer, 0, 0);
	return l;
}

void rule_lists_record(struct rule_lists *ls, const struct evt_rule *e)
{
	if (ls->dumping && ls->front != NULL && ls->front->fn != NULL)
		ls->front->fn(ls->front->arg, e);
}

void rule_list_cancel(struct rule_list *l)
{
	l->fn = NULL;
}
