// Who and where: identities that tests number, and addresses on the loopback.
#pragma once

#include "controlplane/core/identity.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"

// Its secret key is n. The caller's.
static inline struct identity *identity_of(uint8_t n)
{
	const struct key_sk sk = {{[31] = n}};
	struct identity *id = identity_from_sk(&sk);

	assert_non_null(id);
	return id;
}

static inline struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

// Of TCP, for those who have to know one before anybody listens there. The last few are bound by a
// socket that does not listen, so that the system gives them to nobody else.
static inline uint16_t free_port(void)
{
	static int held[8];
	static unsigned n;
	struct sockaddr_in sa = loopback(0);
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	if (n >= ARRAY_LEN(held))
		close(held[n % ARRAY_LEN(held)]);
	held[n++ % ARRAY_LEN(held)] = fd;
	return ntohs(sa.sin_port);
}
