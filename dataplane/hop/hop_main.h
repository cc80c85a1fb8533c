// Inside hop_table*.c, hop_make.c and hop_show.c only: what the main lcore knows of each hop.
#pragma once

#include "dataplane/hop/hop_move.h"
#include "dataplane/hop/hop_priv.h"
#include "dataplane/hop/hop_rel.h"

enum { HOP_IDX_MAX = 12 }; // receiver indices of one hop that may lie in the table

// What main knows of one hop.
struct hop_rec {
	struct hop *hop; // the owner's, but for pub
	struct cmd_hop_add add; // without keys; index of the dump record's constant part
	uint16_t owner;
	bool going; // told to let go
	uint64_t cmds_sent;
	unsigned n_idx;
	struct {
		uint32_t index;
		uint64_t cmd; // number of the command that brought it
	} idx[HOP_IDX_MAX];
};

struct hop_main {
	struct hop_rec **recs; // hop_max
	struct stats_hdr *stats;
	struct aead_choice aead; // what new keys are made for
	struct hop_move move; // n_workers 0: none is under way
	uint32_t n_live;
	uint32_t n_hops[DPMSG_MAX_WORKERS];
	int socket[DPMSG_MAX_WORKERS];
};

// hop_make.c: NULL: no memory. Without an owner it is freed by rte_free().
struct hop *hop_make(
	const struct cmd_hop_add *c, const struct hop_rel_shared *rel, int socket, uint64_t now_ns);
// NULL: there is none, or it is about to go.
struct hop_rec *hop_rec_find(const struct hop_table *t, uint32_t handle);
