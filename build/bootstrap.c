/* dist/elevator: a self-extracting executable. It unpacks the program once for each user and build, and executes it.
 *
 * - The program is a folder: Nuitka's executable and the libraries it loads. Its place is <base>/elevator-<uid>/<ID>.
 *   ID is a digest of all contents, so every build has its own folder and a stale copy never runs.
 * - The files are written to a temporary folder, synced, and moved into place. So a full disk, kill -9 or a power cut
 *   leaves either a complete copy or a folder that never runs.
 * - Each start compares the digest of every file, because a power cut can leave files with wrong contents. A damaged
 *   file is replaced by a rename. If a folder is damaged, the whole copy is exchanged. So every path stays valid:
 *   running programs load libraries and start processes later.
 * - The holder of a lock unpacks or repairs, and the others wait. After LOCK_MS they continue without the lock, because
 *   the holder may hang. Concurrent repairs are safe: they replace good files with good files.
 * - A home directory can be full, read-only or noexec. So the bases are tried in turn until the program runs from one of
 *   them. A folder is skipped if it belongs to another user or if others may write to it.
 * - The program replaces this process (exec). So signals, exit status and process list concern the program itself.
 * - The environment variable ELEVATOR_FILE gives the program the resolved path of this file. Users put configuration
 *   files beside it.
 *
 * The build writes manifest.h (ID, PAYLOAD_SIZE, folders, files) and payload.zst (the concatenated contents).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct file {
    const char *name; /* relative to the folder of the program */
    size_t size;
    uint64_t digest;
};

#include "digest.h"
#include "manifest.h"

/* The link to execute: its name becomes the name of the process. It is in bin/ because there is already a folder named
 * elevator beside Nuitka's executable. */
#define PROGRAM "bin/elevator"
#define STARTED "ELEVATOR_FILE"
#define TARGET "../elevator.bin"

enum {
    PATH_SIZE = 4096,
    REASONS_SIZE = 4096,
    FILES = sizeof files / sizeof *files,
    FOLDERS = sizeof folders / sizeof *folders,
    LOCK_MS = 5000,
};

__asm__(".section .rodata\n"
        "payload: .incbin \"payload.zst\"\n"
        "payload_end:\n"
        ".previous\n");
extern const char payload[], payload_end[];

/* From the zstd library. It returns the number of bytes written, or a huge number if the data is damaged. */
size_t ZSTD_decompress(void *out, size_t out_size, const void *in, size_t in_size);

/* Join the parts. A path that is too long becomes empty, and every operation on an empty path fails. */
static void join(char path[PATH_SIZE], const char *base, const char *separator, const char *rest)
{
    if (snprintf(path, PATH_SIZE, "%s%s%s", base, separator, rest) >= PATH_SIZE)
        path[0] = 0;
}

/* Return whether this user owns the file with all permissions, and no other user may write to it. */
static bool is_private(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & (S_IRWXU | S_IWGRP | S_IWOTH)) == S_IRWXU;
}

static bool is_private_folder(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && is_private(&status);
}

static bool holds(int fd, const struct file *file)
{
    struct stat status;
    uint64_t digest;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && is_private(&status) &&
           (size_t)status.st_size == file->size && read_digest(fd, file->size, &digest) && digest == file->digest;
}

static bool is_intact(const char *folder, const struct file *file)
{
    char path[PATH_SIZE];
    join(path, folder, "/", file->name);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool good = fd >= 0 && holds(fd, file);
    if (fd >= 0)
        close(fd);
    return good;
}

static bool has_link(const char *folder)
{
    char path[PATH_SIZE], target[sizeof TARGET];
    join(path, folder, "/", PROGRAM);
    return readlink(path, target, sizeof target) == sizeof TARGET - 1 &&
           memcmp(target, TARGET, sizeof TARGET - 1) == 0;
}

static bool has_folders(const char *folder)
{
    char path[PATH_SIZE];
    bool good = is_private_folder(folder);
    for (size_t k = 0; good && k < FOLDERS; k++) {
        join(path, folder, "/", folders[k]);
        good = is_private_folder(path);
    }
    return good;
}

static bool is_whole(const char *folder)
{
    bool good = has_folders(folder) && has_link(folder);
    for (size_t k = 0; good && k < FILES; k++)
        good = is_intact(folder, &files[k]);
    return good;
}

