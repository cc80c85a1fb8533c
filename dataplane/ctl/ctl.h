// The main lcore: serves the control plane (commands in, answers and events out), hears the
// workers, expires rules, looks at links, fills the shared statistics and rings the door bell.
// Everything is [main]. Workers never wait for it.
#pragma once

#include "dataplane/hop/hop_table.h"
#include "dataplane/io/encap.h"
#include "dataplane/io/port.h"
#include "dataplane/rule/rule_table.h"
#include "dataplane/rule/sweeper.h"
#include "dataplane/worker/worker.h"
#include "lib/crypto/aead.h"
#include "lib/shm/region.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ctl;

struct ctl_conf { // all borrowed until ctl_free()
	struct region *region;
	const struct region_conf *region_conf;
	struct rule_table *rules;
	struct reclaim *reclaim;
	struct adj_table *adjs;
	struct hop_table *hops;
	struct port_set *ports;
	struct worker_set *workers;
	const unsigned *lcores; // of each worker
	const struct aead_choice *aead; // to be shown; NULL: nothing is
	int listen_fd; // of region_listen(), or -1
	uid_t control_uid; // besides root and our own, or -1
};

// NULL with errno set. Takes over rule_table's `gone` callback.
struct ctl *ctl_new(const struct ctl_conf *conf);
void ctl_free(struct ctl *c);

// Until *stop; sleeps when there is nothing to do.
void ctl_run(struct ctl *c, const _Atomic bool *stop);
// One turn at the given moment; true if it found work. For tests.
bool ctl_turn(struct ctl *c, uint64_t now_ns);

// Check and run one command that was copied out of the ring (wiped of its keys on return). Returns
// what EVT_DONE will say: 0 or -errno; *aux as there. A dump is only begun.
int ctl_cmd(struct ctl *c, void *rec, uint32_t len, uint32_t *aux);
