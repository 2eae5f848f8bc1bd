/* Prints the digest of each file named on the command line, one per line. */
#include "digest.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    for (int k = 1; k < argc; k++) {
        struct stat status;
        uint64_t digest;
        int fd = open(argv[k], O_RDONLY);
        if (fd < 0 || fstat(fd, &status) != 0 || !read_digest(fd, (size_t)status.st_size, &digest)) {
            perror(argv[k]);
            return 1;
        }
        printf("%" PRIu64 "\n", digest);
        close(fd);
    }
    return 0;
}
