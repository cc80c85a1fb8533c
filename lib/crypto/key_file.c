// The text of a key file, and no more: paths, modes and owners are its callers'.
#include "lib/crypto/key_file.h"

#include <errno.h>
#include <unistd.h>

#include "lib/base/file.h"

static bool is_blank(char c)
{
	return c == '\n' || c == '\r' || c == ' ';
}

int key_file_get(int fd, struct key_sk *sk)
{
	char text[KEY_SK_TEXT_LEN + 16];
	size_t len = 0;
	ssize_t n = 1;
	int rc;

	while (len < sizeof(text) && n != 0) {
		n = read(fd, text + len, sizeof(text) - len);
		if (n < 0 && errno != EINTR) {
			rc = -errno;
			key_wipe(text, sizeof(text));
			key_wipe(sk, sizeof(*sk));
			return rc;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	// A full buffer: what more there is has not been looked at.
	if (len == sizeof(text))
		len = 0;
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	rc = key_sk_from_text(sk, text, len);
	key_wipe(text, sizeof(text));
	return rc;
}

int key_file_put(int fd, const struct key_sk *sk)
{
	char text[KEY_SK_TEXT_LEN + 1];
	int rc;

	key_sk_to_text(sk, text);
	text[KEY_SK_TEXT_LEN] = '\n'; // in the place of the NUL
	rc = file_write_all(fd, text, sizeof(text));
	key_wipe(text, sizeof(text));
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	return rc;
}
