/*
 * httpd_files.h - the files of httpd.c: nothing from outside the root, small ones from memory.
 *
 * Owns:       files and their contents, counted by references; the slots of a cache.
 * Threads:    any; a cache has a lock, held for a few instructions. There is nothing of whorl here:
 *             the calls are those of a regular file, which block briefly or not at all.
 * Invariant:  a cached file was found unchanged in the second that checked_s names.
 * Pairs:      file.refs drops by acquire-release: who drops the last one sees what the others did.
 *             It rises relaxed, because whoever raises it knows of a reference that stays.
 * Not chosen: caching descriptors of large files: under a low limit they would be missing for
 *             connections.
 */
#ifndef HTTPD_FILES_H
#define HTTPD_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_KEPT_BYTES_MAX = 64 * 1024, /* of a file whose content is kept in memory */
    FILE_CACHE_SLOTS = 256,          /* so a cache holds 16 MiB at most */
};

/* A file as it is sent: small ones with their content, others with an open descriptor. */
struct file {
    unsigned refs;     /* A */
    int fd;            /* C, -1 if the content is here */
    struct stat stat;  /* C */
    time_t checked_s;  /* M(file_cache.lock): when stat was last found true */
    char etag[64];     /* C */
    char modified[40]; /* C */
    char head[400];    /* C: the header of a 200, without the lines that differ each time */
    size_t head_bytes; /* C */
    char *path;        /* C, below the root; stands behind the content */
    char content[];    /* C */
};

struct file_cache {
    pthread_mutex_t lock;
    struct file *slots[FILE_CACHE_SLOTS]; /* M(lock): each file in the slot of its path's hash */
};

/*
 * errno belongs to the thread, and a task may wake on another one. This is never inlined, so no
 * function that waits can keep errno's address over the wait.
 */
static __attribute__((noinline)) int negative_errno(void)
{
    return -errno;
}

static void format_http_date(time_t seconds, char ret_text[static 40])
{
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(ret_text, 40, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static const char *content_type(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".htm", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".xml", "application/xml"},
        {".json", "application/json"},
        {".pdf", "application/pdf"},
        {".wasm", "application/wasm"},
        {".zip", "application/zip"},
        {".gz", "application/gzip"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".ico", "image/vnd.microsoft.icon"},
        {".woff2", "font/woff2"},
        {".mp3", "audio/mpeg"},
        {".mp4", "video/mp4"},
    };
    const char *suffix = strrchr(path, '.');
    for (size_t i = 0; suffix && i < sizeof types / sizeof *types; i++) {
        if (strcasecmp(suffix, types[i][0]) == 0) {
            return types[i][1];
        }
    }
    return "application/octet-stream";
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* One step of a path: its first step_len bytes, which have no slash in them. */
static int open_step(int folder, const char *path, size_t step_len, int flags)
{
    char step[NAME_MAX + 1];
    if (step_len > NAME_MAX) {
        return -ENAMETOOLONG;
    }
    memcpy(step, path, step_len);
    step[step_len] = '\0';
    const int fd = openat(folder, step, flags);
    return fd < 0 ? negative_errno() : fd;
}

/* For kernels without openat2: step by step, and over no symbolic link at all. */
static int open_stepwise(int root_fd, const char *path, int flags)
{
    for (int folder = root_fd;;) {
        const size_t len = strcspn(path, "/");
        const bool last = path[len] == '\0';
        const int next = open_step(folder, path, len,
                                   last ? flags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (folder != root_fd) {
            close(folder);
        }
        if (last || next < 0) {
            return next;
        }
        folder = next;
        path += len + strspn(path + len, "/");
    }
}

/* A path below the root; the kernel sees to it that no link and no rename leads out of there. */
static int open_beneath(int root_fd, const char *path)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK; /* or a FIFO holds the loop */
    const struct open_how how = {.flags = (uint64_t)flags,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 0;; tries++) {
        const long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        const int result = fd < 0 ? negative_errno() : (int)fd;
        if (result == -ENOSYS || result == -EPERM) { /* an old kernel, an old container */
            return open_stepwise(root_fd, path, flags);
        }
        if (result != -EAGAIN || tries == 8) { /* EAGAIN: something was renamed meanwhile */
            return result;
        }
    }
}

/* The same for regular files only. -EISDIR: a folder. */
static int open_regular(int root_fd, const char *path, struct stat *ret_stat)
{
    struct stat stat;
    const int fd = open_beneath(root_fd, path);
    if (fd < 0) {
        return fd;
    }
    int error = fstat(fd, &stat) < 0 ? negative_errno() : 0;
    if (!error && !S_ISREG(stat.st_mode)) {
        error = S_ISDIR(stat.st_mode) ? -EISDIR : -ENOENT;
    }
    if (error) {
        close(fd);
        return error;
    }
    *ret_stat = stat;
    return fd;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void file_ref(struct file *file)
{
    __atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED); /* relaxed: the cache or caller has one */
}

static void file_unref(struct file *file)
{
    if (file && __atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) == 0) { /* pairs with itself */
        if (file->fd >= 0) {
            close(file->fd);
        }
        free(file);
    }
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* All of a small file. It may have become shorter since it was looked at. */
static int file_read_content(struct file *file, int fd)
{
    off_t got = 0;
    while (got < file->stat.st_size) {
        const ssize_t n = pread(fd, file->content + got, (size_t)(file->stat.st_size - got), got);
        if (n < 0) {
            return negative_errno();
        }
        if (n == 0) {
            file->stat.st_size = got;
        }
        got += n;
    }
    return 0;
}

static void file_write_head(struct file *file)
{
    const struct stat *stat = &file->stat;
    snprintf(file->etag, sizeof file->etag, "\"%lx-%lx-%lx.%lx\"", (unsigned long)stat->st_ino,
             (unsigned long)stat->st_size, (unsigned long)stat->st_mtim.tv_sec,
             (unsigned long)stat->st_mtim.tv_nsec);
    format_http_date(stat->st_mtim.tv_sec, file->modified);
    const int bytes =
        snprintf(file->head, sizeof file->head,
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %lld\r\n"
                 "ETag: %s\r\nLast-Modified: %s\r\n",
                 content_type(file->path), (long long)stat->st_size, file->etag, file->modified);
    file->head_bytes = (size_t)bytes;
}

/* A file with one reference, the caller's. Takes fd over, also on failure. */
static int file_create(const char *path, int fd, const struct stat *stat, struct file **ret_file)
{
    const bool small = stat->st_size <= FILE_KEPT_BYTES_MAX;
    const size_t content_bytes = small ? (size_t)stat->st_size : 0;
    struct file *file = malloc(sizeof *file + content_bytes + strlen(path) + 1);
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    *file = (struct file){.refs = 1, .fd = fd, .stat = *stat};
    file->path = strcpy(file->content + content_bytes, path);
    const int error = small ? file_read_content(file, fd) : 0;
    if (small) {
        close(fd);
        file->fd = -1;
    }
    if (error) {
        file_unref(file);
        return error;
    }
    file_write_head(file);
    *ret_file = file;
    return 0;
}

/* ---- The cache ------------------------------------------------------------------------------- */

static struct file **cache_slot(struct file_cache *cache, const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *path; path++) {
        hash = (hash ^ (unsigned char)*path) * 16777619u;
    }
    return &cache->slots[(hash ^ hash >> 16) % FILE_CACHE_SLOTS];
}

