// A stop of all workers, in which one hop changes its owner.
#pragma once

#include "dataplane/hop/hop_move.h"

// [worker] At the beginning of a turn, while w->move is set. True: there is no turn, as the others
// are waited for.
bool move_turn(struct wctx *w);
