#!/bin/bash
# The same as 60_dead_peer in datagram mode.
MODE=datagram SKYRAIL_SMOKE_NAME=62_dead_peer_datagram exec bash "$(dirname "$0")/60_dead_peer.sh"
