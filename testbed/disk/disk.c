// A disk that fails, for one directory of one process: loaded before the C library, it counts every step that changes what is
// stored under DISK_UNDER, and does to it what the file DISK_RULE says. The number of steps so far is in DISK_STEPS.
//
// Rules: "none"; "kill-before N" and "kill-after N" end the process at its Nth step, as a power cut would; "no-space" writes
// nothing; "short" writes half of what it is given and then nothing; "sync-error" fails every sync, after which what is stored is
// not known; "read-only" opens nothing for writing.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static long steps;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_under(const char *path) {
    const char *root = getenv("DISK_UNDER");
    size_t length = root ? strlen(root) : 0;
    return length > 0 && path && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_file_under(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_under(path);
}

static void rule(char *text, size_t size, long *number) {
    text[0] = 0;
    *number = 0;
    const char *path = getenv("DISK_RULE");
    int file = path ? REAL(open)(path, O_RDONLY) : -1;
    if (file < 0) return;
    char line[64];
    ssize_t length = read(file, line, sizeof line - 1);
    close(file);
    if (length <= 0) return;
    line[length] = 0;
    char format[16];
    snprintf(format, sizeof format, "%%%zus %%ld", size - 1);
    sscanf(line, format, text, number);
}

static void tell_steps(void) {
    const char *path = getenv("DISK_STEPS");
    int file = path ? REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (file < 0) return;
    char line[32];
    int length = snprintf(line, sizeof line, "%ld\n", steps);
    if (REAL(write)(file, line, (size_t)length) < 0) abort();
    close(file);
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

// Begins a step: returns the errno that it comes to, or nothing. Holds the lock until the step is over.
static int begin(const char *what, int *shortened) {
    pthread_mutex_lock(&one_at_a_time);
    steps++;
    tell_steps();
    char text[24];
    long number;
    rule(text, sizeof text, &number);
    if (strcmp(text, "kill-before") == 0 && steps == number) end();
    int writes = strcmp(what, "write") == 0, syncs = strcmp(what, "sync") == 0;
    if (strcmp(text, "no-space") == 0 && !syncs && strcmp(what, "unlink") != 0) return ENOSPC;
    if (strcmp(text, "read-only") == 0 && !syncs && !writes) return EROFS;
    if (strcmp(text, "sync-error") == 0 && syncs) return EIO;
    if (strcmp(text, "short") == 0 && writes) {
        if (*shortened) return ENOSPC;
        *shortened = 1;
    } else {
        *shortened = 0;
    }
    return 0;
}

static void finish(void) {
    char text[24];
    long number;
    rule(text, sizeof text, &number);
    if (strcmp(text, "kill-after") == 0 && steps == number) end();
    pthread_mutex_unlock(&one_at_a_time);
}

#define STEP(what, call)                        \
    do {                                        \
        int unused = 0;                         \
        int failed = begin(what, &unused);      \
        if (failed) {                           \
            finish();                           \
            errno = failed;                     \
            return -1;                          \
        }                                       \
        __typeof__(call) result = call;         \
        int kept = errno;                       \
        finish();                               \
        errno = kept;                           \
        return result;                          \
    } while (0)

ssize_t write(int file, const void *bytes, size_t count) {
    static int shortened;
    if (!is_file_under(file)) return REAL(write)(file, bytes, count);
    int failed = begin("write", &shortened);
    if (failed) {
        finish();
        errno = failed;
        return -1;
    }
    ssize_t result = REAL(write)(file, bytes, shortened && count > 1 ? count / 2 : count);
    int kept = errno;
    finish();
    errno = kept;
    return result;
}

int fsync(int file) {
    if (!is_file_under(file)) return REAL(fsync)(file);
    STEP("sync", REAL(fsync)(file));
}

int fdatasync(int file) {
    if (!is_file_under(file)) return REAL(fdatasync)(file);
    STEP("sync", REAL(fdatasync)(file));
}

int rename(const char *from, const char *to) {
    if (!is_under(to)) return REAL(rename)(from, to);
    STEP("rename", REAL(rename)(from, to));
}

int unlink(const char *path) {
    if (!is_under(path)) return REAL(unlink)(path);
    STEP("unlink", REAL(unlink)(path));
}

int mkdir(const char *path, mode_t mode) {
    if (!is_under(path)) return REAL(mkdir)(path, mode);
    STEP("mkdir", REAL(mkdir)(path, mode));
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    if ((flags & O_ACCMODE) == O_RDONLY || !is_under(path)) return REAL(open64)(path, flags, mode);
    STEP("open", REAL(open64)(path, flags, mode));
}
