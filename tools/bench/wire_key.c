// Key files have the form of the node's own; derived keys come out of HKDF.

#include "tools/bench/wire_key.h"

#include "lib/base/bytes.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LABEL "skyrail-bench link"

static int key_write(const char *path, const struct key_sk *sk)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return -errno;
	rc = key_file_put(fd, sk);
	close(fd);
	if (rc < 0)
		unlink(path);
	return rc;
}

int wire_key_load(const char *path, struct key_sk *sk)
{
	int fd, rc;

	if (path == NULL)
		return key_sk_generate(sk);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		rc = key_sk_generate(sk);
		return rc == 0 ? key_write(path, sk) : rc;
	}
	if (fd < 0)
		return -errno;
	rc = key_file_get(fd, sk);
	close(fd);
	return rc;
}

void wire_key_of(const struct key_sk *base, unsigned nr, struct key_sk *sk, struct key_pk *pk)
{
	uint8_t info[sizeof(LABEL) + 8] = LABEL;

	*sk = *base;
	be32_put(info + sizeof(LABEL), nr);
	// one in 2^128 is no key: the next one is taken
	for (uint32_t i = 0; nr > 0; i++) {
		be32_put(info + sizeof(LABEL) + 4, i);
		hash_hkdf_sha256(sk->b, sizeof(sk->b), NULL, 0, base->b, sizeof(base->b), info,
			sizeof(info));
		if (key_sk_is_valid(sk))
			break;
	}
	key_pk_from_sk(pk, sk);
}
