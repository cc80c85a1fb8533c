#!/bin/bash
# The same as 22_rebalance by transports in datagram mode.
MODE=datagram SKYRAIL_SMOKE_NAME=24_rebalance_datagram exec bash "$(dirname "$0")/22_rebalance.sh"
