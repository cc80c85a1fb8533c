// libcurl's multi interface on the loop: its descriptors are loop_polls, its one timer a
// loop_timer. A dmsg:// request first gets its stream; then libcurl is led to a socket of ours,
// which is joined with the stream: a name without a file that only this process is let in by, since
// libcurls differ in whether they take a socket that is connected already. Which requests are over
// is looked for from a timer of our own, so that an answer is never given from within a call into
// libcurl.
#include "controlplane/http/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/core/conn_join.h"
#include "controlplane/core/conn_tcp.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

struct http_request {
	struct http_client *h;
	CURL *easy;
	bool running; // it is libcurl's
	struct curl_slist *headers;
	char *body, *answer;
	size_t body_len, answer_len, answer_cap, answer_max, headers_len;
	bool too_long;
	http_answer_fn fn;
	void *arg;
	// dmsg://
	void *dial;
	struct conn_hold stream; // until libcurl has connected
	int listen_fd; // -1: none
	struct loop_poll *listen_poll;
	struct conn_join *join;
	int dial_err;
	uint64_t deadline_ns;
	TAILQ_ENTRY(http_request) all;
};

struct http_client {
	struct loop *l;
	CURLM *multi;
	struct loop_timer *timer, *look;
	char *ca_file; // "": the system's
	const struct http_streams *streams;
	void *streams_arg;
	TAILQ_HEAD(, http_request) requests;
	struct http_client_stats stats;
};

// ---- libcurl on the loop ----

struct watch {
	struct http_client *h;
	struct loop_poll *poll;
	curl_socket_t fd;
};

static void act(struct http_client *h, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(h->multi, fd, what, &running);
	loop_timer_start(h->look, 0, 0);
}

static void on_poll(void *arg, bool readable, bool writable)
{
	struct watch *w = arg;

	act(w->h, w->fd, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *h = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(h->timer);
	else
		loop_timer_start(h->timer, (uint64_t)timeout_ms, 0);
	return 0;
}

static struct watch *watch_new(struct http_client *h, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->h = h;
	w->fd = fd;
	w->poll = loop_poll_new(h->l, fd, on_poll, w);
	if (w->poll == NULL) {
		free(w);
		return NULL;
	}
	curl_multi_assign(h->multi, fd, w);
	return w;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *h = arg;
	struct watch *w = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			loop_poll_free(w->poll);
			free(w);
			curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	if (w == NULL)
		w = watch_new(h, fd);
	// Without one this request runs into its deadline; an error would end all of them.
	if (w != NULL)
		(void)loop_poll_set(w->poll, what != CURL_POLL_OUT, what != CURL_POLL_IN);
	return 0;
}

// ---- an answer ----

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;

	(void)p;
	r->headers_len += size * n;
	r->too_long |= r->headers_len > HTTP_CLIENT_HEADERS_MAX;
	return r->too_long ? 0 : size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n, cap = r->answer_cap != 0 ? r->answer_cap : 1024;
	char *grown = r->answer;

	r->too_long |= len > r->answer_max - r->answer_len;
	if (r->too_long)
		return 0;
	while (cap < r->answer_len + len + 1)
		cap *= 2;
	if (cap != r->answer_cap)
		grown = realloc(r->answer, cap);
	if (grown == NULL)
		return 0;
	r->answer = grown;
	r->answer_cap = cap;
	memcpy(r->answer + r->answer_len, p, len);
	r->answer_len += len;
	r->answer[r->answer_len] = '\0';
	return len;
}

const char *http_client_error_text(int err)
{
	switch (err) {
	case -EBADMSG:
		return "an answer that cannot be read";
	case -EMSGSIZE:
		return "an answer that is too long";
	case -ENOENT:
		return "no such host";
	case -EKEYREJECTED:
		return "its certificate is of another host, untrusted or out of date";
	case -EPROTONOSUPPORT:
		return "no TLS with it: is its URL http://...?";
	case -ENOLINK:
		return "nobody listens there by dmsg, or no server of ours has a session of that key";
	case -ENOKEY:
		return "authorities can't be read: [node] ca_file, or the system's";
	default:
		return strerror(-err);
	}
}

