#!/bin/bash
# The same as 54_stcp where packets come by TCP and go on by a rail.
#
#   sky0 [A] --stcp-- [B] --rail-- [C] sky0
NEXT=rail SKYRAIL_SMOKE_NAME=55_stcp_rail exec bash "$(dirname "$0")/54_stcp.sh"
