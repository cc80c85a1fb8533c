#!/bin/bash
# The same as 10_transit4 by transports in datagram mode.
MODE=datagram SKYRAIL_SMOKE_NAME=12_transit_datagram exec bash "$(dirname "$0")/10_transit4.sh"