/* The file of that path with a reference, or NULL; and whether it was checked just now. */
static struct file *cache_find(struct file_cache *cache, const char *path, bool *ret_fresh)
{
    const time_t now_s = time(NULL);
    struct file **slot = cache_slot(cache, path);
    pthread_mutex_lock(&cache->lock);
    struct file *file = *slot;
    if (file && strcmp(file->path, path) == 0) {
        *ret_fresh = file->checked_s == now_s;
        file_ref(file);
    } else {
        file = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    return file;
}

/* Notes that a file is right as it is, in its slot, instead of whatever is there. */
static void cache_put(struct file_cache *cache, struct file *file)
{
    struct file **slot = cache_slot(cache, file->path);
    struct file *old = NULL;
    pthread_mutex_lock(&cache->lock);
    file->checked_s = time(NULL);
    if (*slot != file) {
        file_ref(file);
        old = *slot;
        *slot = file;
    }
    pthread_mutex_unlock(&cache->lock);
    file_unref(old);
}

static void cache_clear(struct file_cache *cache)
{
    for (int i = 0; i < FILE_CACHE_SLOTS; i++) {
        file_unref(cache->slots[i]);
        cache->slots[i] = NULL;
    }
}

/*
 * A file with a reference, from the cache or from the folder root_fd. A cached one is looked at
 * again once the clock shows another second, so a change is seen a second late at most.
 */
static int file_get(struct file_cache *cache, int root_fd, const char *path, struct file **ret_file)
{
    bool fresh = false;
    struct file *file = cache_find(cache, path, &fresh);
    if (!fresh) {
        struct stat stat;
        const int fd = open_regular(root_fd, path, &stat);
        if (fd >= 0 && file && is_unchanged(&file->stat, &stat)) {
            close(fd);
        } else {
            file_unref(file);
            const int error = fd < 0 ? fd : file_create(path, fd, &stat, &file);
            if (error) {
                return error;
            }
        }
        if (file->fd < 0) {
            cache_put(cache, file);
        }
    }
    *ret_file = file;
    return 0;
}

#endif
