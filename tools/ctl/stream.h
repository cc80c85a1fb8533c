// A stream of the node as standard input and output, of dmsg and of routes.
#pragma once

#include "tools/ctl/cli.h"

enum { STREAM_SLACK_MS = 2000 }; // for an answer, behind the timeout that the control plane has

// Of arguments: CLI_OK, or CLI_USAGE and it was said.
int stream_port(uint16_t *port, const char *text);
int stream_key(uint8_t *out, const char *text, size_t len);
// Sends the request: when it is answered, api_client_take_fd() has the stream. 0, or -errno as
// cli_call(); *id: for stream_ended().
int stream_open(
	struct cli *c, uint16_t type, const void *ask, size_t len, int timeout_ms, uint32_t *id);
// How a stream ended that was open: CLI_OK in order, or CLI_FAIL, and it was said. of_route: else
// it is dmsg's.
int stream_ended(struct cli *c, bool of_route, uint32_t id);
const char *stream_cut_text(bool of_route, int err); // what cut it, for people
// Sends the request, and becomes the pipe when it is answered (struct api_stream_peer): waiting for
// that has a limit of its own. The exit code.
int stream_call(struct cli *c, uint16_t type, const void *ask, size_t len, int timeout_ms);
