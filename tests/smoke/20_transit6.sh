#!/bin/bash
# The same as 10_transit4 over IPv6 underneath.
#
#   sky0 [A] a0 fd01::1 ---- fd01::2 b0 [B] b1 fd02::1 ---- fd02::2 c0 [C] sky0
FAMILY=6 SKYRAIL_SMOKE_NAME=20_transit6 exec bash "$(dirname "$0")/10_transit4.sh"
