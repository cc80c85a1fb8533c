// Inside of rules, shared by rule_mgr.c (what there shall be, and what becomes of it), rule_cmd.c
// (requests into commands), rule_install.c (rules of set-ups) and rule_pin.c (rules whose
// transport, or flow of it, is gone). Nobody else includes it.
#pragma once

#include "controlplane/route/rule_job.h"
#include "controlplane/route/rule_keep.h"
#include "controlplane/route/rule_list.h"
#include "controlplane/route/rule_mgr.h"

struct rule_mgr {
	struct dp_client *dp;
	struct route_id *ids;
	struct rule_transports tr;
	struct rule_jobs *jobs;
	struct rule_lists *lists;
	struct rule_keep *keep; // NULL until a data plane told its size
	struct loop_timer *pins; // looks for rules that are pinned to a transport that is gone
	struct rule_list *pin_list; // doing so
	uint64_t pins_began_ns; // the last time
	uint64_t pins_from_ns; // not before that again
	bool look_strays; // a transport has other flows: its rules may be aimed at the wrong hop
	struct rule_strays *strays; // found in this list; NULL: nobody looks
	struct loop_timer *work; // what is wanted and not there, once for many events
	struct dp_handler handler;
	struct transport_watch watch;
	struct api_rule_add *conf; // wanted by the configuration
	size_t n_conf;
	unsigned bits;
	bool syncing;
	bool moved; // a transport changed since it began
	struct rule_install *installs; // under way
	bool stalled; // there was no job left for `work`: the end of another one starts it
};

// ---- rule_mgr.c ----
// A rule that lasts and is installed otherwise than wanted goes first; RULE_GONE brings it back.
// rule_mgr_work() sends the command.
void rule_mgr_replace(struct rule_kept *k);
void rule_mgr_work(void *arg); // struct rule_mgr

// ---- rule_cmd.c ----
// 0, -ENETDOWN (all is right, but a transport is not there yet) or what is wrong. Handles that are
// not known are 0 in *c.
int rule_cmd_make(struct rule_mgr *m, const struct api_rule_add *r, struct cmd_rule_add *c);
// The command that installs a kept rule now, with the handles of today.
int rule_cmd_kept(struct rule_mgr *m, const struct rule_kept *k, struct cmd_rule_add *c);

// ---- rule_install.c ----
void rule_install_fini(struct rule_mgr *m);

// ---- rule_pin.c ----
// Is this lasting rule for packets of whichever transport is first?
bool rule_pin_open(const struct rule_kept *k);
// Is what the data plane has pinned to a transport that is no more?
bool rule_pin_is_dead(const struct rule_mgr *m, const struct evt_rule *e);
void rule_pin_look(struct rule_mgr *m); // soon: a transport is gone
void rule_pin_strays(struct rule_mgr *m); // ditto: one has other flows
void rule_pin_fini(struct rule_mgr *m);
void rule_pin_on_timer(void *arg); // struct rule_mgr
