// Lists of rules: dumps of the data plane's table, one list after the other, each one page. Between
// rule_mgr.c and rule_list.c only.
#pragma once

#include "controlplane/route/rule_mgr.h"

struct rule_lists;

struct rule_lists *rule_lists_new(struct loop *loop, struct dp_client *dp);
void rule_lists_free(struct rule_lists *ls);
struct rule_list *rule_lists_add(struct rule_lists *ls, uint32_t first, uint32_t max,
	rule_each_fn fn, rule_end_fn done, void *arg);
// A dump record came; it belongs to the list in front, if that one is being dumped.
void rule_lists_record(struct rule_lists *ls, const struct evt_rule *e);