static int errno_of(const struct http_request *r, CURLcode code)
{
	long os_err = 0;

	if (r->too_long)
		return -EMSGSIZE;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -ENOENT;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_SSL_CONNECT_ERROR:
		return -EPROTONOSUPPORT;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EKEYREJECTED;
	case CURLE_SSL_CACERT_BADFILE:
		return -ENOKEY;
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os_err);
		return os_err > 0 ? -(int)os_err : -ECONNREFUSED;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return -ECONNRESET;
	default:
		return -EBADMSG;
	}
}

static void stop_listening(struct http_request *r)
{
	loop_poll_free(r->listen_poll);
	r->listen_poll = NULL;
	if (r->listen_fd >= 0)
		close(r->listen_fd);
	r->listen_fd = -1;
}

static void request_free(struct http_request *r)
{
	struct http_client *h = r->h;

	TAILQ_REMOVE(&h->requests, r, all);
	h->stats.pending--;
	if (r->dial != NULL)
		h->streams->cancel(r->dial);
	if (r->running)
		curl_multi_remove_handle(h->multi, r->easy);
	curl_easy_cleanup(r->easy);
	stop_listening(r);
	conn_hold_close(&r->stream);
	conn_join_close(r->join);
	curl_slist_free_all(r->headers);
	free(r->body);
	free(r->answer);
	free(r);
}

static void over(struct http_request *r, int err)
{
	struct http_client *h = r->h;
	struct http_answer a = {.err = err, .body = ""};
	http_answer_fn fn = r->fn;
	void *arg = r->arg;
	char *answer = r->answer;
	long status = 0;

	if (err == 0)
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	a.status = (unsigned)status;
	if (err == 0 && answer != NULL) {
		a.body = answer;
		a.len = r->answer_len;
	}
	if (err == 0)
		h->stats.answered++;
	else
		h->stats.failed++;
	h->stats.rx_bytes += a.len;
	r->answer = NULL;
	request_free(r);
	fn(arg, &a); // may free the client
	free(answer);
}

// One after the other, from the front: whoever is told may ask, cancel or free.
static void on_look(void *arg)
{
	struct http_client *h = arg;
	struct http_request *r;
	CURLMsg *m;
	int left;

	TAILQ_FOREACH (r, &h->requests, all)
		if (r->dial_err != 0)
			break;
	if (r != NULL) {
		loop_timer_start(h->look, 0, 0);
		over(r, r->dial_err);
		return;
	}
	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		void *p = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		loop_timer_start(h->look, 0, 0);
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		r = p;
		over(r, errno_of(r, m->data.result));
		return;
	}
}

// ---- dmsg:// ----

// The address that libcurl would connect to may be changed here.
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	const struct http_request *r = arg;
	socklen_t len = sizeof(addr->addr); // a name that the kernel chose is shorter

	(void)purpose;
	if (r->listen_fd < 0 || getsockname(r->listen_fd, &addr->addr, &len) < 0 ||
		len > sizeof(addr->addr))
		return CURL_SOCKET_BAD;
	addr->family = AF_UNIX;
	addr->socktype = SOCK_STREAM;
	addr->protocol = 0;
	addr->addrlen = len;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void on_joined_over(void *arg, int err)
{
	struct http_request *r = arg;

	(void)err; // libcurl finds its socket closed
	r->join = NULL;
}

static bool is_ourselves(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == getpid();
}

static void on_connected(void *arg, bool readable, bool writable)
{
	struct http_request *r = arg;
	struct conn *stream, *ours;
	int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)readable, (void)writable;
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED) {
		r->dial_err = -errno; // it would be ready again at once
		stop_listening(r);
		loop_timer_start(r->h->look, 0, 0);
	}
	if (fd < 0)
		return;
	if (!is_ourselves(fd)) {
		close(fd);
		return;
	}
	stop_listening(r);
	ours = conn_tcp_adopt(r->h->l, fd, NULL, NULL, NULL);
	if (ours == NULL)
		return;
	stream = conn_hold_take(&r->stream);
	if (stream == NULL) {
		conn_close(ours);
		return;
	}
	r->join = conn_join_new(stream, ours, CONN_JOIN_CLOSE_BOTH, on_joined_over, r);
}

