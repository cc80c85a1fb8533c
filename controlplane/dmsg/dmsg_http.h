// Streams of a dmsg client for an HTTP client's dmsg:// URLs (real-peers 3.5), with our address as
// one of the servers sees it. The service is not looked up: it is reached by the sessions that are
// open, those of the configured servers above all. Loop's thread only.
#pragma once

#include "controlplane/dmsg/dmsg_client.h"

struct dmsg_http;

// NULL and errno. Owner: the caller. Both are borrowed and outlive this.
struct dmsg_http *dmsg_http_new(struct http_client *http, struct dmsg_client *client);
// Requests by dmsg:// are to be cancelled before. NULL is allowed.
void dmsg_http_free(struct dmsg_http *h);
