#!/bin/bash
# A short run of what `make soak` does for long: real processes under load, killed and stopped at random.
SOAK_SECONDS=20 exec bash "$(dirname "$0")/../soak/processes.sh"
