/* dist/elevator: unpacks the program once for each user and build, then becomes it.
 *
 * - The program is a folder: Nuitka's executable with the libraries it loads. It goes to <base>/elevator-<uid>/<ID>,
 *   where ID is a digest of all its contents: another build is another folder, a stale one can never be run.
 * - It is unpacked beside its place and moved there when all of it is on the disk. So copies that start at once, a full
 *   disk, kill -9 and a power cut leave either the whole of it or something that nobody looks at. What was damaged
 *   later (sizes are compared at each start) is replaced.
 * - Bases are tried in turn until the program runs from one of them: a home that is full, read-only or mounted noexec is
 *   no obstacle. A folder that belongs to somebody else, or that others may write to, is not used.
 * - exec, not a child: signals, kill -9, exit status and the process list all mean the program itself.
 * - The program cannot see which file the user started, but users put files beside it. So that file's path is in the
 *   environment variable STARTED, links resolved.
 *
 * The build writes manifest.h (ID, PAYLOAD_SIZE, files) and payload.zst (the files' contents, one after the other).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    const char *name; /* may be in a folder */
    size_t size;
};

#include "manifest.h"

/* Nuitka needs the name elevator for the package's own folder. Run through a link, the process has that name, too. */
#define EXECUTABLE "elevator.bin"
#define PROGRAM "bin/elevator"
#define STARTED "ELEVATOR_FILE"

enum { PATH_SIZE = 4096, REASONS_SIZE = 4096, FILES = sizeof files / sizeof *files };

__asm__(".section .rodata\n"
        "payload: .incbin \"payload.zst\"\n"
        "payload_end:\n"
        ".previous\n");
extern const char payload[], payload_end[];

/* Of the zstd library: return how many bytes came out, or a huge number if there is something wrong. */
size_t ZSTD_decompress(void *out, size_t out_size, const void *in, size_t in_size);

/* Put the parts together; a path that is too long comes out empty, and nothing can be done at an empty path. */
static void join(char path[PATH_SIZE], const char *base, const char *separator, const char *rest)
{
    if (snprintf(path, PATH_SIZE, "%s%s%s", base, separator, rest) >= PATH_SIZE)
        path[0] = 0;
}

static bool is_private_folder(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_whole(const char *folder)
{
    char path[PATH_SIZE];
    struct stat status;
    for (size_t k = 0; k < FILES; k++) {
        join(path, folder, "/", files[k].name);
        if (stat(path, &status) != 0 || (size_t)status.st_size != files[k].size)
            return false;
    }
    return is_private_folder(folder);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool write_file(const char *path, const char *contents, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (fd < 0)
        return false;
    while (size > 0) {
        ssize_t written = write(fd, contents, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        contents += written;
        size -= (size_t)written;
    }
    return close(fd) == 0 && size == 0;
}

/* Write all files below *folder*, which exists, and the link; wait until they are on the disk. */
static bool write_files(const char *folder)
{
    char *contents = malloc(PAYLOAD_SIZE);
    bool good = contents != NULL && ZSTD_decompress(contents, PAYLOAD_SIZE, payload,
                                                    (size_t)(payload_end - payload)) == PAYLOAD_SIZE;
    const char *next = contents;
    for (size_t k = 0; good && k < FILES; next += files[k++].size) {
        char path[PATH_SIZE];
        join(path, folder, "/", files[k].name);
        for (char *end = path + strlen(folder) + 1; path[0] != 0 && (end = strchr(end, '/')) != NULL; *end++ = '/') {
            *end = 0;
            mkdir(path, 0700);
        }
        good = write_file(path, next, files[k].size);
    }
    free(contents);
    char path[PATH_SIZE];
    join(path, folder, "/", "bin");
    good = good && mkdir(path, 0700) == 0;
    join(path, folder, "/", PROGRAM);
    good = good && symlink("../" EXECUTABLE, path) == 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = good && fd >= 0 && syncfs(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* Make *folder* in *parent* whole. */
static bool unpack(const char *parent, const char *folder)
{
    char fresh[PATH_SIZE];
    join(fresh, parent, "/", "new-XXXXXX");
    if (mkdtemp(fresh) == NULL)
        return false;
    bool good = write_files(fresh);
    if (good && rename(fresh, folder) != 0) {
        /* Another copy was faster, or something damaged is in the way. */
        if (!is_whole(folder))
            remove_tree(folder);
        good = rename(fresh, folder) == 0 || is_whole(folder);
    }
    int why = errno;
    remove_tree(fresh); /* Nothing is there any more if it was moved. */
    errno = why;
    return good;
}

static bool prepare(const char *base, const char *parent, const char *folder)
{
    mkdir(base, 0700); /* As the XDG specification wants it, if it is not there. */
    if (mkdir(parent, 0700) != 0 && errno != EEXIST)
        return false;
    if (!is_private_folder(parent)) {
        errno = EPERM;
        return false;
    }
    return unpack(parent, folder);
}

/* Become the program, unpacked under *base*; return only if that is not possible, and note why in *reasons*. */
static void run(const char *base, char **argv, char *reasons)
{
    char name[64], parent[PATH_SIZE], folder[PATH_SIZE], program[PATH_SIZE];
    snprintf(name, sizeof name, "elevator-%lu", (unsigned long)geteuid());
    join(parent, base, "/", name);
    join(folder, parent, "/", ID);
    join(program, folder, "/", PROGRAM);
    if (is_whole(folder) || prepare(base, parent, folder))
        execv(program, argv);
    size_t used = strlen(reasons);
    snprintf(reasons + used, REASONS_SIZE - used, "; %s: %s", parent, strerror(errno));
}

static void name_started_file(void)
{
    char path[PATH_SIZE];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        unsetenv(STARTED); /* Where there is no /proc, a name from another program must not be taken for ours. */
        return;
    }
    path[length] = 0;
    setenv(STARTED, path, true);
}

/* Python ends at once if it lacks the codec of the locale. The multibyte codecs other than UTF-8 are left out of the
 * bundle. In the C locale the program uses UTF-8; the variable PYTHONUTF8 is ignored by what Nuitka makes. */
static void avoid_missing_codec(void)
{
    if (setlocale(LC_CTYPE, "") != NULL && MB_CUR_MAX > 1 && strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setenv("LC_ALL", "C", 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    name_started_file();
    avoid_missing_codec();
    char cache[PATH_SIZE], reasons[REASONS_SIZE] = "";
    const char *home = getenv("HOME"), *chosen = getenv("XDG_CACHE_HOME"), *temporary = getenv("TMPDIR");
    if (chosen != NULL && chosen[0] == '/')
        run(chosen, argv, reasons);
    else if (home != NULL && home[0] == '/') {
        join(cache, home, "/", ".cache");
        run(cache, argv, reasons);
    }
    if (temporary != NULL && temporary[0] == '/')
        run(temporary, argv, reasons);
    run("/var/tmp", argv, reasons);
    run("/tmp", argv, reasons);
    run("/dev/shm", argv, reasons);
    fprintf(stderr, "elevator: cannot unpack%s\n", reasons);
    return EXIT_FAILURE;
}
