#!/bin/bash
# The same as 70_mtu in datagram mode.
MODE=datagram SKYRAIL_SMOKE_NAME=72_mtu_datagram exec bash "$(dirname "$0")/70_mtu.sh"
