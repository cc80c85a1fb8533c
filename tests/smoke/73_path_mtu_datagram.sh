#!/bin/bash
# The same as 71_path_mtu in datagram mode.
MODE=datagram SKYRAIL_SMOKE_NAME=73_path_mtu_datagram exec bash "$(dirname "$0")/71_path_mtu.sh"
