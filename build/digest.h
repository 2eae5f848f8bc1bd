/* The digest of a file: the XXH64 of its last chunk, seeded with the XXH64 of the previous chunk, and so on.
 * bootstrap.c compares it to detect damage. The file is read, not mapped, because a disk error in a mapped file kills
 * the process. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* From the zstd library. */
unsigned long long XXH64(const void *bytes, size_t size, unsigned long long seed);

/* Compute the digest of *size* bytes from *fd*. Return false if they cannot be read. */
static bool read_digest(int fd, size_t size, uint64_t *digest)
{
    static char chunk[256 * 1024];
    *digest = 0;
    while (size > 0) {
        size_t wanted = size < sizeof chunk ? size : sizeof chunk, got = 0;
        while (got < wanted) {
            ssize_t more = read(fd, chunk + got, wanted - got);
            if (more < 0 && errno == EINTR)
                continue;
            if (more <= 0)
                return false;
            got += (size_t)more;
        }
        *digest = XXH64(chunk, wanted, *digest);
        size -= wanted;
    }
    return true;
}