/* Remove *path* and everything below it, even folders without permissions. */
static void remove_tree(const char *path)
{
    struct stat status;
    if (remove(path) == 0 || lstat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return;
    chmod(path, S_IRWXU);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char inner[PATH_SIZE];
        join(inner, path, "/", entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(inner);
    }
    if (folder != NULL)
        closedir(folder);
    remove(path);
}

/* Return the concatenated contents of all files, or NULL if there is no memory. Exit if the payload is damaged. */
static const char *unpacked(void)
{
    static char *contents;
    if (contents != NULL)
        return contents;
    contents = malloc(PAYLOAD_SIZE);
    if (contents == NULL)
        return NULL;
    if (ZSTD_decompress(contents, PAYLOAD_SIZE, payload, (size_t)(payload_end - payload)) != PAYLOAD_SIZE) {
        fputs("elevator: this file is damaged: copy it again\n", stderr);
        exit(EXIT_FAILURE);
    }
    return contents;
}

static bool write_file(const char *path, const char *contents, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRWXU);
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

/* Write all files below *folder*, which exists, and sync them to the disk. */
static bool write_all(const char *folder)
{
    char path[PATH_SIZE];
    const char *next = unpacked();
    bool good = next != NULL;
    for (size_t k = 0; good && k < FOLDERS; k++) {
        join(path, folder, "/", folders[k]);
        good = mkdir(path, S_IRWXU) == 0;
    }
    for (size_t k = 0; good && k < FILES; next += files[k++].size) {
        join(path, folder, "/", files[k].name);
        good = write_file(path, next, files[k].size);
    }
    join(path, folder, "/", PROGRAM);
    good = good && symlink(TARGET, path) == 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    good = good && fd >= 0 && syncfs(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* Move *fresh* to *place*. If the rename fails, exchange the two. If that fails too, remove *place* first. */
static bool put(const char *fresh, const char *place)
{
    if (rename(fresh, place) == 0 || renameat2(AT_FDCWD, fresh, AT_FDCWD, place, RENAME_EXCHANGE) == 0)
        return true;
    remove_tree(place);
    return rename(fresh, place) == 0;
}

static bool put_part(const char *fresh, const char *folder, const char *name)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    join(from, fresh, "/", name);
    join(to, folder, "/", name);
    return put(from, to);
}

/* Replace the damaged files of *folder* with those of *fresh*. If folders are missing or damaged, replace all of it. */
static bool repair(const char *fresh, const char *folder)
{
    if (!has_folders(folder))
        return put(fresh, folder);
    bool good = has_link(folder) || put_part(fresh, folder, PROGRAM);
    for (size_t k = 0; good && k < FILES; k++)
        good = is_intact(folder, &files[k]) || put_part(fresh, folder, files[k].name);
    return good;
}

/* Write a new copy of the program in *parent*, and use it to create or repair *folder*. */
static bool unpack(const char *parent, const char *folder)
{
    char fresh[PATH_SIZE];
    join(fresh, parent, "/", "new-XXXXXX");
    if (mkdtemp(fresh) == NULL)
        return false;
    bool good = write_all(fresh) && repair(fresh, folder);
    int why = errno;
    remove_tree(fresh); /* It holds unused new files and damaged old ones. */
    errno = why;
    return good;
}

/* Lock *parent*, or give up after LOCK_MS. Return a descriptor, or -1 on failure. Closing it releases the lock. */
static int lock(const char *parent)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int ms = 0; fd >= 0 && ms < LOCK_MS && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; ms += 10)
        nanosleep(&pause, NULL);
    return fd;
}

static bool prepare(const char *base, const char *parent, const char *folder)
{
    mkdir(base, S_IRWXU); /* The XDG specification requires this mode for a new base. */
    if (mkdir(parent, S_IRWXU) != 0 && errno != EEXIST)
        return false;
    if (!is_private_folder(parent)) {
        errno = EPERM;
        return false;
    }
    int locked = lock(parent);
    bool good = is_whole(folder) || unpack(parent, folder);
    int why = errno;
    if (locked >= 0)
        close(locked);
    errno = why;
    return good;
}

/* Execute the program from a copy under *base*. Return only if that fails, with the reason appended to *reasons*. */
static void run(const char *base, char **argv, char *reasons)
{
    char name[64], parent[PATH_SIZE], folder[PATH_SIZE], program[PATH_SIZE];
    snprintf(name, sizeof name, "elevator-%lu", (unsigned long)geteuid());
    join(parent, base, "/", name);
    join(folder, parent, "/", ID);
    join(program, folder, "/", PROGRAM);
    mode_t mask = umask(S_IRWXG | S_IRWXO);
    bool good = is_whole(folder) || prepare(base, parent, folder);
    umask(mask);
    if (good)
        execv(program, argv);
    size_t used = strlen(reasons);
    snprintf(reasons + used, REASONS_SIZE - used, "; %s: %s", parent, strerror(errno));
}

static void name_started_file(void)
{
    char path[PATH_SIZE];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        unsetenv(STARTED); /* Without /proc: ignore a value that another program has set. */
        return;
    }
    path[length] = 0;
    setenv(STARTED, path, true);
}

/* Python does not start without the codec of the locale, and UTF-8 is the only multibyte codec in the bundle. So
 * replace any other multibyte locale by C, where Python uses UTF-8. (Nuitka's executables ignore PYTHONUTF8.) */
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
