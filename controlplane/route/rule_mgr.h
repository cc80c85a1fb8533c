// Rules of this node: installs and removes them in the data plane with confirmation, keeps the ids,
// puts the lasting ones (configuration, static) back into a new data plane, adopts what a living
// data plane has, lists. One thread: the loop's.
//
// A rule's id is taken when it is asked for and free again when the data plane said that nothing of
// the rule is held any more (RULE_GONE); removing is complete only then.
#pragma once

#include "controlplane/dp/dp_client.h"
#include "controlplane/route/route_id.h"
#include "controlplane/transport/transport_mgr.h"
#include "lib/api/api.h"
#include "lib/wire/rule.h"

struct rule_mgr;
struct rule_job;
struct rule_list;

enum { RULE_KEEP_ALIVE_MIN_MS = 100, RULE_JOBS_MAX = 256 };

// The transport manager as rules need it; a test puts its own in.
struct rule_transports {
	struct transport *(*find)(void *arg, const char *name);
	struct transport *(*find_hop)(void *arg, uint32_t hop);
	struct transport *(*find_tp)(void *arg, uint32_t tp);
	struct transport *(*find_id)(void *arg, const uint8_t id[RULE_TP_ID_LEN]); // Skywire's
	uint32_t (*tp)(const struct transport *t);
	uint32_t (*hop)(const struct transport *t, uint32_t next_id);
	bool (*is_up)(const struct transport *t);
	const char *(*name)(const struct transport *t);
	void *arg;
};

// ids is owned by the caller, as are dp and the transports' owner; all outlive the manager. tm may
// be NULL (tests): then nobody tells of transports that came. NULL and errno.
struct rule_mgr *rule_mgr_new(struct loop *loop, struct dp_client *dp, struct route_id *ids,
	const struct rule_transports *transports, struct transport_mgr *tm);
void rule_mgr_free(
	struct rule_mgr *m); // jobs and lists are dropped without a word; NULL is allowed

// Would rule_mgr_config() have a place for each? -EEXIST: two of them, or one and a kept rule,
// share a slot of the table; err tells which. Before the first data plane nothing is known: 0.
int rule_mgr_check(const struct rule_mgr *m, const struct api_rule_add *rules, size_t n, char *err,
	size_t err_len);
// The rules of the configuration, all of them: those that were there and are not any more are
// removed. Names were checked by the caller. 0 or -errno.
int rule_mgr_config(struct rule_mgr *m, const struct api_rule_add *rules, size_t n);
// Is it one that shall be there? True before the first data plane: then all of the configuration's
// are.
bool rule_mgr_wants(const struct rule_mgr *m, uint32_t id);

// All answered: one result a rule, in order; -EINPROGRESS: a static rule that is installed as soon
// as its transport is there. Never called from within rule_mgr_add/del.
typedef void (*rule_done_fn)(void *arg, const struct api_rule_done *done, size_t n);

// rules and ids are copied. NULL and errno: ENOMEM, EBUSY (too many jobs), ENOTCONN (no data
// plane).
struct rule_job *rule_mgr_add(struct rule_mgr *m, const struct api_rule_add *rules, size_t n,
	rule_done_fn done, void *arg);
struct rule_job *rule_mgr_del(
	struct rule_mgr *m, const uint32_t *ids, size_t n, rule_done_fn done, void *arg);

// Rules of a route that is being set up, as their bytes say (skywire-routing 2): each leaves by a
// transport that is up, and is pinned by its first packet; forward rules take packets of this node.
// All of them, or none: status 0 when the data plane has them; else -errno of rules[which], and
// what was there is taken back: -ENODEV: no such transport; -ENETDOWN: it is not up; -ESTALE: the
// id is not taken; -ERANGE: its keep-alive; else what the data plane says. Never called from within
// rule_mgr_install().
typedef void (*rule_install_fn)(void *arg, int status, size_t which);
struct rule_install;
// Ids were taken by the caller (route_id_reserve), and are the manager's as soon as this succeeds:
// they are released when their rules end, or when it fails. NULL and errno: ENOTCONN (no data
// plane), ENOMEM, EBUSY (too many jobs), EINVAL (n is 0); ids are still the caller's.
struct rule_install *rule_mgr_install(struct rule_mgr *m, const struct rule_wire *rules, size_t n,
	rule_install_fn done, void *arg);
// done is not called, and what there is of it is taken back; not from within done.
void rule_install_cancel(struct rule_install *i);
// done is not called; what was sent stays sent.
void rule_job_cancel(struct rule_job *job);
// Why a rule is gone (enum rule_gone), in a few words.
const char *rule_gone_text(uint8_t reason);
// What went wrong with one rule, for people.
// transport, in: by which it leaves and comes. -EEXIST: this very rule; -EADDRINUSE: another one in
// its place.
void rule_error_text(
	int status, uint32_t id, const char *transport, const char *in, char *buf, size_t cap);

// Rules with index >= first, at most max. fn for each; done once, never from within this call.
// Lists are served one after another. NULL and errno.
typedef void (*rule_each_fn)(void *arg, const struct evt_rule *e);
typedef void (*rule_end_fn)(void *arg, int status);
struct rule_list *rule_mgr_list(struct rule_mgr *m, uint32_t first, uint32_t max, rule_each_fn fn,
	rule_end_fn done, void *arg);
void rule_list_cancel(struct rule_list *l);

unsigned rule_mgr_bits(const struct rule_mgr *m); // 0: no data plane seen yet
bool rule_mgr_has(const struct rule_mgr *m, uint32_t id); // else its place may be another's
uint32_t rule_mgr_n_live(const struct rule_mgr *m);
size_t rule_mgr_n_kept(const struct rule_mgr *m); // lasting rules
