#!/bin/bash
# The same bytes, mutated at random, to Go's decoders and to ours: both take or both refuse them, and read the
# same. What ours refuses on purpose is listed in peer/diff_known.go; each of those must show.
set -eu
cd "$(dirname "$0")/../.."
exec build/interop/peer diff -n "${DECODER_CASES:-3000}" "$SKYRAIL_BIN/tests/interop/decode"
