// Inside dataplane/hop/ and its tests only: what a hop's owner lets the main lcore see.
#pragma once

#include "lib/wire/rail.h"

#include <stdatomic.h>
#include <stdint.h>

// What main shows of a hop; relaxed stores by the owner.
struct hop_pub {
	// by key slot, so that an index which lives is found there whenever main looks
	_Alignas(64) _Atomic uint32_t rx_index[RAIL_KEYS_MAX];
	_Atomic uint32_t rx_index_sends; // of the key to seal with; 0 = none
	_Atomic uint32_t adj;
	_Atomic uint64_t peer_ip[2]; // as stored in memory
	_Atomic uint64_t tx_counter;
	_Atomic uint64_t last_rx_ns;
	_Atomic uint64_t key_born_ns;
	_Atomic uint64_t instance_local;
	_Atomic uint64_t instance_remote;
	_Atomic uint64_t handshake_ns;
	_Atomic uint64_t cmds_done; // commands of this hop that took effect
	_Atomic uint32_t rtt_us;
	_Atomic uint16_t peer_port;
	_Atomic uint16_t payload_max;
	_Atomic uint8_t cipher;
	_Atomic uint8_t initiator;
	_Atomic uint8_t dead;
	_Atomic uint8_t n_flows;
};
