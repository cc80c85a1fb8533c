// A long wire: frames of one interface leave by the other some time later, in both directions. For
// paths with a delay where the kernel has no netem. It reads by AF_PACKET what the kernel would
// have got too, so both interfaces are without addresses, and without offloads at the far ends.
// Nothing is lost here unless a queue of ours is full, which is told at the end.
//
//   bench_relay IFACE IFACE DELAY_MS
//
// Runs until SIGTERM. Prints "ready" when it reads, in the end frames relayed and lost.

#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	QUEUE = 16384, // frames on their way: 100 Mbit/s of small ones for 80 ms
	FRAME_MAX = 2048,
	SOCKET_LEN = 8 << 20,
	READ_TURN = 64,
};

struct frame {
	uint64_t due_ns;
	uint32_t len;
	uint8_t b[FRAME_MAX];
};

struct way {
	int from, to;
	struct frame *ring; // QUEUE
	unsigned head, tail; // next to leave, next to come
	uint64_t relayed, lost;
};

static volatile sig_atomic_t ended;

static void on_end(int sig)
{
	ended = 1;
}

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "bench_relay: %s %s: %s\n", what, name, strerror(errno));
	return -1;
}

// A descriptor that reads and writes whole frames of an interface.
static int open_iface(const char *name)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq all = {.mr_type = PACKET_MR_PROMISC};
	int one = 1, len = SOCKET_LEN, fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	a.sll_ifindex = (int)if_nametoindex(name);
	all.mr_ifindex = a.sll_ifindex;
	if (fd < 0 || a.sll_ifindex == 0)
		return fail("no such interface", name);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &len, sizeof(len));
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0 ||
		bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("cannot read", name);
	return fd;
}

static void take(struct way *w, uint64_t delay_ns)
{
	for (unsigned i = 0; i < READ_TURN; i++) {
		struct frame *f = &w->ring[w->tail % QUEUE];
		uint8_t none[FRAME_MAX];
		bool full = w->tail - w->head == QUEUE;
		ssize_t n = recv(w->from, full ? none : f->b, FRAME_MAX, MSG_TRUNC);

		if (n < 0)
			return;
		if (full || n > FRAME_MAX) {
			w->lost++;
			continue;
		}
		f->len = (uint32_t)n;
		f->due_ns = clock_mono_ns() + delay_ns;
		w->tail++;
	}
}

// What is due leaves; when the next one is, or `wait_ns`.
static uint64_t give(struct way *w, uint64_t wait_ns)
{
	while (w->head != w->tail) {
		struct frame *f = &w->ring[w->head % QUEUE];
		uint64_t now = clock_mono_ns();

		if (f->due_ns > now)
			return f->due_ns - now < wait_ns ? f->due_ns - now : wait_ns;
		if (send(w->to, f->b, f->len, 0) == (ssize_t)f->len)
			w->relayed++;
		else
			w->lost++;
		w->head++;
	}
	return wait_ns;
}

static void run(struct way w[2], uint64_t delay_ns)
{
	while (!ended) {
		uint64_t ns = give(&w[1], give(&w[0], CLOCK_NS_PER_S / 10));
		struct timespec wait = {.tv_nsec = (long)ns};
		struct pollfd p[2] = {
			{.fd = w[0].from, .events = POLLIN}, {.fd = w[1].from, .events = POLLIN}};

		if (ppoll(p, 2, &wait, NULL) <= 0)
			continue;
		for (unsigned i = 0; i < 2; i++)
			if (p[i].revents & POLLIN)
				take(&w[i], delay_ns);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_end};
	struct way w[2] = {0};
	double ms = argc == 4 ? strtod(argv[3], NULL) : 0;

	if (!(ms > 0 && ms < 1000)) {
		fprintf(stderr, "usage: bench_relay IFACE IFACE DELAY_MS\n");
		return 2;
	}
	w[0].from = w[1].to = open_iface(argv[1]);
	w[1].from = w[0].to = open_iface(argv[2]);
	for (unsigned i = 0; i < 2; i++)
		w[i].ring = calloc(QUEUE, sizeof(*w[i].ring));
	if (w[0].from < 0 || w[1].from < 0 || w[0].ring == NULL || w[1].ring == NULL)
		return 1;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1UL);
	puts("ready");
	fflush(stdout);
	run(w, (uint64_t)(ms * 1e6));
	printf("relayed %llu %llu lost %llu %llu\n", (unsigned long long)w[0].relayed,
		(unsigned long long)w[1].relayed, (unsigned long long)w[0].lost,
		(unsigned long long)w[1].lost);
	return 0;
}
