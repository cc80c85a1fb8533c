// Which hops should go to which worker, so that the load is even: for `skyrail worker rebalance`.
// Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct balance_item {
	double load; // what its worker spends on it, in any unit
	unsigned worker;
	bool fixed; // stays where it is
};

struct balance_move {
	size_t item;
	unsigned from, to;
};

// Did they carry so little in that time that it says nothing? packets: those of all, with what
// their bytes cost in packets. Keep-alives and probes of an idle node are far less.
bool balance_is_idle(double packets, uint32_t ms);

// The next move that makes the busiest of n_workers clearly less busy, done in items[] too. 1, or
// 0: nothing is gained any more. Ends: each move lowers the greatest load of two workers.
int balance_next(
	struct balance_item *items, size_t n, unsigned n_workers, struct balance_move *out);