// 0 or -errno.
static int listen_for_curl(struct http_request *r)
{
	struct sockaddr sa = {.sa_family = AF_UNIX};

	r->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->listen_fd < 0 || bind(r->listen_fd, &sa, sizeof(sa.sa_family)) < 0 ||
		listen(r->listen_fd, 1) < 0)
		return -errno;
	r->listen_poll = loop_poll_new(r->h->l, r->listen_fd, on_connected, r);
	return r->listen_poll != NULL ? loop_poll_set(r->listen_poll, true, false) : -errno;
}

static int add_header(struct http_request *r, const char *text)
{
	struct curl_slist *next = curl_slist_append(r->headers, text);

	if (next == NULL)
		return -ENOMEM;
	r->headers = next;
	return 0;
}

static int run(struct http_request *r)
{
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, (long)clock_left_ms(r->deadline_ns));
	if (curl_multi_add_handle(r->h->multi, r->easy) != CURLM_OK)
		return -ENOMEM;
	r->running = true;
	return 0;
}

static void on_stream(void *arg, struct conn *take_conn, const char *public_ip, int err)
{
	struct http_request *r = arg;
	char header[80];

	r->dial = NULL;
	if (take_conn != NULL) {
		conn_hold(&r->stream, take_conn);
		err = listen_for_curl(r);
	}
	if (err == 0 && public_ip != NULL && public_ip[0] != '\0') {
		snprintf(header, sizeof(header), "SW-PublicIP: %s", public_ip);
		err = add_header(r, header);
	}
	if (err == 0)
		err = run(r);
	if (err == 0)
		return;
	r->dial_err = err;
	loop_timer_start(r->h->look, 0, 0);
}

// Splits dmsg://PK[:port][/path]; *rest is what follows. 0 or -EINVAL.
static int read_dmsg_url(const char *url, struct dmsg_addr *to, const char **rest)
{
	const char *p = url + strlen(HTTP_CLIENT_DMSG), *end = p + strcspn(p, "/?#");
	unsigned long port = HTTP_CLIENT_DMSG_PORT;

	if (end - p < KEY_PK_TEXT_LEN || key_pk_from_text(&to->pk, p, KEY_PK_TEXT_LEN) < 0 ||
		!key_pk_is_valid(&to->pk))
		return -EINVAL;
	p += KEY_PK_TEXT_LEN;
	if (p < end) {
		size_t digits = strspn(p + 1, "0123456789");

		if (*p != ':' || digits == 0 || digits > 5 || p + 1 + digits != end)
			return -EINVAL;
		port = strtoul(p + 1, NULL, 10);
		if (port == 0 || port > UINT16_MAX)
			return -EINVAL;
	}
	to->port = (uint16_t)port;
	*rest = end;
	return 0;
}

static int dial(struct http_request *r, const char *url, uint32_t timeout_ms)
{
	struct http_client *h = r->h;
	char key[KEY_PK_TEXT_LEN + 1], as_http[HTTP_CLIENT_URL_MAX + 16], host[96];
	struct dmsg_addr to;
	const char *rest;
	int n;

	if (read_dmsg_url(url, &to, &rest) < 0)
		return -EINVAL;
	if (h->streams == NULL)
		return -ENOTCONN;
	// The host of the URL is looked up by nobody: a key is too long for a name.
	n = snprintf(
		as_http, sizeof(as_http), "http://127.0.0.1%s%s", *rest == '/' ? "" : "/", rest);
	key_pk_to_text(&to.pk, key);
	snprintf(host, sizeof(host), "Host: %s:%u", key, to.port);
	if (n < 0 || (size_t)n >= sizeof(as_http))
		return -EINVAL;
	curl_easy_setopt(r->easy, CURLOPT_URL, as_http);
	curl_easy_setopt(r->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(r->easy, CURLOPT_OPENSOCKETDATA, r);
	if (add_header(r, host) < 0)
		return -ENOMEM;
	r->dial = h->streams->dial(h->streams_arg, &to, timeout_ms, on_stream, r);
	return r->dial != NULL ? 0 : -errno;
}

// ---- requests ----

const char *http_client_check_url(const char *url)
{
	static const char *const schemes[] = {"http://", "https://"};
	struct dmsg_addr to;
	const char *rest;

	if (strlen(url) >= HTTP_CLIENT_URL_MAX)
		return "is too long for a URL";
	if (strcspn(url, " \t\"<>\\") != strlen(url))
		return "is no URL: it holds characters that none has";
	if (http_client_is_dmsg(url))
		return read_dmsg_url(url, &to, &rest) == 0
			       ? NULL
			       : "is no dmsg://PUBLIC-KEY[:PORT]: the key has 66 hex digits";
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		const char *host = url + strlen(schemes[i]);

		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0 && strcspn(host, "/?#") > 0)
			return NULL;
	}
	return "is no URL: http://HOST[:PORT], https://... or dmsg://PUBLIC-KEY[:PORT]";
}

