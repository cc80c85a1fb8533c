// TUN devices: made, set up and removed. No packets are read or written here. Needs CAP_NET_ADMIN,
// as does the loop's thread that calls it; the calls block for as long as the kernel needs.
#pragma once

#include "lib/api/api.h"

#include <stdbool.h>
#include <stddef.h>

// Open the device (non-blocking), making it when there is none. It outlives the descriptor until
// tun_remove(). With offload packets have a struct gso_vnet before them, and *kinds is what
// super-packets (GSO_*) go both ways; without, they are IP packets and nothing else, and *kinds is
// 0. *made: there was none. Descriptor or -errno, and a text that names the fix.
int tun_open(const char *name, bool offload, bool *made, uint8_t *kinds, char *err, size_t err_len);
// MTU, addresses, link up. 0 or -errno and text.
int tun_setup(const struct api_edge_add *spec, char *err, size_t err_len);
// The device goes when fd is closed.
void tun_remove(int fd);