static void set_options(struct http_request *r, const struct http_request_conf *conf)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_URL, conf->url);
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, conf->method);
	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); // a name's look-up holds up no end
	curl_easy_setopt(e, CURLOPT_USERAGENT, "skyrail/" SKYRAIL_VERSION);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	if (r->h->ca_file[0] != '\0') {
		curl_easy_setopt(e, CURLOPT_CAINFO, r->h->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL); // the system's, beside it
	}
	if (r->body != NULL) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body);
	}
}

static int start(struct http_request *r, const struct http_request_conf *conf)
{
	for (size_t i = 0; i < conf->n_headers; i++)
		if (add_header(r, conf->headers[i]) < 0)
			return -ENOMEM;
	if (conf->body != NULL) {
		r->body = malloc(conf->body_len + 1);
		if (r->body == NULL)
			return -ENOMEM;
		memcpy(r->body, conf->body, conf->body_len);
		r->body_len = conf->body_len;
		// no "Expect: 100-continue", which costs a round trip and is not always answered
		if (add_header(r, "Content-Type: application/json") < 0 ||
			add_header(r, "Expect:") < 0)
			return -ENOMEM;
	}
	set_options(r, conf);
	r->h->stats.tx_bytes += r->body_len;
	return http_client_is_dmsg(conf->url) ? dial(r, conf->url, conf->timeout_ms) : run(r);
}

struct http_request *http_client_ask(
	struct http_client *h, const struct http_request_conf *conf, http_answer_fn fn, void *arg)
{
	struct http_request *r;
	int rc;

	if (http_client_check_url(conf->url) != NULL)
		return errno_null(EINVAL);
	if (h->stats.pending >= HTTP_CLIENT_REQUESTS_MAX) {
		h->stats.refused++;
		return errno_null(EBUSY);
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->h = h;
	r->listen_fd = -1;
	r->fn = fn;
	r->arg = arg;
	r->answer_max = conf->answer_max;
	r->deadline_ns = clock_mono_ns() + conf->timeout_ms * CLOCK_NS_PER_MS;
	TAILQ_INSERT_TAIL(&h->requests, r, all);
	h->stats.pending++;
	r->easy = curl_easy_init();
	rc = r->easy != NULL ? start(r, conf) : -ENOMEM;
	if (rc < 0) {
		request_free(r);
		return errno_null(rc);
	}
	h->stats.asked++;
	return r;
}

void http_client_cancel(struct http_request *r)
{
	if (r != NULL)
		request_free(r);
}

// ---- the whole ----

struct http_client *http_client_new(struct loop *l, const char *ca_file)
{
	struct http_client *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) { // counted by libcurl
		free(h);
		return errno_null(ENOMEM);
	}
	h->l = l;
	TAILQ_INIT(&h->requests);
	h->ca_file = strdup(ca_file);
	h->multi = curl_multi_init();
	h->timer = loop_timer_new(l, on_timer, h);
	h->look = loop_timer_new(l, on_look, h);
	if (h->ca_file == NULL || h->multi == NULL || h->timer == NULL || h->look == NULL) {
		http_client_free(h);
		return errno_null(ENOMEM);
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return h;
}

void http_client_free(struct http_client *h)
{
	struct http_request *r;

	if (h == NULL)
		return;
	while ((r = TAILQ_FIRST(&h->requests)) != NULL)
		request_free(r);
	if (h->multi != NULL)
		curl_multi_cleanup(h->multi);
	loop_timer_free(h->timer);
	loop_timer_free(h->look);
	free(h->ca_file);
	free(h);
	curl_global_cleanup();
}

void http_client_set_streams(struct http_client *h, const struct http_streams *streams, void *arg)
{
	h->streams = streams;
	h->streams_arg = arg;
}

void http_client_stats_get(const struct http_client *h, struct http_client_stats *out)
{
	*out = h->stats;
}
